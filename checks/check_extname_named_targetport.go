// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameNamedTargetPort = Check{
	Name:  "extname-named-targetport",
	Title: "the port of the ExternalName Service has a name as its targetPort",
	Text: `A backend that gives the number of a port of an ExternalName Service gets the targetPort of that port. If
this is a name, there is no Pod in which to look it up: ingress-nginx uses port 0, and requests get 502.

Use a number as the targetPort, or name the port in the Ingress: then ingress-nginx falls back to the port's number.`,
	Example:     "by-number",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if !hasNamedTarget(svc, b.Service.Port) {
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
