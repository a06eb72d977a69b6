// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/webhook"
)

// served is the certificate that a process serves, in PEM.
func served(ctx context.Context, process *stack.Routegate) (string, error) {
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", hostOf(process))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return string(encode(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)), nil
}

// ownError is a line of the package certs. Those of client-go are about races
// that its leader election expects.
const ownError = `"level":"ERROR".*"logger":"certs"`

// names are the common names of the certificates in a bundle.
func names(bundle string) []string {
	var names []string
	for rest := []byte(bundle); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return names
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return append(names, err.Error())
		}
		names = append(names, cert.Subject.CommonName)
	}
}

// end is when a certificate in PEM ends, in seconds since 1970.
func end(text string) float64 {
	GinkgoHelper()
	block, _ := pem.Decode([]byte(text))
	Expect(block).NotTo(BeNil())
	cert, err := x509.ParseCertificate(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return float64(cert.NotAfter.Unix())
}

var _ = Describe("Two replicas that start at once", func() {
	for _, way := range []struct {
		text, name string
		ownRights  bool
	}{
		{"from nothing", "nothing", false},
		{"from an empty Secret and Lease, with the rights that they need and no others", "empty", true},
	} {
		It("agree "+way.text, func(ctx SpecContext) {
			r := install(ctx, way.name, way.ownRights)
			theirs := webhook.Rules()
			theirs[0].Operations = theirs[0].Operations[:1]
			r.edit(ctx, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
				config.Webhooks[0].Rules = theirs
			})
			processes := r.start(ctx, "a", "b")

			leaf, err := r.entry(ctx, certs.CertName)
			Expect(err).NotTo(HaveOccurred())
			Expect(leaf).NotTo(BeEmpty())
			for _, process := range processes {
				Eventually(ctx, served).WithArguments(process).WithTimeout(patience).Should(Equal(leaf))
			}
			ca, err := r.entry(ctx, certs.AuthorityCertName)
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, r.bundle).WithTimeout(patience).Should(Equal(ca))
			r.asked(ctx)
			Expect(r.rules(ctx)).To(Equal(theirs), "nobody asked for others")

			By("telling in metrics who leads and when certificates end")
			leader, _ := r.leader(ctx, processes)
			for _, process := range processes {
				leads := 0.0
				if process == leader {
					leads = 1
				}
				Eventually(ctx, stack.Metrics).WithArguments(process.MetricsURL).WithTimeout(patience).Should(And(
					HaveKeyWithValue("routegate_leader", leads),
					HaveKeyWithValue(`routegate_certificate_expiration_timestamp_seconds{certificate="serving"}`, end(leaf)),
					HaveKeyWithValue(`routegate_certificate_expiration_timestamp_seconds{certificate="authority"}`, end(ca)),
				))
			}

			By("starting again, with everything there")
			before, err := controlPlane.Client.CoreV1().Secrets(r.ns).Get(ctx, secretName, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			for _, process := range processes {
				Expect(process.Stop()).To(Succeed())
				r.service.remove(process)
			}
			again := r.start(ctx, "c")
			Expect(served(ctx, again[0])).To(Equal(leaf))
			r.leader(ctx, again)
			r.asked(ctx)
			after, err := controlPlane.Client.CoreV1().Secrets(r.ns).Get(ctx, secretName, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(after.ResourceVersion).To(Equal(before.ResourceVersion))
			Expect(again[0].Log()).NotTo(MatchRegexp(ownError))
		})
	}
})

var _ = Describe("The certificate authority and the certificate", func() {
	It("are replaced under load without a failed call", func(ctx SpecContext) {
		r := install(ctx, "rotation", false)
		r.args = []string{"--certificate-lifetime=21s", "--authority-lifetime=63s", "--certificate-settle-time=5s"}
		r.close(ctx)
		processes := r.start(ctx, "a", "b")
		r.closed(ctx)
		r.asked(ctx)

		first, err := r.bundle(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(names(first)).To(HaveLen(1))
		l := r.startLoad(ctx)
		late := r.startLatecomers(ctx, processes, 3*time.Second)
		var leaves []string
		var bundles [][]string
		seen := map[string]bool{}
		Eventually(ctx, func(g Gomega) {
			leaf, err := r.entry(ctx, certs.CertName)
			g.Expect(err).NotTo(HaveOccurred())
			bundle, err := r.bundle(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			if !seen[leaf] {
				seen[leaf] = true
				leaves = append(leaves, names(leaf)...)
			}
			if !seen[bundle] {
				seen[bundle] = true
				bundles = append(bundles, names(bundle))
			}
			g.Expect(len(leaves)).To(BeNumerically(">=", 4))
			g.Expect(bundle).NotTo(ContainSubstring(first))
			g.Expect(names(bundle)).To(HaveLen(1))
		}).WithTimeout(3 * time.Minute).WithPolling(100 * time.Millisecond).Should(Succeed())
		// All of it is over, and calls go on.
		Eventually(ctx, l.sentMore(2*loadRate)).WithTimeout(patience).Should(Succeed())
		l.expectNoFailure()
		late.end()
		Expect(late.failures).To(BeEmpty(), "of %d", late.tried)
		AddReportEntry("handshakes, all of which were trusted", late.tried)
		Expect(len(bundles)).To(BeNumerically(">=", 3))
		Expect(bundles[0]).To(Equal(names(first)))
		Expect(bundles[1]).To(HaveLen(2), "old and new")
		Expect(bundles[1]).To(ContainElement(names(first)[0]))
		AddReportEntry("certificates", leaves)
		AddReportEntry("bundles", bundles)
		for _, process := range processes {
			Expect(process.Log()).NotTo(MatchRegexp(ownError))
		}
	})

	It("leave fields of others alone, and put back what somebody takes away", func(ctx SpecContext) {
		r := install(ctx, "fields", true)
		r.close(ctx)
		secrets := controlPlane.Client.CoreV1().Secrets(r.ns)
		configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		secret, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		secret.Data = map[string][]byte{"theirs": []byte("x")}
		secret.Annotations = map[string]string{"theirs": "x"}
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		config, err := r.configuration(ctx)
		Expect(err).NotTo(HaveOccurred())
		// A second one that is never called: its rules are none of Routegate's business.
		second := *config.Webhooks[0].DeepCopy()
		second.Name = "other.routegate.dev"
		config.Webhooks = append(config.Webhooks, second)
		config.Annotations = map[string]string{"theirs": "x"}
		was, err := configs.Update(ctx, config, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())

		processes := r.start(ctx, "a", "b")
		r.closed(ctx)
		r.asked(ctx)
		secret, err = secrets.Get(ctx, secretName, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).To(HaveKeyWithValue("theirs", []byte("x")))
		Expect(secret.Annotations).To(HaveKeyWithValue("theirs", "x"))
		is, err := r.configuration(ctx)
		Expect(err).NotTo(HaveOccurred())
		ca := secret.Data[certs.AuthorityCertName]
		was.Webhooks[0].Rules = webhook.Rules()
		for i := range was.Webhooks {
			was.Webhooks[i].ClientConfig.CABundle = ca
		}
		Expect(is.Webhooks).To(Equal(was.Webhooks))
		Expect(is.Annotations).To(Equal(was.Annotations))

		By("a sync that takes away what was written at run time")
		leader, _ := r.leader(ctx, processes)
		r.edit(ctx, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
			config.Webhooks[0].Rules[0].Operations = config.Webhooks[0].Rules[0].Operations[:1]
			config.Webhooks[0].ClientConfig.CABundle = nil
		})
		Eventually(ctx, r.bundle).WithTimeout(patience).Should(Equal(string(ca)))
		r.closed(ctx)

		By("somebody who empties the Secret")
		leaf, err := served(ctx, leader)
		Expect(err).NotTo(HaveOccurred())
		Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
			secret, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			secret.Data = nil
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
			return err
		})).To(Succeed())
		Eventually(ctx, r.entry).WithArguments(certs.CertName).WithTimeout(patience).Should(Equal(leaf))
		Expect(r.entry(ctx, certs.NextCertName)).NotTo(BeEmpty(), "the next authority")
		Eventually(ctx, func() ([]string, error) {
			bundle, err := r.bundle(ctx)
			return names(bundle), err
		}).WithTimeout(patience).Should(HaveLen(2))
		Expect(served(ctx, leader)).To(Equal(leaf))
		r.asked(ctx)
	})

	It("of somebody else are refused with a text that says so", func(ctx SpecContext) {
		r := install(ctx, "foreign", true)
		chain, key, err := certs.PEM([]string{"shop.example.com"})
		Expect(err).NotTo(HaveOccurred())
		secrets := controlPlane.Client.CoreV1().Secrets(r.ns)
		secret, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		secret.Data = map[string][]byte{certs.CertName: chain, certs.KeyName: key}
		was, err := secrets.Update(ctx, secret, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = stack.StartRoutegate(soon, stack.RoutegateOptions{
			Binary: binary, Kubeconfig: r.kubeconfig, Dir: dir, Name: r.name,
			Certificate: []string{"--managed-certificate=" + r.ns + "/" + secretName, "--webhook-configuration=" + r.name, "--lease=" + r.ns + "/" + leaseName},
			Args:        r.args,
		})
		Expect(err).To(MatchError(And(
			ContainSubstring("/readyz answers 503"),
			ContainSubstring("certificate in Secret "+r.ns+"/"+secretName+": it has tls.crt but no ca.key, so it is not Routegate's own: it must be empty"),
		)))
		is, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(is.ResourceVersion).To(Equal(was.ResourceVersion))
	})
})

