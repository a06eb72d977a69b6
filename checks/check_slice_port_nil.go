// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var slicePortNil = Check{
	Name:  "slice-port-nil",
	Title: "an EndpointSlice port without a number crashes ingress-nginx",
	Text: `The API server accepts an EndpointSlice port without a number, which means all ports. ingress-nginx does
not expect it: as soon as an Ingress names the Service of that slice, the whole controller crashes, and again after
every restart. Then it serves no Ingress at all, of any namespace.

Give the port of the slice a number before an Ingress names the Service.`,
	Example:     "unnamed",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Run:         runSlicePortNil,
}

func runSlicePortNil(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	// Whether the backend is ever asked does not matter: the controller looks all
	// of them up.
	for _, b := range backends(ing, snap) {
		if b.Service == nil {
			continue
		}
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || svc.External() || (routing.ServiceUpstream(ing) && !svc.Headless()) {
			continue
		}
		port := svc.MatchPort(b.Service.Port)
		if port == nil {
			continue
		}
		slices, _ := snap.SlicesOf(ing.Namespace, name)
		for _, slice := range slices {
			if !routing.NamedAfter(slice.Name, name) || !crashes(port, slice) {
				continue
			}
			findings = append(findings, Finding{
				Field:    b.field.Child("service"),
				Fact:     fmt.Sprintf("EndpointSlice %s of Service %s has a port without a number", quote(slice.Name), quote(name)),
				Accepted: "must have a number",
				Outcome:  "the whole controller crashes and nobody's Ingresses are served",
				Subject:  b.about("EndpointSlice/" + slice.Name),
				RestsOn: []routing.Ref{
					serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name},
				},
			})
			break
		}
	}
	return findings
}

// crashes reports whether ingress-nginx dereferences the missing number: it does
// for a TCP port of the same name, and for any where the Service port has none.
func crashes(port *corev1.ServicePort, slice *routing.EndpointSlice) bool {
	for _, p := range slice.Ports {
		if p.TCP && p.Number == 0 && (port.Name == "" || p.Name == port.Name) {
			return true
		}
	}
	return false
}
