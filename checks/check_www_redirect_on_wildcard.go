// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var wwwRedirectOnWildcard = Check{
	Name:  "www-redirect-on-wildcard",
	Title: "from-to-www-redirect is set on a host with a wildcard",
	Text: `For the host *.example.com, the annotation from-to-www-redirect makes ingress-nginx write the server name www.*.example.com,
which nginx refuses with the whole configuration. The controller keeps the former one. From then on no change of any Ingress, and no change of
endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Remove the annotation, or put the host with the wildcard into an Ingress of its own.

Nothing is said of a canary, or where an older Ingress has all the paths of the host.`,
	Example:     "wildcard",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"from-to-www-redirect"},
	Poison:      true,
	Regardless:  true,
	Run:         runWWWRedirectOnWildcard,
}

func runWWWRedirectOnWildcard(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return refusedValues(ing, snap, routing.RefusalWWWWildcard)
}
