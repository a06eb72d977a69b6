// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Endpoints returns the addresses with ports that the controller gives to nginx for
// an upstream, in the order of the slices; a nil upstream is the controller's own
// 404, which has none. It is Absent where there are none, with the reason as a
// clause, and Unread where that depends on something that was not read.
func (t *Table) Endpoints(u *Upstream) (endpoints []string, known Known, reason string) {
	if u == nil {
		return nil, Absent, "no backend is given"
	}
	if u.deleted {
		return nil, Absent, "the controller removed the upstream of a canary without a primary"
	}
	return t.snap.endpointsOf(u.Namespace, u.Service, u.Port, u.ServiceUpstream, t.Settings.DisableExternalName)
}

func (s *Snapshot) endpointsOf(namespace, name string, backend networkingv1.ServiceBackendPort, clusterIP, noExternal bool) ([]string, Known, string) {
	svc, known := s.Service(namespace, name)
	switch known {
	case Unread:
		return nil, Unread, fmt.Sprintf("Service %q was not read", name)
	case Absent:
		return nil, Absent, fmt.Sprintf("Service %q does not exist", name)
	}
	if clusterIP {
		if endpoint := svc.clusterEndpoint(backend); endpoint != "" {
			return []string{endpoint}, Present, ""
		}
	}
	if svc.External() {
		if noExternal {
			return nil, Absent, "the controller does not allow Services of type ExternalName"
		}
		if endpoint, reason := svc.externalEndpoint(backend); reason != "" {
			return nil, Absent, reason
		} else if endpoint != "" {
			return []string{endpoint}, Present, ""
		}
	}
	port := svc.MatchPort(backend)
	if port == nil {
		return nil, Absent, fmt.Sprintf("Service %q has no port %s", name, BackendPort(backend))
	}
	return s.endpointsOfPort(svc, port)
}

// endpointsOfPort are the endpoints of a port of a Service with endpoints of its
// own.
func (s *Snapshot) endpointsOfPort(svc *Service, port *corev1.ServicePort) ([]string, Known, string) {
	eps, known := s.SlicesOf(svc.Namespace, svc.Name)
	if known == Unread {
		return nil, Unread, fmt.Sprintf("the EndpointSlices of Service %q were not read", svc.Name)
	}
	if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP && !hasTCP(eps) {
		return nil, Absent, fmt.Sprintf("port %d of Service %q is not TCP", port.Port, svc.Name)
	}
	var endpoints []string
	seen := map[string]bool{}
	for _, slice := range eps {
		if !NamedAfter(slice.Name, svc.Name) {
			continue
		}
		ports := slicePorts(port, slice)
		for _, ep := range slice.Endpoints {
			if !ep.Ready {
				continue
			}
			for _, address := range ep.Addresses {
				for _, number := range ports {
					endpoint := net.JoinHostPort(address, strconv.Itoa(int(number)))
					if !seen[endpoint] {
						seen[endpoint] = true
						endpoints = append(endpoints, endpoint)
					}
				}
			}
		}
	}
	if len(endpoints) > 0 {
		return endpoints, Present, ""
	}
	switch count := Resolve(svc, port, eps); {
	case count.Ready == 0 && count.NotReady == 0:
		return nil, Absent, fmt.Sprintf("Service %q has no endpoints", svc.Name)
	case count.Ready == 0:
		return nil, Absent, fmt.Sprintf("of the %d endpoints of Service %q none is ready", count.NotReady, svc.Name)
	case count.ReadyElsewhere == count.Ready:
		return nil, Absent, fmt.Sprintf("the EndpointSlices of Service %q are not named after it", svc.Name)
	}
	return nil, Absent, fmt.Sprintf("no endpoint of Service %q has its port %s", svc.Name, portText(port))
}

func hasTCP(eps []*EndpointSlice) bool {
	return slices.ContainsFunc(eps, func(s *EndpointSlice) bool {
		return len(s.Ports) == 0 || slices.ContainsFunc(s.Ports, func(p SlicePort) bool { return p.TCP })
	})
}

func portText(port *corev1.ServicePort) string {
	if port.Name != "" {
		return strconv.Quote(port.Name)
	}
	return strconv.Itoa(int(port.Port))
}

// Unnameable reports whether nginx cannot use the slice's addresses: those of type
// FQDN are taken for IPv6 addresses (semantics row G04).
func (s *EndpointSlice) Unnameable() bool {
	return s.AddressType == discoveryv1.AddressTypeFQDN
}

// clusterEndpoint is the cluster IP with the port, empty where the Service has no
// cluster IP or no port of that name. A number needs no declared port (semantics
// rows H08 to H10).
func (s *Service) clusterEndpoint(backend networkingv1.ServiceBackendPort) string {
	if s.ClusterIP == "" || s.Headless() {
		return ""
	}
	if backend.Name == "" {
		return net.JoinHostPort(s.ClusterIP, strconv.Itoa(int(backend.Number)))
	}
	for i := range s.Ports {
		if s.Ports[i].Name == backend.Name {
			return net.JoinHostPort(s.ClusterIP, strconv.Itoa(int(s.Ports[i].Port)))
		}
	}
	return ""
}

// externalEndpoint is where an ExternalName Service leads, or the reason why it leads
// nowhere (semantics rows H01, H03, H05, H06).
func (s *Service) externalEndpoint(backend networkingv1.ServiceBackendPort) (endpoint, reason string) {
	if ip, err := netip.ParseAddr(s.ExternalName); err == nil {
		if ip.IsLoopback() {
			return "", fmt.Sprintf("Service %q leads to the controller itself", s.Name)
		}
		return "", fmt.Sprintf("Service %q has an address where a DNS name must be", s.Name)
	}
	name := strings.TrimSuffix(s.ExternalName, ".")
	switch {
	case name == "localhost":
		return "", fmt.Sprintf("Service %q leads to the controller itself", s.Name)
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		return "", fmt.Sprintf("Service %q has no valid DNS name", s.Name)
	}
	return fmt.Sprintf("%s:%d", s.ExternalName, s.externalPort(backend)), ""
}

// reaches reports whether the controller makes an endpoint of an ExternalName, be it of
// use or not.
func (s *Service) reaches() bool {
	if ip, err := netip.ParseAddr(s.ExternalName); err == nil {
		return !ip.IsLoopback()
	}
	return s.ExternalName != "localhost" && len(validation.IsDNS1123Subdomain(strings.TrimSuffix(s.ExternalName, "."))) == 0
}

// isAddress reports whether the ExternalName is an IP address.
func (s *Service) isAddress() bool {
	_, err := netip.ParseAddr(s.ExternalName)
	return err == nil
}

// externalPort is the port that is dialled, 0 where the controller finds none.
func (s *Service) externalPort(backend networkingv1.ServiceBackendPort) int32 {
	if backend.Name != "" {
		for i := range s.Ports {
			if p := &s.Ports[i]; p.Name == backend.Name {
				if p.TargetPort.Type == intstr.Int && p.TargetPort.IntVal != 0 {
					return p.TargetPort.IntVal
				}
				return p.Port
			}
		}
	}
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Port == backend.Number {
			// A named targetPort counts as 0.
			return p.TargetPort.IntVal
		}
	}
	return backend.Number
}
