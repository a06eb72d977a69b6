// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestExpiryIsOfWhatVouchesForTheCertificate(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	authority := func(days time.Duration) *pair {
		ca, err := newAuthority(now, Lifetimes{Authority: days * 24 * time.Hour, Leaf: time.Hour, Backdate: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca, next := authority(10), authority(20)
	leaf, err := ca.issue(someHosts, now, Lifetimes{Leaf: 3 * 24 * time.Hour, Backdate: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	both := bundle{next.cert, ca.cert}.encode()
	value := func(certificate string, end time.Time) string {
		return fmt.Sprintf("routegate_certificate_expiration_timestamp_seconds{certificate=%q} %d\n", certificate, end.Unix())
	}
	serving, authorityIs := value("serving", leaf.cert.NotAfter), value("authority", ca.cert.NotAfter)
	for name, tc := range map[string]struct {
		chain       [][]byte
		authorities []byte
		err         error
		want, log   string
	}{
		"authority in a file":      {chain: [][]byte{leaf.cert.Raw}, authorities: ca.certPEM, want: authorityIs + serving},
		"authority in the chain":   {chain: [][]byte{leaf.cert.Raw, ca.cert.Raw}, want: authorityIs + serving},
		"of two, the one that did": {chain: [][]byte{leaf.cert.Raw}, authorities: both, want: authorityIs + serving},
		"authority of another":     {chain: [][]byte{leaf.cert.Raw}, authorities: next.certPEM, want: serving},
		"no authority":             {chain: [][]byte{leaf.cert.Raw}, want: serving},
		"authority that cannot be read": {
			chain: [][]byte{leaf.cert.Raw}, err: errors.New("no right"), want: serving, log: "no right",
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			var log string
			metric := &Expiry{
				Serving: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
					if tc.chain == nil {
						return nil, errors.New("not yet")
					}
					return &tls.Certificate{Certificate: tc.chain}, nil
				},
				Authorities: func() ([]byte, error) { return tc.authorities, tc.err },
				Log:         funcr.New(func(_, args string) { log += args }, funcr.Options{}),
			}
			want := tc.want
			if want != "" {
				want = "# HELP routegate_certificate_expiration_timestamp_seconds When the certificate that is served ends, and the first of the authorities that vouch for it, as far as they are known, in seconds since 1970.\n" +
					"# TYPE routegate_certificate_expiration_timestamp_seconds gauge\n" + want
			}
			if err := testutil.CollectAndCompare(metric, strings.NewReader(want)); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log, tc.log) || (log != "") != (tc.log != "") {
				t.Errorf("logged %q, want %q", log, tc.log)
			}
		})
	}
}

// A root that ends before the authority which it vouches for is the one to look
// after.
func TestExpiryIsOfTheFirstAuthorityToEnd(t *testing.T) {
	now := time.Now()
	authority := func(end time.Time, issuer *pair) *pair {
		p, err := newPair(&x509.Certificate{
			NotBefore: now, NotAfter: end, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		}, "authority", issuer)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	root := authority(now.Add(time.Hour), nil)
	intermediate := authority(now.Add(2*time.Hour), root)
	leaf, err := intermediate.issue(someHosts, now, DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		known bundle
		want  *pair
	}{
		"both":                 {bundle{intermediate.cert, root.cert}, root},
		"the intermediate one": {bundle{intermediate.cert}, intermediate},
	} {
		end, ok := authorityEnd(leaf.cert, tc.known)
		if !ok || !end.Equal(tc.want.cert.NotAfter) {
			t.Errorf("%s known: ends %s, %t; must be %s", name, end, ok, tc.want.cert.NotAfter)
		}
	}
}

func TestAuthoritiesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	if text, err := ReadAuthorities(dir); err != nil || text != nil {
		t.Errorf("of none: %q, %v", text, err)
	}
	path := filepath.Join(dir, AuthorityCertName)
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadAuthorities(dir); err != nil || string(text) != "text" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAuthorities(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("of a folder: %v", err)
	}
}
