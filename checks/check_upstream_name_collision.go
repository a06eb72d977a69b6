// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var upstreamNameCollision = Check{
	Name:  "upstream-name-collision",
	Title: "two different Services have one name within ingress-nginx",
	Text: `ingress-nginx calls a backend by its namespace, Service and port, joined with hyphens. Service a-web of namespace team
and Service web of namespace team-a have the same name, if the port is the same. The Ingress that names it first decides
which Service that is; requests of the other Ingress go there, to the Pods of the other namespace.

Rename the Service, or name the port by its name in the one Ingress and by its number in the other.

It only warns where ingress-nginx may have refused the other Ingress for one of its annotations.`,
	Example:     "other-namespace",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runUpstreamNameCollision,
}

func runUpstreamNameCollision(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present || table.ConfigOf(ing) == nil {
		return nil
	}
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if b.Service == nil {
			continue
		}
		up := table.UpstreamOf(ing.Namespace, b.Service)
		if up.Namespace == ing.Namespace && up.Service == b.Service.Name {
			continue
		}
		f := Finding{
			Field: b.field.Child("service"),
			Fact: fmt.Sprintf("Service %s and port %s are called %s within ingress-nginx, like a backend of Ingress %s",
				quote(b.Service.Name), quote(routing.BackendPort(b.Service.Port)), quote(up.Name), quote(ingressName(up.First))),
			Accepted: "must be another Service or port",
			Outcome:  "requests go to the Service of that Ingress",
			Subject:  b.about("Ingress/" + ingressName(up.First)),
		}
		if up.First != ing {
			f.RestsOn = []routing.Ref{ingressRef(up.First)}
			f.Tentative = routing.MayBeRefused(up.First)
		} else {
			f.Fact = fmt.Sprintf("Service %s and port %s are called %s within ingress-nginx, like another backend of this Ingress",
				quote(b.Service.Name), quote(routing.BackendPort(b.Service.Port)), quote(up.Name))
			f.Outcome = fmt.Sprintf("requests go to Service %s", quote(up.Service))
			f.Subject.Object = "Service/" + up.Service
		}
		findings = append(findings, f)
	}
	return findings
}
