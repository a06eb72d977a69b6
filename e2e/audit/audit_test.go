// SPDX-License-Identifier: Apache-2.0

// Package audit_test changes what Ingresses in a real kube-apiserver depend on, and
// looks at the metrics and Events of routegate processes that audit them.
package audit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

func TestAudit(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Audit of a real API server", suite, reporter)
}

const (
	// patience is how long the parts may take to start or to catch up.
	patience = time.Minute
	// settleTime is that of the processes.
	settleTime = time.Second
)

var (
	controlPlane *stack.ControlPlane
	binary, dir  string
	// leader leads as long as the suite runs.
	leader *stack.Routegate
)

var _ = BeforeSuite(func(ctx SpecContext) {
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	var err error
	dir = GinkgoT().TempDir()
	controlPlane, err = stack.StartControlPlane(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controlPlane.Stop)
	binary, err = stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	_, err = controlPlane.Client.NetworkingV1().IngressClasses().Create(ctx, &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	leader = start(ctx, "leader", "audit")
	Eventually(leads).WithArguments(ctx, leader).Should(BeTrue())
}, NodeTimeout(5*time.Minute))

// start starts a routegate that audits when it has the Lease. It is stopped with the
// spec, or with the suite when it is started before.
func start(ctx SpecContext, name, lease string) *stack.Routegate {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	process, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
		Binary: binary, Kubeconfig: controlPlane.Kubeconfig, Dir: dir, Name: name,
		Args: []string{"--audit", "--lease=default/" + lease, "--audit-settle-time=" + settleTime.String(), "--verbosity=1"},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(process.Stop)
	return process
}

func leads(ctx context.Context, r *stack.Routegate) (bool, error) {
	values, err := stack.Metrics(ctx, r.MetricsURL)
	return values["routegate_audit_leading"] == 1, err
}

// about returns the series about Ingresses of a namespace, of all where it is empty;
// those of certificates and ages are left out.
func about(ctx context.Context, r *stack.Routegate, namespace string) (map[string]float64, error) {
	values, err := stack.Metrics(ctx, r.MetricsURL)
	maps.DeleteFunc(values, func(name string, _ float64) bool {
		return !strings.HasPrefix(name, "routegate_ingress_findings{") && !strings.HasPrefix(name, "routegate_ingress_routable{") ||
			!strings.Contains(name, fmt.Sprintf("ingress_namespace=%q", namespace)) && namespace != ""
	})
	return values, err
}

// sandbox is a namespace with a sound Ingress, and the leader looks at it.
type sandbox struct {
	ns string
}

func newSandbox(ctx SpecContext) *sandbox {
	GinkgoHelper()
	ns, err := controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "audit-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	s := &sandbox{ns.Name}
	s.service(ctx)
	s.endpoints(ctx, "10.1.0.1")
	return s
}

func (s *sandbox) host() string { return s.ns + ".example" }

func (s *sandbox) service(ctx SpecContext) {
	GinkgoHelper()
	_, err := controlPlane.Client.CoreV1().Services(s.ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// endpoints writes the EndpointSlice as kube-controller-manager would.
func (s *sandbox) endpoints(ctx SpecContext, addresses ...string) {
	GinkgoHelper()
	port, protocol := int32(80), corev1.ProtocolTCP
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new(string), Port: &port, Protocol: &protocol}},
		Endpoints: []discoveryv1.Endpoint{},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	slices := controlPlane.Client.DiscoveryV1().EndpointSlices(s.ns)
	_, err := slices.Create(ctx, slice, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = slices.Update(ctx, slice, metav1.UpdateOptions{})
	}
	Expect(err).NotTo(HaveOccurred())
}

func (s *sandbox) ingress(ctx SpecContext, name, path string, change func(*networkingv1.Ingress)) {
	GinkgoHelper()
	class, prefix := "nginx", networkingv1.PathTypePrefix
	ing := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: s.host(), IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &prefix, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
				}}},
			}}}},
		},
	}
	if change != nil {
		change(ing)
	}
	_, err := controlPlane.Client.NetworkingV1().Ingresses(s.ns).Create(ctx, ing, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// certificate makes the Secret cert, or replaces it.
func (s *sandbox) certificate(ctx SpecContext, until time.Time, host string) {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Expect(err).NotTo(HaveOccurred())
	private, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cert"}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}}
	secrets := controlPlane.Client.CoreV1().Secrets(s.ns)
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	Expect(err).NotTo(HaveOccurred())
}

func (s *sandbox) withTLS(ing *networkingv1.Ingress) {
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{s.host()}, SecretName: "cert"}}
}

