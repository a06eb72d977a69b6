// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// slow is a cluster that needs a while for each Snapshot.
type slow struct {
	*cluster.Static
	each time.Duration
	err  error
}

func (c *slow) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	if c.err != nil {
		return nil, c.err
	}
	select {
	case <-time.After(c.each):
	case <-ctx.Done():
	}
	return c.Static.Snapshot(ctx, refs, confirm)
}

var _ = Describe("Preview", func() {
	var (
		world  *slow
		file   policy.File
		server *httptest.Server
	)

	BeforeEach(func() {
		world, file = &slow{Static: cluster.NewStatic()}, policy.File{Terms: policy.Terms{Preset: policy.Observe}}
		Expect(world.Apply(class("nginx", "k8s.io/ingress-nginx"))).To(Succeed())
		Expect(world.Apply(service("web"))).To(Succeed())
		preview := &webhook.Preview{
			Cluster: world, Ingresses: world.Ingresses, Log: logr.Discard(),
			Rules: func() *policy.Rules {
				rules, err := file.Compile(onlyCertain())
				Expect(err).NotTo(HaveOccurred())
				return rules
			},
		}
		Expect(preview.Validate()).To(Succeed())
		server = httptest.NewServer(preview)
		DeferCleanup(server.Close)
	})

	has := func(names ...string) {
		GinkgoHelper()
		for _, name := range names {
			ing := ingress("web")
			ing.Name, ing.Spec.Rules[0].Host = name, name+".example.com"
			if name[0] == 'b' {
				ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "gone"
			}
			Expect(world.Apply(ing)).To(Succeed())
		}
	}
	raw := func(object any) (e runtime.RawExtension) {
		var err error
		e.Raw, err = json.Marshal(object)
		Expect(err).NotTo(HaveOccurred())
		return e
	}
	send := func(ctx context.Context, r *admissionv1.AdmissionReview, query string) (int, []byte) {
		GinkgoHelper()
		body, err := json.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+query, bytes.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(resp.Body.Close()).To(Succeed()) }()
		text, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, text
	}
	change := func(ctx context.Context, before, after map[string]string, query string) []string {
		GinkgoHelper()
		ns := func(labels map[string]string) runtime.RawExtension {
			return raw(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: labels}})
		}
		r := &admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Request: &admissionv1.AdmissionRequest{
				UID: "review-1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}, Operation: admissionv1.Update,
				Name: "app", Object: ns(after), OldObject: ns(before),
			},
		}
		status, text := send(ctx, r, query)
		Expect(status).To(Equal(http.StatusOK), string(text))
		answer := &admissionv1.AdmissionReview{}
		Expect(json.Unmarshal(text, answer)).To(Succeed())
		Expect(answer.Response.Allowed).To(BeTrue())
		return answer.Response.Warnings
	}
	enforce := func(value string) map[string]string { return map[string]string{policy.EnforceLabel: value} }

	It("lists what would be denied under the new labels", func(ctx SpecContext) {
		has("bad", "good", "also-good")
		Expect(change(ctx, nil, enforce("standard"), "/")).To(Equal([]string{
			"with these labels, of 3 Ingresses 1 would be denied if created now, and 0 warned of; what is there stays",
			`Ingress "bad", deny: spec.rules[0].http.paths[0].backend.service.name: Service "gone" does not exist in namespace "app"; there is "web" (service-missing): requests get 503`,
		}))
		By("what would only be warned of")
		Expect(change(ctx, enforce("standard"), enforce("observe"), "/")).To(Equal([]string{
			"with these labels, of 3 Ingresses 0 would be denied if created now, and 1 warned of; what is there stays",
			`Ingress "bad", warn: spec.rules[0].http.paths[0].backend.service.name: Service "gone" does not exist in namespace "app"; there is "web" (service-missing): requests get 503`,
		}))
		Expect(change(ctx, enforce("standard"), enforce("off"), "/")).To(BeEmpty())
	})
	It("leaves out what an Ingress ignores", func(ctx SpecContext) {
		ing := ingress("gone")
		ing.Annotations = map[string]string{policy.IgnoreAnnotation: "service-missing; reason=comes later"}
		Expect(world.Apply(ing)).To(Succeed())
		Expect(change(ctx, nil, enforce("standard"), "/")).To(BeEmpty())
	})
	It("names Ingresses of other namespaces only where everybody may see the names", func(ctx SpecContext) {
		theirs := ingress("web")
		theirs.Namespace, theirs.Name, theirs.CreationTimestamp = "other", "shop", metav1.Unix(1e9, 0)
		mine := ingress("web")
		mine.CreationTimestamp = metav1.Unix(2e9, 0)
		for _, ing := range []*networkingv1.Ingress{theirs, mine} {
			Expect(world.Apply(ing)).To(Succeed())
		}
		said := change(ctx, nil, enforce("standard"), "/")
		Expect(said).To(ContainElement(ContainSubstring("belong to the older Ingress of another namespace")))
		Expect(said).NotTo(ContainElement(ContainSubstring("other/shop")))

		file.Disclosure = policy.DiscloseAlways
		Expect(change(ctx, nil, enforce("standard"), "/")).To(ContainElement(ContainSubstring(`the older Ingress "other/shop"`)))
	})
	It("is silent where no label of ours changes", func(ctx SpecContext) {
		has("bad")
		Expect(change(ctx, enforce("strict"), map[string]string{policy.EnforceLabel: "strict", "team": "shop"}, "/")).To(BeEmpty())
	})
	It("says which labels do not count", func(ctx SpecContext) {
		file.NamespaceLabels.AtMost = policy.Standard
		Expect(change(ctx, nil, map[string]string{policy.EnforceLabel: "strict", policy.WarnLabel: "yes"}, "/")).To(Equal([]string{
			`Namespace label routegate.dev/warn="yes" means nothing and does not count; must be one of off, observe, standard, strict`,
			`Namespace label routegate.dev/enforce="strict" counts as "standard": the policy here admits no more`,
		}))
	})
	It("lists only so many, and counts the others", func(ctx SpecContext) {
		for i := range 20 {
			has(fmt.Sprintf("bad-%02d", i))
		}
		said := change(ctx, nil, enforce("standard"), "/")
		Expect(len(said)).To(BeNumerically("<=", 10))
		Expect(said[0]).To(HavePrefix("with these labels, of 20 Ingresses 20 would be denied"))
		Expect(said[1]).To(HavePrefix(`Ingress "bad-00", deny: `))
		Expect(said[len(said)-1]).To(Equal("and 13 more Ingresses"))
	})
	It("ends in time, and says what it left out", func(ctx SpecContext) {
		for i := range 50 {
			has(fmt.Sprintf("good-%02d", i))
		}
		world.each = 100 * time.Millisecond
		said := change(ctx, nil, enforce("standard"), "/?timeout=2s")
		Expect(said).To(HaveLen(1))
		Expect(said[0]).To(MatchRegexp(`^[1-9][0-9]? of 50 Ingresses not looked at: there was no more time$`))
	})
	It("says nothing of what it cannot read", func(ctx SpecContext) {
		has("bad")
		world.err = errors.New("no cluster")
		Expect(change(ctx, nil, enforce("standard"), "/")).To(Equal([]string{"1 of 1 Ingress not looked at: the cluster could not be read"}))
	})
	It("refuses reviews of other kinds", func(ctx SpecContext) {
		status, text := send(ctx, review(admissionv1.Create, ingress("web"), nil), "/")
		Expect(status).To(Equal(http.StatusBadRequest))
		Expect(string(text)).To(ContainSubstring("must be Namespace of v1"))
	})
	It("names what is missing when it is built incompletely", func() {
		Expect((&webhook.Preview{}).Validate()).To(MatchError(And(ContainSubstring("Cluster must be set"),
			ContainSubstring("Ingresses must be set"), ContainSubstring("Rules must be set"))))
	})
})
