// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

func TestRoutable(t *testing.T) {
	rules, err := policy.File{}.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	annotated := func(name, value string) func(*networkingv1.Ingress) {
		return func(ing *networkingv1.Ingress) {
			ing.Annotations = map[string]string{routing.NginxPrefix + name: value}
		}
	}
	host := func(host string) func(*networkingv1.Ingress) {
		return func(ing *networkingv1.Ingress) { ing.Spec.Rules[0].Host = host }
	}
	path := func(path string) func(*networkingv1.Ingress) {
		return func(ing *networkingv1.Ingress) { ing.Spec.Rules[0].HTTP.Paths[0].Path = path }
	}
	class := func(class string) func(*networkingv1.Ingress) {
		return func(ing *networkingv1.Ingress) { ing.Spec.IngressClassName = &class }
	}
	for name, tc := range map[string]struct {
		change func(*networkingv1.Ingress)
		unread routing.Kind
		want   Routable
	}{
		"sound":               {want: Yes},
		"a wildcard":          {change: host("*.shop.example"), want: Yes},
		"any host":            {change: host(""), want: Yes},
		"a path below":        {change: path("/a b"), want: Yes},
		"redirected to HTTPS": {change: annotated("force-ssl-redirect", "true"), want: Yes},
		"no such Service": {change: func(ing *networkingv1.Ingress) {
			ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "none"
		}, want: No},
		"one of two paths": {change: func(ing *networkingv1.Ingress) {
			paths := &ing.Spec.Rules[0].HTTP.Paths
			*paths = append(*paths, *(*paths)[0].DeepCopy())
			(*paths)[1].Path, (*paths)[1].Backend.Service.Name = "/other", "none"
		}, want: No},
		"a default backend": {change: func(ing *networkingv1.Ingress) {
			ing.Spec.DefaultBackend, ing.Spec.Rules = &ing.Spec.Rules[0].HTTP.Paths[0].Backend, nil
		}, want: Yes},
		"a default backend without Service": {change: func(ing *networkingv1.Ingress) {
			ing.Spec.DefaultBackend, ing.Spec.Rules = &ing.Spec.Rules[0].HTTP.Paths[0].Backend, nil
			ing.Spec.DefaultBackend.Service.Name = "none"
		}, want: No},
		"no such class":          {change: class("none"), want: No},
		"another controller":     {change: class("other"), want: Unknown},
		"a canary":               {change: annotated("canary", "true"), want: Unknown},
		"it answers itself":      {change: annotated("permanent-redirect", "https://a.example"), want: Unknown},
		"slices were not read":   {unread: routing.EndpointSlices, want: Unknown},
		"classes were not read":  {unread: routing.IngressClasses, want: Unknown},
		"Services were not read": {unread: routing.Services, want: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			classOf := func(name, controller string) *networkingv1.IngressClass {
				return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
			}
			meta := metav1.ObjectMeta{Namespace: "prod", Name: "web"}
			nginx, prefix := "nginx", networkingv1.PathTypePrefix
			ing := &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
				IngressClassName: &nginx,
				Rules: []networkingv1.IngressRule{{Host: "shop.example", IngressRuleValue: networkingv1.IngressRuleValue{
					HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
						Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
					}}}},
				}}},
			}}
			if tc.change != nil {
				tc.change(ing)
			}
			port, protocol := int32(80), corev1.ProtocolTCP
			slice := &discoveryv1.EndpointSlice{
				ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
				Ports:     []discoveryv1.EndpointPort{{Name: new(string), Port: &port, Protocol: &protocol}},
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}}},
			}
			slice.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
			static := cluster.NewStatic()
			for _, obj := range []metav1.Object{ing, slice, classOf("nginx", "k8s.io/ingress-nginx"), classOf("other", "example.com/other"),
				&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
					ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
				}}} {
				if err := static.Apply(obj); err != nil {
					t.Fatal(err)
				}
			}
			if tc.unread != "" {
				static.Cover(routing.Ref{Kind: tc.unread}, routing.Coverage{Reason: "not read"})
			}
			stored := static.Ingress(routing.Key{Namespace: "prod", Name: "web"})
			snap, err := static.Snapshot(t.Context(), routing.ReferencesOf(stored), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := Judge(rules, stored, snap).Routable; got != tc.want {
				t.Errorf("got %s, must be %s", got, tc.want)
			}
		})
	}
}

func TestNotesFitIntoEvents(t *testing.T) {
	for _, text := range []string{"short", strings.Repeat("ü", 2000), strings.Repeat("a", maxNote+1)} {
		got := bounded(text, maxNote)
		if len(got) > maxNote || !utf8.ValidString(got) || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) || len(got) < min(len(text), maxNote-4) {
			t.Errorf("%d bytes became %d", len(text), len(got))
		}
	}
}