// finding is the series that counts one finding.
func (s *sandbox) finding(check, mode string) string {
	return fmt.Sprintf("routegate_ingress_findings{check=%q,ingress_namespace=%q,mode=%q}", check, s.ns, mode)
}

func (s *sandbox) routable(value string) string {
	return fmt.Sprintf("routegate_ingress_routable{ingress_namespace=%q,routable=%q}", s.ns, value)
}

func (s *sandbox) eventuallyIs(ctx SpecContext, want map[string]float64) {
	GinkgoHelper()
	Eventually(about).WithArguments(ctx, leader, s.ns).Should(Equal(want))
}

// events are the Events about an Ingress as "type reason action", sorted.
func (s *sandbox) events(ctx context.Context, ingress string) ([]string, error) {
	list, err := controlPlane.Client.EventsV1().Events(s.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, event := range list.Items {
		if event.Regarding.Kind == "Ingress" && event.Regarding.Name == ingress && event.ReportingController == "routegate" {
			texts = append(texts, strings.Join([]string{event.Type, event.Reason, event.Action}, " "))
		}
	}
	slices.Sort(texts)
	return texts, nil
}

var _ = Describe("an Ingress that was sound", func() {
	var s *sandbox
	sound := func() map[string]float64 { return map[string]float64{s.routable("true"): 1} }
	appearsAndGoes := func(ctx SpecContext, reason string) {
		GinkgoHelper()
		Eventually(s.events).WithArguments(ctx, "shop").Should(Equal([]string{"Normal " + reason + " FindingGone", "Warning " + reason + " FindingAppeared"}))
	}

	BeforeEach(func(ctx SpecContext) { s = newSandbox(ctx) })

	It("is told of when its Service is deleted, until that is back", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/", nil)
		s.eventuallyIs(ctx, sound())
		Expect(controlPlane.Client.CoreV1().Services(s.ns).Delete(ctx, "web", metav1.DeleteOptions{})).To(Succeed())
		s.eventuallyIs(ctx, map[string]float64{s.finding("service-missing", "deny"): 1, s.routable("false"): 1})
		s.service(ctx)
		s.eventuallyIs(ctx, sound())
		appearsAndGoes(ctx, "ServiceMissing")
	})

	It("is told of when its workload is scaled to zero, until it is back", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/", nil)
		s.eventuallyIs(ctx, sound())
		s.endpoints(ctx)
		s.eventuallyIs(ctx, map[string]float64{s.finding("no-endpoints-at-all", "warn"): 1, s.routable("false"): 1})
		s.endpoints(ctx, "10.1.0.2")
		s.eventuallyIs(ctx, sound())
		appearsAndGoes(ctx, "NoEndpointsAtAll")
	})

	It("is told of when its Secret gets the certificate of another host, until it is replaced", func(ctx SpecContext) {
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.ingress(ctx, "shop", "/", s.withTLS)
		s.eventuallyIs(ctx, sound())
		s.certificate(ctx, time.Now().Add(time.Hour), "another.example")
		s.eventuallyIs(ctx, map[string]float64{s.finding("tls-san-mismatch", "deny"): 1, s.routable("true"): 1})
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.eventuallyIs(ctx, sound())
		appearsAndGoes(ctx, "TlsSanMismatch")
	})

	It("is told of when its certificate expires, though nothing is written", func(ctx SpecContext) {
		expiry := time.Now().Add(8 * time.Second).Truncate(time.Second)
		s.certificate(ctx, expiry, s.host())
		s.ingress(ctx, "shop", "/", s.withTLS)
		s.eventuallyIs(ctx, sound())
		Expect(time.Now()).To(BeTemporally("<", expiry), "the certificate was valid at first")
		s.eventuallyIs(ctx, map[string]float64{s.finding("tls-expired", "warn"): 1, s.routable("true"): 1})
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.eventuallyIs(ctx, sound())
		appearsAndGoes(ctx, "TlsExpired")
	})

	It("is told of when a newer Ingress takes its requests, until that is deleted", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/cart", nil)
		s.eventuallyIs(ctx, sound())
		// In another namespace, so that what is counted here is said of the older one.
		other := newSandbox(ctx)
		other.ingress(ctx, "newer", "/cart/?(.*)", func(ing *networkingv1.Ingress) {
			ing.Spec.Rules[0].Host = s.host()
			ing.Annotations = map[string]string{"nginx.ingress.kubernetes.io/rewrite-target": "/$1"}
			*ing.Spec.Rules[0].HTTP.Paths[0].PathType = networkingv1.PathTypeImplementationSpecific
		})
		s.eventuallyIs(ctx, map[string]float64{s.finding("regex-host-contamination", "warn"): 1, s.routable("false"): 1})
		Expect(controlPlane.Client.NetworkingV1().Ingresses(other.ns).Delete(ctx, "newer", metav1.DeleteOptions{})).To(Succeed())
		s.eventuallyIs(ctx, sound())
		appearsAndGoes(ctx, "RegexHostContamination")
	})
})

