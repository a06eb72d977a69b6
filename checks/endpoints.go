// SPDX-License-Identifier: Apache-2.0

package checks

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// served is a backend with its Service.
type served struct {
	backend
	service *routing.Service
}

// balanced returns the backends that requests can depend on and whose endpoints
// ingress-nginx looks up: Services that do not exist, those of type ExternalName and
// those of which it asks the cluster IP are left out.
func balanced(ing *networkingv1.Ingress, snap *routing.Snapshot) []served {
	var all []served
	for _, b := range asked(ing, snap, snap.ClassOf(ing)) {
		svc, known := snap.Service(ing.Namespace, b.Service.Name)
		if known == routing.Present && !svc.External() && !usesClusterIP(ing, svc) {
			all = append(all, served{b, svc})
		}
	}
	return all
}

// dead is a Service and a port of it that have no endpoint which gets requests.
type dead struct {
	routing.Endpoints
	service *routing.Service
	port    *corev1.ServicePort
}

// withoutEndpoints reports the backends whose Service and port are in order but
// have no endpoint that gets requests, where cause has a fact and an outcome to
// tell of them. A finding rests on the Service first.
func withoutEndpoints(ing *networkingv1.Ingress, snap *routing.Snapshot, cause func(dead) (fact, outcome string)) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap, snap.ClassOf(ing)) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || svc.External() || (b.path != nil && routing.IsSolverPath(b.path)) {
			continue
		}
		// Other faults of the port are port-missing's and port-not-tcp's to report.
		port := svc.MatchPort(b.Service.Port)
		if port == nil || !isTCP(port) {
			continue
		}
		slices, known := snap.SlicesOf(ing.Namespace, name)
		if known == routing.Unread {
			continue
		}
		d := dead{Endpoints: routing.Resolve(svc, port, slices), service: svc, port: port}
		if d.Usable > 0 {
			continue
		}
		fact, outcome := cause(d)
		if fact == "" {
			continue
		}
		if rescue(ing, snap) != routing.Absent {
			return nil
		}
		findings = append(findings, Finding{
			Field:   b.field.Child("service", "name"),
			Fact:    fact,
			Outcome: outcome,
			Subject: b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn: append(endpointRefs(ing, name), rescueRefs(ing)...),
		})
	}
	return findings
}