var _ = Describe("The rules of a webhook that fails closed", func() {
	It("wait for the bundle that somebody else writes", func(ctx SpecContext) {
		r := install(ctx, "brought", true)
		chain, key, err := certs.PEM([]string{"127.0.0.1"})
		Expect(err).NotTo(HaveOccurred())
		files := GinkgoT().TempDir()
		for name, content := range map[string][]byte{certs.CertName: chain, certs.KeyName: key} {
			Expect(os.WriteFile(filepath.Join(files, name), content, 0o600)).To(Succeed())
		}
		r.certificate = []string{"--cert-dir=" + files}
		r.close(ctx)
		bundle := func(text []byte) {
			GinkgoHelper()
			r.edit(ctx, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
				config.Webhooks[0].ClientConfig.CABundle = text
			})
		}
		bundle(newAuthority().pem)
		process := r.start(ctx, "a")[0]
		r.leader(ctx, []*stack.Routegate{process})
		Eventually(ctx, process.Log).WithTimeout(patience).Should(ContainSubstring(
			`"reason":"its caBundle does not verify the certificate that is served"`))

		By("letting Ingresses through meanwhile, with nobody to ask")
		_, err = controlPlane.Client.NetworkingV1().Ingresses(r.ingresses).Create(ctx, r.ingress(), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.rules(ctx)).To(BeEmpty())

		By("the right bundle")
		bundle(chain)
		r.closed(ctx)
		r.asked(ctx)

		By("nobody to ask")
		Expect(process.Kill()).To(Succeed())
		r.service.remove(process)
		_, err = controlPlane.Client.NetworkingV1().Ingresses(r.ingresses).Create(ctx, r.ingress(), metav1.CreateOptions{})
		Expect(err).To(MatchError(ContainSubstring("failed calling webhook")))
	})
})

