// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameIPLiteral = Check{
	Name:  "extname-ip-literal",
	Title: "the ExternalName of the Service is an IP address",
	Text: `An ExternalName is a DNS name. ingress-nginx cannot look up an IP address as a name, and answers 503.

Use a Service without selector, and an EndpointSlice that holds the address.

Version 1.12.0 of ingress-nginx, and those before 1.11.5, do connect to the address, so this denies only under the
preset strict.`,
	Example:     "ipv4",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if !isAddress(svc.ExternalName) || isLocalhost(svc.ExternalName) {
				return nil
			}
			return &Finding{
				Field:    b.field.Child("service", "name"),
				Fact:     fmt.Sprintf("ExternalName %s of Service %s is an IP address", quote(svc.ExternalName), quote(svc.Name)),
				Accepted: "must be a DNS name",
				Outcome:  "requests get 503",
			}
		})
	},
}
