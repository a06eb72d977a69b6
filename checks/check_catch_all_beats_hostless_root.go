// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var catchAllBeatsHostlessRoot = Check{
	Name:  "catch-all-beats-hostless-root",
	Title: "an Ingress without rules takes the requests of a path / without host",
	Text: `Two things answer for the hosts that no rule names: an Ingress with a spec.defaultBackend and no rules, and a path / of
a rule without host. Where there are both, ingress-nginx asks the former, however old it is, and the Service of the path
gets no requests.

Keep one of them. Or write the path as Exact, if only / itself is meant.

It is said of either Ingress. It only warns, since one may be about to replace the other. Nothing is said if both lead to
the same Service and port.`,
	Example:     "beaten",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runCatchAllBeatsHostlessRoot,
}

func runCatchAllBeatsHostlessRoot(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	switch owner := catchAllOf(table); owner {
	case nil:
		return nil
	case ing:
		return takesHostlessRoot(ing, snap)
	default:
		return losesHostlessRoot(ing, snap, owner)
	}
}

// losesHostlessRoot is for an Ingress with a path / without host.
func losesHostlessRoot(ing *networkingv1.Ingress, snap *routing.Snapshot, owner *networkingv1.Ingress) []Finding {
	taken, known := takenByOthers(ing, snap)
	if known == routing.Unread {
		return nil
	}
	for _, b := range backends(ing, snap) {
		// Where an older Ingress has the path, that is duplicate-path-older-wins' to report.
		if b.path == nil || b.Service == nil || b.shadowed || b.subject.Host != "" || !isRoot(b.subject) || taken.paths[b.subject] ||
			sameBackend(ing, b.IngressBackend, owner, owner.Spec.DefaultBackend) {
			continue
		}
		return []Finding{{
			Field:     b.pathField,
			Fact:      fmt.Sprintf("Ingress %s has a spec.defaultBackend and no rules, and comes before a path / without host", quote(ingressName(owner))),
			Accepted:  "only one of the two must be there",
			Outcome:   fmt.Sprintf("requests go there, not to Service %s", quote(b.Service.Name)),
			Subject:   b.about("Ingress/" + ingressName(owner)),
			RestsOn:   []routing.Ref{ingressRef(owner)},
			Tentative: true,
		}}
	}
	return nil
}

// takesHostlessRoot is for the Ingress that answers for all hosts which no rule names.
func takesHostlessRoot(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	without, known := snap.TableWithout(ing)
	if known != routing.Present {
		return nil
	}
	root := rootOf(without.ServerOf(""))
	if root.Placeholder || root.Rule < 0 || leadsTo(root, ing, ing.Spec.DefaultBackend) {
		return nil
	}
	return []Finding{{
		Field:     field.NewPath("spec", "defaultBackend"),
		Fact:      fmt.Sprintf("there are no rules, so that it comes before the path / without host of Ingress %s", quote(ingressName(root.Ingress))),
		Accepted:  "only one of the two must be there",
		Outcome:   "the Service of that path gets no requests",
		Subject:   Subject{Object: "Ingress/" + ingressName(root.Ingress)},
		RestsOn:   []routing.Ref{ingressRef(root.Ingress)},
		Tentative: true,
	}}
}

// rootOf is the location of type Prefix that takes what no other path of the server
// does. Every server has one.
func rootOf(server *routing.Server) *routing.Location {
	for _, loc := range server.Locations {
		if loc.Text == "/" && loc.Type == networkingv1.PathTypePrefix {
			return loc
		}
	}
	return nil
}

// leadsTo reports whether a location leads to a backend of the Ingress.
func leadsTo(loc *routing.Location, ing *networkingv1.Ingress, b *networkingv1.IngressBackend) bool {
	up := loc.Upstream
	return up != nil && up.Namespace == ing.Namespace && up.Service == b.Service.Name && up.Port == b.Service.Port
}
