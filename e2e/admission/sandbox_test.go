// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/routegate/routegate/e2e/stack"
)

// sandbox is a namespace of its own, and a client that notes warnings.
type sandbox struct {
	*gate
	ns     string
	client kubernetes.Interface
	said   *stack.Warnings
}

// newSandbox makes a namespace about which the API server asks the gate.
func newSandbox(ctx SpecContext, g *gate) *sandbox {
	GinkgoHelper()
	return sandboxWith(ctx, g, nil)
}

func sandboxWith(ctx SpecContext, g *gate, labels map[string]string) *sandbox {
	GinkgoHelper()
	all := map[string]string{"gate": g.name}
	for key, value := range labels {
		all[key] = value
	}
	ns, err := controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-", Labels: all},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())

	s := &sandbox{gate: g, ns: ns.Name, said: &stack.Warnings{}}
	config := rest.CopyConfig(controlPlane.Config)
	config.WarningHandler = s.said
	s.client, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			AddReportEntry("log of "+g.name+" about "+s.ns, strings.Join(linesWith(g.Log(), `"namespace":"`+s.ns+`"`), ""))
		}
	})
	return s
}

// optedOut makes a namespace that the API server does not ask about until optIn
// is called.
func optedOut(ctx SpecContext, g *gate) *sandbox {
	GinkgoHelper()
	return sandboxWith(ctx, g, map[string]string{stack.OptOutLabel: stack.OptOutValue})
}

func (s *sandbox) optIn(ctx SpecContext) {
	GinkgoHelper()
	ns, err := s.client.CoreV1().Namespaces().Get(ctx, s.ns, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	delete(ns.Labels, stack.OptOutLabel)
	_, err = s.client.CoreV1().Namespaces().Update(ctx, ns, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(stack.Wait(soon, controlPlane.Config, s.ns)).To(Succeed())
}

// has creates objects in the namespace and waits until the gate knows of them.
func (s *sandbox) has(ctx SpecContext, objs ...runtime.Object) {
	GinkgoHelper()
	for _, obj := range objs {
		Expect(s.add(ctx, obj)).To(Succeed())
	}
	s.catchUp(ctx)
	s.said.Take()
}

// add creates one object and does not wait.
func (s *sandbox) add(ctx SpecContext, obj runtime.Object) error {
	var err error
	var opts metav1.CreateOptions
	switch o := obj.(type) {
	case *corev1.Service:
		_, err = s.client.CoreV1().Services(s.ns).Create(ctx, o, opts)
	case *corev1.Secret:
		_, err = s.client.CoreV1().Secrets(s.ns).Create(ctx, o, opts)
	case *discoveryv1.EndpointSlice:
		_, err = s.client.DiscoveryV1().EndpointSlices(s.ns).Create(ctx, o, opts)
	case *networkingv1.NetworkPolicy:
		_, err = s.client.NetworkingV1().NetworkPolicies(s.ns).Create(ctx, o, opts)
	case *corev1.Pod:
		// The API server drops the status of what is created.
		var made *corev1.Pod
		if made, err = s.client.CoreV1().Pods(s.ns).Create(ctx, o, opts); err == nil {
			made.Status = o.Status
			_, err = s.client.CoreV1().Pods(s.ns).UpdateStatus(ctx, made, metav1.UpdateOptions{})
		}
	case *networkingv1.IngressClass:
		_, err = s.client.NetworkingV1().IngressClasses().Create(ctx, o, opts)
	default:
		err = fmt.Errorf("cannot create a %T", obj)
	}
	return err
}

// create creates an Ingress, at the host of the sandbox, and returns it with the
// warnings.
func (s *sandbox) create(ctx SpecContext, ing *networkingv1.Ingress, dryRun ...string) (*networkingv1.Ingress, []string, error) {
	ing = ing.DeepCopy()
	for i := range ing.Spec.Rules {
		ing.Spec.Rules[i].Host = s.in(ing.Spec.Rules[i].Host)
	}
	for i := range ing.Spec.TLS {
		for j, host := range ing.Spec.TLS[i].Hosts {
			ing.Spec.TLS[i].Hosts[j] = s.in(host)
		}
	}
	s.said.Take()
	made, err := s.client.NetworkingV1().Ingresses(s.ns).Create(ctx, ing, metav1.CreateOptions{DryRun: dryRun})
	return made, s.said.Take(), err
}

// edit changes an Ingress that is there and returns the warnings.
func (s *sandbox) edit(ctx SpecContext, name string, change func(*networkingv1.Ingress), dryRun ...string) ([]string, error) {
	ing, err := s.client.NetworkingV1().Ingresses(s.ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	change(ing)
	s.said.Take()
	_, err = s.client.NetworkingV1().Ingresses(s.ns).Update(ctx, ing, metav1.UpdateOptions{DryRun: dryRun})
	return s.said.Take(), err
}

// host is the sandbox's own: an Ingress is judged beside the others of its
// hosts, in whatever namespace they are.
func (s *sandbox) host() string {
	return s.ns + ".example.com"
}

// in puts the names of the sandbox into hosts and expected words.
func (s *sandbox) in(words string) string {
	return strings.NewReplacer("NAMESPACE", s.ns, "HOST", s.host()).Replace(words)
}

// prefix is what the API server puts before a denial.
const prefix = `admission webhook "` + stack.WebhookName + `" denied the request: `

// expectDenied expects the answer of a webhook that denies for one reason, word
// by word.
func expectDenied(err error, check, words string) {
	GinkgoHelper()
	status := statusOf(err)
	Expect(status.Message).To(Equal(prefix + words))
	Expect(status.Details.Causes).To(HaveLen(1))
	cause := status.Details.Causes[0]
	Expect(cause.Message).To(Equal(words))
	Expect(string(cause.Type)).To(Equal(check))
	Expect(words).To(HavePrefix(cause.Field + ": "))
}

// statusOf expects a denial with status 403 and returns it.
func statusOf(err error) metav1.Status {
	GinkgoHelper()
	var refused apierrors.APIStatus
	Expect(errors.As(err, &refused)).To(BeTrue(), "got: %v", err)
	status := refused.Status()
	Expect(status.Code).To(BeEquivalentTo(403), "got: %v", err)
	Expect(status.Reason).To(Equal(metav1.StatusReasonForbidden))
	Expect(status.Details).NotTo(BeNil())
	return status
}

func ingressClass(name, controller string) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       networkingv1.IngressClassSpec{Controller: controller},
	}
}

// ingress returns an Ingress of class nginx for the host of its sandbox that
// sends everything to port 80 of the Service web, and what tweaks make of it.
func ingress(name string, tweaks ...func(*networkingv1.Ingress)) *networkingv1.Ingress {
	class := "nginx"
	ing := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{
				Host:             "HOST",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{}},
			}},
		},
	}
	addPath("/", "web", 80)(ing)
	for _, tweak := range tweaks {
		tweak(ing)
	}
	return ing
}

