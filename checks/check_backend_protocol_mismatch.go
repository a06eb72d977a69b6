// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

var backendProtocolMismatch = Check{
	Name:  "backend-protocol-mismatch",
	Title: "the Service's port looks like another protocol than ingress-nginx speaks",
	Text: `ingress-nginx speaks plain HTTP to backends unless the annotation backend-protocol says otherwise; it does not
look at appProtocol or at the number of the port. A backend that expects TLS answers plain requests with 400 or closes
the connection, and one that does not cannot be reached with TLS: requests get 502.

Set nginx.ingress.kubernetes.io/backend-protocol to what the backend speaks, or name its other port.

What the backend speaks is guessed from the appProtocol of the Service's port, else from its name and targetPort, so
this only warns. Nothing is said where these disagree.`,
	Example:     "port-named-https",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Run:         runBackendProtocolMismatch,
}

func runBackendProtocolMismatch(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	// With passthrough the backend is meant to speak TLS with the client.
	protocol := protocolOf(ing)
	if protocol == "AUTO_HTTP" || protocol == "FCGI" || routing.PassesTLSThrough(ing) {
		return nil
	}
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || (b.path != nil && routing.IsSolverPath(b.path)) {
			continue
		}
		port := svc.MatchPort(b.Service.Port)
		if port == nil {
			continue
		}
		looks, because := looksLike(port)
		fits, outcome := fitting(protocol, looks)
		if fits == "" {
			continue
		}
		findings = append(findings, Finding{
			Field: b.field.Child("service", "port"),
			Fact: fmt.Sprintf("ingress-nginx speaks %s to port %s of Service %s, which looks like %s by its %s",
				protocol, spell(port), quote(name), looks, because),
			Accepted:  "must be a port for " + protocol + ", or have the annotation " + routing.NginxPrefix + `backend-protocol: "` + fits + `"`,
			Outcome:   outcome,
			Subject:   b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:   []routing.Ref{serviceRef(ing, name)},
			Tentative: true,
		})
	}
	return findings
}

// What a port looks like.
const (
	looksPlain = "plain HTTP"
	looksTLS   = "TLS"
	looksGRPC  = "gRPC"
)

// fitting returns the protocol that would fit what a port looks like, or nothing
// where the one given may fit.
func fitting(protocol, looks string) (fits, outcome string) {
	switch {
	case looks == looksTLS && protocol == "HTTP":
		return "HTTPS", "requests get 400 or 502"
	case looks == looksTLS && protocol == "GRPC":
		return "GRPCS", "requests get 502"
	case looks == looksPlain && protocol == "HTTPS":
		return "HTTP", "requests get 502"
	case looks == looksPlain && protocol == "GRPCS":
		return "GRPC", "requests get 502"
	case looks == looksGRPC && protocol == "HTTP":
		return "GRPC", "requests get 502"
	case looks == looksGRPC && protocol == "HTTPS":
		return "GRPCS", "requests get 502"
	}
	return "", ""
}

// looksLike guesses what is spoken at a port, and says by what. It returns nothing
// where nothing tells or where the signs disagree.
func looksLike(port *corev1.ServicePort) (looks, because string) {
	if port.AppProtocol != nil {
		switch app := strings.ToLower(*port.AppProtocol); app {
		case "https", "kubernetes.io/wss":
			return looksTLS, "appProtocol " + quote(*port.AppProtocol)
		case "http", "kubernetes.io/ws", "kubernetes.io/h2c":
			return looksPlain, "appProtocol " + quote(*port.AppProtocol)
		case "grpc":
			return looksGRPC, "appProtocol " + quote(*port.AppProtocol)
		default:
			return "", ""
		}
	}
	byName := nameLooksLike(port.Name)
	byTarget, target := "", port.TargetPort.String()
	switch number := port.TargetPort.IntVal; {
	case port.TargetPort.Type == intstr.String:
		byTarget = nameLooksLike(target)
		if byTarget == "" {
			// Only the Pod knows what is behind the name.
			byTarget = byName
		}
	case number == 0:
		byTarget, target = numberLooksLike(port.Port), fmt.Sprint(port.Port)
	default:
		byTarget = numberLooksLike(number)
	}
	switch {
	case byName == "" && byTarget != "":
		return byTarget, "targetPort " + bare(target)
	case byTarget == "" || byTarget == byName:
		return byName, "name " + quote(port.Name)
	}
	return "", ""
}

func nameLooksLike(name string) string {
	switch {
	case name == "https" || strings.HasPrefix(name, "https-"):
		return looksTLS
	case name == "http" || strings.HasPrefix(name, "http-"):
		return looksPlain
	}
	return ""
}

func numberLooksLike(number int32) string {
	switch number {
	case 443, 8443:
		return looksTLS
	case 80, 8080:
		return looksPlain
	}
	return ""
}
