// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// tlsUse is an entry of spec.tls that decides the certificate of a host which
// the Ingress routes.
type tlsUse struct {
	entry *networkingv1.IngressTLS
	field *field.Path
	// host is the rule's host.
	host string
	// listed is the index in entry.Hosts of the very same host, or -1 where the
	// entry is only a candidate: it lists no hosts, or a wildcard above this one.
	listed int
}

// tlsUses returns which entries ingress-nginx v1.15.1 consults for which rule
// host, as its extractTLSSecretName does: the first entry that lists the host,
// else all whose certificate may cover it. A rule without host never takes a
// certificate from the Ingress, nor does a canary, nor a host of which an older
// Ingress has a TLS section (semantics row J10), nor one whose TLS may be passed
// through. Each host is named once.
func tlsUses(ing *networkingv1.Ingress, snap *routing.Snapshot) []tlsUse {
	return routing.Once(snap, tlsUsesKey{}, func(snap *routing.Snapshot) []tlsUse { return findTLSUses(ing, snap) })
}

type tlsUsesKey struct{}

func findTLSUses(ing *networkingv1.Ingress, snap *routing.Snapshot) []tlsUse {
	if len(ing.Spec.TLS) == 0 || routing.IsCanary(ing) || routing.PassesTLSThrough(ing) {
		return nil
	}
	var uses []tlsUse
	seen := map[string]bool{"": true}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if seen[host] {
			continue
		}
		seen[host] = true
		if decidedByOlder(ing, snap, host) {
			continue
		}
		if use, ok := listedUse(ing, host); ok {
			uses = append(uses, use)
			continue
		}
		for j := range ing.Spec.TLS {
			entry := &ing.Spec.TLS[j]
			if mayCover(entry.Hosts, host) {
				uses = append(uses, tlsUse{entry: entry, field: tlsField(j), host: host, listed: -1})
			}
		}
	}
	return uses
}

// decidedByOlder reports whether an older Ingress decides the certificate of the
// host. It is true where the other Ingresses were not read.
func decidedByOlder(ing *networkingv1.Ingress, snap *routing.Snapshot, host string) bool {
	others, known := snap.NginxSharing(ing, host)
	return known == routing.Unread || slices.ContainsFunc(others, func(other *networkingv1.Ingress) bool {
		return len(other.Spec.TLS) > 0 && routing.Older(other, ing)
	})
}

func listedUse(ing *networkingv1.Ingress, host string) (tlsUse, bool) {
	for i := range ing.Spec.TLS {
		entry := &ing.Spec.TLS[i]
		for j, h := range entry.Hosts {
			if strings.EqualFold(h, host) {
				return tlsUse{entry: entry, field: tlsField(i), host: host, listed: j}, true
			}
		}
	}
	return tlsUse{}, false
}

func mayCover(hosts []string, host string) bool {
	if len(hosts) == 0 {
		return true
	}
	for _, h := range hosts {
		names := routing.CertificateFacts{DNSNames: []string{h}}
		if names.Covers(host) {
			return true
		}
	}
	return false
}

func tlsField(i int) *field.Path {
	return field.NewPath("spec", "tls").Index(i)
}

// coveredElsewhere reports whether a usable certificate of another entry covers
// a host that no entry lists. Unread Secrets count as covering.
func coveredElsewhere(ing *networkingv1.Ingress, snap *routing.Snapshot, host string) bool {
	for i := range ing.Spec.TLS {
		name := ing.Spec.TLS[i].SecretName
		if name == "" {
			continue
		}
		switch facts, known := snap.Secret(ing.Namespace, name); known {
		case routing.Unread:
			return true
		case routing.Present:
			if facts.Unusable == "" && facts.Certificate.Covers(host) {
				return true
			}
		}
	}
	return false
}

func secretRef(ing *networkingv1.Ingress, name string) routing.Ref {
	return routing.Ref{Kind: routing.Secrets, Namespace: ing.Namespace, Name: name}
}
