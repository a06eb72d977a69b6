// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var dupExactRoot = Check{
	Name:  "dup-exact-root",
	Title: `the path "/" of type Exact stands twice for one host`,
	Text: `Of two equal paths ingress-nginx ignores the one of the newer Ingress, but not if the path is "/" and the type Exact:
it writes both. nginx refuses a configuration with two equal locations, so the controller keeps the former one: from then
on no change of any Ingress, and no change of endpoints, is applied in the whole cluster, and a controller that restarts
never becomes ready.

Remove one of the two paths, or make this one of type Prefix.

Nothing is said where the host uses regular expressions, which may repeat, or of a canary Ingress. It only warns where
ingress-nginx may have refused the other Ingress for one of its annotations.`,
	Example:     "two-ingresses",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Regardless:  true,
	Run:         runDupExactRoot,
}

func runDupExactRoot(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return pathFaults(ing, snap, routing.RefusalDupExactRoot, "must stand only once", func(f fault, path string) string {
		return fmt.Sprintf("path %s of type Exact becomes a second nginx location of %s, beside that %s",
			path, ofHost(f.Host), f.elsewhere())
	})
}