var _ = Describe("a second replica", func() {
	It("says nothing until it leads, and then what the first knew after much has changed", func(ctx SpecContext) {
		leader := start(ctx, "first", "handed-over")
		Eventually(leads).WithArguments(ctx, leader).Should(BeTrue())
		second := start(ctx, "second", "handed-over")
		s := newSandbox(ctx)
		for i := range 10 {
			s.ingress(ctx, fmt.Sprintf("i%d", i), fmt.Sprintf("/%d", i), s.withTLS)
		}
		random := mathrand.New(mathrand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		ingresses := controlPlane.Client.NetworkingV1().Ingresses(s.ns)
		// Some of them stop the controller, which all others are told of.
		DeferCleanup(ingresses.DeleteCollection, metav1.DeleteOptions{}, metav1.ListOptions{})
		for range 300 {
			switch random.IntN(6) {
			case 0:
				err := controlPlane.Client.CoreV1().Services(s.ns).Delete(ctx, "web", metav1.DeleteOptions{})
				if apierrors.IsNotFound(err) {
					s.service(ctx)
				} else {
					Expect(err).NotTo(HaveOccurred())
				}
			case 1:
				s.endpoints(ctx, []string{"10.1.0.1", "10.1.0.2"}[:random.IntN(3)]...)
			case 2:
				s.certificate(ctx, time.Now().Add(time.Hour), []string{s.host(), "another.example"}[random.IntN(2)])
			default:
				name := fmt.Sprintf("i%d", random.IntN(10))
				err := ingresses.Delete(ctx, name, metav1.DeleteOptions{})
				if !apierrors.IsNotFound(err) {
					Expect(err).NotTo(HaveOccurred())
					continue
				}
				s.ingress(ctx, name, []string{"/", "/a", "/a/", "/b"}[random.IntN(4)], func(ing *networkingv1.Ingress) {
					ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = []int32{80, 81}[random.IntN(2)]
					if random.IntN(3) == 0 {
						s.withTLS(ing)
					}
				})
			}
		}
		Expect(about(ctx, second, "")).To(BeEmpty())
		Expect(leads(ctx, second)).To(BeFalse())
		// It is settled when nothing changes for several times the settle time.
		var last map[string]float64
		Eventually(func() (bool, error) {
			before := last
			var err error
			last, err = about(ctx, leader, s.ns)
			return before != nil && maps.Equal(before, last), err
		}).WithPolling(5 * settleTime).Should(BeTrue())
		Expect(last).NotTo(BeEmpty())

		all, err := about(ctx, leader, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(leader.Stop()).To(Succeed())
		Eventually(leads).WithArguments(ctx, second).Should(BeTrue())
		Eventually(about).WithArguments(ctx, second, "").Should(Equal(all))
	})
})

var _ = Describe("routegate audit", func() {
	It("judges what is in the cluster by the rights of the user", func(ctx SpecContext) {
		s := newSandbox(ctx)
		audit := func() (string, error) {
			out, err := exec.CommandContext(ctx, binary, "audit", "--kubeconfig", controlPlane.Kubeconfig, "-n", s.ns).CombinedOutput()
			return string(out), err
		}
		s.ingress(ctx, "web", "/", nil)
		out, err := audit()
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(out).To(ContainSubstring("1 Ingress judged, 0 would be denied"))

		Expect(controlPlane.Client.CoreV1().Services(s.ns).Delete(ctx, "web", metav1.DeleteOptions{})).To(Succeed())
		out, err = audit()
		var exit *exec.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue(), out)
		Expect(exit.ExitCode()).To(Equal(1), out)
		Expect(out).To(ContainSubstring("(service-missing)"))
	})
})
