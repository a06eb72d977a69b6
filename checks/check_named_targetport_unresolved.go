// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

var namedTargetPortUnresolved = Check{
	Name:  "named-targetport-unresolved",
	Title: "no ready Pod has the port that the Service's targetPort names",
	Text: `The targetPort of the Service is a name, and no ready Pod has a container port of that name. The endpoints
then have addresses but not this port. ingress-nginx has nobody to send requests to, and answers 503.

Give the container port that name, or use its number as the targetPort.

A rollout may bring the port later, so this only warns.`,
	Example:     "port-left-out",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run:         runNamedTargetPortUnresolved,
}

func runNamedTargetPortUnresolved(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return withoutEndpoints(ing, snap, func(d dead) (string, string) {
		if d.Ready == 0 || d.ReadyElsewhere == d.Ready || d.port.TargetPort.Type != intstr.String || d.clusterIP {
			return "", ""
		}
		return fmt.Sprintf("the endpoints of Service %s lack its port %s, whose targetPort is %s",
			quote(d.service.Name), spell(d.port), quote(d.port.TargetPort.StrVal)), "requests get 503"
	})
}
