// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

// world is a Snapshot in which all was read: the Services "live", with an endpoint, and
// "empty", with none, and ExternalNames called after what they lead to.
func world() *routing.Snapshot {
	s := &routing.Snapshot{
		Services: map[routing.Key]*routing.Service{},
		Slices:   map[routing.Key][]*routing.EndpointSlice{},
		Coverage: map[routing.Ref]routing.Coverage{
			{Kind: routing.Services}: {Read: true}, {Kind: routing.EndpointSlices}: {Read: true},
		},
	}
	ports := []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}
	for _, name := range []string{"live", "empty"} {
		s.Services[routing.Key{Namespace: "app", Name: name}] = &routing.Service{
			Meta: routing.Meta{Namespace: "app", Name: name}, ClusterIP: "10.96.0.1", Ports: ports,
		}
	}
	s.Slices[routing.Key{Namespace: "app", Name: "live"}] = []*routing.EndpointSlice{{
		Meta: routing.Meta{Namespace: "app", Name: "live-1"}, Service: "live",
		Ports: []routing.SlicePort{{Number: 8080, TCP: true}}, Endpoints: []routing.Endpoint{{Addresses: []string{"10.0.0.1"}, Ready: true}},
	}}
	for name, external := range map[string]string{"name": "b.example", "local": "localhost", "address": "192.0.2.7"} {
		s.Services[routing.Key{Namespace: "app", Name: name}] = &routing.Service{
			Meta: routing.Meta{Namespace: "app", Name: name}, Type: corev1.ServiceTypeExternalName, ExternalName: external, Ports: ports,
		}
	}
	return s
}

// get is what a request gets: the status, and the endpoints that it may be sent to.
func get(ingresses []*networkingv1.Ingress, r routing.Request) string {
	route := routing.NewTable(world(), routing.ControllerSettings{}, ingresses).Match(r)
	text := fmt.Sprint(route.Status)
	for _, target := range route.Targets {
		text += " " + strings.Join(target.Endpoints, ",")
	}
	return text
}

// TestDefaultBackendAnnotation holds that the endpoints which stand in are looked up as
// names where the Service that has none is an ExternalName, and only there: the
// controller copies its upstream (getBackendServers), type and all (balancer.lua).
func TestDefaultBackendAnnotation(t *testing.T) {
	for _, test := range []struct{ backend, standIn, want string }{
		{"live", "live", "200 10.0.0.1:8080"},
		{"empty", "live", "200 10.0.0.1:8080"},
		{"missing", "live", "200 10.0.0.1:8080"},
		{"empty", "empty", "503"},
		{"empty", "name", "502 b.example:8080"},
		{"missing", "name", "502 b.example:8080"},
		{"empty", "address", "200 192.0.2.7:8080"},
		{"empty", "local", "503"},
		{"local", "live", "503"},
		{"local", "name", "200 b.example:8080"},
		{"local", "address", "503"},
		{"address", "live", "503"},
		{"address", "name", "503"},
		{"name", "live", "200 b.example:8080"},
	} {
		ing := ingressOf("web", 0, map[string]string{"default-backend": test.standIn}, "a.example", rule{kind: networkingv1.PathTypePrefix, path: "/", service: test.backend})
		if got := get([]*networkingv1.Ingress{ing}, routing.Request{Host: "a.example", Path: "/"}); got != test.want {
			t.Errorf("%s, default-backend %s: got %s, want %s", test.backend, test.standIn, got, test.want)
		}
	}
}

// TestCustomHTTPErrors holds that the default backend answers for errors of nginx too.
func TestCustomHTTPErrors(t *testing.T) {
	for _, test := range []struct {
		backend     string
		annotations map[string]string
		want        string
	}{
		{"empty", map[string]string{"custom-http-errors": "404,503"}, "404"},
		{"empty", map[string]string{"custom-http-errors": "404"}, "503"},
		{"empty", map[string]string{"custom-http-errors": "503", "default-backend": "live"}, "200 10.0.0.1:8080"},
		{"live", map[string]string{"custom-http-errors": "503"}, "200 10.0.0.1:8080"},
		// What is closed for a fault of the Ingress answers before.
		{"live", map[string]string{"custom-http-errors": "503", "auth-type": "basic"}, "503"},
	} {
		ing := ingressOf("web", 0, test.annotations, "a.example", rule{kind: networkingv1.PathTypePrefix, path: "/", service: test.backend})
		if got := get([]*networkingv1.Ingress{ing}, routing.Request{Host: "a.example", Path: "/"}); got != test.want {
			t.Errorf("%s, %v: got %s, want %s", test.backend, test.annotations, got, test.want)
		}
	}
}

