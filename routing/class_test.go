// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

func TestClassOf(t *testing.T) {
	classes := func(pairs ...string) map[string]*routing.IngressClass {
		m := map[string]*routing.IngressClass{}
		for i := 0; i < len(pairs); i += 2 {
			c := &routing.IngressClass{Controller: pairs[i+1]}
			c.Name = pairs[i]
			m[c.Name] = c
		}
		return m
	}
	flags := func(of routing.ControllerSettings) routing.Settings {
		return routing.Settings{Controllers: map[string]routing.ControllerSettings{"k8s.io/ingress-nginx": of}}
	}
	// A second installation has the same flags; what else it has, nobody asked for here.
	two := func(of routing.ControllerSettings) routing.Settings {
		return routing.Settings{Controllers: map[string]routing.ControllerSettings{"k8s.io/ingress-nginx": of, "example.com/nginx": of}}
	}
	const none = "-"
	for _, tc := range []struct {
		name              string
		field, annotation string
		classes           map[string]*routing.IngressClass
		settings          routing.Settings
		state             routing.ClassState
		controller        string
	}{
		{"field", "nginx", none, classes("nginx", "k8s.io/ingress-nginx"), routing.Settings{}, routing.ClassServed, routing.Nginx},
		{"field beats annotation", "nginx", "edge", classes("nginx", "k8s.io/ingress-nginx"), routing.Settings{}, routing.ClassServed, routing.Nginx},
		{"field of an unknown controller", "edge", none, classes("edge", "example.com/edge"), routing.Settings{}, routing.ClassServed, ""},
		{"field of a prefix", "ha", none, classes("ha", "haproxy.org/ingress-controller/x"), routing.Settings{}, routing.ClassServed, "haproxytech-kubernetes-ingress"},
		{"field without object", "nginx", none, classes(), routing.Settings{}, routing.ClassMissing, ""},
		{"field without object, served by name", "contour", none, classes(), routing.Settings{}, routing.ClassServed, "contour"},
		{"field without object, served by annotation only", "gce", none, classes(), routing.Settings{}, routing.ClassMissing, ""},
		{"annotation nginx without object", none, "nginx", classes(), routing.Settings{}, routing.ClassServed, routing.Nginx},
		{"annotation nginx of another controller", none, "nginx", classes("nginx", "nginx.org/ingress-controller"), routing.Settings{}, routing.ClassServed, "f5-nginx-ingress-controller"},
		{"annotation names a class of ingress-nginx", none, "public", classes("public", "k8s.io/ingress-nginx"), routing.Settings{}, routing.ClassUnknown, ""},
		{"annotation names a class of another controller", none, "edge", classes("edge", "example.com/edge"), routing.Settings{}, routing.ClassServed, ""},
		{"annotation of a known controller", none, "gce", classes(), routing.Settings{}, routing.ClassServed, "gke"},
		{"annotation of nobody", none, "edge", classes(), routing.Settings{}, routing.ClassUnknown, ""},
		{"annotation empty", none, "", classes("nginx", "k8s.io/ingress-nginx"), routing.Settings{}, routing.ClassUnknown, ""},
		{"neither", none, none, classes("nginx", "k8s.io/ingress-nginx"), routing.Settings{}, routing.ClassNone, ""},
		{"configured controller", "internal", none, classes("internal", "example.com/nginx"),
			routing.Settings{NginxControllers: []string{"k8s.io/ingress-nginx", "example.com/nginx"}}, routing.ClassServed, routing.Nginx},
		{"default controller left out", "nginx", none, classes("nginx", "k8s.io/ingress-nginx"),
			routing.Settings{NginxControllers: []string{"example.com/nginx"}}, routing.ClassServed, ""},
		{"annotation of the flag --ingress-class", none, "internal", classes("internal", "k8s.io/ingress-nginx"), flags(routing.ControllerSettings{IngressClass: "internal"}),
			routing.ClassServed, routing.Nginx},
		{"annotation of the flag --ingress-class without object", none, "internal", classes(), flags(routing.ControllerSettings{IngressClass: "internal"}),
			routing.ClassServed, routing.Nginx},
		{"annotation other than the flag --ingress-class", none, "public", classes("public", "k8s.io/ingress-nginx"), flags(routing.ControllerSettings{IngressClass: "internal"}),
			routing.ClassUnknown, ""},
		{"neither, with --watch-ingress-without-class", none, none, classes("nginx", "k8s.io/ingress-nginx"), flags(routing.ControllerSettings{WatchWithoutClass: true}),
			routing.ClassServed, routing.Nginx},
		{"annotation empty, with --watch-ingress-without-class", none, "", classes("nginx", "k8s.io/ingress-nginx"), flags(routing.ControllerSettings{WatchWithoutClass: true}),
			routing.ClassUnknown, ""},
		{"field of a class by name", "nginx", none, classes("nginx", "example.com/edge"), flags(routing.ControllerSettings{ClassByName: true}),
			routing.ClassServed, routing.Nginx},
		{"field of a class by the name of --ingress-class", "internal", none, classes("internal", "example.com/edge"),
			flags(routing.ControllerSettings{ClassByName: true, IngressClass: "internal"}), routing.ClassServed, routing.Nginx},
		{"field of a class by another name", "edge", none, classes("edge", "example.com/edge"), flags(routing.ControllerSettings{ClassByName: true}), routing.ClassServed, ""},
		{"field of a class by name that a known controller serves", "nginx", none, classes("nginx", "traefik.io/ingress-controller"), flags(routing.ControllerSettings{ClassByName: true}),
			routing.ClassServed, "traefik"},
		{"neither, where another controller takes such too", none, none, classes("nginx", "k8s.io/ingress-nginx", "traefik", "traefik.io/ingress-controller"),
			flags(routing.ControllerSettings{WatchWithoutClass: true}), routing.ClassNone, ""},
		{"neither, where two installations take such", none, none, classes("nginx", "k8s.io/ingress-nginx"), two(routing.ControllerSettings{WatchWithoutClass: true}),
			routing.ClassServed, ""},
		{"annotation of the flags of two installations", none, "internal", classes(), two(routing.ControllerSettings{IngressClass: "internal"}), routing.ClassServed, ""},
		{"annotation of the flags of two installations, one of which has the IngressClass", none, "internal", classes("internal", "k8s.io/ingress-nginx"),
			two(routing.ControllerSettings{IngressClass: "internal"}), routing.ClassServed, routing.Nginx},
		{"annotation nginx, which the chart gives to every installation", none, "nginx", classes("nginx", "k8s.io/ingress-nginx"),
			two(routing.ControllerSettings{IngressClass: "nginx"}), routing.ClassServed, routing.Nginx},
		{"field of a class by the name of two flags", "nginx", none, classes("nginx", "example.com/edge"), two(routing.ControllerSettings{ClassByName: true}), routing.ClassServed, ""},
		{"field of a class by name without object", "nginx", none, classes(), flags(routing.ControllerSettings{ClassByName: true}), routing.ClassMissing, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ing := &networkingv1.Ingress{}
			if tc.field != none {
				ing.Spec.IngressClassName = &tc.field
			}
			if tc.annotation != none {
				ing.Annotations = map[string]string{routing.ClassAnnotation: tc.annotation}
			}
			snap := &routing.Snapshot{Settings: tc.settings, Classes: tc.classes}
			if got := snap.ClassOf(ing); got.State != routing.ClassUnread || got.Controller.Name != "" {
				t.Errorf("nothing was read: got %+v", got)
			}
			snap.Coverage = map[routing.Ref]routing.Coverage{{Kind: routing.IngressClasses}: {Read: true}}
			got := snap.ClassOf(ing)
			if got.State != tc.state || got.Controller.Name != tc.controller {
				t.Errorf("got state %d, controller %q; want %d, %q", got.State, got.Controller.Name, tc.state, tc.controller)
			}
			if len(tc.settings.Controllers) > 0 && tc.controller == routing.Nginx && got.SpecController != "k8s.io/ingress-nginx" {
				t.Errorf("got spec.controller %q", got.SpecController)
			}
		})
	}
}

