// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

func TestUsersAreFoundByWhatTheyName(t *testing.T) {
	world := cluster.NewStatic()
	apply := func(name string, change func(*networkingv1.Ingress)) {
		ing := oneRule(metav1.ObjectMeta{Namespace: "app", Name: name}, name+".example")
		ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "web"
		change(ing)
		if err := world.Apply(ing); err != nil {
			t.Fatal(err)
		}
	}
	apply("b-twice", func(ing *networkingv1.Ingress) {
		ing.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web"}}
	})
	apply("a-tls", func(ing *networkingv1.Ingress) { ing.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "cert"}} })
	apply("c-annotated", func(ing *networkingv1.Ingress) {
		ing.Spec.IngressClassName = nil
		ing.Annotations = map[string]string{
			"kubernetes.io/ingress.class":                     "nginx",
			"nginx.ingress.kubernetes.io/auth-secret":         "app/cert",
			"nginx.ingress.kubernetes.io/default-backend":     "sorry",
			"nginx.ingress.kubernetes.io/auth-tls-secret":     "elsewhere/cert",
			"nginx.ingress.kubernetes.io/proxy-ssl-secret":    "app/upstream",
			"nginx.ingress.kubernetes.io/configuration-no-no": "web",
		}
	})
	apply("d-other", func(ing *networkingv1.Ingress) {
		ing.Namespace, *ing.Spec.IngressClassName = "elsewhere", "other"
	})
	apply("e-going", func(ing *networkingv1.Ingress) { ing.DeletionTimestamp = &metav1.Time{Time: time.Now()} })

	for ref, want := range map[routing.Ref]string{
		{Kind: routing.Services, Namespace: "app", Name: "web"}:       "a-tls b-twice c-annotated",
		{Kind: routing.Services, Namespace: "app", Name: "sorry"}:     "c-annotated",
		{Kind: routing.Services, Namespace: "elsewhere", Name: "web"}: "d-other",
		{Kind: routing.Services, Namespace: "app", Name: "cert"}:      "",
		{Kind: routing.Secrets, Namespace: "app", Name: "cert"}:       "a-tls c-annotated",
		{Kind: routing.Secrets, Namespace: "app", Name: "upstream"}:   "c-annotated",
		{Kind: routing.Secrets, Namespace: "elsewhere", Name: "cert"}: "",
		{Kind: routing.IngressClasses, Name: "nginx"}:                 "a-tls b-twice c-annotated",
		{Kind: routing.IngressClasses, Name: "other"}:                 "d-other",
	} {
		users, err := world.UsersOf(ref)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, ing := range users {
			names = append(names, ing.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%v: got %q, want %q", ref, got, want)
		}
	}
}

func TestUsersAreNotKnownBeforeTheIngressesAreRead(t *testing.T) {
	cl, err := cluster.New(cluster.Config{Client: fake.NewClientset(), SecretAccess: cluster.SecretsOff, Users: true, LiveReads: 1, Log: logr.Discard(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.UsersOf(routing.Ref{Kind: routing.IngressClasses, Name: "nginx"}); err == nil || !strings.Contains(err.Error(), "the Ingresses were not read: not read yet") {
		t.Errorf("got %v", err)
	}
}

func TestIngressesAreReadAfresh(t *testing.T) {
	ing := oneRule(meta("web"), "a.example")
	client := fake.NewClientset(append(objects(), ing)...)
	cl := start(t, client)
	if got, err := cl.ReadIngress(t.Context(), "app", "web"); err != nil || got == nil || got.Name != "web" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := cl.ReadIngress(t.Context(), "app", "gone"); err != nil || got != nil {
		t.Errorf("one that does not exist: got %v, %v", got, err)
	}
	client.PrependReactor("get", "ingresses", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
	if got, err := cl.ReadIngress(t.Context(), "app", "web"); err == nil || got != nil {
		t.Errorf("a failed read: got %v, %v", got, err)
	}
}

func TestPodsOfAServiceThatIsNotThere(t *testing.T) {
	app := map[string]string{"app": "web"}
	client := fake.NewClientset(pod("one", app))
	svc := &routing.Service{Meta: routing.Meta{Namespace: meta("planned").Namespace, Name: "planned"}, Selector: "app=web"}
	pods, err := around(t, client, cluster.Config{ReadPods: true}).ReadPods(t.Context(), svc)
	if err != nil || pods == nil || len(pods.Selected) != 1 {
		t.Errorf("got %+v, %v", pods, err)
	}
	if pods, err := around(t, client, cluster.Config{}).ReadPods(t.Context(), svc); err != nil || pods != nil {
		t.Errorf("where Pods are not read: got %+v, %v", pods, err)
	}
}
