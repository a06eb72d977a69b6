// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameLocalhost = Check{
	Name:  "extname-localhost",
	Title: "the ExternalName of the Service is the controller's own host",
	Text: `ingress-nginx refuses an ExternalName that is localhost or a loopback address, because that would be the
controller's own Pod. It answers 503.

Use the name under which the controller can reach the backend.`,
	Example:     "localhost",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if !isLocalhost(svc.ExternalName) {
				return nil
			}
			return &Finding{
				Field:    b.field.Child("service", "name"),
				Fact:     fmt.Sprintf("ExternalName %s of Service %s is the controller's own host", quote(svc.ExternalName), quote(svc.Name)),
				Accepted: "must be a DNS name of the backend",
				Outcome:  "requests get 503",
			}
		})
	},
}
