// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Takes reports whether the controller adds the upstream of a canary to this one, and
// whether it is the first, which alone gets requests (semantics row I03).
func (u *Upstream) Takes(canary *Upstream) (added, first bool) {
	i := slices.Index(u.Alternatives, canary)
	return i >= 0, i == 0
}

// Removed reports whether the controller removes the upstream of a canary, for all of its
// paths, since one of them, or a spec.defaultBackend, stands in for none.
func (u *Upstream) Removed() bool { return u.deleted }

// CertificateOf is the certificate that the TLS section of an Ingress would bring for
// a host of its rules, were it the one to decide.
func (t *Table) CertificateOf(ing *networkingv1.Ingress, host string) Certificate {
	return t.tlsSectionOf(ing).certificateFor(host)
}

// CertificateFor is the certificate for a server name: that of the name itself, or of
// the wildcard above it. It is false where there is neither.
func (t *Table) CertificateFor(name string) (Certificate, bool) {
	return t.certificateOf(name)
}

// AliasOf is the server that a literal alias leads to, nil if there is none.
func (t *Table) AliasOf(alias string) *Server {
	return t.aliases[strings.ToLower(alias)]
}

// LocationOf is the location of a host that a request for the path gets to, whatever
// it answers there. It is false where nginx refuses or redirects the path, and where
// the location cannot be told for certain.
func (t *Table) LocationOf(server *Server, path string) (*Location, bool) {
	target, ok := parseTarget(path)
	if !ok {
		return nil, false
	}
	m := &match{Table: t, route: &Route{}, target: target}
	loc, slash := m.findLocation(server)
	return loc, loc != nil && !slash && m.route.Undecided == ""
}
