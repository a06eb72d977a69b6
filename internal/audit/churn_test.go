// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// After any sequence of changes, what an Auditor knows of each Ingress is what a
// judgement of everything from scratch says.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { churn(t, seed, 6, time.Minute) })
		})
	}
}

// The same after an hour, in which certificates expire.
func TestIncrementalEqualsFromScratchAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { churn(t, 1, 6, 10*time.Minute) })
}

// churn changes objects for so many rounds of that length, and compares after each.
func churn(t *testing.T, seed uint64, rounds int, length time.Duration) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 8)), start: time.Now()}
	g.certificates = certificatesUntil(t, g.start)
	static := newStatic()
	there := map[string]metav1.Object{}
	change := func() {
		obj := g.object()
		name := fmt.Sprintf("%T %s/%s", obj, obj.GetNamespace(), obj.GetName())
		do := static.Apply
		if g.IntN(4) == 0 {
			do = static.Delete
			delete(there, name)
		} else {
			there[name] = obj
		}
		if err := do(obj); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		change()
	}
	// What concerns all Ingresses would hide what is missed of one.
	g.calm = seed%2 == 1
	rules, err := policy.File{Terms: policy.Terms{GracePeriod: "1m"}}.Compile(checks.All())
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{
		Cluster: static, Rules: func() *policy.Rules { return rules },
		Clock: clock.RealClock{}, Settle: time.Second, MaxSeries: 1, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Lead(ctx)
	}()
	for round := range rounds {
		// In the last half minute of a round certificates may expire, and nothing else
		// happens.
		end := g.start.Add(time.Duration(round+1) * length)
		for time.Until(end) > 30*time.Second {
			change()
			if g.IntN(3) == 0 {
				time.Sleep(time.Duration(g.IntN(3000)) * time.Millisecond)
			}
			synctest.Wait()
		}
		time.Sleep(time.Until(end))
		synctest.Wait()
		got, want := known(a.current()), fromScratch(t, a, there)
		for key := range maps.Keys(want) {
			if got[key] != want[key] {
				t.Errorf("round %d: %s/%s is\n%s\nfrom scratch it is\n%s", round, key.Namespace, key.Name, got[key], want[key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("round %d: %d Ingresses are known, must be %d", round, len(got), len(want))
		}
	}
	end()
	<-ended
	synctest.Wait()
}

// known is what an Auditor knows of each Ingress, as text.
func known(r *round) map[routing.Key]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[routing.Key]string{}
	for key, e := range r.ingresses {
		var lines []string
		for id, f := range e.findings {
			lines = append(lines, fmt.Sprintf("%s %v %v", f.mode, id, f.counts))
		}
		slices.Sort(lines)
		all[key] = fmt.Sprintln(lines, e.routable(), e.certificates)
	}
	return all
}

// newStatic is a cluster of which everything is read.
func newStatic() *cluster.Static {
	static := cluster.NewStatic(append([]routing.Kind{routing.NetworkPolicies},
		slices.DeleteFunc(routing.Kinds(), func(k routing.Kind) bool { return slices.Contains(routing.OptionalKinds(), k) })...)...)
	static.Settings.ControllerPods = []routing.ControllerPods{{Namespace: "edge"}}
	return static
}

// fromScratch judges all Ingresses of a new cluster of these objects, and takes what it
// finds as lasting. Nothing of what was kept before has a part in it.
func fromScratch(t *testing.T, a *Auditor, there map[string]metav1.Object) map[routing.Key]string {
	static := newStatic()
	for _, obj := range there {
		if err := static.Apply(obj); err != nil {
			t.Fatal(err)
		}
	}
	scratch := &round{Auditor: a, ingresses: map[routing.Key]*entry{}}
	for _, key := range static.IngressKeys() {
		ing := static.Ingress(key)
		if ing.DeletionTimestamp != nil {
			continue
		}
		snap, err := static.Snapshot(t.Context(), routing.ReferencesOf(ing), nil)
		if err != nil {
			t.Fatal(err)
		}
		snap.Now = time.Now()
		e := &entry{uid: ing.UID}
		e.update(Judge(a.Rules(), ing, snap), snap.Now, 0)
		scratch.ingresses[key] = e
	}
	return known(scratch)
}

// generator makes objects that have much to do with each other.
type generator struct {
	*rand.Rand
	start time.Time
	made  int
	// calm is true where nothing is made that concerns all Ingresses.
	calm bool
	// certificates are TLS Secrets' data.
	certificates []map[string][]byte
}

// certificatesUntil are certificates for the hosts that the Ingresses have, which expire
// one after the other within the hour, each in the last quarter of a minute.
func certificatesUntil(t *testing.T, start time.Time) []map[string][]byte {
	t.Helper()
	var all []map[string][]byte
	for _, minutes := range []time.Duration{0, 1, 3, 5, 9, 29, 59, 100} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), DNSNames: []string{"a.example", "www.a.example", "*.example"},
			NotBefore: start.Add(-time.Hour), NotAfter: start.Add(minutes*time.Minute + 45*time.Second),
		}
		der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		})
	}
	return all
}

func pick[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

func (g *generator) meta(namespace, name string) metav1.ObjectMeta {
	g.made++
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), ResourceVersion: fmt.Sprint(g.made),
		CreationTimestamp: metav1.NewTime(g.start.Add(time.Duration(g.IntN(50)-100) * time.Second)),
	}
}

