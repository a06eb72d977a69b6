// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// inScope returns a running cluster that reads the namespaces app and more alone.
func inScope(t *testing.T, client *fake.Clientset, access cluster.SecretAccess) *cluster.Cluster {
	t.Helper()
	cl, err := cluster.New(cluster.Config{
		Client: client, SecretAccess: access, Namespaces: []string{"app", "more"},
		Settings:  routing.Settings{ControllerPods: []routing.ControllerPods{{Namespace: "ingress-nginx"}}},
		LiveReads: 2, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, cl)
	await(t, "readiness", func() bool { return cl.Ready() == nil })
	return cl
}

func in(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "1"}
}

func ingressOf(namespace, name string) *networkingv1.Ingress {
	return &networkingv1.Ingress{ObjectMeta: in(namespace, name), Spec: networkingv1.IngressSpec{
		TLS: []networkingv1.IngressTLS{{SecretName: name}}, Rules: []networkingv1.IngressRule{{Host: "a.example"}},
	}}
}

func severalNamespaces() []runtime.Object {
	all := objects()
	for _, ns := range []string{"more", "outside", "ingress-nginx"} {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	for _, ns := range []string{"app", "more", "outside"} {
		all = append(all, ingressOf(ns, "shop"), &corev1.Service{ObjectMeta: in(ns, "shop")}, &corev1.Secret{ObjectMeta: in(ns, "shop")})
	}
	return all
}

func snapshotFor(t *testing.T, cl *cluster.Cluster, namespace string, confirm ...routing.Ref) *routing.Snapshot {
	t.Helper()
	snap, err := cl.Snapshot(t.Context(), routing.References{
		Namespace: namespace, Services: []string{"shop", "gone"}, Secrets: []string{"shop", "gone"}, ConfigMaps: []string{"any"}, Hosts: []string{"a.example"},
	}, confirm)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// TestScope compares what is known of two namespaces in scope, of what is outside, and
// what was asked of the API server.
func TestScope(t *testing.T) {
	client := fake.NewClientset(severalNamespaces()...)
	cl := inScope(t, client, cluster.SecretsFull)
	await(t, "sync", cl.Synced)

	for _, ns := range []string{"app", "more"} {
		snap := snapshotFor(t, cl, ns)
		for name, want := range map[string]routing.Known{"shop": routing.Present, "gone": routing.Absent} {
			if _, known := snap.Service(ns, name); known != want {
				t.Errorf("Service %s/%s: got %d, want %d", ns, name, known, want)
			}
			if got := snap.SecretExists(ns, name); got != want {
				t.Errorf("Secret %s/%s: got %d, want %d", ns, name, got, want)
			}
			if _, known := snap.Secret(ns, name); known != want {
				t.Errorf("what Secret %s/%s holds: got %d, want %d", ns, name, known, want)
			}
		}
		if n, known := snap.Namespace(ns); known != routing.Present || n.Name != ns {
			t.Errorf("Namespace %s: got %+v, %d", ns, n, known)
		}
		if _, known := snap.NetworkPoliciesIn(ns); known != routing.Present {
			t.Errorf("NetworkPolicies in %s: got %d", ns, known)
		}
		if got := len(snap.Sharing["a.example"]); got != 2 || !snap.IngressesInPart() {
			t.Errorf("%d Ingresses share the host, in part: %t; must be those of the two namespaces, in part", got, snap.IngressesInPart())
		}
		for _, other := range []string{"app", "more"} {
			if got := snap.SecretExists(other, "shop"); got != routing.Present {
				t.Errorf("from %s, Secret of the Ingress in %s: got %d", ns, other, got)
			}
		}
		if _, known := snap.Service("outside", "shop"); known != routing.Unread {
			t.Errorf("Service outside: got %d, want unread", known)
		}
		if got := snap.SecretExists("outside", "gone"); got != routing.Unread {
			t.Errorf("Secret outside: got %d, want unread", got)
		}
		if _, known := snap.Namespace("outside"); known != routing.Unread {
			t.Errorf("Namespace outside: got %d, want unread", known)
		}
		if n, known := snap.Namespace("ingress-nginx"); known != routing.Present || n.Name != "ingress-nginx" {
			t.Errorf("Namespace of the controller: got %+v, %d", n, known)
		}
		if c, known := snap.Class("nginx"); known != routing.Present || c.Name != "nginx" {
			t.Errorf("class: got %+v, %d", c, known)
		}
	}

	service := routing.Ref{Kind: routing.Services, Namespace: "outside", Name: "shop"}
	snap := snapshotFor(t, cl, "outside", service)
	for what, ref := range map[string]routing.Ref{
		"Ingresses": {Kind: routing.Ingresses}, "a Service": {Kind: routing.Services, Namespace: "outside", Name: "gone"},
		"a confirmed Service": service, "a ConfigMap": {Kind: routing.ConfigMaps, Namespace: "outside", Name: "any"},
	} {
		if c := snap.CoverageOf(ref); c != (routing.Coverage{Reason: "Routegate does not read this namespace"}) {
			t.Errorf("an Ingress outside: coverage of %s is %+v", what, c)
		}
	}

	for _, a := range client.Actions() {
		switch resource := a.GetResource().Resource; {
		case resource == "ingressclasses":
		case resource == "namespaces":
			if list, ok := a.(clienttesting.ListAction); ok && list.GetListRestrictions().Fields.Empty() {
				t.Errorf("Namespaces are listed without a name")
			}
		case !slices.Contains([]string{"app", "more"}, a.GetNamespace()):
			t.Errorf("%s %s in namespace %q", a.GetVerb(), resource, a.GetNamespace())
		}
	}
}

// TestScopeReadsSecretsOneByOneOnlyInside holds the modes without a cache to the
// namespaces.
func TestScopeReadsSecretsOneByOneOnlyInside(t *testing.T) {
	client := fake.NewClientset(severalNamespaces()...)
	cl := inScope(t, client, cluster.SecretsGet)
	if got := snapshotFor(t, cl, "more").SecretExists("more", "shop"); got != routing.Present {
		t.Errorf("inside: got %d", got)
	}
	if got := snapshotFor(t, cl, "outside").SecretExists("outside", "shop"); got != routing.Unread {
		t.Errorf("outside: got %d, want unread", got)
	}
	for _, a := range client.Actions() {
		if a.GetVerb() == "get" && a.GetNamespace() == "outside" {
			t.Errorf("asked for %s", a.GetResource().Resource)
		}
	}
}

// TestNamespaceWithoutRights reads one namespace of two. The other is unread, and no
// other is kept waiting; once its rights are there, it is read too.
func TestNamespaceWithoutRights(t *testing.T) {
	client := fake.NewClientset(severalNamespaces()...)
	const refused, broken, fine = 0, 1, 2
	var state atomic.Int32
	refuse := func(a clienttesting.Action) error {
		switch {
		case a.GetNamespace() != "more" || state.Load() == fine:
			return nil
		case state.Load() == broken:
			return apierrors.NewInternalError(errors.New("boom"))
		}
		return apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
	}
	state.Store(refused)
	client.PrependReactor("list", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		err := refuse(a)
		return err != nil, nil, err
	})
	client.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		err := refuse(a)
		return err != nil, nil, err
	})
	cl := inScope(t, client, cluster.SecretsFull)

	reasonIs := func(reason string) func() bool {
		return func() bool {
			return snapshotFor(t, cl, "more").CoverageOf(routing.Ref{Kind: routing.Services, Namespace: "more"}).Reason == reason
		}
	}
	await(t, "the reason", reasonIs("Routegate is not allowed to read it"))
	if _, known := snapshotFor(t, cl, "more").Service("more", "gone"); known != routing.Unread {
		t.Errorf("Service of the namespace: got %d, want unread", known)
	}
	if c := snapshotFor(t, cl, "more").CoverageOf(routing.Ref{Kind: routing.Ingresses}); c.Read {
		t.Errorf("Ingresses for the namespace: got %+v, want unread", c)
	}
	snap := snapshotFor(t, cl, "app")
	if _, known := snap.Service("app", "gone"); known != routing.Absent {
		t.Errorf("Service of the other: got %d, want absent", known)
	}
	if got := snap.SecretExists("more", "shop"); got != routing.Unread {
		t.Errorf("Secret of the namespace, from the other: got %d, want unread", got)
	}

	// A replica that is ready does not cease to be so because the API server fails.
	state.Store(broken)
	await(t, "the other reason", reasonIs("the API server answered InternalError"))
	if err := cl.Ready(); err != nil {
		t.Errorf("after another failure: Ready says %v", err)
	}

	state.Store(fine)
	await(t, "the namespace", func() bool {
		_, known := snapshotFor(t, cl, "more").Service("more", "gone")
		return known == routing.Absent && len(snapshotFor(t, cl, "app").Sharing["a.example"]) == 2
	})
}

// TestNoNamespaceWithRights has nothing to judge with.
func TestNoNamespaceWithRights(t *testing.T) {
	client := fake.NewClientset(severalNamespaces()...)
	client.PrependReactor("list", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
	})
	client.PrependWatchReactor("services", func(a clienttesting.Action) (bool, watch.Interface, error) {
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
	})
	cl, err := cluster.New(cluster.Config{
		Client: client, SecretAccess: cluster.SecretsOff, Namespaces: []string{"app", "more"},
		LiveReads: 2, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Ready(); err == nil || !strings.Contains(err.Error(), `Service of namespace "app" (not read yet)`) {
		t.Errorf("before the start: Ready says %v", err)
	}
	run(t, cl)
	await(t, "the reason", func() bool {
		err := cl.Ready()
		return err != nil && strings.Contains(err.Error(), `Service of namespace "more" (Routegate is not allowed to read it)`)
	})
}

func TestScopeIsValidated(t *testing.T) {
	_, err := cluster.New(cluster.Config{Namespaces: []string{"app", "", "App", "app"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`namespace "": a lowercase RFC 1123 label must consist`, `namespace "App": a lowercase`, `namespace "app": must be named once`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}
