// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameLocalhost = Check{
	Name:  "extname-localhost",
	Title: "ExternalName points to the controller itself",
	Text: `ingress-nginx refuses an ExternalName that is localhost or a loopback address, which would be the controller's own
Pod, and answers 503.

Use the name under which the backend is reached from the controller.`,
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if !(isLocalhost(svc.ExternalName)) {
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
