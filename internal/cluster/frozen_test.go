// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// withPath is an Ingress with one path, as regular expression where regex is true.
func withPath(name, class, host, path string, regex bool) *networkingv1.Ingress {
	ing := oneRule(metav1.ObjectMeta{Namespace: "app", Name: name}, host)
	ing.Spec.IngressClassName = &class
	ing.Spec.Rules[0].HTTP.Paths[0].Path = path
	implementation := networkingv1.PathTypeImplementationSpecific
	ing.Spec.Rules[0].HTTP.Paths[0].PathType = &implementation
	if regex {
		ing.Annotations = map[string]string{routing.NginxPrefix + "use-regex": "true"}
	}
	return ing
}

func class(name, controller string) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
}

// frozenIn lists who freezes what: "controller app/name host".
func frozenIn(snap *routing.Snapshot) []string {
	list := []string{}
	for _, f := range snap.Frozen {
		list = append(list, strings.Join([]string{f.Controller, f.Ingress.Namespace + "/" + f.Ingress.Name, f.Host}, " "))
	}
	return list
}

func TestFrozen(t *testing.T) {
	const nginx, internal = "k8s.io/ingress-nginx", "example.com/internal-nginx"
	bad, good := withPath("web", "nginx", "a.example", "/b(c", true), withPath("web", "nginx", "a.example", "/bc", true)
	moved := withPath("web", "nginx", "b.example", "/b(c", true)
	literal, cause := withPath("literal", "nginx", "a.example", "/b(c", false), withPath("cause", "nginx", "a.example", "/x", true)
	deleting := bad.DeepCopy()
	deleting.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
	killing := withPath("canary", "other", "", "/", false)
	killing.Spec.DefaultBackend = &bad.Spec.Rules[0].HTTP.Paths[0].Backend
	killing.Spec.Rules = nil
	killing.Annotations = map[string]string{routing.NginxPrefix + "canary": "true", routing.NginxPrefix + "canary-weight": "20"}
	type step struct {
		write, remove metav1.Object
		want          []string
	}
	none, web := []string{}, []string{nginx + " app/web a.example"}
	for name, steps := range map[string][]step{
		"healthy":                    {{write: good, want: none}},
		"added":                      {{write: bad, want: web}},
		"mended":                     {{write: bad, want: web}, {write: good, want: none}},
		"broken again":               {{write: good, want: none}, {write: bad, want: web}},
		"deleted":                    {{write: bad, want: web}, {remove: bad, want: none}},
		"being deleted":              {{write: bad, want: web}, {write: deleting, want: none}},
		"moved":                      {{write: bad, want: web}, {write: moved, want: []string{nginx + " app/web b.example"}}},
		"another installation":       {{write: withPath("web", "internal", "a.example", "/b(c", true), want: []string{internal + " app/web a.example"}}},
		"another controller":         {{write: withPath("web", "haproxy", "a.example", "/b(c", true), want: none}},
		"no such class":              {{write: withPath("web", "gone", "a.example", "/b(c", true), want: none}},
		"two together":               {{write: literal, want: none}, {write: cause, want: []string{nginx + " app/literal a.example"}}, {remove: cause, want: none}},
		"two of two classes":         {{write: literal, want: none}, {write: withPath("cause", "internal", "a.example", "/x", true), want: none}},
		"two hosts":                  {{write: bad, want: web}, {write: withPath("b", "nginx", "b.example", "/(", true), want: []string{nginx + " app/b b.example", web[0]}}, {write: good, want: []string{nginx + " app/b b.example"}}},
		"deleted without being here": {{remove: bad, want: none}},
		"class of another controller": {
			{write: bad, want: web}, {write: class("nginx", "haproxy.org/ingress-controller"), want: none}, {write: class("nginx", nginx), want: web},
		},
		"class of another installation": {{write: bad, want: web}, {write: class("nginx", internal), want: []string{internal + " app/web a.example"}}},
		"class deleted":                 {{write: bad, want: web}, {remove: class("nginx", nginx), want: none}, {write: class("nginx", nginx), want: web}},
		// To the canary, which is older, no location leads, and newer ones of its upstream vanish.
		"a canary of the same upstream": {{write: bad, want: web}, {write: class("other", nginx), want: web}, {write: killing, want: none}, {remove: killing, want: web}},
		"a class of a canary of the same upstream": {
			{write: bad, want: web}, {write: killing, want: web}, {write: class("other", nginx), want: none}, {remove: class("other", nginx), want: web},
		},
	} {
		t.Run(name, func(t *testing.T) {
			world := cluster.NewStatic()
			world.Settings.NginxControllers = []string{nginx, internal}
			for _, c := range []*networkingv1.IngressClass{class("nginx", nginx), class("internal", internal), class("haproxy", "haproxy.org/ingress-controller")} {
				if err := world.Apply(c); err != nil {
					t.Fatal(err)
				}
			}
			for i, s := range steps {
				var err error
				if s.write != nil {
					err = world.Apply(s.write)
				} else {
					err = world.Delete(s.remove)
				}
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					snap, err := world.Snapshot(t.Context(), routing.References{}, nil)
					if err != nil {
						t.Fatal(err)
					}
					if got := frozenIn(snap); !slices.Equal(got, s.want) {
						t.Errorf("step %d: got %q, want %q", i, got, s.want)
					}
				}
			}
		})
	}
}

// TestFrozenOfManyHosts has more dirty hosts than are judged at a time.
func TestFrozenOfManyHosts(t *testing.T) {
	world := cluster.NewStatic()
	if err := world.Apply(class("nginx", "k8s.io/ingress-nginx")); err != nil {
		t.Fatal(err)
	}
	const hosts = 250
	for i := range hosts {
		if err := world.Apply(withPath(fmt.Sprintf("web-%d", i), "nginx", fmt.Sprintf("h%d.example", i), "/(", true)); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := world.Snapshot(t.Context(), routing.References{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Frozen) != hosts {
		t.Errorf("got %d, want %d", len(snap.Frozen), hosts)
	}
}

// TestFrozenLive follows events, with Snapshots made at the same time.
func TestFrozenLive(t *testing.T) {
	client := fake.NewClientset(append(objects(), withPath("first", "nginx", "a.example", "/b(c", true))...)
	cl := start(t, client)
	await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					snap, _ := cl.Snapshot(t.Context(), refs(), nil)
					_ = frozenIn(snap)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	defer reading.Wait()
	defer close(stop)
	awaitFrozen := func(what string, want ...string) {
		t.Helper()
		await(t, what, func() bool { return slices.Equal(frozenIn(snapshot(t, cl)), want) })
	}
	const nginx = "k8s.io/ingress-nginx "
	ingresses := client.NetworkingV1().Ingresses("app")
	awaitFrozen("what was there before", nginx+"app/first a.example")
	if _, err := ingresses.Create(t.Context(), withPath("web", "nginx", "b.example", "/(", true), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitFrozen("what is added", nginx+"app/first a.example", nginx+"app/web b.example")
	if _, err := ingresses.Update(t.Context(), withPath("first", "nginx", "a.example", "/bc", true), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitFrozen("what is mended", nginx+"app/web b.example")
	classes := client.NetworkingV1().IngressClasses()
	if _, err := classes.Update(t.Context(), class("nginx", "example.com/other"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitFrozen("what is not of ingress-nginx any more")
	if _, err := classes.Update(t.Context(), class("nginx", "k8s.io/ingress-nginx"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitFrozen("what is of ingress-nginx again", nginx+"app/web b.example")
	if err := ingresses.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitFrozen("what is deleted")
}
