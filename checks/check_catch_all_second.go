// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var catchAllSecond = Check{
	Name:  "catch-all-second",
	Title: "an older Ingress without rules already answers for all other hosts",
	Text: `An Ingress with a spec.defaultBackend and no rules answers for every host that no rule names. Only the oldest of its
kind does: ingress-nginx ignores the spec.defaultBackend of all later ones, so that their Service gets no requests.

Delete the older Ingress, or write a rule for the hosts that are meant.

Within one namespace this only warns, because one Ingress may be about to replace the other. It also only warns where
ingress-nginx may have refused the older Ingress. Nothing is said if both lead to the same Service and port.`,
	Example:     "other-namespace",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runCatchAllSecond,
}

func runCatchAllSecond(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	b := ing.Spec.DefaultBackend
	if !routing.IsCatchAll(ing) || b.Service == nil {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	owner := catchAllOf(table)
	if owner == nil || owner == ing || sameBackend(ing, b, owner, owner.Spec.DefaultBackend) {
		return nil
	}
	return []Finding{{
		Field:     field.NewPath("spec", "defaultBackend"),
		Fact:      fmt.Sprintf("the older Ingress %s without rules answers for all hosts that no rule names", quote(ingressName(owner))),
		Accepted:  "must be the only one, or have rules",
		Outcome:   fmt.Sprintf("requests go there, not to Service %s", quote(b.Service.Name)),
		Subject:   Subject{Object: "Ingress/" + ingressName(owner)},
		RestsOn:   []routing.Ref{ingressRef(owner)},
		Tentative: owner.Namespace == ing.Namespace || routing.MayBeRefused(owner),
	}}
}

// catchAllOf returns the Ingress without rules that answers for all hosts which no rule
// names, nil if there is none.
func catchAllOf(table *routing.Table) *networkingv1.Ingress {
	for _, loc := range table.ServerOf("").Locations {
		if loc.Ingress != nil && loc.Rule < 0 {
			return loc.Ingress
		}
	}
	return nil
}

// sameBackend reports whether two backends are the same Service and port of one
// namespace, so that no request is lost.
func sameBackend(ing *networkingv1.Ingress, b *networkingv1.IngressBackend, other *networkingv1.Ingress, c *networkingv1.IngressBackend) bool {
	return ing.Namespace == other.Namespace && *b.Service == *c.Service
}
