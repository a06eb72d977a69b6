// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// FuzzMatch asks Tables of arbitrary Ingresses for arbitrary requests. Whatever the
// input, there is an answer, and it names what it is the answer of.
func FuzzMatch(f *testing.F) {
	f.Add("a.example", "/foo", "/foo/", "", "", "", "a.example", "/foo/bar?x=1")
	f.Add("*.example", "/api(/|$)(.*)", "/", "/$2", "true", "", "x.example", "/api/x%20y")
	f.Add("", "/(a+)+$", "/é", "https://b.example/$1", "true", "~^(?<n>.*)$", "A.example.:80", "//a/../b/./%2e")
	f.Add("www.a.example", "/[", "/foo", "$1", "false", "*.b.example", "a.b.example", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")
	f.Add("*.", "/", "/foo", "", "", "", "a.example", "/")
	f.Fuzz(func(t *testing.T, host, first, second, rewrite, regex, alias, asked, target string) {
		older := ingressOf("older", 1, map[string]string{"rewrite-target": rewrite, "server-alias": alias}, host,
			rule{kind: networkingv1.PathTypePrefix, path: first, service: "a"}, rule{kind: networkingv1.PathTypeExact, path: second, service: "b"})
		newer := ingressOf("newer", 2, map[string]string{"use-regex": regex, "from-to-www-redirect": regex}, host,
			rule{kind: networkingv1.PathTypeImplementationSpecific, path: second, service: "c"})
		newer.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: "cert"}}
		table := routing.NewTable(&routing.Snapshot{}, routing.ControllerSettings{}, []*networkingv1.Ingress{newer, older})
		for _, https := range []bool{false, true} {
			route := table.Match(routing.Request{HTTPS: https, Host: asked, Path: target})
			if route.Status < 200 || route.Status > 599 {
				t.Errorf("status %d", route.Status)
			}
			if len(route.Steps) == 0 {
				t.Error("there are no steps")
			}
			if len(route.Targets) > 0 && route.At == nil {
				t.Error("there is a backend and no location")
			}
		}
	})
}
