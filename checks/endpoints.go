// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"

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
	return routing.Once(snap, balancedKey{}, func(snap *routing.Snapshot) []served { return findBalanced(ing, snap) })
}

type balancedKey struct{}

func findBalanced(ing *networkingv1.Ingress, snap *routing.Snapshot) []served {
	var all []served
	for _, b := range asked(ing, snap) {
		svc, known := snap.Service(ing.Namespace, b.Service.Name)
		if known == routing.Present && !svc.External() && !usesClusterIP(ing, snap, b, svc) {
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
	// clusterIP is what usesClusterIP reports.
	clusterIP bool
}

// withoutEndpoints reports the backends whose Service and port are in order but
// have no endpoint that gets requests, where cause has a fact and an outcome to
// tell of them. A finding rests on the Service first.
func withoutEndpoints(ing *networkingv1.Ingress, snap *routing.Snapshot, cause func(dead) (fact, outcome string)) []Finding {
	var findings []Finding
	for _, b := range tcpBackends(ing, snap) {
		name, svc, port := b.Service.Name, b.service, b.port
		all, known := snap.SlicesOf(ing.Namespace, name)
		if known == routing.Unread {
			continue
		}
		d := dead{Endpoints: routing.Resolve(svc, port, all), service: svc, port: port}
		if d.Usable > 0 {
			continue
		}
		d.clusterIP = usesClusterIP(ing, snap, b.backend, svc)
		fact, outcome := cause(d)
		if fact == "" {
			continue
		}
		if rescue(ing, snap, svc) != routing.Absent {
			continue
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

// inSlices reports the backends of which a slice that ingress-nginx uses, with ready
// endpoints, does not say what its maker meant, where cause has a fact and an outcome to
// tell of it.
func inSlices(ing *networkingv1.Ingress, snap *routing.Snapshot, cause func(*corev1.ServicePort, *routing.EndpointSlice) (fact, outcome string)) []Finding {
	var findings []Finding
	for _, b := range tcpBackends(ing, snap) {
		name, svc, port := b.Service.Name, b.service, b.port
		if usesClusterIP(ing, snap, b.backend, svc) {
			continue
		}
		all, _ := snap.SlicesOf(ing.Namespace, name)
		for _, slice := range all {
			if routing.Resolve(svc, port, []*routing.EndpointSlice{slice}).Usable == 0 {
				continue
			}
			fact, outcome := cause(port, slice)
			if fact == "" {
				continue
			}
			findings = append(findings, Finding{
				Field:   b.field.Child("service", "port"),
				Fact:    fact,
				Outcome: outcome,
				Subject: b.about("EndpointSlice/" + slice.Name + ":" + routing.BackendPort(b.Service.Port)),
				RestsOn: []routing.Ref{
					serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name},
				},
				Tentative: true,
			})
			break
		}
	}
	return findings
}

// tcpBackend is a backend with its Service and the port of it.
type tcpBackend struct {
	backend
	service *routing.Service
	port    *corev1.ServicePort
}

// tcpBackends returns the backends that requests depend on, of which the Service has
// endpoints and the port is TCP. Other faults of a port are port-missing's and
// port-not-tcp's to report; paths that solve a challenge are left out.
func tcpBackends(ing *networkingv1.Ingress, snap *routing.Snapshot) []tcpBackend {
	return routing.Once(snap, tcpBackendsKey{}, func(snap *routing.Snapshot) []tcpBackend { return findTCPBackends(ing, snap) })
}

type tcpBackendsKey struct{}

func findTCPBackends(ing *networkingv1.Ingress, snap *routing.Snapshot) []tcpBackend {
	var all []tcpBackend
	for _, b := range asked(ing, snap) {
		svc, known := snap.Service(ing.Namespace, b.Service.Name)
		if known != routing.Present || svc.External() || (b.path != nil && routing.IsSolverPath(b.path)) {
			continue
		}
		if port := svc.MatchPort(b.Service.Port); port != nil && isTCP(port) {
			all = append(all, tcpBackend{b, svc, port})
		}
	}
	return all
}

// numbersOf returns the numbers of the TCP ports of a slice, each once.
func numbersOf(slice *routing.EndpointSlice) []int32 {
	var numbers []int32
	for _, p := range slice.Ports {
		if p.TCP && p.Number != 0 && !slices.Contains(numbers, p.Number) {
			numbers = append(numbers, p.Number)
		}
	}
	return numbers
}
