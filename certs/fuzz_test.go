// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"testing"
	"time"
)

// FuzzNext decides what is to be done about arbitrary Secrets and CA bundles. Nothing
// panics, what is to be stored can be served, and what is to be trusted is a bundle.
func FuzzNext(f *testing.F) {
	now := time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC)
	r := rotation{hosts: someHosts, Lifetimes: DefaultLifetimes()}
	ca, err := newAuthority(now.Add(-time.Hour), r.Lifetimes)
	if err != nil {
		f.Fatal(err)
	}
	leaf, err := ca.issue(someHosts, now.Add(-time.Hour), r.Lifetimes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ca.certPEM, ca.keyPEM, leaf.certPEM, leaf.keyPEM, []byte(nil), []byte(nil), []byte(nil), ca.certPEM, int64(0))
	f.Add(ca.certPEM, ca.keyPEM, leaf.certPEM, leaf.keyPEM, ca.certPEM, ca.keyPEM, ca.certPEM, []byte("x"), int64(80*24*time.Hour))
	f.Add(leaf.certPEM, leaf.keyPEM, leaf.certPEM, ca.keyPEM, []byte("y"), leaf.keyPEM, leaf.certPEM, []byte(nil), int64(400*24*time.Hour))
	f.Add([]byte(nil), []byte(nil), []byte(nil), []byte(nil), []byte(nil), []byte(nil), []byte(nil), []byte(nil), int64(-1))
	f.Fuzz(func(t *testing.T, caCert, caKey, crt, key, nextCert, nextKey, oldCert, bundleText []byte, later int64) {
		at := now.Add(time.Duration(later))
		data := map[string][]byte{
			AuthorityCertName: caCert, AuthorityKeyName: caKey, CertName: crt, KeyName: key,
			NextCertName: nextCert, NextKeyName: nextKey, OldCertName: oldCert,
		}
		served, err := r.serving(data, at)
		if (served == nil) == (err == nil) {
			t.Errorf("serves %v, error %v", served, err)
		}
		if served != nil {
			trusts(bundleText, served, at)
		}
		if b := parseBundle(bundleText); len(parseBundle(b.encode())) != len(b) {
			t.Error("a bundle that was written cannot be read")
		}
		s, err := r.next(view{now: at, secret: data, bundles: [][]byte{bundleText}})
		if err != nil {
			return
		}
		if s.secret != nil {
			if _, err := r.serving(s.secret, at); err != nil {
				t.Errorf("stores what cannot be served (%s): %v", s.why, err)
			}
		}
		if s.bundle != nil && len(parseBundle(s.bundle)) == 0 {
			t.Errorf("trusts nobody (%s)", s.why)
		}
	})
}
