// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// forbid refuses to list a resource, in the namespaces for which it is said so.
func forbid(client *fake.Clientset, resource string, in func(namespace string) bool) {
	client.PrependReactor("list", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		if !in(action.GetNamespace()) {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
	})
}

func TestListReadsEverything(t *testing.T) {
	ing := &networkingv1.Ingress{ObjectMeta: meta("web"), Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "a.example"}}}}
	s, err := cluster.List(t.Context(), fake.NewClientset(append(objects(), ing)...), cluster.Listing{Namespace: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if unread := s.Unread(); len(unread) > 0 {
		t.Errorf("unread: %v", unread)
	}
	snap, ingresses := s.Everything()
	if len(ingresses) != 1 || len(snap.Sharing["a.example"]) != 1 || len(snap.Classes) != 1 || len(snap.Services) != 1 || len(snap.Secrets) != 1 || len(snap.Namespaces) != 1 {
		t.Errorf("got %d Ingresses and %+v", len(ingresses), snap)
	}
	if found, known := snap.SlicesOf("app", "web"); known != routing.Present || len(found) != 1 {
		t.Errorf("got %d EndpointSlices, %v", len(found), known)
	}
	if _, known := snap.Service("app", "gone"); known != routing.Absent {
		t.Errorf("a Service that is not there is %v", known)
	}
}

func TestListMarksWhatIsForbidden(t *testing.T) {
	client := fake.NewClientset(objects()...)
	everywhere := func(string) bool { return true }
	forbid(client, "secrets", everywhere)
	forbid(client, "namespaces", everywhere)
	forbid(client, "services", func(namespace string) bool { return namespace == metav1.NamespaceAll })
	s, err := cluster.List(t.Context(), client, cluster.Listing{Namespace: "app"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range s.Unread() {
		got = append(got, string(u.Kind)+": "+u.Reason)
	}
	want := "Service: you are not allowed to list it outside the namespace app\nSecret: you are not allowed to list it\nNamespace: you are not allowed to list it"
	if strings.Join(got, "\n") != want {
		t.Errorf("got %q", got)
	}
	snap, _ := s.Everything()
	if _, known := snap.Service("app", "web"); known != routing.Present {
		t.Errorf("a Service of the namespace is %v", known)
	}
	if _, known := snap.Service("other", "web"); known != routing.Unread {
		t.Errorf("a Service of another namespace is %v", known)
	}
	if _, known := snap.Secret("app", "cert"); known != routing.Unread {
		t.Errorf("a Secret is %v", known)
	}
}

func TestListFails(t *testing.T) {
	client := fake.NewClientset()
	forbid(client, "ingresses", func(string) bool { return true })
	if _, err := cluster.List(t.Context(), client, cluster.Listing{Namespace: "app"}); err == nil || !strings.HasPrefix(err.Error(), "cannot list the kind Ingress: ") {
		t.Errorf("without Ingresses: got %v", err)
	}
	client = fake.NewClientset()
	client.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
	if _, err := cluster.List(t.Context(), client, cluster.Listing{Namespace: "app"}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without an API server: got %v", err)
	}
}

func TestIngressesOfOneNamespace(t *testing.T) {
	s := cluster.NewStatic()
	for _, key := range [][2]string{{"app", "web"}, {"app-2", "web"}, {"app", "api"}, {"ap", "p"}} {
		if err := s.Apply(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: key[0], Name: key[1]}}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, ing := range s.Ingresses("app") {
		names = append(names, ing.Namespace+"/"+ing.Name)
	}
	if got := strings.Join(names, " "); got != "app/api app/web" {
		t.Errorf("got %q", got)
	}
}

// TestListReadsNamedConfigMaps reads those that Ingresses name, one by one, and no other.
func TestListReadsNamedConfigMaps(t *testing.T) {
	naming := func(name string) *networkingv1.Ingress {
		ing := &networkingv1.Ingress{ObjectMeta: meta(name)}
		ing.Annotations = map[string]string{"nginx.ingress.kubernetes.io/auth-proxy-set-headers": name, "nginx.ingress.kubernetes.io/auth-url": "http://a.example"}
		return ing
	}
	client := fake.NewClientset(naming("there"), naming("gone"), naming("hidden"),
		&corev1.ConfigMap{ObjectMeta: meta("there"), Data: map[string]string{"a": "b"}}, &corev1.ConfigMap{ObjectMeta: meta("other")})
	client.PrependReactor("get", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if get, ok := action.(clienttesting.GetAction); !ok || get.GetName() != "hidden" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "hidden", errors.New("no"))
	})
	s, err := cluster.List(t.Context(), client, cluster.Listing{Namespace: "app"})
	if err != nil {
		t.Fatal(err)
	}
	snap, _ := s.Everything()
	for name, want := range map[string]routing.Known{"there": routing.Present, "gone": routing.Absent, "hidden": routing.Unread} {
		if _, known := snap.ConfigMap("app", name); known != want {
			t.Errorf("%s: got %v, want %v", name, known, want)
		}
	}
	if len(snap.ConfigMaps) != 1 {
		t.Errorf("got %d ConfigMaps, want the named one", len(snap.ConfigMaps))
	}
	client.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection reset")
	})
	if _, err := cluster.List(t.Context(), client, cluster.Listing{Namespace: "app"}); err == nil || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("got %v, want the failure", err)
	}
}
