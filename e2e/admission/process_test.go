// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/routing"
)

var _ = Describe("The process", func() {
	It("is healthy and ready", func(ctx SpecContext) {
		for _, page := range []string{"/healthz", "/readyz"} {
			status, body, err := stack.Get(ctx, standard.HealthURL+page)
			Expect(err).NotTo(HaveOccurred())
			Expect(status).To(Equal(200))
			Expect(body).To(Equal("ok\n"))
		}
	})

	It("is not ready before it has read the cluster, and says what it lacks", func(ctx SpecContext) {
		proxy := startProxy(ctx, "unready")
		proxy.Watches.Shut()
		soon, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
			Binary: binary, Kubeconfig: proxy.Kubeconfig, Dir: dir, Name: "unready",
		})
		Expect(err).To(MatchError(ContainSubstring("/readyz answers 503: not read yet: " +
			"Ingress (not read yet), IngressClass (not read yet), Service (not read yet), Namespace (not read yet)")))
	})

	It("counts what it did and logs one line for a denial", func(ctx SpecContext) {
		const (
			allowed = `routegate_admission_requests_total{operation="CREATE",outcome="allowed"}`
			denied  = `routegate_admission_requests_total{operation="CREATE",outcome="denied"}`
			count   = `routegate_admission_duration_seconds_count{operation="CREATE"}`
			finding = `routegate_findings_total{check="service-missing",mode="deny",operation="CREATE",outcome="denied"}`
			reads   = `routegate_live_reads_total{kind="Service",result="absent"}`
		)
		s := shop(ctx, standard, fault{})
		was := s.metrics(ctx)
		_, _, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		_, _, err = s.create(ctx, ingress("bad", at("bad"), to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
		is := s.metrics(ctx)
		for series, n := range map[string]float64{allowed: 1, denied: 1, count: 2, finding: 1, reads: 1} {
			Expect(is[series]-was[series]).To(Equal(n), series)
		}
		for _, kind := range []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices, routing.Secrets, routing.Namespaces} {
			Expect(is).To(HaveKeyWithValue(`routegate_cache_synced{kind="`+string(kind)+`"}`, 1.0))
		}

		lines := linesWith(s.Log(), `"msg":"denied"`, `"namespace":"`+s.ns+`"`)
		Expect(lines).To(HaveLen(1))
		Expect(lines[0]).To(And(
			ContainSubstring(`"name":"bad"`), ContainSubstring(`"operation":"CREATE"`),
			ContainSubstring(`"confirmed":true`), ContainSubstring(`(service-missing): requests get 503`),
		))
	})

	It("goes on answering while it drains, and ends well", func(ctx SpecContext) {
		const drainTime = 3 * time.Second
		g := startGate(ctx, "draining", gateOptions{drainTime: drainTime})
		s := shop(ctx, g, fault{})
		started := time.Now()
		Expect(g.Terminate()).To(Succeed())
		Eventually(ctx, func() (string, error) {
			_, body, err := stack.Get(ctx, g.HealthURL+"/readyz")
			return body, err
		}).Should(Equal("stopping\n"))

		for range 20 {
			_, _, err := s.create(ctx, ingress("bad", to("gone", 80)))
			expectDenied(err, "service-missing", s.in(gone))
		}
		status, _, err := stack.Get(ctx, g.HealthURL+"/readyz")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(503))
		status, _, err = stack.Get(ctx, g.HealthURL+"/healthz")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(200))

		Eventually(ctx, g.Done()).WithTimeout(drainTime + 10*time.Second).Should(BeClosed())
		Expect(time.Since(started)).To(BeNumerically(">=", drainTime))
		Expect(g.Stop()).To(Succeed(), "it ended with status 0")
		Expect(g.Log()).To(ContainSubstring(`"msg":"stopped"`))

		By("failurePolicy Ignore, without anybody to ask")
		_, _, err = s.create(ctx, ingress("bad", to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
	})
})

// linesWith returns the lines that hold all of the words.
func linesWith(text string, words ...string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found
}
