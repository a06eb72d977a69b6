// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/routing"
)

var portMissing = Check{
	Name:  "port-missing",
	Title: "the backend names a port that the Service does not have",
	Text: `ingress-nginx takes the first port of the Service whose number, targetPort or name is spelled as in the
Ingress. If there is none, the backend has no endpoints, and every request for that path gets 503. A number in the
Ingress never fits a name in the Service, and a name never fits a number.

Name one of the Service's ports, or add the port to the Service.`,
	Example:     "near-number",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runPortMissing,
}

func runPortMissing(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		// An absent Service is service-missing's to report, one without any port
		// headless-without-ports', and an ExternalName needs no declared port.
		if known != routing.Present || svc.External() || len(svc.Ports) == 0 || svc.MatchPort(b.Service.Port) != nil {
			continue
		}
		// A number at the cluster IP is service-upstream-port's to report.
		if usesClusterIP(ing, snap, b, svc) && b.Service.Port.Name == "" {
			continue
		}
		if rescue(ing, snap, svc) != routing.Absent {
			continue
		}
		findings = append(findings, Finding{
			Field:    b.field.Child("service", "port"),
			Fact:     fmt.Sprintf("Service %s has no port %s", quote(name), portText(b.Service.Port)),
			Accepted: acceptedPorts(svc, b.Service.Port),
			Outcome:  "requests get 503",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  append([]routing.Ref{serviceRef(ing, name)}, rescueRefs(ing)...),
		})
	}
	return findings
}

func portText(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return quote(p.Name)
	}
	return strconv.Itoa(int(p.Number))
}

// acceptedPorts lists the Service's ports, by name where a name was given and
// there are any, and suggests the one that was probably meant.
func acceptedPorts(svc *routing.Service, given networkingv1.ServiceBackendPort) string {
	var numbers, names, candidates []string
	// instead maps what may have been misspelt to what to write.
	instead := map[string]string{}
	add := func(spelling, write string) {
		if _, taken := instead[spelling]; !taken {
			instead[spelling] = write
			candidates = append(candidates, spelling)
		}
	}
	for _, p := range svc.Ports {
		numbers = append(numbers, strconv.Itoa(int(p.Port)))
		if p.Name != "" {
			names = append(names, quote(p.Name))
		}
		if given.Name != "" && p.Name != "" {
			add(p.Name, quote(p.Name))
		}
		if given.Name == "" {
			add(strconv.Itoa(int(p.Port)), strconv.Itoa(int(p.Port)))
		}
	}
	for _, p := range svc.Ports {
		target := p.TargetPort.String()
		if isName := p.TargetPort.Type == intstr.String; isName == (given.Name != "") && target != "0" {
			add(target, fmt.Sprintf("%d, whose targetPort is %s", p.Port, target))
		}
	}
	list := numbers
	if given.Name != "" && len(names) > 0 {
		list = names
	}
	near := instead[Nearest(routing.BackendPort(given), candidates)]
	if near == "" || oneOf(list) == "must be "+near {
		return oneOf(list)
	}
	return oneOf(list) + "; did you mean " + near + "?"
}
