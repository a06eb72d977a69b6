// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var sourceRangeInvalid = Check{
	Name:  "source-range-invalid",
	Title: "a list of source addresses cannot be read, so every request is denied",
	Text: `If one element of allowlist-source-range, whitelist-source-range or denylist-source-range is neither an address nor a
network, ingress-nginx denies everybody: every path of the Ingress answers 503.

Correct the element. Host names are not possible.

It denies only where the settings of the controller are confirmed and under the preset strict, and only warns of an empty
value. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "host-name",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"allowlist-source-range", "denylist-source-range"},
	Regardless:  true,
	Run:         runSourceRangeInvalid,
}

func runSourceRangeInvalid(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "allowlist-source-range", "denylist-source-range")
}
