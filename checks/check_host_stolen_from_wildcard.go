// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var hostStolenFromWildcard = Check{
	Name:  "host-stolen-from-wildcard",
	Title: "a host leaves the wildcard that served it, and has no path for the rest",
	Text: `nginx chooses the host first and the path then. A rule for www.example.com takes that host away from *.example.com
altogether: what the paths of the rule do not match gets 404, even if the wildcard has a path for it.

Give the host a path / of its own, or repeat the paths of the wildcard.

Nothing is said where the host has a path / or a spec.defaultBackend that answers, or where another Ingress names the
host as well. It only warns, because the paths may be all that is wanted.`,
	Example:     "narrow-path",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runHostStolenFromWildcard,
}

func runHostStolenFromWildcard(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	var findings []Finding
	seen := map[string]bool{"": true}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		_, parent, found := strings.Cut(host, ".")
		if seen[host] || !found || strings.HasPrefix(host, "*.") {
			continue
		}
		seen[host] = true
		server, wildcard := table.ServerOf(host), table.ServerOf("*."+parent)
		if server == nil || wildcard == nil || answersRoot(server) {
			continue
		}
		if without, known := snap.TableWithout(ing); known != routing.Present || without.ServerOf(host) != nil {
			continue
		}
		j := slices.IndexFunc(wildcard.Locations, func(loc *routing.Location) bool { return loc.Upstream != nil && loc.Ingress != nil })
		if j < 0 {
			continue
		}
		loser := wildcard.Locations[j].Ingress
		f := Finding{
			Field: field.NewPath("spec", "rules").Index(i).Child("host"),
			Fact: fmt.Sprintf("host %s has no path / and takes all its requests from host %s of Ingress %s",
				quote(host), quote("*."+parent), quote(ingressName(loser))),
			Accepted: "must have a path /",
			Outcome:  "requests for other paths get 404",
			Subject:  Subject{Host: host, Object: "Ingress/" + ingressName(loser)},
		}
		if loser != ing {
			f.RestsOn = []routing.Ref{ingressRef(loser)}
			f.Tentative = routing.MayBeRefused(loser)
		}
		findings = append(findings, f)
	}
	return findings
}

// answersRoot reports whether some location of the server may take every request.
func answersRoot(server *routing.Server) bool {
	return slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool {
		return loc.Upstream != nil && (loc.Text == "/" && (!loc.Exact || server.Regex))
	})
}
