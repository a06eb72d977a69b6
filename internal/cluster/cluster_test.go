// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "app", Name: name, ResourceVersion: "1"}
}

func objects() []runtime.Object {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("web-a"), Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
	return []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}},
		&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}},
		&corev1.Service{ObjectMeta: meta("web")},
		slice,
		&corev1.Secret{ObjectMeta: meta("cert"), Data: map[string][]byte{"tls.crt": []byte("x")}},
	}
}

func refs() routing.References {
	return routing.References{Namespace: "app", Services: []string{"api", "web"}, Secrets: []string{"cert", "gone"}}
}

// start returns a running cluster over the client.
func start(t *testing.T, client *fake.Clientset) *cluster.Cluster {
	t.Helper()
	cl, err := cluster.New(cluster.Config{Client: client, SecretAccess: cluster.SecretsFull, LiveReads: 2, Log: logr.Discard(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Ready(); err == nil || !strings.Contains(err.Error(), "Service (not read yet)") {
		t.Errorf("before the start: Ready says %v", err)
	}
	run(t, cl)
	return cl
}

// run starts a cluster that stops with the test.
func run(t *testing.T, cl *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { cl.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func snapshot(t *testing.T, cl *cluster.Cluster, confirm ...routing.Ref) *routing.Snapshot {
	t.Helper()
	snap, err := cl.Snapshot(t.Context(), refs(), confirm)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestSnapshotHoldsWhatIsReferredTo(t *testing.T) {
	cl := start(t, fake.NewClientset(objects()...))
	await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })
	snap := snapshot(t, cl)
	for name, want := range map[string]routing.Known{"web": routing.Present, "api": routing.Absent} {
		if _, known := snap.Service("app", name); known != want {
			t.Errorf("Service %s: got %d, want %d", name, known, want)
		}
		if _, known := snap.SlicesOf("app", name); known != want {
			t.Errorf("slices of %s: got %d, want %d", name, known, want)
		}
	}
	for name, want := range map[string]routing.Known{"cert": routing.Present, "gone": routing.Absent} {
		if _, known := snap.Secret("app", name); known != want {
			t.Errorf("Secret %s: got %d, want %d", name, known, want)
		}
	}
	if c, known := snap.Class("nginx"); known != routing.Present || c.Controller != "k8s.io/ingress-nginx" {
		t.Errorf("class: got %+v, %d", c, known)
	}
	if names := snap.Names[routing.Ref{Kind: routing.Services, Namespace: "app"}]; len(names) != 1 || names[0] != "web" {
		t.Errorf("names to suggest: %v", names)
	}
}

// TestUnreadKind forbids one kind that may be missing and one that may not.
func TestUnreadKind(t *testing.T) {
	for _, tc := range []struct {
		resource string
		kind     routing.Kind
		ready    bool
	}{
		{"endpointslices", routing.EndpointSlices, true},
		{"secrets", routing.Secrets, true},
		{"services", routing.Services, false},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			client := fake.NewClientset(objects()...)
			forbid := func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource(tc.resource), "", errors.New("no"))
			}
			client.PrependReactor("list", tc.resource, forbid)
			client.PrependWatchReactor(tc.resource, func(clienttesting.Action) (bool, watch.Interface, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource(tc.resource), "", errors.New("no"))
			})
			cl := start(t, client)
			const reason = "Routegate is not allowed to read it"
			await(t, "the reason", func() bool {
				return snapshot(t, cl).CoverageOf(routing.Ref{Kind: tc.kind}).Reason == reason
			})
			if tc.ready {
				await(t, "readiness", func() bool { return cl.Ready() == nil })
			} else if err := cl.Ready(); err == nil || !strings.Contains(err.Error(), "Service ("+reason+")") {
				t.Errorf("Ready says %v", err)
			}
			if cl.Synced() {
				t.Error("Synced is true")
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	client := fake.NewClientset(objects()...)
	// The fake answers Gets differently from what its watches told.
	client.PrependReactor("get", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.(clienttesting.GetAction).GetName() == "api" {
			return true, &corev1.Service{ObjectMeta: meta("api")}, nil
		}
		return true, nil, apierrors.NewNotFound(corev1.Resource("services"), "web")
	})
	client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("boom"))
	})
	cl := start(t, client)
	await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })

	secret := routing.Ref{Kind: routing.Secrets, Namespace: "app", Name: "cert"}
	snap := snapshot(t, cl,
		routing.Ref{Kind: routing.Services, Namespace: "app", Name: "api"},
		routing.Ref{Kind: routing.Services, Namespace: "app", Name: "web"},
		routing.Ref{Kind: routing.EndpointSlices, Namespace: "app", Name: "web"},
		routing.Ref{Kind: routing.IngressClasses, Name: "nginx"},
		routing.Ref{Kind: routing.Namespaces, Name: "app"},
		secret,
	)
	for name, want := range map[string]routing.Known{"web": routing.Absent, "api": routing.Present} {
		if _, known := snap.Service("app", name); known != want {
			t.Errorf("Service %s: got %d, want %d", name, known, want)
		}
	}
	if _, known := snap.Secret("app", "cert"); known != routing.Unread {
		t.Errorf("Secret whose read failed: got %d, want unread", known)
	}
	if got := snap.CoverageOf(secret).Reason; got != "the API server answered InternalError" {
		t.Errorf("reason is %q", got)
	}
	if _, known := snap.Secret("app", "gone"); known != routing.Absent {
		t.Errorf("another Secret: got %d, want absent", known)
	}
	if found, known := snap.SlicesOf("app", "web"); known != routing.Present || len(found) != 1 {
		t.Errorf("slices: got %d, %d", len(found), known)
	}
	if n, known := snap.Namespace("app"); known != routing.Present || n.Name != "app" {
		t.Errorf("namespace: got %+v, %d", n, known)
	}
}

