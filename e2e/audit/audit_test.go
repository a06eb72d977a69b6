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
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/internal/audit"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
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
	// node is where all Pods are.
	node = "node"
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
	controllers, err := controlPlane.StartControllers(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controllers.Stop)
	// Pods count only where their Node exists.
	_, err = controlPlane.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	leader = start(ctx, "leader", "audit", settleTime)
	Eventually(leads).WithArguments(ctx, leader).Should(BeTrue())
}, NodeTimeout(5*time.Minute))

// start starts a routegate that audits when it has the Lease. It is stopped with the
// spec, or with the suite when it is started before.
func start(ctx SpecContext, name, lease string, settle time.Duration) *stack.Routegate {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	process, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
		Binary: binary, Kubeconfig: controlPlane.Kubeconfig, Dir: dir, Name: name,
		Args: []string{"--audit", "--lease=default/" + lease, "--audit-settle-time=" + settle.String(), "--verbosity=1"},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(process.Stop)
	return process
}

func leads(ctx context.Context, r *stack.Routegate) (bool, error) {
	values, err := stack.Metrics(ctx, r.MetricsURL)
	return values["routegate_audit_leading"] == 1, err
}

// about returns the series about Ingresses of a namespace, of all where it is empty, of
// those at a URL; those of certificates and ages are left out.
func about(ctx context.Context, url, namespace string) (map[string]float64, error) {
	values, err := stack.Metrics(ctx, url)
	maps.DeleteFunc(values, func(name string, _ float64) bool {
		return !strings.HasPrefix(name, "routegate_ingress_findings{") && !strings.HasPrefix(name, "routegate_ingress_routable{") ||
			!strings.Contains(name, fmt.Sprintf("ingress_namespace=%q", namespace)) && namespace != ""
	})
	return values, err
}

// sandbox is a namespace with a sound Ingress, and the leader looks at it. The Pods and
// EndpointSlices are made by kube-controller-manager.
type sandbox struct {
	ns string
	// addresses counts those that Pods have got.
	addresses int
	// held keeps Pods from getting ready.
	held bool
}

func newSandbox(ctx SpecContext) *sandbox {
	GinkgoHelper()
	ns, err := controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "audit-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	s := &sandbox{ns: ns.Name}
	s.service(ctx)
	s.deployment(ctx)
	Eventually(s.readyEndpoints).WithArguments(ctx).Should(Equal(1))
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

// deployment has one Pod. When it is restarted, the old one goes before the new one
// comes.
func (s *sandbox) deployment(ctx SpecContext) {
	GinkgoHelper()
	labels := map[string]string{"app": "web"}
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	_, err := controlPlane.Client.AppsV1().Deployments(s.ns).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &none, MaxUnavailable: &one}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				NodeName: node, Containers: []corev1.Container{{Name: "web", Image: "web"}},
			}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

func (s *sandbox) patchDeployment(ctx SpecContext, format string, args ...any) {
	GinkgoHelper()
	_, err := controlPlane.Client.AppsV1().Deployments(s.ns).Patch(ctx, "web", types.StrategicMergePatchType, fmt.Appendf(nil, format, args...), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
}

func (s *sandbox) scale(ctx SpecContext, replicas int) {
	GinkgoHelper()
	s.patchDeployment(ctx, `{"spec": {"replicas": %d}}`, replicas)
}

// restart does what "kubectl rollout restart" does.
func (s *sandbox) restart(ctx SpecContext) {
	GinkgoHelper()
	s.patchDeployment(ctx, `{"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": %q}}}}}`, time.Now().Format(time.RFC3339Nano))
}

// rolledOut reports whether the Deployment is as it was last asked to be, and its Pods
// are ready.
func (s *sandbox) rolledOut(ctx context.Context) (bool, error) {
	if err := s.kubelet(ctx); err != nil {
		return false, err
	}
	d, err := controlPlane.Client.AppsV1().Deployments(s.ns).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	want := *d.Spec.Replicas
	return d.Status.ObservedGeneration == d.Generation && d.Status.Replicas == want && d.Status.UpdatedReplicas == want && d.Status.ReadyReplicas == want, nil
}

// kubelet does once what a kubelet would, as there is none: Pods that are new run and
// get an address, they are ready unless that is held, and those that are being deleted
// are gone. It is called wherever a state is waited for.
func (s *sandbox) kubelet(ctx context.Context) error {
	pods := controlPlane.Client.CoreV1().Pods(s.ns)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ready := corev1.ConditionTrue
	if s.held {
		ready = corev1.ConditionFalse
	}
	for i := range list.Items {
		pod := &list.Items[i]
		conditions := []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		switch {
		case pod.DeletionTimestamp != nil:
			err = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		case pod.Status.Phase == corev1.PodPending:
			s.addresses++
			address := fmt.Sprintf("10.1.%d.%d", s.addresses/250, 1+s.addresses%250)
			pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs, pod.Status.Conditions = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}, conditions
			_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		case len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Status != corev1.ConditionTrue && !s.held:
			pod.Status.Conditions = conditions
			_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		}
		// A Pod that has changed meanwhile is looked at again by the next call.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
	}
	return nil
}

