// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var upstreamAnnotationFirstWins = Check{
	Name:  "upstream-annotation-first-wins",
	Title: "an older Ingress decides how requests for the Service are balanced",
	Text: `The annotations load-balance, upstream-hash-by and service-upstream belong to a Service and port, not to a path.
Where several Ingresses lead to the same Service and port, ingress-nginx takes them from the oldest, even if that one has
none, and ignores those of the others.

Set the annotation in the oldest Ingress, or let this one use a Service of its own for the same Pods.

Nothing is said where both come to the same. It only warns, since requests still get to the Service.`,
	Example:     "hash-by",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"load-balance", "service-upstream", "upstream-hash-by"},
	Run:         runUpstreamAnnotationFirstWins,
}

// upstreamAnnotations are those that belong to an upstream, with what they come to.
var upstreamAnnotations = []struct {
	name  string
	value func(*routing.Config) string
}{
	{"load-balance", func(c *routing.Config) string { return c.LoadBalance }},
	{"service-upstream", func(c *routing.Config) string { return strconv.FormatBool(c.ServiceUpstream) }},
	{"upstream-hash-by", func(c *routing.Config) string { return c.Hash.By }},
}

func runUpstreamAnnotationFirstWins(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	var findings []Finding
	for _, annotation := range upstreamAnnotations {
		at, _ := annotationOf(ing, annotation.name)
		if at == nil {
			continue
		}
		reported := map[*routing.Upstream]bool{}
		for _, p := range locatedPaths(ing, snap) {
			up := p.loc.Upstream
			first, own := table.ConfigOf(up.First), annotation.value(p.loc.Config)
			// Another Service of the same name is another check's to report.
			if up.First == ing || first == nil || up.Service != p.Service.Name || reported[up] || annotation.value(first) == own {
				continue
			}
			reported[up] = true
			findings = append(findings, Finding{
				Field: at,
				Fact: fmt.Sprintf("the older Ingress %s decides this for port %s of Service %s",
					quote(ingressName(up.First)), quote(routing.BackendPort(p.Service.Port)), quote(p.Service.Name)),
				Accepted:  "must be set in that Ingress",
				Outcome:   fmt.Sprintf("ingress-nginx ignores %s", quote(own)),
				Subject:   p.about("annotation/" + annotation.name + "/" + own),
				RestsOn:   []routing.Ref{ingressRef(up.First)},
				Tentative: true,
			})
		}
	}
	return findings
}
