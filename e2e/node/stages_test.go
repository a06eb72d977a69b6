// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The orders in which tools bring what belongs together.
var _ = Describe("Manifests that come together", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		install(ctx)
		shop(ctx, "probe")
		awaitAsked(ctx, "probe")
	}, NodeTimeout(2*patience))

	// Flux makes the Namespaces of a stage first, and then tries and applies the
	// rest together: to try a Namespace gives the others none to be in.
	It("are not denied to Flux, which tries a stage before it applies it", func(ctx SpecContext) {
		const ns = "flux"
		DeferCleanup(kubectl, "delete", "namespace", ns, "--ignore-not-found", "--wait=false")
		kubectlIn(ctx, namespace(ns), "apply", "--server-side", "--dry-run=server", "-f", "-")
		kubectlIn(ctx, namespace(ns), "apply", "--server-side", "-f", "-")
		stage := strings.Join([]string{certificate(ns, "web-tls", "flux.example.com"), service(ns, "web"), endpoints(ns, "web"), withTLS(ingress(ns, "web", "flux.example.com", "web"), "flux.example.com", "web-tls")}, "---\n")
		out := kubectlIn(ctx, stage, "apply", "--server-side", "--dry-run=server", "-f", "-")
		Expect(out).To(And(ContainSubstring("Warning:"), ContainSubstring("(service-missing)")), "a try must be judged, and only warned of")
		kubectlIn(ctx, stage, "apply", "--server-side", "-f", "-")
		kubectl(ctx, "get", "ingress", "web", "-n", ns)
	}, NodeTimeout(patience))

	It("are not denied to Helm, which brings Services before Ingresses", func(ctx SpecContext) {
		const ns = "helm"
		shop(ctx, ns)
		dir := GinkgoT().TempDir()
		files := map[string]string{
			"Chart.yaml": "apiVersion: v2\nname: app\nversion: 0.1.0\n",
			// In this order, which Helm changes.
			"templates/app.yaml": ingress(ns, "app", "app.example.com", "app") + "---\n" + service(ns, "app"),
		}
		write(dir, files)
		helm(ctx, "install", "app", dir, "-n", ns)
		kubectl(ctx, "get", "ingress", "app", "-n", ns)
		helm(ctx, "uninstall", "app", "-n", ns)
	}, NodeTimeout(patience))

	It("are denied once to kubectl where the Ingress comes first, and taken the second time", func(ctx SpecContext) {
		const ns = "folder"
		shop(ctx, ns)
		dir := GinkgoT().TempDir()
		write(dir, map[string]string{"1-ingress.yaml": ingress(ns, "app", "folder.example.com", "app"), "2-service.yaml": service(ns, "app")})
		out, err := command(ctx, "", kubectlPath, "apply", "-f", dir)
		Expect(err).To(HaveOccurred())
		Expect(out).To(And(ContainSubstring(`Service "app" does not exist`), ContainSubstring("service/app created")))
		Eventually(func() (string, error) { return command(ctx, "", kubectlPath, "apply", "-f", dir) }).
			WithTimeout(patience).Should(ContainSubstring("ingress.networking.k8s.io/app created"))
	}, NodeTimeout(patience))

	// cert-manager's solver makes a Pod, a Service and an Ingress, in this order,
	// and waits for none of them.
	It("are not denied to cert-manager, which solves a challenge", func(ctx SpecContext) {
		const ns = "acme"
		shop(ctx, ns)
		apply(ctx, ingress(ns, "site", "acme.example.com", "web"))
		for _, manifest := range solver(ns, image+":"+tag) {
			kubectlIn(ctx, manifest, "create", "-f", "-")
		}
		kubectl(ctx, "get", "ingress", "cm-acme-http-solver-x7k2p", "-n", ns)
	}, NodeTimeout(patience))

	// The objects of "should support creating Ingress API operations".
	It("are not denied to Kubernetes' conformance test in a namespace that has opted out", func(ctx SpecContext) {
		const in, out = "conformance-in", "conformance"
		shop(ctx, in)
		awaitAsked(ctx, in)
		shop(ctx, out, `routegate.dev/enforce: "off"`)
		answer, err := command(ctx, conformance(in, "host1.bar.com"), kubectlPath, "create", "-f", "-")
		Expect(err).To(HaveOccurred(), "these Ingresses must be such that only the label helps")
		Expect(answer).To(ContainSubstring("(service-missing)"))
		for _, host := range []string{"host1.bar.com", "host2.bar.com", "host3.bar.com"} {
			Expect(kubectlIn(ctx, conformance(out, host), "create", "-f", "-")).NotTo(ContainSubstring("Warning"))
		}
	}, NodeTimeout(patience))
})

// kubectlIn runs kubectl with the manifests as its input, and must succeed.
func kubectlIn(ctx SpecContext, manifests string, args ...string) string {
	GinkgoHelper()
	out, err := command(ctx, manifests, kubectlPath, args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

func write(dir string, files map[string]string) {
	GinkgoHelper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
		Expect(os.WriteFile(file, []byte(content), 0o644)).To(Succeed())
	}
}
