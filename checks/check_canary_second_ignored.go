// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canarySecondIgnored = Check{
	Name:  "canary-second-ignored",
	Title: "another canary of the same Service comes first, and only one counts",
	Text: `ingress-nginx evaluates one canary for each Service and port that requests go to: that of the oldest canary Ingress.
Any other gets no requests, even if the first one does not choose a request. Likewise two canary Ingresses with the same
Service share the settings of the older one: its header, cookie and weight.

Delete the other canary Ingress. To choose by header, by cookie and by weight, put all three annotations on one canary.`,
	Example:     "two-canaries",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Run:         runCanarySecondIgnored,
}

func runCanarySecondIgnored(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, canary, ok := canaryOf(ing, snap)
	if !ok {
		return nil
	}
	var findings []Finding
	for _, p := range canaryPaths(ing, table) {
		if p.primary == nil || !p.upstream.Serverless {
			continue
		}
		added, first := p.primary.Upstream.Takes(p.upstream)
		if !added {
			continue
		}
		f := Finding{Field: p.pathField}
		var other *networkingv1.Ingress
		if !first {
			other = p.primary.Upstream.Alternatives[0].First
			f.Outcome = fmt.Sprintf("Service %s gets no requests from this path", quote(p.Service.Name))
		} else {
			other = p.upstream.First
			f.Outcome = fmt.Sprintf("Service %s gets requests by the annotations of that one", quote(p.Service.Name))
		}
		if other == ing || (first && p.upstream.Canary == canary) {
			continue
		}
		f.Fact = fmt.Sprintf("the canary Ingress %s is older, and only one counts", quote(ingressName(other)))
		f.Accepted = "must be the only canary there"
		f.Subject = p.about("Ingress/" + ingressName(other))
		f.RestsOn = []routing.Ref{ingressRef(other), ingressRef(p.primary.Ingress)}
		f.Tentative = routing.MayBeRefused(other)
		findings = append(findings, f)
	}
	return findings
}
