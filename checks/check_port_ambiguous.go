// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var portAmbiguous = Check{
	Name:  "port-ambiguous",
	Title: "the backend's port fits two ports of the Service, and the wrong one wins",
	Text: `ingress-nginx takes the first port of the Service whose number, targetPort or name is spelled as in the
Ingress. If the targetPort of an earlier port is spelled like the number or name of the one that is meant, requests go
to the earlier one: to another container port, another application, or nobody.

Give the port by a spelling that only it has, or list it first in the Service.`,
	Example:     "number",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runPortAmbiguous,
}

func runPortAmbiguous(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range balanced(ing, snap) {
		name, svc := b.Service.Name, b.service
		taken, meant := svc.MatchPort(b.Service.Port), declaredPort(svc, b.Service.Port)
		if taken == nil || meant == nil || taken == meant || taken.TargetPort == meant.TargetPort {
			continue
		}
		slices, known := snap.SlicesOf(ing.Namespace, name)
		if known == routing.Unread || samePod(taken, meant, slices) {
			continue
		}
		findings = append(findings, Finding{
			Field: b.field.Child("service", "port"),
			Fact: fmt.Sprintf("port %s of Service %s is the targetPort of its port %s, which comes before its port %s",
				portText(b.Service.Port), quote(name), spell(taken), spell(meant)),
			Accepted: acceptedSpelling(svc, meant),
			Outcome:  fmt.Sprintf("requests go to port %s", spell(taken)),
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  endpointRefs(ing, name),
		})
	}
	return findings
}

// declaredPort is the port that the API means by a backend port: the one with
// that name or number.
func declaredPort(svc *routing.Service, port networkingv1.ServiceBackendPort) *corev1.ServicePort {
	for i := range svc.Ports {
		p := &svc.Ports[i]
		if (port.Name != "" && p.Name == port.Name) || (port.Name == "" && p.Port == port.Number) {
			return p
		}
	}
	return nil
}

// samePod reports whether the endpoints say that both ports are the same
// container port: a named targetPort may stand for the number of the other.
func samePod(a, b *corev1.ServicePort, slices []*routing.EndpointSlice) bool {
	if len(slices) == 0 {
		return false
	}
	for _, slice := range slices {
		an, bn := slicePort(a, slice), slicePort(b, slice)
		if an == 0 || an != bn {
			return false
		}
	}
	return true
}

func slicePort(p *corev1.ServicePort, slice *routing.EndpointSlice) int32 {
	for _, sp := range slice.Ports {
		if sp.Name == p.Name {
			return sp.Number
		}
	}
	return 0
}

// spell writes a port of a Service as users know it.
func spell(p *corev1.ServicePort) string {
	if p.Name != "" {
		return fmt.Sprintf("%d (%s)", p.Port, bare(p.Name))
	}
	return strconv.Itoa(int(p.Port))
}

// acceptedSpelling suggests a spelling by which ingress-nginx finds that very
// port.
func acceptedSpelling(svc *routing.Service, p *corev1.ServicePort) string {
	for _, way := range []networkingv1.ServiceBackendPort{{Name: p.Name}, {Number: p.Port}} {
		if (way.Name != "" || way.Number != 0) && svc.MatchPort(way) == p {
			return "must be " + portText(way)
		}
	}
	return "must be listed first in the Service"
}
