// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var sliceFQDN = Check{
	Name:  "slice-fqdn",
	Title: "the Service's endpoints are DNS names, which ingress-nginx cannot use",
	Text: `The EndpointSlices of the Service are of address type FQDN. ingress-nginx does not resolve names of endpoints: it
takes them for IPv6 addresses, fails to connect, and answers 502.

Use a Service of type ExternalName, or slices of addresses.

Nothing is said where the Service has other endpoints as well, or where the annotation service-upstream sends requests
to its cluster IP.`,
	Example:     "one-name",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run:         runSliceFQDN,
}

func runSliceFQDN(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range balanced(ing, snap) {
		name, svc := b.Service.Name, b.service
		port := svc.MatchPort(b.Service.Port)
		if port == nil {
			continue
		}
		all, _ := snap.SlicesOf(ing.Namespace, name)
		var addresses, names []*routing.EndpointSlice
		for _, slice := range all {
			if slice.Unnameable() {
				names = append(names, slice)
			} else {
				addresses = append(addresses, slice)
			}
		}
		if len(names) == 0 || routing.Resolve(svc, port, names).Usable == 0 || routing.Resolve(svc, port, addresses).Usable > 0 {
			continue
		}
		findings = append(findings, Finding{
			Field:    b.field.Child("service", "name"),
			Fact:     fmt.Sprintf("all endpoints of Service %s are DNS names, which ingress-nginx does not resolve", quote(name)),
			Accepted: "must be a Service of type ExternalName, or have endpoints with addresses",
			Outcome:  "requests get 502",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  endpointRefs(ing, name),
		})
	}
	return findings
}
