// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var sslCiphersNoMatch = Check{
	Name:  "ssl-ciphers-no-match",
	Title: "the annotation ssl-ciphers names no cipher that OpenSSL has",
	Text: `ingress-nginx hands the annotation ssl-ciphers to nginx as it is. If OpenSSL has none of the ciphers, nginx refuses the whole
configuration, and the controller keeps the former one. From then on no change of any Ingress, and no change of
endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Name ciphers of OpenSSL, separated by colons, or remove the annotation.

It only warns, because the ciphers that an OpenSSL has are not known for certain.`,
	Example:     "nonsense",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"ssl-ciphers"},
	Poison:      true,
	Run:         runSSLCiphersNoMatch,
}

func runSSLCiphersNoMatch(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return refusedValues(ing, snap, routing.RefusalCiphers)
}
