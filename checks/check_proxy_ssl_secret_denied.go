// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var proxySSLSecretDenied = Check{
	Name:  "proxy-ssl-secret-denied",
	Title: "proxy-ssl-secret names no usable Secret, so every request is denied",
	Text: `ingress-nginx takes the client certificate for the backend from the Secret that the annotation proxy-ssl-secret names. If
the value is not its namespace/name, or if it does not exist or is in another namespace, every path of the Ingress
answers 503.

Write namespace/name, with the namespace of the Ingress. The controller notices a Secret that is created later.

It only warns of a missing Secret, which may come later, and where it depends on flags of the controller. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "bare-name",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Secrets},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"proxy-ssl-secret"},
	Regardless:  true,
	Run:         runProxySSLSecretDenied,
}

func runProxySSLSecretDenied(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "proxy-ssl-secret")
}
