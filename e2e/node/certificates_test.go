// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/certs"
)

// All other releases make their own certificate.
var _ = Describe("A release that does not make its certificate", Ordered, func() {
	const ns = "others"

	BeforeAll(func(ctx SpecContext) {
		shop(ctx, ns)
	}, NodeTimeout(patience))

	It("serves the Secret that is brought, and the next one without a failed call", func(ctx SpecContext) {
		onNode()
		dir := GinkgoT().TempDir()
		bring := func(name string) (secret string) {
			chain, key, err := certs.PEM([]string{release + "." + home + ".svc"})
			Expect(err).NotTo(HaveOccurred())
			write(dir, map[string]string{name + ".crt": string(chain), name + ".key": string(key)})
			return kubectl(ctx, "create", "secret", "tls", "brought", "-n", home, "--dry-run=client", "-o", "yaml",
				"--cert="+filepath.Join(dir, name+".crt"), "--key="+filepath.Join(dir, name+".key"))
		}
		first, next := bring("first"), bring("next")
		bundle := func(names ...string) string {
			all := ""
			for _, name := range names {
				content, err := os.ReadFile(filepath.Join(dir, name+".crt"))
				Expect(err).NotTo(HaveOccurred())
				all += string(content)
			}
			return "certificates.secret.caBundle=" + all
		}
		values := []string{"certificates.mode=secret", "certificates.secret.name=brought"}
		apply(ctx, namespace(home), first)
		install(ctx, append(values, bundle("first"))...)
		awaitAsked(ctx, ns)

		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		was := shown(pods(ctx))
		upgrade(ctx, append(values, bundle("first", "next"))...)
		apply(ctx, next)
		// The kubelet looks after a Pod's Secrets when the Pod changes.
		kubectl(ctx, "annotate", "pods", "-n", home, "-l", "app.kubernetes.io/name=routegate", "secret=next")
		Eventually(func() []string { return shown(pods(ctx)) }).WithTimeout(patience).Should(And(HaveLen(2), HaveEach(Not(BeElementOf(was)))))
		upgrade(ctx, append(values, bundle("next"))...)
		awaitAsked(ctx, ns)
		l.report("another Secret that is brought")
		Expect(l.failed()).To(BeEmpty())
	}, NodeTimeout(3*patience))

	It("serves what cert-manager makes and renews, whose authority cert-manager injects", func(ctx SpecContext) {
		startCertManager(ctx)
		install(ctx, "certificates.mode=cert-manager")
		awaitAsked(ctx, ns)
		config, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		authority := secret(ctx, release+"-ca").Data[corev1.TLSCertKey]
		Expect(config.Webhooks[0].ClientConfig.CABundle).To(Equal(authority))
		leaf := parse(secret(ctx, release+"-certificate").Data[corev1.TLSCertKey])
		Expect(leaf.CheckSignatureFrom(parse(authority))).To(Succeed())
		Expect(leaf.DNSNames).To(ContainElement(release + "." + home + ".svc"))

		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		was := shown(pods(ctx))
		// What is lost is made again, as what is old.
		kubectl(ctx, "delete", "secret", release+"-certificate", "-n", home)
		Eventually(func() (*corev1.Secret, error) {
			return client.CoreV1().Secrets(home).Get(ctx, release+"-certificate", metav1.GetOptions{})
		}).WithTimeout(patience).Should(HaveField("Data", HaveKey(corev1.TLSCertKey)))
		kubectl(ctx, "annotate", "pods", "-n", home, "-l", "app.kubernetes.io/name=routegate", "secret=next")
		Eventually(func() []string { return shown(pods(ctx)) }).WithTimeout(patience).Should(And(HaveLen(2), HaveEach(Not(BeElementOf(was)))))
		l.report("renewal by cert-manager")
		Expect(l.failed()).To(BeEmpty())
	}, NodeTimeout(3*patience))
})

// startCertManager starts cert-manager's controllers, with its custom resource
// definitions, for the time of the spec.
func startCertManager(ctx SpecContext) {
	GinkgoHelper()
	onNode()
	out, err := exec.CommandContext(ctx, "go", "-C", "../certmanager", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	Expect(err).NotTo(HaveOccurred())
	definitions := filepath.Join(strings.TrimSpace(string(out)), "deploy/crds")
	kubectl(ctx, "apply", "--server-side", "-f", definitions)
	DeferCleanup(kubectl, "delete", "-f", definitions, "--wait=false")
	kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=1m")

	cmd := exec.Command("../../bin/e2e/cert-manager", "--kubeconfig="+kubeconfig)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Expect(cmd.Wait()).To(Succeed())
	})
}

func secret(ctx SpecContext, name string) *corev1.Secret {
	GinkgoHelper()
	s, err := client.CoreV1().Secrets(home).Get(ctx, name, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return s
}

// parse returns the first certificate of a chain.
func parse(chain []byte) *x509.Certificate {
	GinkgoHelper()
	block, _ := pem.Decode(chain)
	Expect(block).NotTo(BeNil())
	c, err := x509.ParseCertificate(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return c
}

// shown are the serial numbers of the certificates that the Pods show to those
// who connect; of a Pod that does not answer, there is none.
func shown(pods []corev1.Pod) []string {
	var serials []string
	for _, pod := range pods {
		// Only to look at it.
		conn, err := tls.Dial("tcp", net.JoinHostPort(pod.Status.PodIP, "10250"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			continue
		}
		serials = append(serials, conn.ConnectionState().PeerCertificates[0].SerialNumber.String())
		_ = conn.Close()
	}
	return serials
}
