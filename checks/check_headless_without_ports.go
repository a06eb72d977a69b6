// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var headlessWithoutPorts = Check{
	Name:  "headless-without-ports",
	Title: "the backend names a Service that has no ports",
	Text: `A headless Service may have no ports. ingress-nginx looks up the port of the backend in the Service, finds
none, and answers 503, whatever the endpoints are.

Declare the port in the Service.`,
	Example:     "number",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runHeadlessWithoutPorts,
}

func runHeadlessWithoutPorts(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || svc.External() || len(svc.Ports) > 0 {
			continue
		}
		if rescue(ing, snap, svc) != routing.Absent {
			continue
		}
		findings = append(findings, Finding{
			Field:    b.field.Child("service", "port"),
			Fact:     fmt.Sprintf("Service %s has no ports at all", quote(name)),
			Accepted: "must declare the port that the backend names",
			Outcome:  "requests get 503",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  append([]routing.Ref{serviceRef(ing, name)}, rescueRefs(ing)...),
		})
	}
	return findings
}
