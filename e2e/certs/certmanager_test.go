// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

// certManager is the release whose published custom resource definitions the
// manifests are held against. Nothing of its code is built.
const certManager = "github.com/cert-manager/cert-manager@v1.21.2"

var _ = Describe("The manifests for cert-manager", func() {
	It("are what its custom resource definitions allow, and add no more than an annotation to the webhook", func(ctx SpecContext) {
		root, err := stack.Root(ctx)
		Expect(err).NotTo(HaveOccurred())
		out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", certManager).Output()
		Expect(err).NotTo(HaveOccurred(), string(out))
		var module struct{ Dir string }
		Expect(json.Unmarshal(out, &module)).To(Succeed())
		kubectl := func(args ...string) (string, error) {
			cmd := exec.CommandContext(ctx, controlPlane.Kubectl, append([]string{"--kubeconfig", controlPlane.Kubeconfig}, args...)...)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		succeed := func(args ...string) string {
			GinkgoHelper()
			out, err := kubectl(args...)
			Expect(err).NotTo(HaveOccurred(), out)
			return out
		}
		for _, kind := range []string{"issuers", "certificates"} {
			succeed("apply", "--server-side", "-f", filepath.Join(module.Dir, "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
			succeed("wait", "--for=condition=Established", "--timeout=60s", "crd/"+kind+".cert-manager.io")
		}
		_, err = controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "routegate"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		hook := stack.Webhook{NamespaceLabels: map[string]string{"gate": "cert-manager"}}
		Expect(hook.Install(ctx, controlPlane.Client, &stack.Routegate{URL: "https://routegate.example/validate-ingress"})).To(Succeed())
		configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		DeferCleanup(func(ctx SpecContext) error { return configs.Delete(ctx, "routegate", metav1.DeleteOptions{}) })
		was, err := configs.Get(ctx, "routegate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())

		manifests := filepath.Join(root, "certs", "cert-manager", "routegate.yaml")
		succeed("apply", "--server-side", "--validate=strict", "-f", manifests)

		By("what they say belongs together")
		is, err := configs.Get(ctx, "routegate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(is.Webhooks).To(Equal(was.Webhooks))
		get := func(kind, name, path string) string {
			GinkgoHelper()
			return succeed("get", "-n", "routegate", kind, name, "-o", "jsonpath={"+path+"}")
		}
		namespace, certificate, _ := strings.Cut(is.Annotations["cert-manager.io/inject-ca-from"], "/")
		Expect(namespace).To(Equal("routegate"))
		issuer := get("certificates.cert-manager.io", certificate, ".spec.issuerRef.name")
		authority := get("issuers.cert-manager.io", issuer, ".spec.ca.secretName")
		Expect(get("certificates.cert-manager.io", authority, ".spec.secretName")).To(Equal(authority))
		Expect(get("certificates.cert-manager.io", authority, ".spec.isCA")).To(Equal("true"))
		signer := get("certificates.cert-manager.io", authority, ".spec.issuerRef.name")
		Expect(get("issuers.cert-manager.io", signer, ".spec.selfSigned")).To(Equal("{}"))

		By("a field that does not exist, which is refused")
		content, err := os.ReadFile(manifests)
		Expect(err).NotTo(HaveOccurred())
		wrong := filepath.Join(dir, "wrong.yaml")
		Expect(os.WriteFile(wrong, []byte(strings.Replace(string(content), "renewBefore:", "renewedBefore:", 1)), 0o600)).To(Succeed())
		out2, err := kubectl("apply", "--server-side", "--validate=strict", "-f", wrong)
		Expect(err).To(HaveOccurred())
		Expect(out2).To(ContainSubstring("renewedBefore"))
	})
})