// readyEndpoints counts those of the Service.
func (s *sandbox) readyEndpoints(ctx context.Context) (int, error) {
	if err := s.kubelet(ctx); err != nil {
		return 0, err
	}
	list, err := controlPlane.Client.DiscoveryV1().EndpointSlices(s.ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if ready := endpoint.Conditions.Ready; ready == nil || *ready {
				n++
			}
		}
	}
	return n, nil
}

// sliceNames are those of all EndpointSlices.
func (s *sandbox) sliceNames(ctx context.Context) ([]string, error) {
	list, err := controlPlane.Client.DiscoveryV1().EndpointSlices(s.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, slice := range list.Items {
		names = append(names, slice.Name)
	}
	return names, nil
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

// sound is what is said of one Ingress without a fault.
func (s *sandbox) sound() map[string]float64 {
	return map[string]float64{s.routable("true"): 1}
}

func (s *sandbox) eventuallyIs(ctx SpecContext, want map[string]float64) {
	GinkgoHelper()
	Eventually(s.state).WithArguments(ctx, leader.MetricsURL).Should(Equal(want))
}

// state is what is said at the URL, with the kubelet at work.
func (s *sandbox) state(ctx context.Context, url string) (map[string]float64, error) {
	if err := s.kubelet(ctx); err != nil {
		return nil, err
	}
	return about(ctx, url, s.ns)
}

// appearsAndGoes waits for two Events about the Ingress shop with that reason. Others
// may come of what happens on the way.
func (s *sandbox) appearsAndGoes(ctx SpecContext, reason string) {
	GinkgoHelper()
	Eventually(s.events).WithArguments(ctx, "shop", reason).Should(Equal([]string{"Normal " + reason + " FindingGone", "Warning " + reason + " FindingAppeared"}))
}

// events are the Events about an Ingress with that reason as "type reason action",
// sorted.
func (s *sandbox) events(ctx context.Context, ingress, reason string) ([]string, error) {
	list, err := controlPlane.Client.EventsV1().Events(s.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, event := range list.Items {
		if event.Regarding.Kind == "Ingress" && event.Regarding.Name == ingress && event.ReportingController == "routegate" && event.Reason == reason {
			texts = append(texts, strings.Join([]string{event.Type, event.Reason, event.Action}, " "))
		}
	}
	slices.Sort(texts)
	return texts, nil
}

// aged is an Auditor in this process, the clock of which is set by hand.
type aged struct {
	clock *testingclock.FakeClock
	url   string
}

// startAtTime starts one that begins at that time. It ends with the spec.
func startAtTime(ctx SpecContext, at time.Time) *aged {
	GinkgoHelper()
	registry := prometheus.NewRegistry()
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	DeferCleanup(server.Close)
	a := &aged{clock: testingclock.NewFakeClock(at), url: server.URL}
	cl, err := cluster.New(cluster.Config{
		Client: controlPlane.Client, SecretAccess: cluster.SecretsFull, Followed: true, LiveReads: 1, Log: logr.Discard(), Metrics: registry,
	})
	Expect(err).NotTo(HaveOccurred())
	rules, err := policy.File{}.Compile(checks.All())
	Expect(err).NotTo(HaveOccurred())
	auditor, err := audit.New(audit.Config{
		Cluster: cl, Rules: func() *policy.Rules { return rules }, Clock: a.clock, Settle: settleTime, MaxSeries: 1000,
		Events: &events.EventSinkImpl{Interface: controlPlane.Client.EventsV1()}, Log: logr.Discard(), Metrics: registry,
	})
	Expect(err).NotTo(HaveOccurred())
	running, end := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { cl.Start(running) })
	parts.Go(func() { auditor.Lead(running) })
	DeferCleanup(func() {
		end()
		parts.Wait()
	})
	return a
}

// state lets a settle time pass, and is what is said then.
func (a *aged) state(ctx context.Context, s *sandbox) (map[string]float64, error) {
	a.clock.Step(settleTime)
	return s.state(ctx, a.url)
}

var _ = Describe("an Ingress that was sound", func() {
	var s *sandbox
	BeforeEach(func(ctx SpecContext) { s = newSandbox(ctx) })

	It("is told of when its Service is deleted, until that is back", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/", nil)
		s.eventuallyIs(ctx, s.sound())
		Expect(controlPlane.Client.CoreV1().Services(s.ns).Delete(ctx, "web", metav1.DeleteOptions{})).To(Succeed())
		s.eventuallyIs(ctx, map[string]float64{s.finding("service-missing", "deny"): 1, s.routable("false"): 1})
		Eventually(s.sliceNames).WithArguments(ctx).Should(BeEmpty(), "the garbage collector takes the EndpointSlices")
		s.service(ctx)
		s.eventuallyIs(ctx, s.sound())
		s.appearsAndGoes(ctx, "ServiceMissing")
	})

	It("is told of when its workload is scaled to zero, until it is back", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/", nil)
		s.eventuallyIs(ctx, s.sound())
		s.scale(ctx, 0)
		s.eventuallyIs(ctx, map[string]float64{s.finding("no-endpoints-at-all", "warn"): 1, s.routable("false"): 1})
		s.scale(ctx, 1)
		s.eventuallyIs(ctx, s.sound())
		s.appearsAndGoes(ctx, "NoEndpointsAtAll")
	})

	It("is told of when its Secret gets the certificate of another host, until it is replaced", func(ctx SpecContext) {
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.ingress(ctx, "shop", "/", s.withTLS)
		s.eventuallyIs(ctx, s.sound())
		s.certificate(ctx, time.Now().Add(time.Hour), "another.example")
		s.eventuallyIs(ctx, map[string]float64{s.finding("tls-san-mismatch", "deny"): 1, s.routable("true"): 1})
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.eventuallyIs(ctx, s.sound())
		s.appearsAndGoes(ctx, "TlsSanMismatch")
	})

	It("is told of when its certificate expires, though nothing is written", func(ctx SpecContext) {
		s.certificate(ctx, time.Now().Add(time.Hour), s.host())
		s.ingress(ctx, "shop", "/", s.withTLS)
		a := startAtTime(ctx, time.Now())
		Eventually(a.state).WithArguments(ctx, s).Should(Equal(s.sound()))
		a.clock.Step(time.Hour)
		Eventually(a.state).WithArguments(ctx, s).Should(Equal(map[string]float64{s.finding("tls-expired", "warn"): 1, s.routable("true"): 1}))
		s.certificate(ctx, a.clock.Now().Add(24*time.Hour), s.host())
		Eventually(a.state).WithArguments(ctx, s).Should(Equal(s.sound()))
		s.appearsAndGoes(ctx, "TlsExpired")
	})

	It("is told of when a newer Ingress takes its requests, until that is deleted", func(ctx SpecContext) {
		s.ingress(ctx, "shop", "/cart", nil)
		s.eventuallyIs(ctx, s.sound())
		// In another namespace, so that what is counted here is said of the older one.
		other := newSandbox(ctx)
		other.ingress(ctx, "newer", "/cart/?(.*)", func(ing *networkingv1.Ingress) {
			ing.Spec.Rules[0].Host = s.host()
			ing.Annotations = map[string]string{"nginx.ingress.kubernetes.io/rewrite-target": "/$1"}
			*ing.Spec.Rules[0].HTTP.Paths[0].PathType = networkingv1.PathTypeImplementationSpecific
		})
		s.eventuallyIs(ctx, map[string]float64{s.finding("regex-host-contamination", "warn"): 1, s.routable("false"): 1})
		Expect(controlPlane.Client.NetworkingV1().Ingresses(other.ns).Delete(ctx, "newer", metav1.DeleteOptions{})).To(Succeed())
		s.eventuallyIs(ctx, s.sound())
		s.appearsAndGoes(ctx, "RegexHostContamination")
	})
})

