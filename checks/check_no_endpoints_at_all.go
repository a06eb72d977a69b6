// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var noEndpointsAtAll = Check{
	Name:  "no-endpoints-at-all",
	Title: "the Service of the backend has no endpoints",
	Text: `The Service exists, but nothing stands behind it: its selector matches no Pod, its workload is scaled to
zero, or it has no selector and nobody wrote an EndpointSlice for it with the label kubernetes.io/service-name.
ingress-nginx answers 503.

Compare the selector of the Service with the labels of the Pods, and see whether the workload has replicas. With the
flag --read-pods, the message names the label that differs, or what keeps the Pods from being ready.

Pods often come after the Ingress, so this only warns.`,
	Example:     "empty-slice",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices, routing.Pods},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return explainedByPods(ing, snap, withoutEndpoints(ing, snap, func(d dead) (string, string) {
			if d.Ready+d.NotReady > 0 || d.clusterIP {
				return "", ""
			}
			return fmt.Sprintf("Service %s has no endpoints", quote(d.service.Name)), "requests get 503 until it has ready endpoints"
		}))
	},
}
