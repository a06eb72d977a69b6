// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

// externalNames reports the backends with an ExternalName Service in which fault
// finds something. It completes the finding.
func externalNames(ing *networkingv1.Ingress, snap *routing.Snapshot, fault func(backend, *routing.Service) *Finding) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap) {
		svc, known := snap.Service(ing.Namespace, b.Service.Name)
		if known != routing.Present || !svc.External() {
			continue
		}
		f := fault(b, svc)
		if f == nil {
			continue
		}
		f.RestsOn = []routing.Ref{serviceRef(ing, svc.Name)}
		// Elsewhere the controller sees an endpoint, and looks for no other.
		if isLocalhost(svc.ExternalName) || snap.SettingsOf(ing).DisableExternalName {
			if rescue(ing, snap, svc) != routing.Absent {
				continue
			}
			if name := routing.DefaultBackendAnnotation(ing); name != "" {
				f.RestsOn = append(f.RestsOn, serviceRef(ing, name))
			}
		}
		f.Subject = b.about("Service/" + svc.Name + ":" + routing.BackendPort(b.Service.Port))
		findings = append(findings, *f)
	}
	return findings
}

func isLocalhost(name string) bool {
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || (err == nil && addr.IsLoopback())
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hasNamedTarget reports whether a backend names by number a port whose
// targetPort is a name.
func hasNamedTarget(svc *routing.Service, port networkingv1.ServiceBackendPort) bool {
	if port.Name != "" {
		return false
	}
	declared := declaredPort(svc, port)
	return declared != nil && declared.TargetPort.Type == intstr.String
}
