// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var duplicatePathOlderWins = Check{
	Name:  "duplicate-path-older-wins",
	Title: "an older Ingress has the same host, path and path type",
	Text: `Where two Ingresses have the same host, path and path type, ingress-nginx keeps the path of the older one.
It ignores that of the other, with all its annotations, so that its Service gets no requests from there. The path
types ImplementationSpecific and Prefix are the same.

Choose another host or path, make this one a canary Ingress, or delete the older one.

Within one namespace this only warns, because one Ingress may be about to replace the other. It also only warns where
ingress-nginx may have refused the older Ingress for one of its annotations. Nothing is said if both lead to the same
Service and port, or if this one, in the same namespace, has the annotation canary with the value "false", as rollout
tools write it between two rollouts.`,
	Example:     "other-namespace",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runDuplicatePathOlderWins,
}

func runDuplicatePathOlderWins(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if routing.IsCanary(ing) {
		return nil
	}
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if b.path == nil || b.Service == nil || b.shadowed {
			continue
		}
		// A second Exact "/" is not ignored: ingress-nginx writes both, which nginx
		// refuses (semantics row L02).
		if b.subject.Path == "/" && b.subject.Type == networkingv1.PathTypeExact {
			continue
		}
		owner, known := ownerOf(ing, snap, b.subject)
		if known != routing.Present || sameTarget(ing, owner, b) || (owner.ingress.Namespace == ing.Namespace && standsBy(ing)) {
			continue
		}
		findings = append(findings, Finding{
			Field: b.pathField,
			Fact: fmt.Sprintf("host %s and path %s of type %s belong to the older Ingress %s",
				quote(b.subject.Host), quote(b.subject.Path), b.subject.Type, quote(owner.ingress.Namespace+"/"+owner.ingress.Name)),
			Accepted: "must be another host or path",
			Outcome:  fmt.Sprintf("requests go there, not to Service %s", quote(b.Service.Name)),
			Subject:  b.about("Ingress/" + owner.ingress.Namespace + "/" + owner.ingress.Name),
			RestsOn: []routing.Ref{
				{Kind: routing.Ingresses, Namespace: owner.ingress.Namespace, Name: owner.ingress.Name},
			},
			Tentative: owner.ingress.Namespace == ing.Namespace || routing.MayBeRefused(owner.ingress),
		})
	}
	return findings
}

// owned is a path of an Ingress.
type owned struct {
	ingress *networkingv1.Ingress
	path    *networkingv1.HTTPIngressPath
}

// ownerOf returns the oldest path of older Ingresses with the same host, path
// and type. It is Absent where the first path of that spelling has the other
// type: then the rule is not ignored but written twice (semantics row L03).
func ownerOf(ing *networkingv1.Ingress, snap *routing.Snapshot, s Subject) (owned, routing.Known) {
	others, known := snap.NginxSharing(ing, s.Host)
	if known == routing.Unread {
		return owned{}, routing.Unread
	}
	var first owned
	for _, other := range others {
		if !routing.Older(other, ing) || (first.ingress != nil && !routing.Older(other, first.ingress)) {
			continue
		}
		if p := firstPath(other, s, false); p != nil {
			first = owned{other, p}
		}
	}
	if first.ingress == nil || routing.EffectiveType(first.path.PathType) != s.Type {
		return owned{}, routing.Absent
	}
	return first, routing.Present
}

// firstPath returns the first path of that host and spelling that has a Service: of
// whatever type, or of the same.
func firstPath(ing *networkingv1.Ingress, s Subject, sameType bool) *networkingv1.HTTPIngressPath {
	for i := range ing.Spec.Rules {
		http := ing.Spec.Rules[i].HTTP
		if http == nil || ing.Spec.Rules[i].Host != s.Host {
			continue
		}
		for j := range http.Paths {
			p := &http.Paths[j]
			if p.Backend.Service != nil && routing.EffectivePath(p.Path) == s.Path && (!sameType || routing.EffectiveType(p.PathType) == s.Type) {
				return p
			}
		}
	}
	return nil
}

// sameTarget reports whether both paths lead to the same Service and port, so
// that no request is lost.
func sameTarget(ing *networkingv1.Ingress, o owned, b backend) bool {
	return o.ingress.Namespace == ing.Namespace && *o.path.Backend.Service == *b.Service
}
