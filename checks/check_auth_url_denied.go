// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var authURLDenied = Check{
	Name:  "auth-url-denied",
	Title: "external authentication is misconfigured, so every request is denied",
	Text: `With the annotation auth-url, ingress-nginx asks that address about each request. If it is no absolute URL, or if
auth-method, auth-response-headers or auth-cache-duration have a value that the controller does not accept, every path of
the Ingress answers 503.

Write auth-url with scheme and host, such as http://auth.app.svc.cluster.local/check, or correct the value.

It only warns where it depends on flags of the controller, and of a missing ConfigMap. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "no-host",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-url"},
	Regardless:  true,
	Run:         runAuthURLDenied,
}

func runAuthURLDenied(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "auth-url", "auth-method", "auth-response-headers", "auth-cache-duration")
}
