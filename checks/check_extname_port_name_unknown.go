// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNamePortNameUnknown = Check{
	Name:  "extname-port-name-unknown",
	Title: "the backend names a port that the ExternalName Service does not have",
	Text: `For an ExternalName Service a backend may give any port number. A port name is looked up in the ports of
the Service: where none has that name, ingress-nginx uses port 0, and requests get 404 or 502.

Give the number of the port, or declare the port in the Service.`,
	Example:     "other-name",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
			if b.Service.Port.Name == "" || declaredPort(svc, b.Service.Port) != nil {
				return nil
			}
			return &Finding{
				Field:    b.field.Child("service", "port"),
				Fact:     fmt.Sprintf("ExternalName Service %s declares no port %s", quote(svc.Name), portText(b.Service.Port)),
				Accepted: "must be a number, or a declared name",
				Outcome:  "requests get 404 or 502",
			}
		})
	},
}
