// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canaryNoPrimary = Check{
	Name:  "canary-no-primary",
	Title: "no Ingress has the path that a canary stands in for",
	Text: `A canary Ingress takes a share of the requests of another Ingress with the same host, path and path type. Without
that one it gets none: the host is not served at all, or another path of it answers.

Create the other Ingress, or give both the same host, path and path type. Or remove the annotation canary.

Rollout tools create the two in either order, so this only warns. A path that differs only in its type is reported as
canary-pathtype-mismatch.`,
	Example:     "nobody-has-the-host",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Run:         runCanaryNoPrimary,
}

func runCanaryNoPrimary(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, _, ok := canaryOf(ing, snap)
	if !ok {
		return nil
	}
	var findings []Finding
	for _, p := range canaryPaths(ing, table) {
		// An upstream that is not of canaries is canary-becomes-normal's to report.
		removed := p.primary != nil && p.upstream.Removed()
		if (p.primary != nil && !removed) || p.twin != nil || !p.upstream.Serverless {
			continue
		}
		f := Finding{
			Field:    p.pathField,
			Fact:     fmt.Sprintf("%s has no path %s of type %s in any Ingress that is no canary", ofHost(p.subject.Host), quote(p.subject.Path), p.subject.Type),
			Accepted: "must be host, path and type of another Ingress",
			Outcome:  fmt.Sprintf("Service %s gets no requests from this path", quote(p.Service.Name)),
			Subject:  p.about(serviceAndPort(p.IngressBackend)),
		}
		switch {
		case removed:
			f.Fact = fmt.Sprintf("ingress-nginx removes the canary backend of Service %s and port %s, since another path or a spec.defaultBackend with it stands in for none",
				quote(p.Service.Name), quote(routing.BackendPort(p.Service.Port)))
			f.Accepted = "all of them must be those of another Ingress"
		case table.ServerOf(p.subject.Host) == nil:
			f.Fact = fmt.Sprintf("ingress-nginx knows %s from canaries only", ofHost(p.subject.Host))
			f.Outcome = "requests go to the default server, which answers 404 unless an Ingress has no host"
		}
		findings = append(findings, f)
	}
	return findings
}
