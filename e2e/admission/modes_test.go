// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/routing"
)

var _ = Describe("Preset", func() {
	It("observe denies nothing", func(ctx SpecContext) {
		g := startGate(ctx, "observe", gateOptions{args: []string{"--preset", "observe"}})
		for _, f := range faults {
			if !f.denies {
				continue
			}
			By(f.check)
			s := shop(ctx, g, f)
			_, warnings, err := s.create(ctx, f.ingress)
			Expect(err).NotTo(HaveOccurred())
			Expect(warnings).To(Equal([]string{s.in(f.words)}))
		}
		Expect(g.metrics(ctx)).NotTo(HaveKey(`routegate_admission_requests_total{operation="CREATE",outcome="denied"}`))
	})

	It("strict denies what is certain but often transient", func(ctx SpecContext) {
		g := startGate(ctx, "strict", gateOptions{args: []string{"--preset", "strict"}})
		denied := map[string]bool{"tls-secret-missing": true, "duplicate-path-in-one-ingress": true}
		for _, f := range faults {
			if f.denies {
				continue
			}
			By(f.check)
			s := shop(ctx, g, f)
			_, _, err := s.create(ctx, f.ingress)
			if denied[f.check] {
				expectDenied(err, f.check, s.in(f.words))
			} else {
				Expect(err).NotTo(HaveOccurred())
			}
		}
	})
})

var _ = Describe("Grace period", func() {
	It("lets what is missing pass in a new namespace, with a warning", func(ctx SpecContext) {
		g := startGate(ctx, "grace", gateOptions{args: []string{"--grace-period", "1h"}})
		s := shop(ctx, g, fault{})
		_, warnings, err := s.create(ctx, ingress("bad", to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone + " [not denied: the namespace is younger than 1h0m0s]")}))

		By("a fault that nothing can mend but the Ingress")
		_, _, err = s.create(ctx, ingress("worse", at("worse"), toResource))
		Expect(err).To(MatchError(ContainSubstring("(resource-backend)")))
		statusOf(err)
	})
})

var _ = Describe("Without the right to read Secrets", Ordered, func() {
	const noSecrets = `Secret "shop-tls": Routegate is not allowed to read it (4 checks)`
	var kubeconfig string

	BeforeAll(func(ctx SpecContext) {
		var err error
		kubeconfig, err = controlPlane.KubeconfigFor(dir, "blind")
		Expect(err).NotTo(HaveOccurred())
		rbac := controlPlane.Client.RbacV1()
		read := []string{"get", "list", "watch"}
		_, err = rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "blind"},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"services", "namespaces"}, Verbs: read},
				{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
				{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses", "ingressclasses"}, Verbs: read},
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "blind"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "blind"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "blind"}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	})

	blind := func(ctx SpecContext, name, onUndecided string, failurePolicy admissionregistrationv1.FailurePolicyType) *sandbox {
		GinkgoHelper()
		g := startGate(ctx, name, gateOptions{
			kubeconfig: kubeconfig, args: []string{"--on-undecided", onUndecided}, blind: []routing.Kind{routing.Secrets},
			webhook: stack.Webhook{FailurePolicy: failurePolicy},
		})
		return shop(ctx, g, fault{})
	}

	It("is undecided on TLS: allowed with a warning, and denied for what is certain", func(ctx SpecContext) {
		s := blind(ctx, "blind", "allow", admissionregistrationv1.Fail)
		Eventually(ctx, s.Log).Should(ContainSubstring(`"kind":"Secret","namespace":"","reason":"Routegate is not allowed to read it"`))

		_, warnings, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())

		_, warnings, err = s.create(ctx, ingress("secure", at("secure"), withTLS("shop-tls")))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{"no verdict on parts of this Ingress: " + noSecrets}))

		_, warnings, err = s.create(ctx, ingress("bad", at("bad"), withTLS("shop-tls"), to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
		Expect(warnings).To(Equal([]string{"no verdict on parts of this Ingress: " + noSecrets}))
	})

	It("leaves it to failurePolicy Fail where undecided means fail", func(ctx SpecContext) {
		s := blind(ctx, "blind-fail", "fail", admissionregistrationv1.Fail)
		_, _, err := s.create(ctx, ingress("secure", at("secure"), withTLS("shop-tls")))
		Expect(apierrors.IsInternalError(err)).To(BeTrue(), "got: %v", err)
		Expect(err).To(MatchError(ContainSubstring("failed calling webhook")))

		_, warnings, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("leaves it to failurePolicy Ignore where undecided means fail", func(ctx SpecContext) {
		s := blind(ctx, "blind-ignore", "fail", admissionregistrationv1.Ignore)
		_, _, err := s.create(ctx, ingress("secure", at("secure"), withTLS("shop-tls")))
		Expect(err).NotTo(HaveOccurred())

		_, _, err = s.create(ctx, ingress("bad", at("bad"), withTLS("shop-tls"), to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
	})
})
