// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// protocols are the values of the annotation backend-protocol.
var protocols = []string{"AUTO_HTTP", "HTTP", "HTTPS", "GRPC", "GRPCS", "FCGI"}

// protocolOf returns the protocol that ingress-nginx speaks to the backends of the
// Ingress: HTTP where the annotation is absent or not valid (semantics row F11).
func protocolOf(ing *networkingv1.Ingress) string {
	_, value := annotationOf(ing, "backend-protocol")
	if value = strings.ToUpper(value); slices.Contains(protocols, value) {
		return value
	}
	return "HTTP"
}

// asksBackends reports whether annotations of the Ingress itself count for its
// backends: not those of a canary, nor where it only redirects.
func asksBackends(ing *networkingv1.Ingress) bool {
	return !routing.IsCanary(ing) && !routing.AnswersItself(ing)
}
