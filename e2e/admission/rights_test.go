// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// policed starts a gate with a policy file, of which this is all but the header.
func policed(ctx SpecContext, name, text string) *gate {
	GinkgoHelper()
	path := filepath.Join(dir, name+"-policy.yaml")
	Expect(os.WriteFile(path, []byte("apiVersion: routegate.dev/v1alpha1\nkind: Policy\n"+text), 0o600)).To(Succeed())
	return startGate(ctx, name, gateOptions{args: []string{"--policy", path}})
}

// as is the sandbox as a user sees it who may do these things with its Ingresses.
func (s *sandbox) as(ctx SpecContext, user string, verbs ...string) *sandbox {
	GinkgoHelper()
	s.grant(ctx, user, verbs...)
	config := rest.CopyConfig(controlPlane.Config)
	config.WarningHandler = s.said
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	client, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	seen := *s
	seen.client = client
	return &seen
}

// grant lets a user do these things with the Ingresses of the namespace.
func (s *sandbox) grant(ctx SpecContext, user string, verbs ...string) {
	GinkgoHelper()
	rbac := controlPlane.Client.RbacV1()
	role, err := rbac.Roles(s.ns).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{GenerateName: user + "-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses"}, Verbs: verbs}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = rbac.RoleBindings(s.ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// allowed waits until a write of the user succeeds, since what RBAC grants takes a moment
// to count, and returns the warnings.
func allowed(ctx SpecContext, write func() ([]string, error)) []string {
	GinkgoHelper()
	var warnings []string
	Eventually(ctx, func() (err error) {
		warnings, err = write()
		return err
	}).WithTimeout(patience).Should(Succeed())
	return warnings
}

var _ = Describe("The annotation to ignore findings", func() {
	const key, named = "routegate.dev/ignore", "service-missing; reason=moves on Monday"
	gone := to("gone", 80)
	missing := func(s *sandbox) string {
		return s.in(`spec.rules[0].http.paths[0].backend.service.name: Service "gone" does not exist in namespace "NAMESPACE"` +
			`; there is "web" (service-missing): requests get 503`)
	}

	It("exempts what it names, until its end, and says when it does not count", func(ctx SpecContext) {
		s := newSandbox(ctx, standard)
		s.has(ctx, service("web", 80), endpoint("web", 80, true))

		before := s.metrics(ctx)
		_, warnings, err := s.create(ctx, ingress("ignored", gone, annotated(key, named)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		const counter = `routegate_findings_total{check="service-missing",mode="deny",operation="CREATE",outcome="ignored"}`
		Expect(s.metrics(ctx)[counter] - before[counter]).To(Equal(1.0))

		for value, words := range map[string]string{
			"service-missing": "ignores nothing: reason= is missing",
			"service-missing; until=2026-01-31; reason=moves":      "ignores nothing since the end of 2026-01-31",
			"service-missing; until=next week; reason=moves":       `ignores nothing: until="next week" is no date of the form YYYY-MM-DD`,
			"service-mising; reason=moves":                         `names the check "service-mising", which there is not; did you mean "service-missing"?`,
			"port-missing; until=9999-12-31; reason=another fault": "",
		} {
			By(value)
			_, warnings, err := s.create(ctx, ingress("denied", at("denied"), gone, annotated(key, value)))
			expectDenied(err, "service-missing", missing(s))
			if words == "" {
				Expect(warnings).To(BeEmpty())
			} else {
				Expect(warnings).To(ConsistOf(HavePrefix("annotation " + key + `="` + value + `" ` + words)))
			}
		}
	})

	It("does not exempt what stops the controller for everybody, unless the policy says so", func(ctx SpecContext) {
		poison := func(ing *networkingv1.Ingress) {
			annotated("nginx.ingress.kubernetes.io/use-regex", "true")(ing)
			implementation := networkingv1.PathTypeImplementationSpecific
			ing.Spec.Rules[0].HTTP.Paths[0].Path, ing.Spec.Rules[0].HTTP.Paths[0].PathType = "/(", &implementation
			annotated(key, "regex-path-uncompilable; reason=I know better")(ing)
		}
		s := newSandbox(ctx, standard)
		s.has(ctx, service("web", 80), endpoint("web", 80, true))
		_, warnings, err := s.create(ctx, ingress("poison", poison))
		Expect(statusOf(err).Message).To(ContainSubstring("(regex-path-uncompilable)"))
		Expect(warnings).To(ConsistOf(ContainSubstring("the policy here does not admit that")))

		s = newSandbox(ctx, policed(ctx, "poison", "ignore: {poison: true}\n"))
		s.has(ctx, service("web", 80), endpoint("web", 80, true))
		_, warnings, err = s.create(ctx, ingress("poison", poison), metav1.DryRunAll)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("is for users with the right alone, where the policy restricts it", func(ctx SpecContext) {
		s := newSandbox(ctx, policed(ctx, "restricted", "ignore: {restrict: true}\n"))
		s.has(ctx, service("web", 80), endpoint("web", 80, true))
		lea := s.as(ctx, "lea", "create", "get", "update")
		mia := s.as(ctx, "mia", "create", "get", "update", "routegate-ignore")
		refusal := s.in(`metadata.annotations[routegate.dev/ignore]: user "lea" may not add or change it in namespace "NAMESPACE"; ` +
			`must be left as it was, or be set by a user with the verb routegate-ignore for ingresses.networking.k8s.io there (ignore-annotation)`)

		By("refusing that she adds it")
		Expect(allowed(ctx, func() ([]string, error) {
			_, warnings, err := lea.create(ctx, ingress("sound"))
			return warnings, err
		})).To(BeEmpty())
		_, _, err := lea.create(ctx, ingress("new", at("new"), annotated(key, named)))
		expectDenied(err, "ignore-annotation", refusal)
		_, err = lea.edit(ctx, "sound", annotated(key, named))
		expectDenied(err, "ignore-annotation", refusal)

		By("letting her edit what somebody else has exempted")
		Expect(allowed(ctx, func() ([]string, error) {
			_, warnings, err := mia.create(ctx, ingress("exempt", at("exempt"), gone, annotated(key, named)))
			return warnings, err
		})).To(BeEmpty())
		warnings, err := lea.edit(ctx, "exempt", addPath("/more", "gone", 80))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())

		By("refusing that she changes it, not that she removes it")
		_, err = lea.edit(ctx, "exempt", annotated(key, "service-missing; reason=another"))
		expectDenied(err, "ignore-annotation", refusal)
		_, err = lea.edit(ctx, "exempt", func(ing *networkingv1.Ingress) { delete(ing.Annotations, key) })
		Expect(err).NotTo(HaveOccurred())
	})
})

var _ = Describe("Names of Ingresses in other namespaces", func() {
	const (
		named = `spec.rules[0].http.paths[0]: host "HOST" and path "/" of type Prefix belong to the older Ingress "NAMESPACE/shop"; ` +
			`must be another host or path (duplicate-path-older-wins): requests go there, not to Service "web"`
		withheld = `spec.rules[0].http.paths[0]: host "HOST" and path "/" of type Prefix belong to the older Ingress of another namespace; ` +
			`must be another host or path (duplicate-path-older-wins): requests go there, not to Service "web"`
	)
	DescribeTable("are shown as the policy says",
		func(ctx SpecContext, name, disclosure, without, with string) {
			g := standard
			if disclosure != "" {
				g = policed(ctx, "disclosure-"+name, "disclosure: "+disclosure+"\n")
			}
			theirs := newSandbox(ctx, g)
			theirs.has(ctx, service("web", 80), endpoint("web", 80, true))
			_, _, err := theirs.create(ctx, ingress("shop"))
			Expect(err).NotTo(HaveOccurred())
			nextSecond(ctx)

			mine := newSandbox(ctx, g)
			mine.has(ctx, service("web", 80), endpoint("web", 80, true))
			user := "noor-" + name
			noor := mine.as(ctx, user, "create")
			Expect(allowed(ctx, func() ([]string, error) {
				_, warnings, err := noor.create(ctx, ingress("sound", at("sound")))
				return warnings, err
			})).To(BeEmpty())
			mine.catchUp(ctx)
			take := func() error {
				_, _, err := noor.create(ctx, ingress("mine", func(ing *networkingv1.Ingress) { ing.Spec.Rules[0].Host = theirs.host() }))
				return err
			}

			By("without the right to get the other Ingress")
			expectDenied(take(), "duplicate-path-older-wins", theirs.in(without))

			By("with the right")
			seen := theirs.as(ctx, user, "get")
			Eventually(ctx, func() error {
				_, err := seen.client.NetworkingV1().Ingresses(theirs.ns).Get(ctx, "shop", metav1.GetOptions{})
				return err
			}).WithTimeout(patience).Should(Succeed())
			expectDenied(take(), "duplicate-path-older-wins", theirs.in(with))
		},
		Entry("to who may get the Ingress, by default", "default", "", withheld, named),
		Entry("always", "always", "always", named, named),
		Entry("never", "never", "never", withheld, withheld),
	)
})
