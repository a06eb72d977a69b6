// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canaryNeverSelected = Check{
	Name:  "canary-never-selected",
	Title: "a canary has no header, no cookie and no weight",
	Text: `A canary Ingress gets the requests that its annotations canary-by-header, canary-by-cookie or canary-weight choose.
Without any of them, or with a weight that is no number, it gets none.

Set one of the three.

Nothing is said of the weight 0 where it is written so, because rollout tools start with it.`,
	Example:     "nothing-set",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Run:         runCanaryNeverSelected,
}

func runCanaryNeverSelected(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	_, canary, ok := canaryOf(ing, snap)
	weight := routing.NginxAnnotation(ing, "canary-weight")
	if !ok || canary.Header != "" || canary.Cookie != "" || canary.Weight > 0 || weight == "0" {
		return nil
	}
	f := Finding{
		Field:    annotationField("canary"),
		Fact:     "the canary has no header, no cookie and no weight",
		Accepted: "must have one of canary-by-header, canary-by-cookie, canary-weight",
		Outcome:  "it gets no requests",
	}
	if weight != "" {
		f.Field = annotationField("canary-weight")
		f.Fact = "the weight " + quote(weight) + " is no positive number, and the canary has no header and no cookie"
	}
	return []Finding{f}
}
