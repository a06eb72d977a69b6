// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"time"
)

// The entries of a Secret that Routegate manages, besides CertName and KeyName,
// which are what it serves.
const (
	// AuthorityCertName and AuthorityKeyName are the authority that issues.
	AuthorityCertName = "ca.crt"
	AuthorityKeyName  = "ca.key"
	// NextCertName and NextKeyName are the authority that is going to issue,
	// while API servers are told of it.
	NextCertName = "next-ca.crt"
	NextKeyName  = "next-ca.key"
	// OldCertName is the authority that issued before, while a replica may serve
	// a certificate of it.
	OldCertName = "old-ca.crt"
)

// Lifetimes say how long certificates are valid and how long a change takes.
type Lifetimes struct {
	// Authority and Leaf are how long a certificate is valid from when it is
	// made. It is replaced when two thirds of that have passed.
	Authority, Leaf time.Duration
	// Backdate is how long before it is made a certificate is valid already, for
	// clocks that are late.
	Backdate time.Duration
	// Settle is how long it takes at most until every API server uses the CA
	// bundle that is in the webhook configuration, and every replica the
	// certificate that is in the Secret. It is awaited twice when the authority
	// changes.
	Settle time.Duration
	// Restore is how long a Secret that was there before must be missing until it
	// is made again. It is longer than a process lives that is being uninstalled.
	Restore time.Duration
}

// DefaultLifetimes are for clusters.
func DefaultLifetimes() Lifetimes {
	const day = 24 * time.Hour
	return Lifetimes{Authority: 365 * day, Leaf: 90 * day, Backdate: time.Hour, Settle: time.Hour, Restore: 5 * time.Minute}
}

// Validate reports what cannot work.
func (l Lifetimes) Validate() error {
	var errs []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s %s: must be more than 0", name, d))
		}
	}
	positive("lifetime of the certificate", l.Leaf)
	if l.Authority < 3*l.Leaf {
		errs = append(errs, fmt.Errorf("lifetime of the certificate authority %s: must be at least three times that of the certificate, %s", l.Authority, l.Leaf))
	}
	if l.Settle < 0 || l.Settle >= l.Leaf/3 {
		errs = append(errs, fmt.Errorf("settle time %s: must be less than a third of the lifetime of the certificate, %s", l.Settle, l.Leaf))
	}
	return errors.Join(errs...)
}

// due is when a certificate of that lifetime is to be replaced.
func due(c *x509.Certificate, lifetime time.Duration) time.Time {
	return c.NotAfter.Add(-lifetime / 3)
}

// rotation decides what is to be done next. It knows no clock, client or
// goroutine: everything it depends on is in a view.
type rotation struct {
	hosts []string
	Lifetimes
}

// view is what is known at one moment.
type view struct {
	now time.Time
	// secret is what the Secret holds; nil when there is none.
	secret map[string][]byte
	// leafSince is when the Secret was first seen with the certificate that it
	// holds now, or without one.
	leafSince time.Time
	// remembered is what the Secret held when it was last in order, as far as this
	// process has seen.
	remembered map[string][]byte
	// bundles are those in the live webhook configuration, one for each webhook.
	// There are none where there is no configuration, and nobody to be told.
	bundles [][]byte
	// bundlesSince is when they were first seen as they are now.
	bundlesSince time.Time
}

// step is what is to be done next; nothing until something changes or it is time
// to look again.
type step struct {
	// secret is what the managed entries of the Secret are to be.
	secret map[string][]byte
	// first says that the Secret is written because it holds nothing. Any replica
	// may do that; everything else is for the leader.
	first bool
	// bundle is what every webhook is to trust.
	bundle []byte
	// why is for the log.
	why string
	// again is when to look again; never when zero.
	again time.Time
}

// content is a Secret that has been understood. What is missing or not in order
// is nil.
type content struct {
	ca, next, leaf *pair
	// caCert is the certificate of ca, even if its key is not in order.
	caCert, oldCert *x509.Certificate
}

