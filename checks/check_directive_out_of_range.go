// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var directiveOutOfRange = Check{
	Name:  "directive-out-of-range",
	Title: "nginx refuses a value that ingress-nginx lets pass",
	Text: `ingress-nginx writes some annotations into its configuration without knowing what nginx accepts: negative timeouts, status
codes that are none, buffers that do not fit each other. nginx refuses the whole configuration, and the controller keeps
the former one. From then on no change of any Ingress, and no change of
endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Correct the value as the message says, or remove the annotation.

It only warns where the value counts together with one of the controller's ConfigMap, or where nginx may not see it.
Nothing is said of a canary, of a path that an older Ingress has, or of a host that auth-tls-secret closes.`,
	Example:     "negative-timeout",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Regardless:  true,
	Run:         runDirectiveOutOfRange,
}

func runDirectiveOutOfRange(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return refusedValues(ing, snap, routing.RefusalDirective)
}
