// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameNamedTargetPort = Check{
	Name:  "extname-named-targetport",
	Title: "the ExternalName Service has a named targetPort",
	Text: `A backend that names a port of an ExternalName Service by number gets that port's targetPort. There is no Pod in which
a name could be looked up, so ingress-nginx uses port 0 and requests get 502. By name the same port works, because
ingress-nginx then falls back to the port's number.

Use a number as targetPort.`,
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if !(hasNamedTarget(svc, b.Service.Port)) {
				return nil
			}
			return &Finding{
				Field:    b.field.Child("service", "port"),
				Fact:     fmt.Sprintf("port %s of ExternalName Service %s has a targetPort that is a name", portText(b.Service.Port), quote(svc.Name)),
				Accepted: "must be a number",
				Outcome:  "requests get 502",
			}
		})
	},
}
