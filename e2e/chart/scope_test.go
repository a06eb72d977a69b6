// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

// shop is an Ingress for ingress-nginx with its Service and a Secret that holds no
// certificate.
func shop(namespace, host, service, tls string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: garbage, namespace: %[1]s}
stringData: {tls.crt: garbage, tls.key: garbage}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: %[1]s
  annotations: {kubernetes.io/ingress.class: nginx}
spec:
  tls: %[4]s
  rules:
    - host: %[2]s
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: %[3]s, port: {number: 80}}}}
`, namespace, host, service, tls)
}

var _ = Describe("A scope of some namespaces", Ordered, ContinueOnFailure, func() {
	const inside, beside, outside, later = "inside", "beside", "outside", "later"

	BeforeAll(func(ctx SpecContext) {
		for _, ns := range []string{inside, beside, outside} {
			kubectl(ctx, "", "create", "namespace", ns)
		}
		// It is older than all the others of its host.
		kubectl(ctx, shop(beside, "taken.example.com", "web", "[]"), "apply", "-f", "-")
	})

	// start runs routegate with nothing but the rights of the release.
	start := func(ctx SpecContext, name string, args ...string) (gate *stack.Routegate, kubeconfig string) {
		GinkgoHelper()
		kubeconfig = serviceAccountKubeconfig(ctx)
		soon, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		gate, err := stack.StartRoutegate(soon, stack.RoutegateOptions{Binary: program, Kubeconfig: kubeconfig, Dir: dir, Name: name, Args: args})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gate.Stop)
		return gate, kubeconfig
	}
	readsAll := func(ctx SpecContext, gate *stack.Routegate) {
		GinkgoHelper()
		Eventually(func() map[string]float64 { return seriesOf(ctx, gate, "routegate_cache_synced{") }).WithTimeout(patience).
			Should(And(Not(BeEmpty()), HaveEach(1.0)))
	}
	isAsked := func(ctx SpecContext, namespace string) {
		GinkgoHelper()
		soon, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		Expect(stack.Wait(soon, controlPlane.Config, namespace)).To(Succeed())
	}
	dryRun := []string{"apply", "--dry-run=server", "-f", "-"}

	for _, access := range []string{"full", "metadata", "get", "off"} {
		It("is judged with the rights of the chart, and nothing else is: secretAccess "+access, func(ctx SpecContext) {
			install(ctx, "--set-string", "secretAccess="+access, "--set", "readPods=true,controllerPods={kube-system},scope.namespaces={"+inside+","+beside+"}")
			gate, kubeconfig := start(ctx, "scope-"+access, "--namespaces="+inside+","+beside, "--secret-access="+access, "--read-pods", "--controller-pods=kube-system")
			readsAll(ctx, gate)

			By("letting the release's own webhook call it")
			configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
			config, err := configs.Get(ctx, release, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			config.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &gate.URL, CABundle: gate.CABundle}
			_, err = configs.Update(ctx, config, metav1.UpdateOptions{})
			Expect(err).NotTo(HaveOccurred())
			isAsked(ctx, inside)
			isAsked(ctx, beside)

			By("denying what is wrong whatever is elsewhere")
			kubectl(ctx, shop(inside, "a.example.com", "web", "[]"), dryRun...)
			DeferCleanup(func(ctx SpecContext) {
				kubectl(ctx, "", "delete", "ingress,service,secret", "--all", "--namespace", inside)
			})
			out, code := run(ctx, shop(inside, "a.example.com", "wbe", "[]"), controlPlane.Kubectl, "apply", "-f", "-")
			Expect(code).NotTo(BeZero(), out)
			Expect(out).To(ContainSubstring(`Service "wbe" does not exist in namespace "inside"`))
			out, code = run(ctx, shop(inside, "taken.example.com", "web", "[]"), controlPlane.Kubectl, "apply", "-f", "-")
			Expect(code).NotTo(BeZero(), out)
			Expect(out).To(ContainSubstring(`belong to the older Ingress "beside/shop"`))

			if access == "full" || access == "get" {
				By("warning of what an Ingress elsewhere might refute")
				out := kubectl(ctx, shop(inside, "a.example.com", "web", "[{hosts: [a.example.com], secretName: garbage}]"), "apply", "-f", "-")
				Expect(out).To(And(ContainSubstring("(tls-secret-unusable)"), ContainSubstring("not denied: the Ingresses of other namespaces are not read")))
			}
			for series := range seriesOf(ctx, gate, "routegate_live_reads_total{") {
				Expect(series).NotTo(ContainSubstring("failed"))
			}

			By("not being asked about other namespaces")
			asked := seriesOf(ctx, gate, "routegate_admission_requests_total{")
			Expect(asked).NotTo(BeEmpty())
			Expect(kubectl(ctx, shop(outside, "a.example.com", "wbe", "[]"), "apply", "-f", "-")).NotTo(ContainSubstring("service-missing"))
			kubectl(ctx, "", "delete", "ingress", "--all", "--namespace", outside)
			Expect(seriesOf(ctx, gate, "routegate_admission_requests_total{")).To(Equal(asked))

			By("having no right beyond the scope")
			may := func(args ...string) bool {
				GinkgoHelper()
				out, code := run(ctx, "", controlPlane.Kubectl, append([]string{"--kubeconfig", kubeconfig, "auth", "can-i"}, args...)...)
				Expect(out).To(Or(ContainSubstring("yes"), ContainSubstring("no")))
				return code == 0
			}
			for _, resource := range []string{"ingresses", "services", "endpointslices", "secrets", "networkpolicies", "pods"} {
				Expect(may("list", resource, "--namespace", inside)).To(Equal(resource != "secrets" || access == "full" || access == "metadata"), resource)
				Expect(may("list", resource, "--namespace", outside)).To(BeFalse(), resource)
				Expect(may("list", resource, "--all-namespaces")).To(BeFalse(), resource)
			}
			for _, resource := range []string{"ingresses", "services", "secrets", "configmaps"} {
				Expect(may("get", resource+"/any", "--namespace", outside)).To(BeFalse(), resource)
			}
			for _, ns := range []string{inside, outside} {
				out, code := run(ctx, "", controlPlane.Kubectl, "--kubeconfig", kubeconfig, "get", "namespace", ns)
				Expect(code == 0).To(Equal(ns == inside), out)
			}
		})
	}

	It("takes up a namespace when it and its Roles are there, and serves the others until then", func(ctx SpecContext) {
		const noWebhook = "webhook.objectSelector.matchLabels.none=none"
		install(ctx, "--set-string", noWebhook, "--set", "scope.namespaces={"+inside+"}")
		gate, _ := start(ctx, "scope-later", "--namespaces="+inside+","+later)
		hook := stack.Webhook{Name: "scope-later"}
		Expect(hook.Install(ctx, controlPlane.Client, gate)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			err := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, hook.Name, metav1.DeleteOptions{})
			Expect(err).NotTo(HaveOccurred())
		})
		isAsked(ctx, inside)
		Expect(os.ReadFile(gate.LogFile)).To(ContainSubstring(`"namespace":"later","reason":"Routegate is not allowed to read it"`))

		kubectl(ctx, "", "create", "namespace", later)
		Expect(kubectl(ctx, shop(later, "a.example.com", "wbe", "[]"), dryRun...)).To(ContainSubstring("Routegate is not allowed to read it"))

		helm(ctx, "upgrade", release, chart, "--set-string", noWebhook, "--set", "scope.namespaces={"+inside+","+later+"}")
		readsAll(ctx, gate)
		isAsked(ctx, later)
	})
})
