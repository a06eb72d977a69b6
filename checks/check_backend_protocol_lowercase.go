// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var backendProtocolLowercase = Check{
	Name:  "backend-protocol-lowercase",
	Title: "backend-protocol is only half applied unless in upper case",
	Text: `ingress-nginx accepts the values of the annotation backend-protocol in any case, but parts of its configuration
compare them in upper case. With "grpc" or "grpcs" the headers and timeouts for gRPC are missing, with "fcgi" the
parameters for FastCGI.

Write the value in upper case. HTTP and HTTPS are applied in any case.`,
	Example:     "grpc",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"backend-protocol"},
	Run:         runBackendProtocolLowercase,
}

func runBackendProtocolLowercase(ing *networkingv1.Ingress, _ *routing.Snapshot) []Finding {
	at, value := protocolAnnotation(ing)
	upper := strings.ToUpper(value)
	if value == upper || !asksBackends(ing) || !slices.Contains([]string{"GRPC", "GRPCS", "FCGI"}, upper) {
		return nil
	}
	missing := "headers and timeouts for gRPC"
	if upper == "FCGI" {
		missing = "parameters for FastCGI"
	}
	return []Finding{{
		Field:    at,
		Fact:     fmt.Sprintf("protocol %s is applied without the %s", quote(value), missing),
		Accepted: "must be " + upper,
		Outcome:  "the backend gets incomplete requests",
		Subject:  Subject{Object: "annotation/" + value},
	}}
}
