// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

var _ = Describe("routegate probe", Ordered, func() {
	const configuration = "probe"
	var gate *stack.Routegate

	probe := func(ctx SpecContext, args ...string) (string, int) {
		GinkgoHelper()
		return run(ctx, "", program, append([]string{"probe", "--webhook-configuration", configuration}, args...)...)
	}
	// saw waits until the API server has taken note of a change.
	saw := func(ctx SpecContext, code int, text string, args ...string) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			out, got := probe(ctx, args...)
			g.Expect(got).To(Equal(code), out)
			g.Expect(out).To(ContainSubstring(text))
		}).WithTimeout(patience).Should(Succeed())
	}
	configure := func(ctx SpecContext, change func(*admissionregistrationv1.ValidatingWebhook)) {
		GinkgoHelper()
		configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		config, err := configs.Get(ctx, configuration, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		change(&config.Webhooks[0])
		_, err = configs.Update(ctx, config, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}

	BeforeAll(func(ctx SpecContext) {
		var err error
		gate, err = stack.StartRoutegate(ctx, stack.RoutegateOptions{Binary: program, Kubeconfig: controlPlane.Kubeconfig, Dir: dir, Name: "probe"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() error { return gate.Stop() })
	})

	It("says that there is no webhook", func(ctx SpecContext) {
		saw(ctx, 1, `there is no ValidatingWebhookConfiguration "probe"`, "--namespace", "default")
	})

	Context("with a webhook", func() {
		BeforeEach(func(ctx SpecContext) {
			Expect(stack.Webhook{Name: configuration}.Install(ctx, controlPlane.Client, gate)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) {
				err := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, configuration, metav1.DeleteOptions{})
				Expect(err).NotTo(HaveOccurred())
			})
		})

		It("waits for Routegate's answer", func(ctx SpecContext) {
			out, code := probe(ctx, "--namespace", "default", "--wait", "60s")
			Expect(code).To(BeZero(), out)
			Expect(out).To(ContainSubstring("(service-missing)"))
			ingresses, err := controlPlane.Client.NetworkingV1().Ingresses("default").List(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(ingresses.Items).To(BeEmpty())
		})

		It("says that the namespace is left out", func(ctx SpecContext) {
			kubectl(ctx, "", "create", "namespace", "opted-out")
			kubectl(ctx, "", "label", "namespace", "opted-out", stack.OptOutLabel+"="+stack.OptOutValue)
			saw(ctx, 1, `namespace "opted-out" is left out`, "--namespace", "opted-out")
		})

		It("says that the CA bundle is missing", func(ctx SpecContext) {
			configure(ctx, func(w *admissionregistrationv1.ValidatingWebhook) { w.ClientConfig.CABundle = nil })
			saw(ctx, 1, "it has no CA bundle yet", "--namespace", "default")
		})

		It("says that there are no rules", func(ctx SpecContext) {
			configure(ctx, func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = nil })
			saw(ctx, 1, "it has no rules yet", "--namespace", "default")
		})

		It("says that nobody answers, open or closed", func(ctx SpecContext) {
			url := "https://127.0.0.1:1/validate-ingress"
			configure(ctx, func(w *admissionregistrationv1.ValidatingWebhook) { w.ClientConfig.URL = &url })
			saw(ctx, 1, "127.0.0.1:1 cannot be reached from here", "--namespace", "default")
			fail := admissionregistrationv1.Fail
			configure(ctx, func(w *admissionregistrationv1.ValidatingWebhook) { w.FailurePolicy = &fail })
			saw(ctx, 1, "the API server cannot ask Routegate, and refuses", "--namespace", "default")
		})

		It("says that a condition may leave the Ingress out", func(ctx SpecContext) {
			configure(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
				w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "never", Expression: "false"}}
			})
			saw(ctx, 1, "its certificate is good", "--namespace", "default")
		})
	})

	It("says that it could not ask", func(ctx SpecContext) {
		saw(ctx, 2, "not found", "--namespace", "no-such-namespace")
		kubeconfig, err := controlPlane.KubeconfigFor(dir, "nobody")
		Expect(err).NotTo(HaveOccurred())
		saw(ctx, 2, "cannot create resource", "--namespace", "default", "--kubeconfig", kubeconfig)
	})
})
