// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var resourceBackend = Check{
	Name:  "resource-backend",
	Title: "the backend is a resource, which ingress-nginx does not route to",
	Text: `The Ingress API lets a backend be an object of some other kind, for controllers that know that kind.
ingress-nginx knows none. It skips such a path, so that requests go to a shorter path of the host or get 404, and it
ignores such a spec.defaultBackend.

Use a Service as the backend, or a class whose controller knows the kind.

It only warns of a spec.defaultBackend for which the rules leave nothing, as each of their hosts has a path /.`,
	Example:     "path",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runResourceBackend,
}

func runResourceBackend(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if b.Resource == nil {
			continue
		}
		outcome, unasked := "the path is skipped and requests get 404 or a shorter path's backend", false
		if b.path == nil {
			outcome = "it is ignored and requests get 404"
			owned := ownRoots(ing)
			unasked = len(ing.Spec.Rules) > 0 && !slices.ContainsFunc(ing.Spec.Rules, func(rule networkingv1.IngressRule) bool { return !owned[rule.Host] })
		}
		if unasked {
			outcome = "it is ignored, and the paths / of the rules leave nothing for it"
		}
		findings = append(findings, Finding{
			Field:    b.field.Child("resource"),
			Fact:     fmt.Sprintf("ingress-nginx does not route to a resource (%s %s)", quote(b.Resource.Kind), quote(b.Resource.Name)),
			Accepted: "must be a service",
			Outcome:  outcome,
			Subject:  b.about(b.Resource.Kind + "/" + b.Resource.Name),
			// All requests that the rules are for get to a Service.
			Tentative: unasked,
		})
	}
	return findings
}