// read understands what a Secret holds. An error means that somebody else put it
// there.
func (r rotation) read(data map[string][]byte, now time.Time) (content, error) {
	var c content
	if len(data[CertName]) > 0 && len(data[AuthorityKeyName]) == 0 && len(data[NextKeyName]) == 0 {
		return c, fmt.Errorf("it has %s but no %s, so it is not Routegate's own: it must be empty, or be mounted and used with --cert-dir", CertName, AuthorityKeyName)
	}
	authority := func(certName, keyName string) *pair {
		p, err := parsePair(data[certName], data[keyName])
		if err != nil || !p.cert.IsCA || !validAt(p.cert, now) {
			return nil
		}
		return p
	}
	one := func(name string) *x509.Certificate {
		for _, c := range parseBundle(data[name]) {
			if c.IsCA && validAt(c, now) {
				return c
			}
		}
		return nil
	}
	c.ca, c.next = authority(AuthorityCertName, AuthorityKeyName), authority(NextCertName, NextKeyName)
	c.caCert, c.oldCert = one(AuthorityCertName), one(OldCertName)
	if leaf, err := parsePair(data[CertName], data[KeyName]); err == nil && validAt(leaf.cert, now) {
		c.leaf = leaf
	}
	return c, nil
}

// holdsNothing is whether the Secret is as a chart makes it, or missing.
func holdsNothing(data map[string][]byte) bool {
	for _, name := range managedNames() {
		if len(data[name]) > 0 {
			return false
		}
	}
	return true
}

// managedNames are all entries that Routegate writes.
func managedNames() []string {
	return []string{CertName, KeyName, AuthorityCertName, AuthorityKeyName, NextCertName, NextKeyName, OldCertName}
}

// serving returns the certificate that the Secret says to serve.
func (r rotation) serving(data map[string][]byte, now time.Time) (*tls.Certificate, error) {
	if holdsNothing(data) {
		return nil, errors.New("it holds nothing yet")
	}
	c, err := r.read(data, now)
	if err != nil {
		return nil, err
	}
	if c.leaf == nil {
		return nil, fmt.Errorf("%s and %s are no certificate that is valid now with its key", CertName, KeyName)
	}
	return &tls.Certificate{Certificate: [][]byte{c.leaf.cert.Raw}, PrivateKey: c.leaf.key, Leaf: c.leaf.cert}, nil
}

// next is the heart of it. The authority changes in four steps, each of which
// starts only when the one before is seen to be done:
//
//  1. The next authority is made, in the Secret.
//  2. The webhook configuration trusts both.
//  3. A settle time later, when every API server knows: a certificate of the next
//     authority is in the Secret, which becomes the authority; the former is old.
//  4. A settle time later, when every replica serves it: the old authority leaves
//     the Secret, then the webhook configuration.
func (r rotation) next(v view) (step, error) {
	if _, err := r.serving(v.remembered, v.now); err != nil {
		v.remembered = nil
	}
	if holdsNothing(v.secret) {
		return r.start(v)
	}
	c, err := r.read(v.secret, v.now)
	if err != nil {
		return step{}, err
	}
	if c.leaf == nil {
		return r.repair(v, c)
	}

	trusted := bundle{}.with(c.caCert).with(c.oldCert)
	if c.next != nil {
		trusted = trusted.with(c.next.cert)
	}
	if s, done := r.publish(v, trusted); !done {
		return s, nil
	}
	return r.rotate(v, c)
}

// start fills a Secret that holds nothing.
func (r rotation) start(v view) (step, error) {
	if v.remembered == nil {
		s, err := r.startAnew(v.now, "the first certificate authority and certificate")
		s.first = true
		return s, err
	}
	if again := v.leafSince.Add(r.Restore); v.secret == nil && v.now.Before(again) {
		return step{again: again}, nil
	}
	// Whoever emptied the Secret may have meant to replace what was in it. API
	// servers trust only that, so it stays until they know the next.
	next, err := newAuthority(v.now, r.Lifetimes)
	if err != nil {
		return step{}, err
	}
	data := maps.Clone(v.remembered)
	data[NextCertName], data[NextKeyName] = next.certPEM, next.keyPEM
	return step{secret: data, first: true, why: "what the Secret held, and the next certificate authority"}, nil
}

// repair makes a certificate where there is none to be served.
func (r rotation) repair(v view, c content) (step, error) {
	switch {
	case v.remembered != nil:
		return step{secret: v.remembered, why: "what the Secret held before it was spoilt"}, nil
	case c.ca == nil:
		return r.startAnew(v.now, "a certificate authority and a certificate, as none was valid")
	}
	return r.issue(v.now, c, "a certificate, as none was valid")
}

