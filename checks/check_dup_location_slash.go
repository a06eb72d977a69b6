// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var dupLocationSlash = Check{
	Name:  "dup-location-slash",
	Title: "two Prefix paths differ only by a slash at the end",
	Text: `ingress-nginx writes a Prefix path /foo as the nginx location /foo/, and the Prefix path /foo/ as the same. nginx
refuses a configuration with two equal locations, so the controller keeps the former one: from then on no change of any
Ingress, and no change of endpoints, is applied in the whole cluster, and a controller that restarts never becomes
ready. The path type ImplementationSpecific is the same as Prefix.

Keep one of the two paths: /foo alone routes /foo, /foo/ and everything below.

Nothing is said where the host uses regular expressions, which may repeat, or where one path is of type Exact. It only
warns where ingress-nginx may have refused the other Ingress for one of its annotations.`,
	Example:     "one-ingress",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Run:         runDupLocationSlash,
}

func runDupLocationSlash(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return pathFaults(ing, snap, routing.RefusalDupLocation, "must be only one of the two", func(f fault, path string) string {
		return fmt.Sprintf("path %s of %s becomes the same nginx location as a path %s that differs by the slash at the end",
			path, ofHost(f.Host), f.elsewhere())
	})
}
