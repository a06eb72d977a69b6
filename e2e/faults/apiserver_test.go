// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

// badOnes are Ingresses that are denied, each for another reason.
func (g *gate) badOnes(prefix string) []*networkingv1.Ingress {
	missing := g.ingress(prefix+"-service", "gone")
	port := g.ingress(prefix+"-port", "web")
	port.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 81
	class, unknown := g.ingress(prefix+"-class", "web"), "ngnix"
	class.Spec.IngressClassName = &unknown
	return []*networkingv1.Ingress{missing, port, class}
}

// expectDenied expects the API server to refuse Ingresses that are bad.
func (g *gate) expectDenied(ctx SpecContext, prefix string) {
	GinkgoHelper()
	for _, ing := range g.badOnes(prefix) {
		_, err := g.create(ctx, ing)
		Expect(err).To(MatchError(ContainSubstring("denied the request: ")), ing.Name)
	}
}

var _ = Describe("An API server that stops answering Routegate", func() {
	answers := func(status int) stack.Fault {
		return func(*http.Request) int { return status }
	}
	DescribeTable("leaves no verdict, and denials come back with it", func(ctx SpecContext, name string, fault stack.Fault, reason string) {
		g := startGate(ctx, name, gateOptions{asked: true})
		g.expectDenied(ctx, "before")
		_, err := g.create(ctx, g.ingress("good", "web"))
		Expect(err).NotTo(HaveOccurred())

		g.proxy.SetFault(fault)
		for _, ing := range g.badOnes("during") {
			warnings, err := g.create(ctx, ing)
			Expect(err).NotTo(HaveOccurred(), ing.Name)
			Expect(warnings).To(ConsistOf(HavePrefix(noVerdict+`Namespace "`+g.ns+`": `+reason)), ing.Name)
		}
		warnings, err := g.create(ctx, g.ingress("good-too", "web"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		status, _, err := stack.Get(ctx, g.HealthURL+"/readyz")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK))
		Expect(g.metrics(ctx)).To(HaveKeyWithValue(`routegate_admission_requests_total{operation="CREATE",outcome="undecided"}`, 3.0))

		known := g.metrics(ctx)[stack.CacheObjects("Service")]
		g.addService(ctx, "late")
		Consistently(ctx, func() float64 { return g.metrics(ctx)[stack.CacheObjects("Service")] }).
			WithTimeout(300*time.Millisecond).Should(Equal(known), "its watches are cut")

		g.proxy.SetFault(nil)
		g.expectDenied(ctx, "after")
		g.catchUp(ctx)
		warnings, err = g.create(ctx, g.ingress("good-again", "late"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(ConsistOf(ContainSubstring("(no-endpoints-at-all)")))
	},
		Entry("when it closes all connections", "silent", answers(stack.Hangup), "the API server did not answer in time"),
		Entry("when it answers 500 to everything", "broken", answers(http.StatusInternalServerError), "the API server answered InternalError"),
		Entry("when it answers 403 to everything", "forbidden", answers(http.StatusForbidden), "Routegate is not allowed to read it"),
		Entry("when it answers 404 to everything", "absent", answers(http.StatusNotFound), "the API server "),
	)

	It("is never a reason to deny once its process has ended", func(ctx SpecContext) {
		cp := startControlPlane(ctx, GinkgoT().TempDir())
		g := startGate(ctx, "orphan", gateOptions{controlPlane: cp})
		c := g.newClient(clientOptions{http2: true})
		for _, ing := range g.badOnes("before") {
			resp, err := c.review(ctx, "?timeout=5s", ing)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Allowed).To(BeFalse(), ing.Name)
		}

		// An API server that is told to stop waits for its watches, a minute.
		g.proxy.SetFault(answers(stack.Hangup))
		Expect(cp.StopAPIServer()).To(Succeed())
		undecided := func(prefix string) {
			GinkgoHelper()
			for _, ing := range g.badOnes(prefix) {
				resp, err := c.review(ctx, "?timeout=5s", ing)
				Expect(err).NotTo(HaveOccurred())
				Expect(resp.Allowed).To(BeTrue(), ing.Name)
				Expect(resp.Warnings).To(ConsistOf(HavePrefix(noVerdict + `Namespace "` + g.ns + `": the API server `)))
			}
		}
		By("a proxy that cannot reach it")
		g.proxy.SetFault(nil)
		undecided("behind")
		By("connections that are refused")
		Expect(g.proxy.Stop()).To(Succeed())
		undecided("refused")
		resp, err := c.review(ctx, "?timeout=5s", g.ingress("good", "web"))
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(BeEmpty())
	})
})

var _ = Describe("A 404 that is not about the object", func() {
	It("proves nothing to be missing", func(ctx SpecContext) {
		g := startGate(ctx, "lost", gateOptions{})
		c := g.newClient(clientOptions{http2: true})
		// What routegate's cache has not seen and a misled proxy denies to exist.
		g.proxy.SetFault(func(*http.Request) int { return http.StatusNotFound })
		_, err := g.client.NetworkingV1().IngressClasses().Create(ctx, &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: "late"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) error {
			return g.client.NetworkingV1().IngressClasses().Delete(ctx, "late", metav1.DeleteOptions{})
		})
		ing, late := g.ingress("good", "web"), "late"
		ing.Spec.IngressClassName = &late
		resp, err := c.review(ctx, "?timeout=5s", ing)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Allowed).To(BeTrue(), "%v", resp.Result)
		Expect(resp.Warnings).To(ConsistOf(HavePrefix(noVerdict)))
	})
})

