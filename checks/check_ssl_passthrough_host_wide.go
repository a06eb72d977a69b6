// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var sslPassthroughHostWide = Check{
	Name:  "ssl-passthrough-host-wide",
	Title: "all TLS connections of the host are passed to the backend of its path /",
	Text: `The annotation ssl-passthrough is about a whole host. ingress-nginx does not see the paths of requests within TLS: it
passes every connection to the backend of the path "/", whichever Ingress that belongs to. All other paths of the host are
reached by plain HTTP only.

Give the path a host of its own, or do without the annotation.

It only warns, and only where the settings of the controller say that it runs with --enable-ssl-passthrough.`,
	Example:     "other-path",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runSSLPassthroughHostWide,
}

func runSSLPassthroughHostWide(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil || !table.Settings.EnableSSLPassthrough {
		return nil
	}
	return append(missedByPassthrough(ing, snap), takenByPassthrough(ing, table)...)
}

// missedByPassthrough finds the paths of the Ingress that HTTPS requests do not get to.
func missedByPassthrough(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, p := range locatedPaths(ing, snap) {
		root := passedTo(p.server)
		if root == nil || root.Upstream == p.loc.Upstream {
			continue
		}
		f := Finding{
			Field: p.pathField,
			Fact: fmt.Sprintf(`ssl-passthrough of Ingress %s passes all TLS connections of %s to the backend of path "/"`,
				quote(ingressName(p.server.Oldest)), ofHost(p.subject.Host)),
			Accepted:  "must be on another host",
			Outcome:   fmt.Sprintf("HTTPS requests do not get to Service %s", quote(p.Service.Name)),
			Subject:   p.about("annotation/ssl-passthrough"),
			Tentative: true,
		}
		if p.server.Oldest != ing {
			f.RestsOn = []routing.Ref{ingressRef(p.server.Oldest)}
		}
		findings = append(findings, f)
	}
	return findings
}

// takenByPassthrough finds the hosts where the annotation of the Ingress takes HTTPS
// requests from others.
func takenByPassthrough(ing *networkingv1.Ingress, table *routing.Table) []Finding {
	var findings []Finding
	at, _ := annotationOf(ing, "ssl-passthrough")
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		root := passedTo(server)
		if root == nil || server.Oldest != ing {
			continue
		}
		i := slices.IndexFunc(server.Locations, func(loc *routing.Location) bool {
			return loc.Ingress != ing && loc.Upstream != nil && loc.Upstream != root.Upstream
		})
		if i < 0 {
			continue
		}
		loser := ingressName(server.Locations[i].Ingress)
		findings = append(findings, Finding{
			Field:     at,
			Fact:      fmt.Sprintf("it takes all TLS connections of %s, where Ingress %s has paths too", ofHost(host), quote(loser)),
			Accepted:  "must be on a host of its own",
			Outcome:   "HTTPS requests do not get to that Ingress",
			Subject:   Subject{Host: host, Object: "Ingress/" + loser},
			RestsOn:   []routing.Ref{ingressRef(server.Locations[i].Ingress)},
			Tentative: true,
		})
	}
	return findings
}

// passedTo returns the path to which all TLS connections of a host are passed, nil if
// they are not. A wildcard host is never asked for by that name (semantics row J19).
func passedTo(server *routing.Server) *routing.Location {
	if server == nil || !server.Passthrough || server.Host == "" || strings.HasPrefix(server.Host, "*.") {
		return nil
	}
	return ownedRoot(server)
}
