// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// Takes reports whether the controller adds the upstream of a canary to this one, and
// whether it is the first, which alone gets requests (semantics row I03).
func (u *Upstream) Takes(canary *Upstream) (added, first bool) {
	i := slices.Index(u.Alternatives, canary)
	return i >= 0, i == 0
}

// CertificateOf is the certificate that the TLS section of an Ingress would bring for
// a host of its rules, were it the one to decide.
func (t *Table) CertificateOf(ing *networkingv1.Ingress, host string) Certificate {
	return t.certificateFor(host, ing)
}

// CertificateFor is the certificate for a server name: that of the name itself, or of
// the wildcard above it. It is false where there is neither.
func (t *Table) CertificateFor(name string) (Certificate, bool) {
	return t.certificateOf(name)
}

// AliasOf is the server that a literal alias leads to, nil if there is none.
func (t *Table) AliasOf(alias string) *Server {
	return t.aliases[alias]
}
