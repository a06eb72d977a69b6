// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var passthroughClusterIP = Check{
	Name:  "passthrough-clusterip",
	Title: "TLS is passed through to a cluster IP or port that does not exist",
	Text: `Where TLS is passed through, ingress-nginx hands the connections to the cluster IP of the Service, and not to its Pods. A
headless Service and one of type ExternalName have no cluster IP. And the cluster IP listens only on the ports of the
Service: a number or a name that is but a targetPort, which works without the annotation, leads nowhere.

Name a Service with a cluster IP, and one of its ports.

It speaks only where the settings of the controller say that it runs with --enable-ssl-passthrough.`,
	Example:     "headless",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Run:         runPassthroughClusterIP,
}

func runPassthroughClusterIP(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	hosts := passedThrough(ing, snap)
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if !slices.ContainsFunc(hosts, func(p passthrough) bool {
			return b.path != nil && p.server.Host == b.subject.Host && isPathOf(p.server.PassthroughRoot(), ing, b)
		}) {
			continue
		}
		svc, known := snap.Service(ing.Namespace, b.Service.Name)
		if known != routing.Present {
			continue
		}
		f := Finding{
			Field:   b.field.Child("service"),
			Outcome: fmt.Sprintf("TLS connections for %s are closed", quote(b.subject.Host)),
			Subject: b.about(serviceAndPort(b.IngressBackend)),
			RestsOn: []routing.Ref{serviceRef(ing, svc.Name)},
		}
		switch {
		case svc.External():
			f.Fact = fmt.Sprintf("Service %s is of type ExternalName, and TLS is passed through to the cluster IP", quote(svc.Name))
			f.Accepted = "must be a Service with a cluster IP"
		case svc.Headless():
			f.Fact = fmt.Sprintf("Service %s is headless, and TLS is passed through to the cluster IP", quote(svc.Name))
			f.Accepted = "must be a Service with a cluster IP"
		case onlyTarget(svc, b.Service.Port):
			f.Field = f.Field.Child("port")
			f.Fact = fmt.Sprintf("%s is a targetPort of Service %s, and TLS is passed through to the cluster IP", quote(routing.BackendPort(b.Service.Port)), quote(svc.Name))
			f.Accepted = "must be a port of the Service"
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// onlyTarget reports whether a backend's port is known to the Service, but as a
// targetPort only. One that is not known at all is port-missing's to report.
func onlyTarget(svc *routing.Service, port networkingv1.ServiceBackendPort) bool {
	for i := range svc.Ports {
		if p := &svc.Ports[i]; (port.Name == "" && p.Port == port.Number) || (port.Name != "" && p.Name == port.Name) {
			return false
		}
	}
	return svc.MatchPort(port) != nil
}
