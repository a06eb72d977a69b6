// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var slicePortOverridden = Check{
	Name:  "slice-port-overridden",
	Title: "an EndpointSlice names its port otherwise, so its number is not used",
	Text: `ingress-nginx takes the number of a port from an EndpointSlice only where the slice gives the port the same name as the
Service does. Otherwise it uses the targetPort of the Service, if that is a number, and connects to a port which the slice
does not have: requests get 502 unless something listens there as well.

Give the port in the slice the name that it has in the Service.

This happens with slices made by hand only, and is not said of those that Kubernetes makes. It only warns, because the
endpoints may listen on both.`,
	Example:     "other-name",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run:         runSlicePortOverridden,
}

func runSlicePortOverridden(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return inSlices(ing, snap, func(port *corev1.ServicePort, slice *routing.EndpointSlice) (fact, outcome string) {
		target, numbers := port.TargetPort.IntVal, numbersOf(slice)
		named := slices.ContainsFunc(slice.Ports, func(p routing.SlicePort) bool { return p.TCP && p.Name == port.Name })
		if port.Name == "" || named || len(numbers) == 0 || slices.Contains(numbers, target) {
			return "", ""
		}
		return fmt.Sprintf("EndpointSlice %s has no port named %s, so that port %d is used, the targetPort of the Service, and not %d",
			quote(slice.Name), quote(port.Name), target, numbers[0]), "requests get 502 unless the endpoints have that port too"
	})
}
