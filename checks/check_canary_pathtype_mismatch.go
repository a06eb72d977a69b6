// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canaryPathTypeMismatch = Check{
	Name:  "canary-pathtype-mismatch",
	Title: "a canary and its primary have the same path with different types",
	Text: `A canary Ingress takes a share of the requests of another Ingress with the same host, path and path type. If the one
has the type Exact and the other has not, they do not meet, and the canary gets no requests. The path types
ImplementationSpecific and Prefix are the same.

Give the canary the path type of the other Ingress.

It only warns where ingress-nginx may have refused the other Ingress for one of its annotations.`,
	Example:     "exact",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Run:         runCanaryPathTypeMismatch,
}

func runCanaryPathTypeMismatch(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, _, ok := canaryOf(ing, snap)
	if !ok {
		return nil
	}
	var findings []Finding
	for _, p := range canaryPaths(ing, table) {
		if p.primary != nil || p.twin == nil || !p.upstream.Serverless || p.twin.Ingress == ing {
			continue
		}
		findings = append(findings, Finding{
			Field: p.pathField.Child("pathType"),
			Fact: fmt.Sprintf("path %s of %s has type %s, in Ingress %s it has another",
				quote(p.subject.Path), ofHost(p.subject.Host), p.subject.Type, quote(ingressName(p.twin.Ingress))),
			Accepted:  "must be " + string(p.twin.Type),
			Outcome:   fmt.Sprintf("Service %s gets no requests from this path", quote(p.Service.Name)),
			Subject:   p.about("Ingress/" + ingressName(p.twin.Ingress)),
			RestsOn:   []routing.Ref{ingressRef(p.twin.Ingress)},
			Tentative: routing.MayBeRefused(p.twin.Ingress),
		})
	}
	return findings
}