var _ = Describe("Lists that fail from the start", func() {
	It("leave their kinds unread and the others decided, until they work", func(ctx SpecContext) {
		g := startGate(ctx, "lists", gateOptions{asked: true, synced: []string{"Ingress", "IngressClass", "Service", "Namespace"},
			fault: func(r *http.Request) int {
				switch {
				case strings.HasSuffix(r.URL.Path, "/endpointslices"):
					return http.StatusForbidden
				case strings.HasSuffix(r.URL.Path, "/secrets"):
					return http.StatusInternalServerError
				}
				return 0
			}})
		status, _, err := stack.Get(ctx, g.HealthURL+"/readyz")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK))
		for _, kind := range allKinds {
			want := 1.0
			if kind == "EndpointSlice" || kind == "Secret" {
				want = 0
			}
			Expect(g.metrics(ctx)).To(HaveKeyWithValue(`routegate_cache_synced{kind="`+kind+`"}`, want))
		}

		unread := ConsistOf(And(HavePrefix(noVerdict),
			ContainSubstring("Routegate is not allowed to read it"), ContainSubstring("the API server answered InternalError")))
		warnings, err := g.create(ctx, g.ingress("good", "web"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(unread)
		g.expectDenied(ctx, "during")

		g.proxy.SetFault(nil)
		g.catchUp(ctx)
		warnings, err = g.create(ctx, g.ingress("good-too", "web"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		g.expectDenied(ctx, "after")
	})
})

var _ = Describe("Live reads that hang", func() {
	It("do not delay an answer beyond the timeout, whatever it is", func(ctx SpecContext) {
		// The API server's own default applies where it sends none that can be read.
		const otherwise = 10 * time.Second
		timeouts := map[string]time.Duration{
			"?timeout=1s": time.Second, "?timeout=2s": 2 * time.Second, "?timeout=5s": 5 * time.Second,
			"?timeout=10s": 10 * time.Second, "?timeout=30s": 30 * time.Second,
			"": otherwise, "?timeout=soon": otherwise, "?timeout=": otherwise, "?timeout=-3s": otherwise, "?timeout=1h": 30 * time.Second,
		}
		// More than there are slots for live reads.
		const each = 8
		full := startGate(ctx, "hanging", gateOptions{})
		get := startGate(ctx, "hanging-get", gateOptions{args: []string{"--secret-access=get"},
			synced: []string{"Ingress", "IngressClass", "Service", "EndpointSlice", "Namespace"}})

		errs := make(chan error)
		asked := 0
		for _, g := range []*gate{full, get} {
			g.proxy.Reads.Shut()
			DeferCleanup(g.proxy.Reads.Open)
			c := g.newClient(clientOptions{http2: true})
			for query, timeout := range timeouts {
				for i := range each {
					asked++
					ing := g.ingress(fmt.Sprintf("bad-%d", i), "gone")
					go func() {
						soon, cancel := context.WithTimeout(ctx, timeout)
						defer cancel()
						resp, err := c.review(soon, query, ing)
						switch {
						case err != nil:
						case !resp.Allowed:
							err = fmt.Errorf("denied: %s", resp.Result.Message)
						case len(resp.Warnings) != 1 || !strings.HasPrefix(resp.Warnings[0], noVerdict):
							err = fmt.Errorf("not undecided: %q", resp.Warnings)
						}
						if err != nil {
							err = fmt.Errorf("%q: %w", query, err)
						}
						errs <- err
					}()
				}
			}
		}
		var failed []error
		for range asked {
			if err := <-errs; err != nil {
				failed = append(failed, err)
			}
		}
		Expect(failed).To(BeEmpty(), "of %d", asked)
		AddReportEntry("answers in time", asked)
	})
})
