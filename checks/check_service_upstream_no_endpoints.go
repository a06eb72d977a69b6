// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var serviceUpstreamNoEndpoints = Check{
	Name:  "service-upstream-no-endpoints",
	Title: "with service-upstream, nothing ready stands behind the cluster IP",
	Text: `The annotation nginx.ingress.kubernetes.io/service-upstream makes ingress-nginx send requests to the
cluster IP of the Service. If the Service has no ready endpoints, nobody answers there: requests get 502 or 504, not
the 503 of other backends without endpoints. The oldest Ingress of a Service and port decides for all of them.

Look at the selector of the Service and at the readiness of its Pods.

Pods often come after the Ingress, so this only warns.`,
	Example:     "not-ready",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run:         runServiceUpstreamNoEndpoints,
}

func runServiceUpstreamNoEndpoints(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return withoutEndpoints(ing, snap, func(d dead) (string, string) {
		if d.Ready > 0 || !d.clusterIP {
			return "", ""
		}
		return fmt.Sprintf("the cluster IP of Service %s is asked, and the Service has no ready endpoints", quote(d.service.Name)),
			"requests get 502 or 504 until it has"
	})
}
