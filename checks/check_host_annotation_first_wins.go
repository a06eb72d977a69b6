// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"path"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var hostAnnotationFirstWins = Check{
	Name:  "host-annotation-first-wins",
	Title: "for an annotation about the whole host, an older Ingress decides",
	Text: `The annotations about client certificates (auth-tls-secret and its kin), ssl-ciphers, ssl-prefer-server-ciphers and
server-snippet are settings of a host, not of a path. Where several Ingresses of a host set one, ingress-nginx takes that of
the oldest and ignores the others. With auth-tls-secret, clients are then admitted by another certificate authority.

Set the annotation in one Ingress of the host, or to the same in all.

It only warns, since the older Ingress may have been refused. Nothing is said where both have the same value.`,
	Example:     "client-certificates",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: hostAnnotations,
	Run:         runHostAnnotationFirstWins,
}

// hostAnnotations belong to a host. The aliases of a host are alias-conflict's to judge.
var hostAnnotations = []string{"auth-tls-secret", "server-snippet", "ssl-ciphers", "ssl-prefer-server-ciphers"}

func runHostAnnotationFirstWins(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if !slices.ContainsFunc(hostAnnotations, func(name string) bool { _, value := annotationOf(ing, name); return value != "" }) {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var findings []Finding
	for _, name := range hostAnnotations {
		for _, host := range routing.HostsOf(ing) {
			winner := firstToSet(ing, snap, table, name, host)
			if winner == nil || sameHostSetting(table.ConfigOf(ing), table.ConfigOf(winner), ing, winner, name) {
				continue
			}
			at, value := annotationOf(ing, name)
			findings = append(findings, Finding{
				Field:     at,
				Fact:      fmt.Sprintf("the older Ingress %s decides this for %s", quote(ingressName(winner)), ofHost(host)),
				Accepted:  "must be set in that Ingress, or to the same",
				Outcome:   "ingress-nginx ignores it",
				Subject:   Subject{Host: host, Object: "annotation/" + name + "/" + value},
				RestsOn:   []routing.Ref{ingressRef(winner)},
				Tentative: true,
			})
			break
		}
	}
	return findings
}

// firstToSet returns the oldest Ingress of the host that sets the annotation, if ing
// does too and is not it.
func firstToSet(ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table, name, host string) *networkingv1.Ingress {
	if !setsHostAnnotation(table, ing, name) {
		return nil
	}
	others, _ := snap.NginxSharing(ing, host)
	var first *networkingv1.Ingress
	for _, other := range others {
		if routing.Older(other, ing) && setsHostAnnotation(table, other, name) && (first == nil || routing.Older(other, first)) {
			first = other
		}
	}
	return first
}

// setsHostAnnotation reports whether the controller takes the annotation of an Ingress.
func setsHostAnnotation(table *routing.Table, ing *networkingv1.Ingress, name string) bool {
	config := table.ConfigOf(ing)
	_, value := annotationOf(ing, name)
	switch {
	case config == nil || value == "":
		return false
	case name == "auth-tls-secret":
		return config.AuthTLS.Secret != ""
	case name == "server-snippet":
		return slices.Contains(config.Snippets, name)
	}
	return !slices.ContainsFunc(config.Faults, func(f routing.AnnotationFault) bool { return f.Name == name })
}

// sameHostSetting reports whether it does not matter whose annotation counts.
func sameHostSetting(own, other *routing.Config, ing, winner *networkingv1.Ingress, name string) bool {
	if name == "auth-tls-secret" {
		// Of one name in two namespaces they are likely copies.
		a, b := own.AuthTLS, other.AuthTLS
		a.Secret, b.Secret = path.Base(a.Secret), path.Base(b.Secret)
		return a == b
	}
	_, a := annotationOf(ing, name)
	_, b := annotationOf(winner, name)
	return a == b
}
