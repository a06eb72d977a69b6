// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var sliceNamePrefix = Check{
	Name:  "slice-name-prefix",
	Title: "the EndpointSlices are not named after their Service",
	Text: `EndpointSlices belong to a Service by their label kubernetes.io/service-name. ingress-nginx also demands
that the name of the slice begins with the name of the Service (of a long one, with the first 57 characters), and
ignores all others: requests get 503, although the Service works inside the cluster. Kubernetes names its own slices
so; only those that people or other tools write are affected.

Give the slice a name that begins with the name of the Service, for example web-1 for the Service web.

For a Service with a selector this only warns, because Kubernetes may be about to write slices of its own.`,
	Example:     "hand-made",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runSliceNamePrefix,
}

func runSliceNamePrefix(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	findings := withoutEndpoints(ing, snap, func(d dead) (string, string) {
		if d.ReadyElsewhere == 0 || d.ReadyElsewhere < d.Ready || d.clusterIP {
			return "", ""
		}
		return fmt.Sprintf("all ready endpoints of Service %s are in EndpointSlices whose names do not begin with %s",
			quote(d.service.Name), quote(d.service.Name)), "requests get 503"
	})
	for i := range findings {
		// Kubernetes may be about to write slices of its own for a selector.
		svc, _ := snap.Service(ing.Namespace, findings[i].RestsOn[0].Name)
		findings[i].Tentative = svc.Selecting()
	}
	return findings
}
