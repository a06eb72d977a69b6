// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var duplicatePathStealsNewer = Check{
	Name:  "duplicate-path-steals-newer",
	Title: "this older Ingress takes a host, path and path type from a newer one",
	Text: `Where two Ingresses have the same host, path and path type, ingress-nginx keeps the path of the older one. That is
about the age of the objects, not of the path: when an older Ingress gets a path that a newer one has, the newer one loses
it at once, with all its annotations. Its Service gets no more requests from there.

Choose another host or path, or delete the path of the newer Ingress first.

It denies only under the preset strict, because this Ingress does route: it may be meant to take the path back. Within one
namespace, and where ingress-nginx may have refused the newer Ingress for one of its annotations, it always only warns.
Nothing is said if both lead to the same Service and port, or if the newer one, in the same namespace, has the annotation
canary with the value "false", as rollout tools write it between two rollouts.`,
	Example:     "other-namespace",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runDuplicatePathStealsNewer,
}

func runDuplicatePathStealsNewer(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var findings []Finding
	for _, p := range locatedPaths(ing, snap) {
		if !p.first {
			// The controller compares later paths of that spelling with the first alone: a path
			// that comes after one of the other type takes nothing from others, which are then
			// written twice (semantics rows L02 and L03).
			continue
		}
		loser := loserOf(ing, snap, table, p.subject)
		if loser.ingress == nil || sameTarget(ing, loser, p.backend) || (loser.ingress.Namespace == ing.Namespace && standsBy(loser.ingress)) {
			continue
		}
		name := ingressName(loser.ingress)
		findings = append(findings, Finding{
			Field: p.pathField,
			Fact: fmt.Sprintf("host %s and path %s of type %s are taken from the newer Ingress %s",
				quote(p.subject.Host), quote(p.subject.Path), p.subject.Type, quote(name)),
			Accepted:  "must be another host or path",
			Outcome:   fmt.Sprintf("requests go to Service %s, and no longer to that Ingress", quote(p.Service.Name)),
			Subject:   p.about("Ingress/" + name),
			RestsOn:   []routing.Ref{ingressRef(loser.ingress)},
			Tentative: loser.ingress.Namespace == ing.Namespace || routing.MayBeRefused(loser.ingress),
		})
	}
	return findings
}

// loserOf returns the oldest path of newer Ingresses with the same host, path and
// type: the one that answers if ing does not.
func loserOf(ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table, s Subject) owned {
	others, _ := snap.NginxSharing(ing, s.Host)
	var first owned
	for _, other := range others {
		if !routing.Older(ing, other) || table.ConfigOf(other) == nil || (first.ingress != nil && !routing.Older(other, first.ingress)) {
			continue
		}
		if p := firstPath(other, s, true); p != nil {
			first = owned{other, p}
		}
	}
	return first
}
