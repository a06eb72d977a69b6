// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var backendProtocolInvalid = Check{
	Name:  "backend-protocol-invalid",
	Title: "backend-protocol names a protocol that ingress-nginx does not have",
	Text: `ingress-nginx ignores the annotation backend-protocol where its value is not one of those it knows, and speaks
plain HTTP to the backend. A backend that speaks another protocol then answers with an error.

Use one of the values listed. HTTP2 and AJP are not among them; for HTTP/2 without TLS, GRPC is the nearest.

It only warns, because the backend may speak HTTP after all.`,
	Example:     "http2",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"backend-protocol"},
	Run:         runBackendProtocolInvalid,
}

func runBackendProtocolInvalid(ing *networkingv1.Ingress, _ *routing.Snapshot) []Finding {
	at, value := protocolAnnotation(ing)
	if value == "" || !asksBackends(ing) || slices.Contains(protocols, strings.ToUpper(value)) {
		return nil
	}
	accepted := "must be one of " + strings.Join(protocols, ", ")
	if near := didYouMean(strings.ToUpper(value), protocols); near != "" {
		accepted += "; " + near
	}
	return []Finding{{
		Field:    at,
		Fact:     fmt.Sprintf("ingress-nginx knows no protocol %s and speaks HTTP to the backend", quote(value)),
		Accepted: accepted,
		Outcome:  "requests fail unless the backend speaks HTTP",
		Subject:  Subject{Object: "annotation/" + value},
	}}
}
