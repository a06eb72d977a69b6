// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var defaultBackendNotFirst = Check{
	Name:  "default-backend-not-first",
	Title: "spec.defaultBackend beside rules gets no requests",
	Text: `In an Ingress with rules, ingress-nginx asks spec.defaultBackend only for requests to the hosts of these rules that match
no path. It is not asked for a host that an older Ingress names as well: that one's spec.defaultBackend answers there, or
404. Nor is it asked for a host with a path /, not even where the Service of that path has no endpoints, nor for hosts
that no rule names.

Give the host a path / with the Service. To answer for all hosts that no rule names, write an Ingress with a
spec.defaultBackend and no rules.

Nothing is said where the same Service answers anyway. It only warns, since the older Ingress may be about to go.`,
	Example:     "older-names-the-host",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runDefaultBackendNotFirst,
}

func runDefaultBackendNotFirst(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	b := ing.Spec.DefaultBackend
	if b == nil || b.Service == nil || len(ing.Spec.Rules) == 0 {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var findings []Finding
	told := false
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		root := rootOf(server)
		switch {
		case leadsTo(root, ing, b):
			told = true
		case host != "" && root.Placeholder:
			told = true
			// A host without any path is rule-without-http's to report.
			if len(server.Locations) > 1 {
				findings = append(findings, notFirst(host, root, b))
			}
		}
	}
	if !told {
		findings = append(findings, Finding{
			Field:     field.NewPath("spec", "defaultBackend"),
			Fact:      "it is asked only for hosts of the rules that have no path /, and there is none",
			Accepted:  "must be in an Ingress without rules to answer for all other hosts",
			Outcome:   fmt.Sprintf("Service %s gets no requests from there", quote(b.Service.Name)),
			Subject:   Subject{Path: "/", Object: serviceAndPort(b)},
			Tentative: true,
		})
	}
	return findings
}

func notFirst(host string, root *routing.Location, b *networkingv1.IngressBackend) Finding {
	f := Finding{
		Field:     field.NewPath("spec", "defaultBackend"),
		Fact:      fmt.Sprintf("the older Ingress %s has host %s as well, so that only its own spec.defaultBackend counts there", quote(ingressName(root.Ingress)), quote(host)),
		Accepted:  fmt.Sprintf("the host must have a path / with Service %s", quote(b.Service.Name)),
		Outcome:   "requests for other paths get 404",
		Subject:   Subject{Host: host, Path: "/", Object: "Ingress/" + ingressName(root.Ingress)},
		RestsOn:   []routing.Ref{ingressRef(root.Ingress)},
		Tentative: true,
	}
	if root.Upstream != nil {
		f.Outcome = "requests for other paths go to that of the older Ingress"
	}
	return f
}