// TestAliasesAreNamesOfNginx holds that nginx reads aliases in lower case, and one with a
// dot in front as two.
func TestAliasesAreNamesOfNginx(t *testing.T) {
	ing := ingressOf("web", 0, map[string]string{"server-alias": "B.Example,.c.example"}, "a.example", rule{kind: networkingv1.PathTypePrefix, path: "/", service: "live"})
	for host, want := range map[string]string{
		"b.example": "200 10.0.0.1:8080", "c.example": "200 10.0.0.1:8080", "x.y.c.example": "200 10.0.0.1:8080", "xc.example": "404",
	} {
		if got := get([]*networkingv1.Ingress{ing}, routing.Request{Host: host, Path: "/"}); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

// TestRefusalsAreOfWhatIsWritten holds that nginx does not see the annotations of which
// an older Ingress decides.
func TestRefusalsAreOfWhatIsWritten(t *testing.T) {
	for annotation, value := range map[string]string{
		"proxy-connect-timeout": "-1", "server-alias": "foo*bar.example", "ssl-ciphers": "NONSENSE",
	} {
		root := rule{kind: networkingv1.PathTypePrefix, path: "/", service: "live"}
		alone := ingressOf("web", 1, map[string]string{annotation: value}, "a.example", root)
		older := ingressOf("old", 0, map[string]string{"server-alias": "b.example", "ssl-ciphers": "HIGH"}, "a.example", root)
		if refusals := routing.NewTable(world(), routing.ControllerSettings{}, []*networkingv1.Ingress{alone}).Refusals; len(refusals) != 1 {
			t.Errorf("%s alone: got %v, want one refusal", annotation, refusals)
		}
		if refusals := routing.NewTable(world(), routing.ControllerSettings{}, []*networkingv1.Ingress{alone, older}).Refusals; len(refusals) > 0 {
			t.Errorf("%s of a newer Ingress: got %v, want none", annotation, refusals)
		}
	}
}

// TestReservedPaths holds that the controller answers /healthz and /nginx_status itself
// where no rule names the host, unless a rule has the path.
func TestReservedPaths(t *testing.T) {
	root := ingressOf("web", 0, nil, "", rule{kind: networkingv1.PathTypePrefix, path: "/", service: "live"})
	own := ingressOf("own", 1, nil, "", rule{kind: networkingv1.PathTypePrefix, path: "/healthz", service: "live"})
	regex := ingressOf("own", 1, map[string]string{"use-regex": "true"}, "", rule{kind: networkingv1.PathTypePrefix, path: "/x", service: "live"})
	const backend = "200 10.0.0.1:8080"
	for _, test := range []struct {
		others     []*networkingv1.Ingress
		path, want string
	}{
		{nil, "/", backend}, {nil, "/healthz", "200"}, {nil, "/healthz/x", "200"}, {nil, "/health", backend}, {nil, "/nginx_status", "403"},
		{[]*networkingv1.Ingress{own}, "/healthz", backend}, {[]*networkingv1.Ingress{own}, "/healthz/x", backend}, {[]*networkingv1.Ingress{own}, "/healthzx", "200"},
		{[]*networkingv1.Ingress{regex}, "/healthz", backend},
	} {
		if got := get(append(test.others, root), routing.Request{Host: "z.example", Path: test.path}); got != test.want {
			t.Errorf("%s: got %s, want %s", test.path, got, test.want)
		}
	}
	named := ingressOf("web", 0, nil, "a.example", rule{kind: networkingv1.PathTypePrefix, path: "/", service: "live"})
	if got := get([]*networkingv1.Ingress{named}, routing.Request{Host: "a.example", Path: "/healthz"}); got != backend {
		t.Errorf("of a host: got %s, want %s", got, backend)
	}
}
