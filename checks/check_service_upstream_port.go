// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var serviceUpstreamPort = Check{
	Name:  "service-upstream-port",
	Title: "with service-upstream, the number is not a port of the Service",
	Text: `The annotation nginx.ingress.kubernetes.io/service-upstream makes ingress-nginx send requests to the
cluster IP of the Service, at the very number that the Ingress gives. Only the ports of the Service itself answer
there. The number of a targetPort, which works without the annotation, does not: requests get 502 or 504.

Give the port of the Service, or remove the annotation.

Only the annotation counts. The same setting in the controller's ConfigMap is not read.`,
	Example:     "targetport",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"service-upstream"},
	Regardless:  true,
	Run:         runServiceUpstreamPort,
}

func runServiceUpstreamPort(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || !usesClusterIP(ing, svc) || b.Service.Port.Name != "" || declaredPort(svc, b.Service.Port) != nil {
			continue
		}
		findings = append(findings, Finding{
			Field: b.field.Child("service", "port"),
			Fact: fmt.Sprintf("with the annotation service-upstream the cluster IP of Service %s is asked for port %d, which it does not have",
				quote(name), b.Service.Port.Number),
			Accepted: acceptedPorts(svc, b.Service.Port),
			Outcome:  "requests get 502 or 504",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  []routing.Ref{serviceRef(ing, name)},
		})
	}
	return findings
}