var _ = Describe("a rolling restart", func() {
	It("shows nowhere where it is shorter than the settle time", func(ctx SpecContext) {
		s := newSandbox(ctx)
		s.ingress(ctx, "shop", "/", nil)
		s.eventuallyIs(ctx, s.sound())
		patient := start(ctx, "patient", "patient", time.Hour)
		Eventually(about).WithArguments(ctx, patient.MetricsURL, s.ns).Should(Equal(s.sound()))
		// The leader tells when there is something to be seen, since for it the gap is
		// longer; the patient one is looked at each time.
		look := func(ctx context.Context) (map[string]float64, error) {
			calm, err := about(ctx, patient.MetricsURL, s.ns)
			if err == nil && !maps.Equal(calm, s.sound()) {
				return nil, StopTrying(fmt.Sprintf("the patient one says %v", calm))
			}
			if err != nil {
				return nil, err
			}
			return s.state(ctx, leader.MetricsURL)
		}
		for range 2 {
			s.held = true
			s.restart(ctx)
			Eventually(look).WithArguments(ctx).Should(Equal(map[string]float64{s.finding("no-ready-endpoints", "warn"): 1, s.routable("false"): 1}))
			s.held = false
			Eventually(s.rolledOut).WithArguments(ctx).Should(BeTrue())
			Eventually(look).WithArguments(ctx).Should(Equal(s.sound()))
		}
		s.appearsAndGoes(ctx, "NoReadyEndpoints")

		// The patient one is judging all the while, what came before included.
		s.ingress(ctx, "later", "/later", nil)
		Eventually(about).WithArguments(ctx, patient.MetricsURL, s.ns).Should(Equal(map[string]float64{s.routable("true"): 2}))
		const recorded = `routegate_audit_events_total{result="recorded"}`
		values, err := stack.Metrics(ctx, patient.MetricsURL)
		Expect(err).NotTo(HaveOccurred())
		Expect(values[recorded]).To(BeZero())
		values, err = stack.Metrics(ctx, leader.MetricsURL)
		Expect(err).NotTo(HaveOccurred())
		Expect(values[recorded]).NotTo(BeZero())
	})
})