var _ = Describe("The leader", func() {
	It("is followed by the other when it is killed, and both serve all the while", func(ctx SpecContext) {
		r := install(ctx, "killed", false)
		processes := r.start(ctx, "a", "b")
		r.asked(ctx)
		leader, other := r.leader(ctx, processes)
		leaf, err := served(ctx, leader)
		Expect(err).NotTo(HaveOccurred())
		Expect(leader.Kill()).To(Succeed())
		r.service.remove(leader)
		Expect(served(ctx, other)).To(Equal(leaf))
		r.asked(ctx)
		now, _ := r.leader(ctx, []*stack.Routegate{other})
		Expect(now).To(Equal(other))

		By("its duties")
		bundle, err := r.bundle(ctx)
		Expect(err).NotTo(HaveOccurred())
		r.edit(ctx, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
			config.Webhooks[0].ClientConfig.CABundle = nil
		})
		Eventually(ctx, r.bundle).WithTimeout(patience).Should(Equal(bundle))
	})

	It("goes on serving when it loses the lease, and may lead again", func(ctx SpecContext) {
		r := install(ctx, "lost", false)
		processes := r.start(ctx, "a")
		leader, _ := r.leader(ctx, processes)
		r.asked(ctx)

		someoneElse, long := "someone-else", int32(3600)
		r.editLease(ctx, func(spec *coordinationv1.LeaseSpec) {
			spec.HolderIdentity, spec.LeaseDurationSeconds = &someoneElse, &long
		})
		Eventually(ctx, leader.Log).WithTimeout(patience).Should(ContainSubstring(`"msg":"not leading any more"`))
		status, body, err := stack.Get(ctx, leader.HealthURL+"/readyz")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK), body)
		r.asked(ctx)
		Expect(leader.Done()).NotTo(BeClosed())

		r.editLease(ctx, func(spec *coordinationv1.LeaseSpec) { spec.HolderIdentity = nil })
		Eventually(ctx, func() int { return strings.Count(leader.Log(), `"msg":"leading"`) }).WithTimeout(patience).Should(Equal(2))
		Expect(leader.Stop()).To(Succeed(), "it ended with status 0")
		Expect(r.holder(ctx)).To(BeEmpty(), "it gave the lease back")
	})
})

