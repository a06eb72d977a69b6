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

Where several Ingresses lead to the same Service and port, the oldest decides for all of them.`,
	Example:     "targetport",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runServiceUpstreamPort,
}

func runServiceUpstreamPort(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || b.Service.Port.Name != "" || declaredPort(svc, b.Service.Port) != nil || !usesClusterIP(ing, snap, b, svc) {
			continue
		}
		f := Finding{
			Field: b.field.Child("service", "port"),
			Fact: fmt.Sprintf("with the annotation service-upstream the cluster IP of Service %s is asked for port %d, which it does not have",
				quote(name), b.Service.Port.Number),
			Accepted: acceptedPorts(svc, b.Service.Port),
			Outcome:  "requests get 502 or 504",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  []routing.Ref{serviceRef(ing, name)},
		}
		if up := upstreamOf(ing, snap, b); up != nil && up.First != ing {
			f.Fact = fmt.Sprintf("because of the older Ingress %s the cluster IP of Service %s is asked for port %d, which it does not have",
				quote(ingressName(up.First)), quote(name), b.Service.Port.Number)
			f.RestsOn = append(f.RestsOn, ingressRef(up.First))
			f.Tentative = routing.MayBeRefused(up.First)
		}
		findings = append(findings, f)
	}
	return findings
}
