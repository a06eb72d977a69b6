// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var authProxySetHeaders = Check{
	Name:  "auth-proxy-set-headers",
	Title: "auth-proxy-set-headers names no usable ConfigMap, so requests are denied",
	Text: `With auth-url, ingress-nginx reads the headers for the authentication service from the ConfigMap that the annotation
auth-proxy-set-headers names. If the value is not its namespace/name, or if it does not exist, every path of the Ingress
answers 503.

Write namespace/name, with the namespace of the Ingress. A ConfigMap that is created after the Ingress is not noticed
until the Ingress changes.

It only warns where it depends on flags of the controller, and of a missing ConfigMap. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "bare-name",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.ConfigMaps},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-proxy-set-headers"},
	Regardless:  true,
	Run:         runAuthProxySetHeaders,
}

func runAuthProxySetHeaders(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "auth-proxy-set-headers")
}