func (r *release) editLease(ctx SpecContext, edit func(*coordinationv1.LeaseSpec)) {
	GinkgoHelper()
	leases := controlPlane.Client.CoordinationV1().Leases(r.ns)
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		lease, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		edit(&lease.Spec)
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	})).To(Succeed())
}

var _ = Describe("A rolling restart under load", func() {
	It("fails no call", func(ctx SpecContext) {
		r := install(ctx, "rolling", true)
		r.close(ctx)
		processes := r.start(ctx, "a", "b")
		r.closed(ctx)
		r.asked(ctx)
		l := r.startLoad(ctx)
		Eventually(ctx, l.sentMore(loadRate)).WithTimeout(patience).Should(Succeed())
		for i, name := range []string{"c", "d"} {
			// As a Deployment with maxUnavailable 0 does it.
			r.start(ctx, name)
			old := processes[i]
			By("stopping " + old.LogFile)
			Expect(old.Terminate()).To(Succeed())
			Eventually(ctx, func() (string, error) {
				_, body, err := stack.Get(ctx, old.HealthURL+"/readyz")
				return body, err
			}).WithPolling(10 * time.Millisecond).Should(Equal("stopping\n"))
			r.service.remove(old)
			Eventually(ctx, old.Done()).WithTimeout(patience).Should(BeClosed())
			Expect(old.Stop()).To(Succeed(), "it ended with status 0")
			Eventually(ctx, l.sentMore(loadRate)).WithTimeout(patience).Should(Succeed())
		}
		l.expectNoFailure()
	})
})

var _ = Describe("Client certificates", func() {
	It("are demanded of callers, by authority and by name", func(ctx SpecContext) {
		r := install(ctx, "clients", false)
		file := filepath.Join(dir, "client-ca.crt")
		Expect(os.WriteFile(file, clientCA.pem, 0o600)).To(Succeed())
		r.args = []string{"--client-ca-file=" + file, "--client-name=kube-apiserver-webhooks", "--client-name=someone"}
		r.close(ctx)
		process := r.start(ctx, "a")[0]
		r.closed(ctx)

		By("the API server, which shows one")
		r.asked(ctx)

		others := newAuthority()
		call := func(ca *authority, name string) (int, error) {
			config := &tls.Config{InsecureSkipVerify: true}
			if ca != nil {
				cert, err := tls.X509KeyPair(ca.issue(name))
				Expect(err).NotTo(HaveOccurred())
				config.Certificates = []tls.Certificate{cert}
			}
			transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, process.URL, strings.NewReader("x"))
			Expect(err).NotTo(HaveOccurred())
			req.Header.Set("Content-Type", "text/plain")
			resp, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				return 0, err
			}
			return resp.StatusCode, resp.Body.Close()
		}
		refused := MatchError(ContainSubstring("remote error: tls: "))
		const answered = http.StatusUnsupportedMediaType
		Expect(call(clientCA, "someone")).To(Equal(answered), "the right one")
		_, err := call(nil, "")
		Expect(err).To(refused, "none")
		_, err = call(others, "someone")
		Expect(err).To(refused, "of another authority")
		_, err = call(clientCA, "someone-else")
		Expect(err).To(refused, "with another name")

		By("another authority in the file")
		Expect(os.WriteFile(file, others.pem, 0o600)).To(Succeed())
		Expect(call(others, "someone")).To(Equal(answered))
		_, err = call(clientCA, "someone")
		Expect(err).To(refused)
		By("rubbish in the file, which changes nothing")
		Expect(os.WriteFile(file, []byte("rubbish"), 0o600)).To(Succeed())
		Expect(call(others, "someone")).To(Equal(answered))
		_, err = call(clientCA, "someone")
		Expect(err).To(refused)
		Expect(process.Log()).To(ContainSubstring("client CA file cannot be used; the one before counts"))
	})
})
