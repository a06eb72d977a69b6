// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var unnamedPortMany = Check{
	Name:  "unnamed-port-many",
	Title: "the Service port has no name and its EndpointSlice several ports",
	Text: `Where the port of a Service has no name, ingress-nginx uses every TCP port of its EndpointSlices: requests are spread
over all of them, whatever listens there.

Give the port a name, in the Service and in the slice.

This happens with slices made by hand only: those that Kubernetes makes for an unnamed port have one. It only warns,
because the ports may all be good.`,
	Example:     "two-ports",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run:         runUnnamedPortMany,
}

func runUnnamedPortMany(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return inSlices(ing, snap, func(port *corev1.ServicePort, slice *routing.EndpointSlice) (fact, outcome string) {
		numbers := numbersOf(slice)
		if port.Name != "" || len(numbers) < 2 {
			return "", ""
		}
		return fmt.Sprintf("port %d of the Service has no name, so that all TCP ports of EndpointSlice %s are used, among them %d and %d",
			port.Port, quote(slice.Name), numbers[0], numbers[1]), "some requests go to the wrong port"
	})
}
