// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/e2e/stack"
)

// How many names there are: of namespaces that stay, and of each kind in each of them.
const (
	namespaces = 4
	names      = 60
)

// churn writes whatever there is, at random.
type churn struct {
	client kubernetes.Interface
	// pairs are certificates with their keys, for Secrets.
	pairs [][2][]byte

	writes, denied atomic.Int64

	mu sync.Mutex
	// failures are the first calls that failed, and failed is how many did.
	failures []string
	failed   int
}

func newChurn(ctx context.Context, cp *stack.ControlPlane) (*churn, error) {
	config := rest.CopyConfig(cp.Config)
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := &churn{client: client}
	for i := range 4 {
		crt, key, err := certs.PEM([]string{fmt.Sprintf("*.ns-%d.example.com", i)})
		if err != nil {
			return nil, err
		}
		c.pairs = append(c.pairs, [2][]byte{crt, key})
	}
	for i := range namespaces {
		_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i)}}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
	}
	_, err = c.client.NetworkingV1().IngressClasses().Create(ctx, class("nginx"), metav1.CreateOptions{})
	return c, err
}

func namespace(i int) string { return fmt.Sprintf("ns-%d", i) }

// run writes until ctx is done.
func (c *churn) run(ctx context.Context, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		ns, name := namespace(r.IntN(namespaces)), fmt.Sprintf("app-%d", r.IntN(names))
		var err error
		switch n := r.IntN(20); {
		case n < 8:
			err = c.ingress(ctx, r, ns, name)
		case n < 12:
			err = c.slice(ctx, r, ns, name)
		case n < 15:
			err = c.service(ctx, r, ns, name)
		case n < 18:
			err = c.secret(ctx, r, ns, name)
		case n < 19:
			err = c.class(ctx, r)
		default:
			err = c.namespace(ctx, r)
		}
		c.note(ctx, err)
	}
}

// note counts a write. That an object is there already, or has gone or changed since, is
// what happens where several write.
func (c *churn) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	c.writes.Add(1)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), apierrors.IsConflict(err):
	case strings.Contains(err.Error(), "denied the request: "):
		c.denied.Add(1)
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed++; len(c.failures) < 5 {
			c.failures = append(c.failures, err.Error())
		}
	}
}

// either creates, updates or deletes.
func either(r *rand.Rand, create, update, remove func() error) error {
	switch r.IntN(5) {
	case 0:
		return remove()
	case 1, 2:
		return create()
	}
	return update()
}

func (c *churn) ingress(ctx context.Context, r *rand.Rand, ns, name string) error {
	prefix, className := networkingv1.PathTypePrefix, "nginx"
	if r.IntN(8) == 0 {
		className = fmt.Sprintf("class-%d", r.IntN(5))
	}
	host := fmt.Sprintf("h%d.%s.example.com", r.IntN(names), ns)
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
		"nginx.ingress.kubernetes.io/proxy-body-size": fmt.Sprintf("%dm", r.IntN(9)+1),
	}}}
	if r.IntN(3) == 0 {
		ing.Annotations["nginx.ingress.kubernetes.io/use-regex"] = "true"
	}
	ing.Spec.IngressClassName = &className
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: fmt.Sprintf("app-%d", r.IntN(names))}}
	path := networkingv1.HTTPIngressPath{Path: fmt.Sprintf("/p%d", r.IntN(9)), PathType: &prefix}
	path.Backend.Service = &networkingv1.IngressServiceBackend{
		Name: fmt.Sprintf("app-%d", r.IntN(names)), Port: networkingv1.ServiceBackendPort{Number: int32(80 + r.IntN(2))},
	}
	ing.Spec.Rules = []networkingv1.IngressRule{{Host: host}}
	ing.Spec.Rules[0].HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{path}}
	api := c.client.NetworkingV1().Ingresses(ns)
	return either(r,
		func() error { _, err := api.Create(ctx, ing, metav1.CreateOptions{}); return err },
		func() error { _, err := api.Update(ctx, ing, metav1.UpdateOptions{}); return err },
		func() error { return api.Delete(ctx, name, metav1.DeleteOptions{}) })
}

func (c *churn) service(ctx context.Context, r *rand.Rand, ns, name string) error {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}
	for i := range 1 + r.IntN(2) {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", i), Port: int32(80 + i)})
	}
	api := c.client.CoreV1().Services(ns)
	return either(r,
		func() error { _, err := api.Create(ctx, svc, metav1.CreateOptions{}); return err },
		func() error { _, err := api.Update(ctx, svc, metav1.UpdateOptions{}); return err },
		func() error { return api.Delete(ctx, name, metav1.DeleteOptions{}) })
}

// slice lets endpoints come and go.
func (c *churn) slice(ctx context.Context, r *rand.Rand, ns, name string) error {
	port, number, ready := "p0", int32(80), r.IntN(2) == 0
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
	}
	for i := range r.IntN(20) {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("192.0.2.%d", i+1)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	api := c.client.DiscoveryV1().EndpointSlices(ns)
	return either(r,
		func() error { _, err := api.Create(ctx, slice, metav1.CreateOptions{}); return err },
		func() error { _, err := api.Update(ctx, slice, metav1.UpdateOptions{}); return err },
		func() error { return api.Delete(ctx, name, metav1.DeleteOptions{}) })
}

func (c *churn) secret(ctx context.Context, r *rand.Rand, ns, name string) error {
	pair, other := c.pairs[r.IntN(len(c.pairs))], c.pairs[r.IntN(len(c.pairs))]
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair[0], corev1.TLSPrivateKeyKey: other[1]}}
	api := c.client.CoreV1().Secrets(ns)
	return either(r,
		func() error { _, err := api.Create(ctx, secret, metav1.CreateOptions{}); return err },
		func() error { _, err := api.Update(ctx, secret, metav1.UpdateOptions{}); return err },
		func() error { return api.Delete(ctx, name, metav1.DeleteOptions{}) })
}

func class(name string) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}
}

// class lets classes come and go, but for the one that most Ingresses name.
func (c *churn) class(ctx context.Context, r *rand.Rand) error {
	name := fmt.Sprintf("class-%d", r.IntN(5))
	api := c.client.NetworkingV1().IngressClasses()
	if r.IntN(2) == 0 {
		return api.Delete(ctx, name, metav1.DeleteOptions{})
	}
	_, err := api.Create(ctx, class(name), metav1.CreateOptions{})
	return err
}

// namespace lets empty namespaces come and go. Without a controller for them, they are
// finalized here.
func (c *churn) namespace(ctx context.Context, r *rand.Rand) error {
	name := fmt.Sprintf("empty-%d", r.IntN(10))
	api := c.client.CoreV1().Namespaces()
	if r.IntN(2) == 0 {
		_, err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"routegate.dev/enforce": "observe"}}}, metav1.CreateOptions{})
		return err
	}
	if err := api.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	ns, err := api.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ns.Spec.Finalizers = nil
	_, err = api.Finalize(ctx, ns, metav1.UpdateOptions{})
	return err
}
