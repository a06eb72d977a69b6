// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// told is what a follower was told.
type told struct {
	mu      sync.Mutex
	changed map[string]bool
	all     int
}

func (f *told) follow(t *testing.T, c interface {
	Follow(context.Context, func(routing.Key), func())
}) {
	c.Follow(t.Context(), func(key routing.Key) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.changed == nil {
			f.changed = map[string]bool{}
		}
		f.changed[key.Name] = true
	}, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all++
	})
}

// take returns what was told since the last call.
func (f *told) take() (changed []string, all int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, all = slices.Sorted(maps.Keys(f.changed)), f.all
	f.changed, f.all = nil, 0
	return changed, all
}

// TestFollow changes one object in a cluster of Ingresses that have it in their
// Snapshot for different reasons.
func TestFollow(t *testing.T) {
	ingress := func(name, host string, change func(*networkingv1.Ingress)) *networkingv1.Ingress {
		ing := withPath(name, "nginx", host, "/", false)
		ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = name
		if change != nil {
			change(ing)
		}
		return ing
	}
	tls := func(hosts ...string) func(*networkingv1.Ingress) {
		return func(ing *networkingv1.Ingress) {
			ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts, SecretName: "cert"}}
		}
	}
	elsewhere := ingress("elsewhere", "z.example", nil)
	elsewhere.Namespace = "other"
	world := []metav1.Object{
		ingress("shop", "shop.example", tls("shop.example")), ingress("twin", "www.shop.example", nil), ingress("sub", "a.shop.example", nil),
		ingress("wild", "*.shop.example", nil), ingress("same", "shop.example", nil), ingress("apart", "apart.example", nil),
		ingress("lends", "lends.example", tls("apart.example")), elsewhere,
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("x"), AddressType: discoveryv1.AddressTypeIPv4}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "apart"}
	ns := func(name string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	for name, tc := range map[string]struct {
		obj  metav1.Object
		want []string
		all  bool
	}{
		"an Ingress of its own":            {ingress("new", "new.example", nil), []string{"new"}, false},
		"the same host, and hosts near it": {ingress("new", "shop.example", nil), []string{"new", "same", "shop", "twin"}, false},
		"a wildcard":                       {ingress("new", "*.shop.example", nil), []string{"new", "sub", "twin", "wild"}, false},
		"a host of spec.tls":               {ingress("new", "apart.example", nil), []string{"apart", "lends", "new"}, false},
		"the same upstream": {ingress("new", "new.example", func(ing *networkingv1.Ingress) {
			ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "apart"
		}), []string{"apart", "new"}, false},
		"a Service":            {&corev1.Service{ObjectMeta: meta("apart")}, []string{"apart"}, false},
		"a Service of no use":  {&corev1.Service{ObjectMeta: meta("unused")}, nil, false},
		"an EndpointSlice":     {slice, []string{"apart"}, false},
		"a Secret":             {&corev1.Secret{ObjectMeta: meta("cert"), Data: map[string][]byte{"a": nil}}, []string{"lends", "same", "shop", "twin"}, false},
		"a Namespace":          {ns("other"), []string{"elsewhere"}, false},
		"a controller's":       {ns("edge"), nil, true},
		"a NetworkPolicy":      {&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "x"}}, []string{"elsewhere"}, false},
		"an IngressClass":      {class("another", "example.com/x"), nil, true},
		"something never kept": {&corev1.ConfigMap{ObjectMeta: meta("apart")}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster.NewStatic()
			s.Settings.ControllerPods = []routing.ControllerPods{{Namespace: "edge"}}
			for _, obj := range world {
				if err := s.Apply(obj); err != nil {
					t.Fatal(err)
				}
			}
			var f told
			f.follow(t, s)
			if changed, all := f.take(); all != 1 || changed != nil {
				t.Fatalf("at first: %v, all %d times; must be all once", changed, all)
			}
			expect := func(when string, want []string, all bool) {
				t.Helper()
				got, n := f.take()
				if !slices.Equal(got, want) || (n > 0) != all {
					t.Errorf("%s: told of %v, all %d times; must be %v, all: %v", when, got, n, want, all)
				}
			}
			apply := func(obj metav1.Object) {
				t.Helper()
				if err := s.Apply(obj); err != nil {
					t.Fatal(err)
				}
			}
			apply(tc.obj)
			expect("made", tc.want, tc.all)
			tc.obj.SetResourceVersion("2")
			apply(tc.obj)
			expect("written without a change", nil, false)
			if err := s.Delete(tc.obj); err != nil {
				t.Fatal(err)
			}
			expect("deleted", tc.want, tc.all)
		})
	}
}

// TestFollowLive follows informers, one of which may not read its kind at first.
func TestFollowLive(t *testing.T) {
	client := fake.NewClientset(append(objects(), withPath("web", "nginx", "a.example", "/", false))...)
	var forbidden sync.Map
	forbidden.Store("secrets", true)
	client.PrependReactor("list", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
		if _, no := forbidden.Load("secrets"); no {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
		}
		return false, nil, nil
	})
	cl, err := cluster.New(cluster.Config{
		Client: client, SecretAccess: cluster.SecretsFull, Followed: true, LiveReads: 1, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, cl)
	ctx, end := context.WithCancel(t.Context())
	var f told
	done := make(chan struct{})
	go func() {
		defer close(done)
		cl.Follow(ctx, func(key routing.Key) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed = map[string]bool{key.Name: true}
		}, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.all++
		})
	}()
	expect := func(what string, want []string, all bool) {
		t.Helper()
		await(t, what, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Equal(slices.Sorted(maps.Keys(f.changed)), want) && (f.all > 0) == all
		})
		f.take()
	}
	expect("all, once what must be read was", nil, true)
	if err := client.CoreV1().Services("app").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("the Ingress of a Service that was deleted", []string{"web"}, false)
	forbidden.Delete("secrets")
	expect("all, as Secrets can be read at last", nil, true)
	end()
	<-done
	if _, err := client.CoreV1().Services("app").Create(t.Context(), &corev1.Service{ObjectMeta: meta("web")}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the cache", func() bool {
		_, known := snapshot(t, cl).Service("app", "web")
		return known == routing.Present
	})
	if changed, all := f.take(); changed != nil || all != 0 {
		t.Errorf("told of %v, all %d times, after the end", changed, all)
	}
	if got := cl.Ingress(routing.Key{Namespace: "app", Name: "web"}); got == nil || len(cl.IngressKeys()) != 1 {
		t.Errorf("Ingress is %v, all are %v", got, cl.IngressKeys())
	}
}