var _ = Describe("a second replica", func() {
	It("says nothing until it leads, and then what the first knew after much has changed", func(ctx SpecContext) {
		leader := start(ctx, "first", "handed-over", settleTime)
		Eventually(leads).WithArguments(ctx, leader).Should(BeTrue())
		second := start(ctx, "second", "handed-over", settleTime)
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
				s.scale(ctx, random.IntN(3))
				Expect(s.kubelet(ctx)).To(Succeed())
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
		Expect(about(ctx, second.MetricsURL, "")).To(BeEmpty())
		Expect(leads(ctx, second)).To(BeFalse())
		Eventually(s.rolledOut).WithArguments(ctx).Should(BeTrue())
		// It is settled when nothing changes for several times the settle time.
		var last map[string]float64
		Eventually(func() (bool, error) {
			before := last
			var err error
			last, err = about(ctx, leader.MetricsURL, s.ns)
			return before != nil && maps.Equal(before, last), err
		}).WithPolling(5 * settleTime).Should(BeTrue())
		Expect(last).NotTo(BeEmpty())

		all, err := about(ctx, leader.MetricsURL, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(leader.Stop()).To(Succeed())
		Eventually(leads).WithArguments(ctx, second).Should(BeTrue())
		Eventually(about).WithArguments(ctx, second.MetricsURL, "").Should(Equal(all))
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
