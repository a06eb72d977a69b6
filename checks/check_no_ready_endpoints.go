// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var noReadyEndpoints = Check{
	Name:  "no-ready-endpoints",
	Title: "the Service of the backend has endpoints, but none is ready",
	Text: `The Service has endpoints, but the Pods are starting, failing their readiness probe, or terminating.
ingress-nginx sends requests only to ready endpoints, and never to terminating ones, even if they still serve. It
answers 503 until one is ready.

See why the Pods are not ready: kubectl get pods, then kubectl describe pod. With the flag --read-pods, the message
says it.

Pods often become ready after the Ingress was written, so this only warns.`,
	Example:     "not-ready",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices, routing.Pods},
	Controllers: []string{routing.Nginx},
	Run:         runNoReadyEndpoints,
}

func runNoReadyEndpoints(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return explainedByPods(ing, snap, withoutEndpoints(ing, snap, func(d dead) (string, string) {
		if d.Ready > 0 || d.NotReady == 0 || d.clusterIP {
			return "", ""
		}
		count := fmt.Sprintf("none of %d endpoints is", d.NotReady)
		if d.NotReady == 1 {
			count = "its only endpoint is not"
		}
		return fmt.Sprintf("Service %s has no ready endpoints: %s ready", quote(d.service.Name), count),
			"requests get 503 until it has"
	}))
}