func TestCoverageMostSpecificCounts(t *testing.T) {
	ref := routing.Ref{Kind: routing.Services, Namespace: "app", Name: "web"}
	snap := &routing.Snapshot{Coverage: map[routing.Ref]routing.Coverage{}}
	expect := func(want routing.Known) {
		t.Helper()
		if _, got := snap.Service("app", "web"); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	expect(routing.Unread)
	snap.Coverage[routing.Ref{Kind: routing.Services}] = routing.Coverage{Read: true}
	expect(routing.Absent)
	snap.Coverage[routing.Ref{Kind: routing.Services, Namespace: "app"}] = routing.Coverage{Reason: "forbidden"}
	expect(routing.Unread)
	snap.Services = map[routing.Key]*routing.Service{{Namespace: "app", Name: "web"}: {}}
	expect(routing.Unread)
	snap.Coverage[ref] = routing.Coverage{Read: true}
	expect(routing.Present)
}

func TestSameRouting(t *testing.T) {
	base := func() *networkingv1.Ingress {
		class := "nginx"
		ing := &networkingv1.Ingress{Spec: networkingv1.IngressSpec{IngressClassName: &class}}
		ing.Annotations = map[string]string{"nginx.ingress.kubernetes.io/canary": "true"}
		return ing
	}
	for name, tc := range map[string]struct {
		change func(*networkingv1.Ingress)
		same   bool
	}{
		"nothing":       {func(*networkingv1.Ingress) {}, true},
		"a label":       {func(i *networkingv1.Ingress) { i.Labels = map[string]string{"team": "shop"} }, true},
		"an annotation": {func(i *networkingv1.Ingress) { i.Annotations["example.com/note"] = "x" }, true},
		"status": {func(i *networkingv1.Ingress) {
			i.Status.LoadBalancer.Ingress = make([]networkingv1.IngressLoadBalancerIngress, 1)
		}, true},
		"an annotation read": {func(i *networkingv1.Ingress) { i.Annotations["nginx.ingress.kubernetes.io/canary"] = "false" }, false},
		"one read added":     {func(i *networkingv1.Ingress) { i.Annotations["kubernetes.io/ingress.class"] = "" }, false},
		"one read removed":   {func(i *networkingv1.Ingress) { i.Annotations = nil }, false},
		"certificates asked": {func(i *networkingv1.Ingress) { i.Annotations["cert-manager.io/issuer"] = "x" }, false},
		"the solver's label": {func(i *networkingv1.Ingress) {
			i.Labels = map[string]string{"acme.cert-manager.io/http01-solver": "true"}
		}, false},
		"the spec": {func(i *networkingv1.Ingress) { i.Spec.IngressClassName = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := base()
			tc.change(changed)
			if got := routing.SameRouting(base(), changed); got != tc.same {
				t.Errorf("got %v, want %v", got, tc.same)
			}
			if got := routing.SameRouting(changed, base()); got != tc.same {
				t.Errorf("the other way: got %v, want %v", got, tc.same)
			}
		})
	}
}

func TestReadAnnotations(t *testing.T) {
	for key, want := range map[string]bool{
		"nginx.ingress.kubernetes.io/anything":       true,
		"kubernetes.io/ingress.class":                true,
		"kubernetes.io/tls-acme":                     true,
		"cert-manager.io/cluster-issuer":             true,
		"certmanager.k8s.io/issuer":                  true,
		"cert.gardener.cloud/purpose":                true,
		"kubernetes.azure.com/tls-cert-keyvault-uri": true,
		"routegate.dev/ignore":                       true,
		// The operator chooses the prefix, and an alias is a name too.
		"example.com/rewrite-target":         true,
		"example.com/whitelist-source-range": true,

		"meta.helm.sh/release-name":                        false,
		"kubectl.kubernetes.io/last-applied-configuration": false,
		"rewrite-target":                                   false,
	} {
		if got := routing.ReadAnnotations(map[string]string{key: "x"}); (got != nil) != want {
			t.Errorf("%s: got %v", key, got)
		}
	}
}
