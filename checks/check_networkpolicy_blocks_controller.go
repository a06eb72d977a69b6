// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var networkPolicyBlocksController = Check{
	Name:  "networkpolicy-blocks-controller",
	Title: "a NetworkPolicy keeps the controller from the Pods of the backend",
	Text: `A NetworkPolicy selects the Pods behind the Service, and neither it nor another one admits the controller to
their port. nginx waits 5 seconds for a connection, up to three times, and answers 504. From Pods that a policy admits,
the Service works.

Add a rule that admits the controller, by the namespace that it runs in: its label kubernetes.io/metadata.name is the
name of the namespace.

Where the controller runs is said by the flag --controller-pods; without it, nothing is checked. Give it for every
installation of ingress-nginx. Do not give it for controllers with hostNetwork, whose requests come from a node, nor
where the network plugin enforces no NetworkPolicies. Nothing is said where a rule might admit the controller: a rule with an address or with the name of a
port, one for labels of the controller that the flag does not give, or one for labels of the Pods by which the Service
does not select. Rules of other kinds, such as those of Cilium or Calico or an AdminNetworkPolicy, are not read, so
this only warns.`,
	Example: "default-deny",
	Since:   "0.1",
	Default: Warn,
	Reads: []routing.Kind{
		routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices, routing.Namespaces, routing.NetworkPolicies,
	},
	Controllers: []string{routing.Nginx},
	Run:         runNetworkPolicyBlocksController,
}

func runNetworkPolicyBlocksController(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if len(snap.Settings.ControllerPods) == 0 {
		return nil
	}
	var findings []Finding
	for _, b := range tcpBackends(ing, snap) {
		name := b.Service.Name
		policies, ports := snap.KeepingOut(b.service, b.port)
		if len(policies) == 0 {
			continue
		}
		findings = append(findings, Finding{
			Field:    b.field.Child("service", "name"),
			Fact:     keepingOut(policies, ports, name, snap.Settings.ControllerPods),
			Accepted: "a rule must admit it",
			Outcome:  "requests get 504",
			Subject:  b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn:  []routing.Ref{serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name}},
			// What else admits the controller cannot be seen.
			Tentative: true,
		})
	}
	return findings
}

// keepingOut says which policies keep which controllers from which ports.
func keepingOut(policies []string, ports []int32, service string, controllers []routing.ControllerPods) string {
	var quoted, numbers, namespaces []string
	for _, policy := range policies {
		quoted = append(quoted, quote(policy))
	}
	for _, port := range ports {
		numbers = append(numbers, strconv.Itoa(int(port)))
	}
	for _, pods := range controllers {
		namespaces = append(namespaces, quote(pods.Namespace))
	}
	kind, keep := "NetworkPolicy", "keeps"
	if len(policies) > 1 {
		kind, keep = "NetworkPolicies", "keep"
	}
	where := "namespace"
	if len(namespaces) > 1 {
		where = "namespaces"
	}
	return fmt.Sprintf("%s %s %s the controller in %s %s from port %s of the Pods of Service %s",
		kind, list(quoted), keep, where, list(namespaces), list(numbers), quote(service))
}
