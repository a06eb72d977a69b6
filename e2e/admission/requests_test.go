// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"strings"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	gone = `spec.rules[0].http.paths[0].backend.service.name: Service "gone" does not exist in namespace "NAMESPACE"; ` +
		`there is "web" (service-missing): requests get 503`
	before = " [not denied: the Ingress had this before]"
	dryRun = " [dry run: a real write would be denied]"
)

// finalizer keeps an Ingress that is deleted.
const finalizer = "example.com/hold"

var _ = Describe("An Ingress that was bad before", func() {
	var s *sandbox

	BeforeEach(func(ctx SpecContext) {
		s = optedOut(ctx, standard)
		s.has(ctx, service("web", 80), endpoint("web", 80, true))
		bad := ingress("bad", to("gone", 80))
		bad.Finalizers = []string{finalizer}
		_, warnings, err := s.create(ctx, bad)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty(), "the namespace has opted out")
		s.optIn(ctx)
	})

	It("can be edited, with a warning", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", addPath("/more", "web", 80))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + before)}))
	})

	It("keeps its old fault when its paths move", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", func(ing *networkingv1.Ingress) {
			addPath("/first", "web", 80)(ing)
			paths := ing.Spec.Rules[0].HTTP.Paths
			paths[0], paths[1] = paths[1], paths[0]
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(HaveLen(1))
		Expect(warnings[0]).To(HavePrefix("spec.rules[0].http.paths[1].backend.service.name"))
		Expect(warnings[0]).To(HaveSuffix(before))
	})

	It("cannot get a new fault", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", addPath("/more", "web", 81))
		expectDenied(err, "port-missing",
			`spec.rules[0].http.paths[1].backend.service.port: Service "web" has no port 81; must be 80 (port-missing): requests get 503`)
		Expect(warnings).To(Equal([]string{s.in(gone + before)}))
	})

	It("can be mended, without a word", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", to("web", 80))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("can get labels and annotations that change no route, without a word", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", func(ing *networkingv1.Ingress) {
			metav1.SetMetaDataLabel(&ing.ObjectMeta, "team", "shop")
			metav1.SetMetaDataAnnotation(&ing.ObjectMeta, "example.com/seen", "yes")
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("is judged when an annotation of its controller changes", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", annotated("nginx.ingress.kubernetes.io/ssl-redirect", "false"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + before)}))
	})

	It("can lose its finalizer, without a word", func(ctx SpecContext) {
		warnings, err := s.edit(ctx, "bad", func(ing *networkingv1.Ingress) { ing.Finalizers = nil })
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("can get a status, without a word", func(ctx SpecContext) {
		ing, err := s.client.NetworkingV1().Ingresses(s.ns).Get(ctx, "bad", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		ing.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		s.said.Take()
		_, err = s.client.NetworkingV1().Ingresses(s.ns).UpdateStatus(ctx, ing, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.said.Take()).To(BeEmpty())
	})

	It("can be deleted, without a word", func(ctx SpecContext) {
		ingresses := s.client.NetworkingV1().Ingresses(s.ns)
		s.said.Take()
		Expect(ingresses.Delete(ctx, "bad", metav1.DeleteOptions{})).To(Succeed())
		ing, err := ingresses.Get(ctx, "bad", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(ing.DeletionTimestamp).NotTo(BeNil(), "the finalizer keeps it")

		By("changing what is being deleted")
		warnings, err := s.edit(ctx, "bad", addPath("/more", "web", 81))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())

		By("removing the finalizer")
		warnings, err = s.edit(ctx, "bad", func(ing *networkingv1.Ingress) { ing.Finalizers = nil })
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		_, err = ingresses.Get(ctx, "bad", metav1.GetOptions{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "got: %v", err)
	})
})

var _ = Describe("A good Ingress", func() {
	It("that goes bad by itself can be edited, with a warning", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		s.has(ctx, service("gone", 80), endpoint("gone", 80, true))
		_, warnings, err := s.create(ctx, ingress("good", to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		Expect(s.client.CoreV1().Services(s.ns).Delete(ctx, "gone", metav1.DeleteOptions{})).To(Succeed())
		s.catchUp(ctx)

		warnings, err = s.edit(ctx, "good", addPath("/more", "web", 80))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + before)}))
	})

	It("cannot be made bad", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		_, _, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		_, err = s.edit(ctx, "good", to("gone", 80))
		expectDenied(err, "service-missing", s.in(gone))
	})
})

