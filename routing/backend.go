// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BackendPort spells the port of a backend: its number, or its name.
func BackendPort(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Number))
}

// MatchPort returns the Service port that ingress-nginx takes for a backend
// port: the first whose number, targetPort or name is spelled the same
// (semantics row F03). It returns nil when there is none. It is not meant for
// ExternalName Services, where a number needs no declared port.
func (s *Service) MatchPort(port networkingv1.ServiceBackendPort) *corev1.ServicePort {
	want := BackendPort(port)
	for i := range s.Ports {
		p := &s.Ports[i]
		if strconv.Itoa(int(p.Port)) == want || p.TargetPort.String() == want || p.Name == want {
			return p
		}
	}
	return nil
}

// Headless reports whether the Service has no cluster IP of its own.
func (s *Service) Headless() bool {
	return s.ClusterIP == corev1.ClusterIPNone
}

// External reports whether the Service is of type ExternalName.
func (s *Service) External() bool {
	return s.Type == corev1.ServiceTypeExternalName
}

// Endpoints counts what stands behind a Service port.
type Endpoints struct {
	// Usable is the number of addresses and ports that get requests.
	Usable int
	// Ready and NotReady are the numbers of addresses in all slices of the
	// Service, whether or not their ports fit.
	Ready, NotReady int
	// ReadyElsewhere is how many of the Ready ones are in slices that are ignored
	// because they are not named after the Service.
	ReadyElsewhere int
}

// Resolve counts the endpoints that ingress-nginx v1.15.1 finds behind a port
// of a Service, as its getEndpointsFromSlices does for TCP under default flags:
// only slices whose own name begins with the Service's (semantics row G03), only
// ready addresses, and for each slice port of protocol TCP the slice's number
// when the names agree, else the Service's targetPort if that is a number.
func Resolve(svc *Service, port *corev1.ServicePort, slices []*EndpointSlice) Endpoints {
	var e Endpoints
	for _, slice := range slices {
		ports, named := 0, NamedAfter(slice.Name, svc.Name)
		if named {
			ports = len(slicePorts(port, slice))
		}
		for _, ep := range slice.Endpoints {
			if !ep.Ready {
				e.NotReady += len(ep.Addresses)
				continue
			}
			e.Ready += len(ep.Addresses)
			e.Usable += len(ep.Addresses) * ports
			if !named {
				e.ReadyElsewhere += len(ep.Addresses)
			}
		}
	}
	return e
}

// NamedAfter reports whether a slice's own name begins with the Service's. It
// compares at most the first 57 characters, which is what Kubernetes keeps of a
// long Service name in the names it generates.
func NamedAfter(slice, service string) bool {
	const kept = 57
	if len(service) > kept {
		service = service[:kept]
	}
	return strings.HasPrefix(slice, service)
}

// slicePorts are the port numbers of the slice that serve the Service port: the
// slice's own where the names agree, else the Service's targetPort if that is a
// number.
func slicePorts(port *corev1.ServicePort, slice *EndpointSlice) []int32 {
	var target int32
	if port.TargetPort.Type == intstr.Int {
		target = port.TargetPort.IntVal
	}
	if len(slice.Ports) == 0 {
		if target != 0 {
			return []int32{target}
		}
		return nil
	}
	numbers := make([]int32, 0, len(slice.Ports))
	for _, p := range slice.Ports {
		if !p.TCP {
			continue
		}
		number := target
		if p.Number != 0 && (port.Name == "" || p.Name == port.Name) {
			number = p.Number
		}
		if number != 0 {
			numbers = append(numbers, number)
		}
	}
	return numbers
}
