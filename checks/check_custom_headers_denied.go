// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var customHeadersDenied = Check{
	Name:  "custom-headers-denied",
	Title: "custom-headers names no usable ConfigMap, so every request is denied",
	Text: `ingress-nginx reads the headers of responses from the ConfigMap that the annotation custom-headers names. If the value is
not its namespace/name, or if it does not exist, every path of the Ingress answers 503.

Write namespace/name. A ConfigMap that is created after the Ingress is not noticed until the Ingress changes. Each header
must be in global-allowed-response-headers of the controller as well, which is not looked at here.

It denies only where the settings of the controller are confirmed and under the preset strict, and only warns of a
missing ConfigMap. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "bare-name",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.ConfigMaps},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"custom-headers"},
	Regardless:  true,
	Run:         runCustomHeadersDenied,
}

func runCustomHeadersDenied(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "custom-headers")
}
