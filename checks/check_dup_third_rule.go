// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var dupThirdRule = Check{
	Name:  "dup-third-rule",
	Title: "a path stands three times, twice of one type after the other type",
	Text: `Exact and Prefix on one path go well together. Of equal paths ingress-nginx ignores the later one, but it compares only
with the first path of that spelling: if that one has the other type, it writes the repeated path as well. nginx refuses
a configuration with two equal locations, so the controller keeps the former one: from then on no change of any Ingress,
and no change of endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Remove one of the two paths of the same type.

Nothing is said where the host uses regular expressions, which may repeat, or of a canary Ingress. It only warns where
ingress-nginx may have refused one of the other Ingresses for one of its annotations.`,
	Example:     "one-ingress",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Run:         runDupThirdRule,
}

func runDupThirdRule(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return pathFaults(ing, snap, routing.RefusalThirdRule, "must stand once of each type", func(f fault, path string) string {
		return fmt.Sprintf("path %s of %s has type %s twice after the other type: here and %s",
			path, ofHost(f.Host), f.Other.Type, f.elsewhere())
	})
}