// TestForeignNotFound answers a live read with a 404 that does not come from the
// API server, as a proxy before it may: it is no proof that an object is absent.
func TestForeignNotFound(t *testing.T) {
	client := fake.NewClientset(objects()...)
	client.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewGenericServerResponse(404, "GET", corev1.Resource("services"), "web", "404 page not found", 0, true)
	})
	cl := start(t, client)
	await(t, "sync", func() bool { return cl.Ready() == nil })
	ref := routing.Ref{Kind: routing.Services, Namespace: "app", Name: "web"}
	if _, known := snapshot(t, cl, ref).Service("app", "web"); known != routing.Unread {
		t.Errorf("got %d, want unread", known)
	}
}

func TestConfirmEndsWithTheContext(t *testing.T) {
	client := fake.NewClientset(objects()...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, ctx.Err()
	})
	cl := start(t, client)
	await(t, "sync", func() bool { return cl.Ready() == nil })
	ref := routing.Ref{Kind: routing.Services, Namespace: "app", Name: "web"}
	snap, err := cl.Snapshot(ctx, refs(), []routing.Ref{ref})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := snap.Service("app", "web"); known != routing.Unread {
		t.Errorf("got %d, want unread", known)
	}
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	_, err := cluster.New(cluster.Config{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Client must be set", "LiveReads is 0; must be at least 1", "Metrics must be set"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestDecodeNamesTheDocument(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown field": {"kind: Service\napiVersion: v1\nmetadata: {name: a}\n---\nkind: Service\napiVersion: v1\nspec: {prots: []}\n", `document 2: strict decoding error: unknown field "spec.prots"`},
		"unknown kind":  {"kind: Servise\napiVersion: v1\n", `document 1: no kind "Servise" is registered`},
		"not YAML":      {"kind: [\n", "document 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster.Decode(strings.NewReader(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
	objs, err := cluster.Decode(strings.NewReader("# nothing\n---\n---\nkind: Service\napiVersion: v1\nmetadata: {name: a}\n---\n"))
	if err != nil || len(objs) != 1 {
		t.Errorf("empty documents: got %d objects, %v", len(objs), err)
	}
}

func TestStaticDelete(t *testing.T) {
	s := cluster.NewStatic()
	for _, obj := range objects() {
		if err := s.Apply(obj.(metav1.Object)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(&corev1.Service{ObjectMeta: meta("web")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(&corev1.Service{ObjectMeta: meta("never-there")}); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot(t.Context(), refs(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, known := snap.Service("app", "web"); known != routing.Absent {
		t.Errorf("got %d, want absent", known)
	}
}

// TestIngressLabels keeps those labels that the policy selects by, in the cache and in
// live reads.
func TestIngressLabels(t *testing.T) {
	ing := &networkingv1.Ingress{ObjectMeta: meta("web")}
	ing.Labels = map[string]string{"team": "shop", "chart": "web-1", "acme.cert-manager.io/http01-solver": "true"}
	want := map[string]string{"team": "shop", "acme.cert-manager.io/http01-solver": "true"}
	cl, err := cluster.New(cluster.Config{
		Client: fake.NewClientset(append(objects(), ing)...), SecretAccess: cluster.SecretsOff, IngressLabels: []string{"stage", "team"},
		LiveReads: 1, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, cl)
	key := routing.Key{Namespace: "app", Name: "web"}
	await(t, "the Ingress", func() bool { return cl.Ingress(key) != nil })
	if got := cl.Ingress(key).Labels; !maps.Equal(got, want) {
		t.Errorf("the cache keeps %v, want %v", got, want)
	}
	live, err := cl.ReadIngress(t.Context(), "app", "web")
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(live.Labels, want) {
		t.Errorf("a live read keeps %v, want %v", live.Labels, want)
	}
}
