// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

var portNotTCP = Check{
	Name:  "port-not-tcp",
	Title: "the backend names a port of the Service that is not TCP",
	Text: `HTTP needs TCP. ingress-nginx takes the first port of the Service that fits, and then looks for TCP
endpoints of that very port. A port of protocol UDP or SCTP has none, and every request gets 503. A UDP and a TCP port
of the same number work only if the first of them has a number as its targetPort.

Name a TCP port of the Service, or declare one.

For a Service without selector this only warns: EndpointSlices that were written by hand may hold a port that the
Service does not declare.`,
	Example:     "udp-only",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runPortNotTCP,
}

func runPortNotTCP(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range balanced(ing, snap) {
		name, svc := b.Service.Name, b.service
		port := svc.MatchPort(b.Service.Port)
		if port == nil || isTCP(port) || servesTCP(svc, port) {
			continue
		}
		slices, known := snap.SlicesOf(ing.Namespace, name)
		if known == routing.Unread || routing.Resolve(svc, port, slices).Usable > 0 {
			continue
		}
		if rescue(ing, snap, svc) != routing.Absent {
			continue
		}
		refs := []routing.Ref{serviceRef(ing, name)}
		findings = append(findings, Finding{
			Field: b.field.Child("service", "port"),
			Fact: fmt.Sprintf("port %s of Service %s has protocol %s",
				portText(b.Service.Port), quote(name), port.Protocol),
			Accepted: acceptedTCP(svc),
			Outcome:  "requests get 503",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  append(refs, rescueRefs(ing)...),
			// Slices written by hand may hold what the Service does not declare.
			Tentative: !svc.Selecting(),
		})
	}
	return findings
}

func isTCP(p *corev1.ServicePort) bool {
	return p.Protocol == corev1.ProtocolTCP || p.Protocol == ""
}

// servesTCP reports whether TCP endpoints of another port of the Service stand
// in for this one: its own slices hold a TCP port, and the targetPort of this
// one is a number.
func servesTCP(svc *routing.Service, port *corev1.ServicePort) bool {
	if port.TargetPort.Type != intstr.Int {
		return false
	}
	for i := range svc.Ports {
		if isTCP(&svc.Ports[i]) {
			return true
		}
	}
	return false
}

func acceptedTCP(svc *routing.Service) string {
	var tcp []string
	for i := range svc.Ports {
		if p := &svc.Ports[i]; isTCP(p) {
			// A number may be found with another protocol first.
			if way := (networkingv1.ServiceBackendPort{Number: p.Port}); svc.MatchPort(way) == p || p.Name == "" {
				tcp = append(tcp, portText(way))
			} else {
				tcp = append(tcp, quote(p.Name))
			}
		}
	}
	if len(tcp) == 0 {
		return "must be a TCP port"
	}
	return oneOf(tcp)
}

// usesClusterIP reports whether ingress-nginx sends requests for the backend to the
// cluster IP of its Service, so that it looks at neither protocol nor endpoints. The
// oldest Ingress that names the Service and port decides (semantics row E10).
func usesClusterIP(ing *networkingv1.Ingress, snap *routing.Snapshot, b backend, svc *routing.Service) bool {
	if svc.Headless() || svc.External() {
		return false
	}
	if up := upstreamOf(ing, snap, b); up != nil {
		return up.ServiceUpstream
	}
	return routing.ServiceUpstream(ing)
}

// upstreamOf returns the upstream of the backend, nil where it is not known.
func upstreamOf(ing *networkingv1.Ingress, snap *routing.Snapshot, b backend) *routing.Upstream {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	return table.UpstreamOf(ing.Namespace, b.Service)
}
