// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A release with the preset strict", Ordered, func() {
	const ns = "strict"

	BeforeAll(func(ctx SpecContext) {
		install(ctx, "preset=strict")
		shop(ctx, ns)
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("is upgraded without a conflict, and asked all the while", func(ctx SpecContext) {
		helm(ctx, append([]string{"upgrade", release, chart, "-n", home, "--wait", "--timeout", patience.String()},
			chartValues([]string{"preset=strict", "webhook.timeoutSeconds=4"})...)...)
		Expect(rules(ctx)).NotTo(BeEmpty())
		Expect(kubectl(ctx, "get", "validatingwebhookconfiguration", release, "-o", "jsonpath={.webhooks[0].failurePolicy}")).To(Equal("Fail"))
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("refuses Ingresses while no Pod is left, and there is a way back", func(ctx SpecContext) {
		gone(ctx)
		manifest := ingress(ns, "unseen", "unseen.example.com", "web")
		out, err := tryApply(ctx, manifest)
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(`failed calling webhook "validate.ingress.routegate.dev"`))

		By("opting the namespace out")
		kubectl(ctx, "label", "namespace", ns, "routegate.dev/enforce=off")
		Eventually(func() error { _, err := tryApply(ctx, manifest); return err }).WithTimeout(patience).Should(Succeed())
		kubectl(ctx, "label", "namespace", ns, "routegate.dev/enforce-")
		other := ingress(ns, "other", "other.example.com", "web")
		Eventually(func() error { _, err := tryApply(ctx, other); return err }).WithTimeout(patience).ShouldNot(Succeed())

		By("opening the door for all")
		kubectl(ctx, "patch", "validatingwebhookconfiguration", release, "--type=json",
			`--patch=[{"op": "remove", "path": "/webhooks/0/rules"}]`)
		Eventually(func() error { _, err := tryApply(ctx, other); return err }).WithTimeout(patience).Should(Succeed())

		By("having Pods again, which close it")
		back(ctx)
		Eventually(rules).WithContext(ctx).WithTimeout(patience).ShouldNot(BeEmpty())
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("comes back by itself when the node was cut off", func(ctx SpecContext) {
		restart(ctx, ns)
		Expect(rules(ctx)).NotTo(BeEmpty())
	}, NodeTimeout(3*patience))
})

// rules are those of the webhook, nothing when it has none.
func rules(ctx SpecContext) string {
	GinkgoHelper()
	return kubectl(ctx, "get", "validatingwebhookconfiguration", release, "-o", "jsonpath={.webhooks[0].rules}")
}

// restart cuts the node's power and returns when the release answers again,
// without help.
func restart(ctx SpecContext, ns string) {
	GinkgoHelper()
	onNode()
	Expect(node.Restart(ctx)).To(Succeed())
	awaitAsked(ctx, ns)
	kubectl(ctx, "rollout", "status", "deployment", release, "-n", home, "--timeout", patience.String())
	_, err := tryApply(ctx, ingress(ns, "bad", "bad.example.com", "wbe"))
	Expect(err).To(MatchError(ContainSubstring("(service-missing)")))
	apply(ctx, ingress(ns, "after-restart", "after-restart.example.com", "web"))
}