func (g *generator) namespace() string { return pick(g, "a", "b") }

func (g *generator) host() string {
	return pick(g, "", "a.example", "b.example", "www.a.example", "*.example", "x.b.example")
}

func (g *generator) object() metav1.Object {
	switch g.IntN(12) {
	case 0:
		if g.calm {
			break
		}
		return &networkingv1.IngressClass{ObjectMeta: g.meta("", pick(g, "nginx", "nginx", "other")),
			Spec: networkingv1.IngressClassSpec{Controller: pick(g, "k8s.io/ingress-nginx", "k8s.io/ingress-nginx", "example.com/other")}}
	case 1:
		ns := &corev1.Namespace{ObjectMeta: g.meta("", pick(g, "a", "b", "edge"))}
		if g.calm {
			ns.Name = g.namespace()
		}
		ns.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Duration(g.IntN(100)) * time.Second))
		return ns
	case 2, 3:
		svc := &corev1.Service{ObjectMeta: g.meta(g.namespace(), pick(g, "web", "api")), Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: pick(g, "10.0.0.1", "None"), Selector: map[string]string{"app": "x"},
			Ports: []corev1.ServicePort{{Name: pick(g, "", "http"), Port: pick[int32](g, 80, 81), Protocol: corev1.ProtocolTCP}},
		}}
		if g.IntN(8) == 0 {
			svc.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: pick(g, "localhost", "elsewhere.example")}
		}
		return svc
	case 4, 5:
		name, protocol, port := pick(g, "web", "api"), corev1.ProtocolTCP, pick[int32](g, 80, 8080)
		s := &discoveryv1.EndpointSlice{
			ObjectMeta: g.meta(g.namespace(), name+pick(g, "-1", "-2")), AddressType: discoveryv1.AddressTypeIPv4,
			Ports: []discoveryv1.EndpointPort{{Name: new(string), Port: &port, Protocol: &protocol}},
		}
		s.Labels = map[string]string{discoveryv1.LabelServiceName: name}
		for range g.IntN(3) {
			ready := g.IntN(2) == 0
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
		}
		return s
	case 6:
		if g.IntN(2) == 0 {
			return &corev1.Secret{ObjectMeta: g.meta(g.namespace(), "cert"), Type: corev1.SecretTypeTLS, Data: pick(g, g.certificates...)}
		}
		return &corev1.Secret{ObjectMeta: g.meta(g.namespace(), pick(g, "cert", "auth")), Data: map[string][]byte{
			pick(g, "auth", "tls.crt", "ca.crt"): []byte(pick(g, "x", "user:$apr1$1"))}}
	case 7:
		policy := &networkingv1.NetworkPolicy{ObjectMeta: g.meta(g.namespace(), "policy")}
		policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if g.IntN(2) == 0 {
			policy.Spec.PodSelector.MatchLabels = map[string]string{"app": "x"}
		}
		return policy
	}
	return g.ingress()
}

// annotations are names, each with the values that it may have.
var annotations = [][]string{
	{"use-regex", "true"}, {"server-alias", "a.example", "c.example", "x.b.example"}, {"canary", "true"}, {"canary-weight", "20"},
	{"rewrite-target", "/$1"}, {"from-to-www-redirect", "true"}, {"ssl-redirect", "true"}, {"auth-type", "basic"},
	{"auth-secret", "auth", "a/auth"}, {"default-backend", "api"}, {"app-root", "/a"}, {"service-upstream", "true"},
	{"ssl-passthrough", "true"}, {"auth-tls-secret", "a/auth"}, {"auth-url", "http://api.a.svc.cluster.local/"},
}

func (g *generator) ingress() *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: g.meta(g.namespace(), pick(g, "one", "two", "three", "four"))}
	if class := pick(g, "nginx", "nginx", "nginx", "other", ""); class != "" {
		ing.Spec.IngressClassName = &class
	}
	if g.IntN(20) == 0 {
		now := metav1.Now()
		ing.DeletionTimestamp = &now
	}
	backend := func() networkingv1.IngressBackend {
		return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: pick(g, "web", "api"), Port: networkingv1.ServiceBackendPort{Number: pick[int32](g, 80, 80, 81)}}}
	}
	for range g.IntN(3) {
		rule := networkingv1.IngressRule{Host: g.host()}
		rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
		for range 1 + g.IntN(2) {
			kind := pick(g, networkingv1.PathTypePrefix, networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific)
			path := pick(g, "/", "/a", "/a/", "/a(.*)", "/b(c")
			if g.calm && path == "/b(c" {
				path = "/b"
			}
			rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{Path: path, PathType: &kind, Backend: backend()})
		}
		ing.Spec.Rules = append(ing.Spec.Rules, rule)
	}
	if len(ing.Spec.Rules) == 0 || g.IntN(6) == 0 {
		b := backend()
		ing.Spec.DefaultBackend = &b
	}
	if g.IntN(3) == 0 {
		ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{g.host()}, SecretName: pick(g, "cert", "")}}
		if ing.Spec.TLS[0].Hosts[0] == "" {
			ing.Spec.TLS[0].Hosts = nil
		}
	}
	ing.Annotations = map[string]string{}
	for _, annotation := range annotations {
		if g.IntN(10) == 0 {
			ing.Annotations[routing.NginxPrefix+annotation[0]] = pick(g, annotation[1:]...)
		}
	}
	return ing
}
