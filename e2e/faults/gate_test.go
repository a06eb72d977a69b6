// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/routegate/routegate/e2e/stack"
)

// allKinds are the kinds that routegate keeps.
var allKinds = []string{"Ingress", "IngressClass", "Service", "EndpointSlice", "Secret", "Namespace"}

// gateOptions are what is not as usual.
type gateOptions struct {
	controlPlane *stack.ControlPlane
	args         []string
	drainTime    time.Duration
	// fault is there from the start.
	fault stack.Fault
	// synced are the kinds to wait for; all when nil.
	synced []string
	// asked makes the API server ask about the gate's namespace, and failurePolicy is what
	// it then does about a call that fails.
	asked         bool
	failurePolicy admissionregistrationv1.FailurePolicyType
	// kubeconfig leads to the API server in another way than through a proxy.
	kubeconfig string
}

// gate is a running routegate behind a proxy, and a namespace with the Service
// web, its endpoint, and the certificate web-tls.
type gate struct {
	*stack.Routegate
	cp    *stack.ControlPlane
	proxy *stack.Proxy
	ns    string
	// client notes warnings in said.
	client kubernetes.Interface
	said   *stack.Warnings
}

// startGate starts a routegate that is stopped when the spec ends.
func startGate(ctx SpecContext, name string, o gateOptions) *gate {
	GinkgoHelper()
	g := &gate{cp: o.controlPlane, said: &stack.Warnings{}}
	if g.cp == nil {
		g.cp = controlPlane
	}
	config := rest.CopyConfig(g.cp.Config)
	config.WarningHandler = g.said
	var err error
	g.client, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	g.furnish(ctx, name)

	if o.kubeconfig == "" {
		g.proxy, err = g.cp.StartProxy(ctx, dir, name)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(g.proxy.Stop)
		g.proxy.SetFault(o.fault)
		o.kubeconfig = g.proxy.Kubeconfig
	}
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g.Routegate, err = stack.StartRoutegate(soon, stack.RoutegateOptions{
		Binary: program, Kubeconfig: o.kubeconfig, Dir: dir, Name: name, DrainTime: o.drainTime,
		// For the report of a spec that fails.
		Args: append([]string{"--verbosity=1"}, o.args...),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(g.Stop)
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			AddReportEntry("log of "+name, g.Log())
		}
	})
	if o.synced == nil {
		o.synced = allKinds
	}
	g.catchUp(ctx, o.synced...)

	if o.asked {
		hook := stack.Webhook{Name: "routegate-" + name, NamespaceLabels: map[string]string{"gate": name}, FailurePolicy: o.failurePolicy}
		Expect(hook.Install(ctx, g.cp.Client, g.Routegate)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) error {
			return g.cp.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, hook.Name, metav1.DeleteOptions{})
		})
		Expect(stack.Wait(soon, g.cp.Config, g.ns)).To(Succeed())
	}
	return g
}

// furnish makes the namespace and what is in it.
func (g *gate) furnish(ctx SpecContext, name string) {
	GinkgoHelper()
	core := g.client.CoreV1()
	ns, err := core.Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Labels: map[string]string{"gate": name}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	g.ns = ns.Name
	g.addService(ctx, "web")
	port, number, ready := "http", int32(80), true
	_, err = g.client.DiscoveryV1().EndpointSlices(g.ns).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"192.0.2.10"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	crt, key, err := cert.GenerateSelfSignedCertKey(g.host(), nil, nil)
	Expect(err).NotTo(HaveOccurred())
	_, err = core.Secrets(g.ns).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "web-tls"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: crt, corev1.TLSPrivateKeyKey: key},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

func (g *gate) addService(ctx SpecContext, name string) {
	GinkgoHelper()
	_, err := g.client.CoreV1().Services(g.ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// host is the gate's own: an Ingress is judged beside the others of its hosts,
// in whatever namespace they are.
func (g *gate) host() string {
	return g.ns + ".example.com"
}

// ingress returns an Ingress over HTTPS that sends a host of its own to port 80
// of the Service.
func (g *gate) ingress(name, service string) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: g.ns, Name: name},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			TLS:              []networkingv1.IngressTLS{{Hosts: []string{g.host()}, SecretName: "web-tls"}},
			Rules: []networkingv1.IngressRule{{
				Host: g.host(),
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{
						Path: "/" + name, PathType: &prefix,
						Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
							Name: service, Port: networkingv1.ServiceBackendPort{Number: 80},
						}},
					}},
				}},
			}},
		},
	}
}

// create asks the API server to create an Ingress and returns the warnings.
func (g *gate) create(ctx SpecContext, ing *networkingv1.Ingress) ([]string, error) {
	g.said.Take()
	_, err := g.client.NetworkingV1().Ingresses(g.ns).Create(ctx, ing, metav1.CreateOptions{})
	return g.said.Take(), err
}

func (g *gate) metrics(ctx SpecContext) map[string]float64 {
	GinkgoHelper()
	values, err := stack.Metrics(ctx, g.MetricsURL)
	Expect(err).NotTo(HaveOccurred())
	return values
}

func (g *gate) catchUp(ctx SpecContext, kinds ...string) {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(stack.CatchUp(soon, g.cp.Client, g.MetricsURL, kinds...)).To(Succeed())
}

// client is how an API server would talk to the gate.
type client struct {
	http http.Client
	url  string
}

// clientOptions are the two ways to speak HTTP, and whether connections are kept.
type clientOptions struct {
	http2, once bool
	// late is by how much its clock is late.
	late time.Duration
}

func (g *gate) newClient(o clientOptions) *client {
	GinkgoHelper()
	pool := x509.NewCertPool()
	Expect(pool.AppendCertsFromPEM(g.CABundle)).To(BeTrue())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Time: func() time.Time { return time.Now().Add(-o.late) }}, ForceAttemptHTTP2: o.http2, DisableKeepAlives: o.once,
	}
	DeferCleanup(transport.CloseIdleConnections)
	return &client{http: http.Client{Transport: transport}, url: g.URL}
}

// send posts a body and returns the status and body of the answer.
func (c *client) send(ctx context.Context, query, contentType string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+query, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// review posts an AdmissionReview of the creation of an Ingress.
func (c *client) review(ctx context.Context, query string, ing *networkingv1.Ingress) (*admissionv1.AdmissionResponse, error) {
	object, err := json.Marshal(ing)
	if err != nil {
		return nil, err
	}
	uid := uuid.NewUUID()
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       uid,
			Kind:      metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
			Resource:  metav1.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
			Operation: admissionv1.Create, Namespace: ing.Namespace, Name: ing.Name,
			Object: runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		return nil, err
	}
	status, answer, err := c.send(ctx, query, "application/json", body)
	if err != nil {
		return nil, err
	}
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal([]byte(answer), review); status != http.StatusOK || err != nil {
		return nil, fmt.Errorf("status %d: %s", status, answer)
	}
	if review.Response == nil || review.Response.UID != uid {
		return nil, fmt.Errorf("not the answer to %s: %s", uid, answer)
	}
	return review.Response, nil
}

// noVerdict begins the warning of an answer that is undecided.
const noVerdict = "no verdict on parts of this Ingress: "
