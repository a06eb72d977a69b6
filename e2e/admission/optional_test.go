// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/routing"
)

const (
	slowField = "spec.rules[0].http.paths[0].backend.service.name: "
	slowPlain = slowField + `Service "slow" has no ready endpoints: its only endpoint is not ready (no-ready-endpoints): requests get 503 until it has`
)

var _ = Describe("With Pods and NetworkPolicies", Ordered, func() {
	var g *gate

	BeforeAll(func(ctx SpecContext) {
		g = startGate(ctx, "optional", gateOptions{args: []string{"--read-pods", "--controller-pods", "default/app=nginx"}})
	})

	It("says what keeps Pods from being ready, and which label differs", func(ctx SpecContext) {
		s := newSandbox(ctx, g)
		idle := service("idle", 80)
		idle.Spec.Selector["tier"] = "front"
		s.has(ctx, service("slow", 80), endpoint("slow", 80, false), idle,
			pod("slow-abc", map[string]string{"app": "slow"}, "ImagePullBackOff"),
			pod("slow-def", map[string]string{"app": "slow"}, "ImagePullBackOff"),
			pod("idle-abc", map[string]string{"app": "idle", "tier": "fornt"}, "ContainerCreating"))

		_, warnings, err := s.create(ctx, ingress("slow", to("slow", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{slowField +
			`Service "slow" selects 2 Pods, none Ready: slow-abc ImagePullBackOff (no-ready-endpoints): requests get 503 until it has`}))

		_, warnings, err = s.create(ctx, ingress("idle", at("idle"), to("idle", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{slowField +
			`Service "idle" has no endpoints: its selector "app=idle,tier=front" matches no Pod; Pod idle-abc has "tier=fornt" instead of "tier=front" ` +
			`(no-endpoints-at-all): requests get 503 until it has ready endpoints`}))
		Expect(g.metrics(ctx)).To(HaveKeyWithValue(`routegate_live_reads_total{kind="Pod",result="present"}`, 2.0))
	})

	It("warns of a NetworkPolicy that keeps the controller out", func(ctx SpecContext) {
		s := newSandbox(ctx, g)
		s.has(ctx, service("web", 80), endpoint("web", 80, true), &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "default-deny"},
			Spec: networkingv1.NetworkPolicySpec{
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
			},
		})
		Eventually(func() float64 { return g.metrics(ctx)[stack.CacheObjects("NetworkPolicy")] }, patience).Should(Equal(1.0))
		_, warnings, err := s.create(ctx, ingress("shut"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{slowField +
			`NetworkPolicy "default-deny" keeps the controller in namespace "default" from port 80 of the Pods of Service "web"; ` +
			`a rule must admit it (networkpolicy-blocks-controller): requests get 504`}))

		By("a policy that admits it")
		Expect(s.add(ctx, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "nginx"},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "default"}},
					PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nginx"}},
				}}}},
			},
		})).To(Succeed())
		Eventually(func() float64 { return g.metrics(ctx)[stack.CacheObjects("NetworkPolicy")] }, patience).Should(Equal(2.0))
		_, warnings, err = s.create(ctx, ingress("open", at("open")))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("says what it says without Pods where these are forbidden", func(ctx SpecContext) {
		kubeconfig, err := controlPlane.KubeconfigFor(dir, "no-pods")
		Expect(err).NotTo(HaveOccurred())
		_, err = controlPlane.Client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"services", "namespaces", "secrets"}, Verbs: []string{"get", "list", "watch"}},
				{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
				{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses", "ingressclasses"}, Verbs: []string{"get", "list", "watch"}},
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = controlPlane.Client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "no-pods"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "no-pods"}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())

		blind := startGate(ctx, "no-pods", gateOptions{kubeconfig: kubeconfig, args: []string{"--read-pods", "--on-undecided", "fail"}, blind: []routing.Kind{routing.Pods}})
		s := newSandbox(ctx, blind)
		s.has(ctx, service("slow", 80), endpoint("slow", 80, false), pod("slow-abc", map[string]string{"app": "slow"}, "ImagePullBackOff"))
		_, warnings, err := s.create(ctx, ingress("slow", to("slow", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{slowPlain}))
		Expect(blind.metrics(ctx)).To(HaveKeyWithValue(`routegate_live_reads_total{kind="Pod",result="failed"}`, 1.0))
	})
})

// pod returns a Pod whose only container waits for a reason.
func pod(name string, labels map[string]string, reason string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/main:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
		}}},
	}
}