// at moves an Ingress to a host below that of its sandbox. Two Ingresses of one
// host are judged together.
func at(name string) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) { ing.Spec.Rules[0].Host = name + ".HOST" }
}

func backend(service string, port int32) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: service, Port: networkingv1.ServiceBackendPort{Number: port},
	}}
}

func addPath(path, service string, port int32) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) {
		prefix := networkingv1.PathTypePrefix
		http := ing.Spec.Rules[0].HTTP
		http.Paths = append(http.Paths, networkingv1.HTTPIngressPath{Path: path, PathType: &prefix, Backend: backend(service, port)})
	}
}

// to sends everything to another backend.
func to(service string, port int32) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) {
		ing.Spec.Rules[0].HTTP.Paths[0].Backend = backend(service, port)
	}
}

func toResource(ing *networkingv1.Ingress) {
	group := "example.com"
	ing.Spec.Rules[0].HTTP.Paths[0].Backend = networkingv1.IngressBackend{
		Resource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "Bucket", Name: "static"},
	}
}

func ofClass(name string) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) { ing.Spec.IngressClassName = &name }
}

func withoutClass(ing *networkingv1.Ingress) {
	ing.Spec.IngressClassName = nil
}

func annotated(key, value string) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) { metav1.SetMetaDataAnnotation(&ing.ObjectMeta, key, value) }
}

func withTLS(secret string) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) {
		ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{ing.Spec.Rules[0].Host}, SecretName: secret}}
	}
}

func service(name string, ports ...int32) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}},
	}
	for _, port := range ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("port-%d", port), Port: port})
	}
	return svc
}

// endpoint returns an EndpointSlice with one endpoint for a port of a Service.
func endpoint(service string, port int32, ready bool) *discoveryv1.EndpointSlice {
	name := fmt.Sprintf("port-%d", port)
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"192.0.2.10"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
	}
}

// certificate makes a certificate for the host, and its key.
func certificate(host string) (crt, key []byte) {
	GinkgoHelper()
	crt, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return crt, key
}

// secret returns an Opaque Secret with the entries that are not nil: the API
// server demands both of a kubernetes.io/tls one.
func secret(name string, crt, key []byte) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{}}
	if crt != nil {
		s.Data[corev1.TLSCertKey] = crt
	}
	if key != nil {
		s.Data[corev1.TLSPrivateKeyKey] = key
	}
	return s
}
