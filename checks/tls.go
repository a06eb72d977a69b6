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
	names, candidates := tlsNamesOf(ing), 0
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
		if use, ok := names.listed[strings.ToLower(host)]; ok {
			use.host = host
			uses = append(uses, use)
			continue
		}
		if candidates >= maxCandidates {
			continue
		}
		for _, j := range names.candidates(host) {
			candidates++
			uses = append(uses, tlsUse{entry: &ing.Spec.TLS[j], field: tlsField(j), host: host, listed: -1})
		}
	}
	return uses
}

// maxCandidates bounds the entries that are only candidates, of all hosts together. Many
// entries without hosts, for many hosts, are as many times as many, and what is said of
// the first ones is more than anybody reads.
const maxCandidates = 10_000

// tlsNames is which entries of spec.tls are for which host, for asking about many hosts.
type tlsNames struct {
	// listed are the first entries that list a host, by the host in lower case.
	listed map[string]tlsUse
	// all are the entries that list no hosts, and byName the others by each of their
	// names as certificates are compared by. Both are in order.
	all    []int
	byName map[string][]int
}

func tlsNamesOf(ing *networkingv1.Ingress) *tlsNames {
	n := &tlsNames{listed: map[string]tlsUse{}, byName: map[string][]int{}}
	for i := range ing.Spec.TLS {
		entry := &ing.Spec.TLS[i]
		if len(entry.Hosts) == 0 {
			n.all = append(n.all, i)
		}
		for j, host := range entry.Hosts {
			host = strings.ToLower(host)
			if _, ok := n.listed[host]; !ok {
				n.listed[host] = tlsUse{entry: entry, field: tlsField(i), listed: j}
			}
			host = strings.TrimSuffix(host, ".")
			n.byName[host] = append(n.byName[host], i)
		}
	}
	return n
}

// candidates are the entries whose certificate may cover a host, in order: those that
// list no hosts, the host itself, or the wildcard above it.
func (n *tlsNames) candidates(host string) []int {
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); host == "" {
		return n.all
	}
	found := slices.Concat(n.all, n.byName[host])
	if _, parent, ok := strings.Cut(host, "."); ok {
		found = append(found, n.byName["*."+parent]...)
	}
	slices.Sort(found)
	return slices.Compact(found)
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
// the host, or may do so.
func coveredElsewhere(ing *networkingv1.Ingress, snap *routing.Snapshot, host string) bool {
	own := routing.Once(snap, certificatesKey{ing}, func(snap *routing.Snapshot) certificates { return findCertificates(ing, snap.Observe(nil)) })
	if slices.ContainsFunc(own.usable, func(c *routing.CertificateFacts) bool { return c.Covers(host) }) {
		return true
	}
	if own.unread != "" {
		// That it was not read is noted where it matters.
		snap.Secret(ing.Namespace, own.unread)
	}
	return own.unread != ""
}

// certificates are those of the Secrets that spec.tls names, each once.
type certificates struct {
	usable []*routing.CertificateFacts
	// unread is a Secret that was not read, if there is one.
	unread string
}

type certificatesKey struct{ *networkingv1.Ingress }

func findCertificates(ing *networkingv1.Ingress, snap *routing.Snapshot) certificates {
	var found certificates
	seen := map[string]bool{"": true}
	for i := range ing.Spec.TLS {
		name := ing.Spec.TLS[i].SecretName
		if seen[name] {
			continue
		}
		seen[name] = true
		facts, known := snap.Secret(ing.Namespace, name)
		switch {
		case known == routing.Unread && found.unread == "":
			found.unread = name
		case known == routing.Present && facts.Unusable == "":
			found.usable = append(found.usable, facts.Certificate)
		}
	}
	return found
}

func secretRef(ing *networkingv1.Ingress, name string) routing.Ref {
	return routing.Ref{Kind: routing.Secrets, Namespace: ing.Namespace, Name: name}
}
