// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canaryBecomesNormal = Check{
	Name:  "canary-becomes-normal",
	Title: "a canary takes all requests or none: an older Ingress has its Service",
	Text: `For ingress-nginx a Service and port belong to the Ingress that names them first. If that is no canary, a canary Ingress
with the same Service and port becomes an ordinary one: its path takes all requests. Where only canaries have the host,
the path is added to the rules without host, and takes requests for every host that nobody serves. Where the path is an
older Ingress's already, with another Service, the canary gets no requests: its weight and its headers do not count.

Use another Service for the canary, for example one more Service for the same Pods.

It only warns where ingress-nginx may have refused the older Ingress for one of its annotations, where only canaries have
the host, and where the canary gets no requests. Nothing is said where the older Ingress has the same host, path and path
type: then the canary does nothing.`,
	Example:     "older",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Run:         runCanaryBecomesNormal,
}

func runCanaryBecomesNormal(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, _, ok := canaryOf(ing, snap)
	if !ok {
		return nil
	}
	var findings []Finding
	for _, p := range canaryPaths(ing, table) {
		if p.upstream.Serverless || p.upstream.First == ing || p.upstream.Namespace != ing.Namespace {
			continue
		}
		server, outcome := table.ServerOf(p.subject.Host), "this path takes all requests"
		leaks := server == nil
		if leaks {
			server, outcome = table.ServerOf(""), "this path takes requests for every host that nobody serves"
		}
		idle := server == nil || !routedBy(server, ing, p.subject)
		if idle {
			// The location is another Ingress's; the Service is an alternative to that of
			// another name, but without what would choose it.
			if p.primary == nil || p.primary.Placeholder || p.primary.Upstream == p.upstream {
				continue
			}
			outcome = fmt.Sprintf("Service %s gets no requests from this path", quote(p.Service.Name))
		}
		first := p.upstream.First
		findings = append(findings, Finding{
			Field: p.field.Child("service"),
			Fact: fmt.Sprintf("Service %s and port %s belong to the older Ingress %s, which is no canary",
				quote(p.Service.Name), quote(routing.BackendPort(p.Service.Port)), quote(ingressName(first))),
			Accepted:  "must be another Service or port",
			Outcome:   outcome,
			Subject:   p.about("Ingress/" + ingressName(first)),
			RestsOn:   []routing.Ref{ingressRef(first)},
			Tentative: leaks || idle || routing.MayBeRefused(first),
		})
	}
	return findings
}

// routedBy reports whether the server has a location of that path and type that is
// the Ingress's own.
func routedBy(server *routing.Server, ing *networkingv1.Ingress, s Subject) bool {
	for _, loc := range server.Locations {
		if loc.Ingress == ing && !loc.Placeholder && loc.Text == s.Path && loc.Type == s.Type {
			return true
		}
	}
	return false
}
