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

	It("is asked without exception once it can answer", func(ctx SpecContext) {
		awaitFailurePolicy(ctx, "Fail")
	}, NodeTimeout(patience))

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
			`--patch=[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`)
		Eventually(func() error { _, err := tryApply(ctx, other); return err }).WithTimeout(patience).Should(Succeed())

		By("having Pods again, which close it")
		back(ctx)
		awaitFailurePolicy(ctx, "Fail")
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("comes back by itself when the node was cut off", func(ctx SpecContext) {
		restart(ctx, ns)
		awaitFailurePolicy(ctx, "Fail")
	}, NodeTimeout(3*patience))
})

func awaitFailurePolicy(ctx SpecContext, want string) {
	GinkgoHelper()
	Eventually(func() string {
		return kubectl(ctx, "get", "validatingwebhookconfiguration", release, "-o", "jsonpath={.webhooks[*].failurePolicy}")
	}).WithTimeout(patience).Should(Equal(want))
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