var _ = Describe("A dry run", func() {
	all := metav1.DryRunAll

	It("of a missing reference is only warned", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		_, warnings, err := s.create(ctx, ingress("bad", to("gone", 80)), all)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + dryRun)}))

		_, _, err = s.create(ctx, ingress("bad", to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
	})

	It("of an edit is only warned", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		_, _, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		warnings, err := s.edit(ctx, "good", to("gone", 80), all)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + dryRun)}))
	})

	It("of what nothing can mend but the Ingress is denied", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		_, _, err := s.create(ctx, ingress("bad", toResource), all)
		Expect(statusOf(err).Details.Causes).To(HaveLen(1))
		Expect(err).To(MatchError(ContainSubstring("(resource-backend)")))
	})
})

var _ = Describe("Other ways to write", func() {
	It("with generateName are judged alike", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		generated := func(ing *networkingv1.Ingress) { ing.GenerateName = "made-" }
		_, _, err := s.create(ctx, ingress("", generated, to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
		Expect(statusOf(err).Details.Name).To(HavePrefix("made-"))

		made, warnings, err := s.create(ctx, ingress("", generated))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		Expect(made.Name).To(HavePrefix("made-"))
	})

	It("by server-side apply are judged alike", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		apply := func(service string) error {
			manifest := `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"applied"},"spec":{
				"ingressClassName":"nginx","rules":[{"host":"` + s.host() + `","http":{"paths":[{"path":"/","pathType":"Prefix",
				"backend":{"service":{"name":"` + service + `","port":{"number":80}}}}]}}]}}`
			_, err := s.client.NetworkingV1().Ingresses(s.ns).Patch(ctx, "applied", types.ApplyPatchType, []byte(manifest),
				metav1.PatchOptions{FieldManager: "spec"})
			return err
		}
		expectDenied(apply("gone"), "service-missing", s.in(gone))
		Expect(apply("web")).To(Succeed())
		expectDenied(apply("gone"), "service-missing", s.in(gone))
		Expect(s.said.Take()).To(BeEmpty())
	})

	It("to a namespace that has opted out are not judged", func(ctx SpecContext) {
		s := optedOut(ctx, standard)
		_, warnings, err := s.create(ctx, ingress("bad", to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})
})

var _ = Describe("Words", func() {
	// many has twelve faults, in the order of its paths.
	many := func(ing *networkingv1.Ingress) {
		ing.Spec.Rules[0].HTTP.Paths = nil
		for i := range 12 {
			addPath(fmt.Sprintf("/%02d", i), fmt.Sprintf("gone-%02d", i), 80)(ing)
		}
	}

	It("of a denial name ten faults and count the others", func(ctx SpecContext) {
		s := newSandbox(ctx, standard)
		_, _, err := s.create(ctx, ingress("bad", many))
		status := statusOf(err)
		Expect(status.Details.Causes).To(HaveLen(10))
		lines := strings.Split(status.Message, "\n")
		Expect(lines).To(HaveLen(12))
		Expect(lines[0]).To(Equal(prefix + "12 reasons why this Ingress cannot route:"))
		Expect(lines[10]).To(Equal(s.in(`- spec.rules[0].http.paths[9].backend.service.name: Service "gone-09" does not exist ` +
			`in namespace "NAMESPACE" (service-missing): requests get 503`)))
		Expect(lines[11]).To(Equal("- and 2 more"))
	})

	It("of warnings are at most ten lines", func(ctx SpecContext) {
		s := newSandbox(ctx, standard)
		_, warnings, err := s.create(ctx, ingress("bad", many), metav1.DryRunAll)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(HaveLen(10))
		Expect(warnings[0]).To(ContainSubstring(`Service "gone-00" does not exist`))
		Expect(warnings[9]).To(Equal("and 3 more"))
	})

	It("of a long warning arrive, cut short, with the name of the check", func(ctx SpecContext) {
		s := newSandbox(ctx, standard)
		long := strings.Repeat("x", 62)
		s.has(ctx, service(long+"y", 80))
		_, warnings, err := s.create(ctx, ingress("bad", to(long+"z", 80)), metav1.DryRunAll)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(HaveLen(1))
		Expect(utf8.RuneCountInString(warnings[0])).To(Equal(256))
		Expect(warnings[0]).To(HavePrefix(`spec.rules[0].http.paths[0].backend.service.name: Service "` + long + `z" does not exist`))
		Expect(warnings[0]).To(ContainSubstring("…"))
		Expect(warnings[0]).To(ContainSubstring(" (service-missing)"))
	})
})
