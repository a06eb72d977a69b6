// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

func pod(name string, labels map[string]string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(name), Status: corev1.PodStatus{Reason: "Evicted"}}
	p.Labels = labels
	return p
}

func selecting(name string, selector map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{Selector: selector}}
}

var podsOfWeb = routing.Ref{Kind: routing.Pods, Namespace: "app", Name: "web"}

// around returns a running cluster with more kinds than usual.
func around(t *testing.T, client *fake.Clientset, c cluster.Config) *cluster.Cluster {
	t.Helper()
	c.Client, c.SecretAccess, c.LiveReads, c.Log, c.Metrics = client, cluster.SecretsOff, 2, logr.Discard(), prometheus.NewRegistry()
	cl, err := cluster.New(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, cl)
	await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })
	return cl
}

func TestPodsAreReadWhereAskedFor(t *testing.T) {
	app := map[string]string{"app": "web"}
	client := fake.NewClientset(selecting("web", map[string]string{"app": "web", "tier": "front"}), pod("near", app), pod("other", nil),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}})
	lists := 0
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lists++
		if options := action.(clienttesting.ListActionImpl).ListOptions; options.Limit == 0 {
			t.Errorf("a list without a limit: %+v", options)
		}
		return false, nil, nil
	})
	cl := around(t, client, cluster.Config{ReadPods: true})

	snap := snapshot(t, cl)
	if _, known := snap.PodsOf("app", "web"); known != routing.Unread || lists > 0 || snap.CoverageOf(podsOfWeb).Chosen {
		t.Errorf("not asked for: %v after %d lists, %+v", known, lists, snap.CoverageOf(podsOfWeb))
	}
	pods, known := snapshot(t, cl, podsOfWeb).PodsOf("app", "web")
	if known != routing.Present || len(pods.Selected) != 0 || len(pods.Nearby) != 2 || pods.Nearby[0].Name != "near" || pods.Nearby[0].Trouble != "Evicted" || lists != 2 {
		t.Errorf("none is selected: got %+v, %v after %d lists", pods, known, lists)
	}

	if err := client.Tracker().Add(pod("web-abc", map[string]string{"app": "web", "tier": "front"})); err != nil {
		t.Fatal(err)
	}
	pods, known = snapshot(t, cl, podsOfWeb).PodsOf("app", "web")
	if known != routing.Present || len(pods.Selected) != 1 || pods.Selected[0].Name != "web-abc" || pods.More || lists != 3 {
		t.Errorf("one is selected: got %+v, %v after %d lists", pods, known, lists)
	}
}

func TestPodsThatMayNotBeRead(t *testing.T) {
	client := fake.NewClientset(selecting("web", map[string]string{"app": "web"}), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}})
	forbid(client, "pods", func(string) bool { return true })
	snap := snapshot(t, around(t, client, cluster.Config{ReadPods: true}), podsOfWeb)
	snap.Observe(func(ref routing.Ref) { t.Errorf("missed %+v", ref) }).PodsOf("app", "web")
	if c := snap.CoverageOf(podsOfWeb); c.Read || c.Chosen || c.Reason != "Routegate is not allowed to read it" {
		t.Errorf("coverage is %+v", c)
	}
}

func TestOptionalKindsAreNotReadUnlessChosen(t *testing.T) {
	snap := snapshot(t, around(t, fake.NewClientset(objects()...), cluster.Config{}))
	for _, kind := range routing.OptionalKinds() {
		if c := snap.CoverageOf(routing.Ref{Kind: kind}); c.Read || !c.Chosen {
			t.Errorf("%s: coverage is %+v", kind, c)
		}
	}
}

func TestNetworkPoliciesAreKeptWhereControllersAreKnown(t *testing.T) {
	client := fake.NewClientset(append(objects(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ingress-nginx"}},
		&networkingv1.NetworkPolicy{ObjectMeta: meta("deny")},
		&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "deny"}},
	)...)
	cl := around(t, client, cluster.Config{Settings: routing.Settings{ControllerPods: []routing.ControllerPods{{Namespace: "ingress-nginx"}}}})
	snap := snapshot(t, cl)
	if policies, known := snap.NetworkPoliciesIn("app"); known != routing.Present || len(policies) != 1 || !policies[0].Isolates {
		t.Errorf("got %+v, %v", policies, known)
	}
	if _, known := snap.Namespace("ingress-nginx"); known != routing.Present {
		t.Errorf("the namespace of the controller is %v", known)
	}
}