func (r rotation) startAnew(now time.Time, why string) (step, error) {
	ca, err := newAuthority(now, r.Lifetimes)
	if err != nil {
		return step{}, err
	}
	return r.issue(now, content{ca: ca, caCert: ca.cert}, why)
}

// publish is done when every webhook trusts the given authorities. Nothing that
// a webhook trusts already is taken from it.
func (r rotation) publish(v view, trusted bundle) (s step, done bool) {
	union, done := trusted, true
	for _, text := range v.bundles {
		live := parseBundle(text)
		done = done && live.hasAll(trusted)
		for _, c := range live {
			if validAt(c, v.now) {
				union = union.with(c)
			}
		}
	}
	if done {
		return step{}, true
	}
	return step{bundle: union.encode(), why: "webhooks are to trust each certificate authority in use"}, false
}

// rotate looks after a Secret with a valid certificate, of whose authorities
// every webhook knows.
func (r rotation) rotate(v view, c content) (step, error) {
	known := v.bundlesSince.Add(r.Settle)
	isKnown := !v.now.Before(known)
	ofCA := c.ca != nil && c.leaf.cert.CheckSignatureFrom(c.ca.cert) == nil
	// A certificate that ends with its authority is not made longer by a new one.
	old := !isFor(c.leaf.cert, r.hosts) ||
		c.ca != nil && !v.now.Before(due(c.leaf.cert, r.Leaf)) && c.leaf.cert.NotAfter.Before(c.ca.cert.NotAfter)

	switch {
	case c.next != nil && isKnown:
		return r.issue(v.now, content{ca: c.next, caCert: c.next.cert, oldCert: c.caCert}, "a certificate of the next certificate authority")
	case ofCA && old:
		return r.issue(v.now, c, "a new certificate of the same certificate authority")
	case c.next != nil:
		return step{again: known}, nil
	case c.ca == nil || !v.now.Before(due(c.ca.cert, r.Authority)):
		next, err := newAuthority(v.now, r.Lifetimes)
		if err != nil {
			return step{}, err
		}
		c.next = next
		return step{secret: c.data(), why: "the next certificate authority"}, nil
	case !ofCA && !isKnown:
		return step{again: known}, nil
	case !ofCA:
		return r.issue(v.now, c, "a certificate of the certificate authority")
	}
	return r.tidy(v, c), nil
}

// tidy takes away what was needed for a change that is over, once every replica
// serves the new certificate.
func (r rotation) tidy(v view, c content) step {
	spare := len(v.secret[OldCertName]) > 0 || len(v.secret[NextCertName]) > 0 || len(v.secret[NextKeyName]) > 0
	only := bundle{c.ca.cert}
	exact := true
	for _, text := range v.bundles {
		exact = exact && only.hasAll(parseBundle(text))
	}
	served := v.leafSince.Add(r.Settle)
	switch {
	case (spare || !exact) && v.now.Before(served):
		return step{again: served}
	case spare:
		c.oldCert = nil
		return step{secret: c.data(), why: "no old certificate authority any more"}
	case !exact:
		return step{bundle: only.encode(), why: "webhooks need not trust the old certificate authority any more"}
	}
	again := due(c.leaf.cert, r.Leaf)
	if ca := due(c.ca.cert, r.Authority); ca.Before(again) {
		again = ca
	}
	return step{again: again}
}

// issue makes a certificate of c.ca.
func (r rotation) issue(now time.Time, c content, why string) (step, error) {
	leaf, err := c.ca.issue(r.hosts, now, r.Lifetimes)
	if err != nil {
		return step{}, err
	}
	c.leaf = leaf
	return step{secret: c.data(), why: why}, nil
}

// data is how a Secret holds the content.
func (c content) data() map[string][]byte {
	data := map[string][]byte{}
	put := func(certName, keyName string, p *pair) {
		if p != nil {
			data[certName], data[keyName] = p.certPEM, p.keyPEM
		}
	}
	if c.caCert != nil {
		data[AuthorityCertName] = encodeCert(c.caCert.Raw)
	}
	if c.oldCert != nil {
		data[OldCertName] = encodeCert(c.oldCert.Raw)
	}
	put(AuthorityCertName, AuthorityKeyName, c.ca)
	put(NextCertName, NextKeyName, c.next)
	put(CertName, KeyName, c.leaf)
	return data
}
