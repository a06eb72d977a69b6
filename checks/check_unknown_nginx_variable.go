// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var unknownNginxVariable = Check{
	Name:  "unknown-nginx-variable",
	Title: "an annotation names a variable that nginx does not have",
	Text: `A dollar sign in annotations such as rewrite-target, upstream-vhost, auth-url and auth-signin begins a variable of nginx. If
there is none of that name, nginx refuses the whole configuration, and the controller keeps the former one. From then on no change of any Ingress, and no change of
endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Correct the name. $1 to $9 are the groups of the path.

It only warns, because snippets of the controller may define variables.`,
	Example:     "rewrite-target",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Run:         runUnknownNginxVariable,
}

func runUnknownNginxVariable(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	findings := refusedValues(ing, snap, routing.RefusalVariable)
	for i := range findings {
		findings[i].Tentative = true
	}
	return findings
}
