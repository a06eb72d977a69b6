// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// protocols are the values of the annotation backend-protocol.
var protocols = []string{"AUTO_HTTP", "HTTP", "HTTPS", "GRPC", "GRPCS", "FCGI"}

// protocolOf returns the protocol that ingress-nginx speaks to the backends of the
// Ingress: HTTP where the annotation is absent or not valid (semantics row F11).
func protocolOf(ing *networkingv1.Ingress) string {
	_, value := protocolAnnotation(ing)
	if value = strings.ToUpper(value); slices.Contains(protocols, value) {
		return value
	}
	return "HTTP"
}

// protocolAnnotation is the annotation backend-protocol as ingress-nginx reads it:
// without spaces around it.
func protocolAnnotation(ing *networkingv1.Ingress) (*field.Path, string) {
	at, value := annotationOf(ing, "backend-protocol")
	return at, strings.Trim(value, " \t")
}

// asksBackends reports whether annotations of the Ingress itself count for its
// backends: not those of a canary, nor where it only redirects.
func asksBackends(ing *networkingv1.Ingress) bool {
	return !routing.IsCanary(ing) && !routing.AnswersItself(ing)
}
