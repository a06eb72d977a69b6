// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"

	"github.com/routegate/routegate/routing"
)

// FuzzFactsOf looks at arbitrary Secrets. Nothing panics, and no line of a key is found
// in what is kept.
func FuzzFactsOf(f *testing.F) {
	crt, key, err := cert.GenerateSelfSignedCertKey("a.example", nil, []string{"b.example", "*.c.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(crt, key, crt, []byte(nil), "a.example")
	f.Add(crt, []byte(nil), []byte(nil), []byte(nil), "*.c.example")
	f.Add(key, crt, []byte("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n"), crt, "")
	f.Add(slices.Concat(crt, crt), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), key, key, "x.c.example.")
	f.Fuzz(func(t *testing.T, crt, key, ca, crl []byte, host string) {
		secret := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{
			corev1.TLSCertKey: crt, corev1.TLSPrivateKeyKey: key, "ca.crt": ca, "ca.crl": crl,
		}}
		facts := routing.FactsOf(secret)
		if facts.Unusable == "" && facts.Certificate == nil {
			t.Error("usable, without a certificate")
		}
		if strings.ContainsFunc(facts.Unusable, unicode.IsControl) {
			t.Errorf("a control character in %q", facts.Unusable)
		}
		kept := facts.Unusable
		if c := facts.Certificate; c != nil {
			c.Covers(host)
			c.Names(host)
			kept += fmt.Sprintf("%+v", *c)
		}
		for line := range strings.Lines(string(key)) {
			// Shorter ones are words that may stand anywhere.
			if line = strings.TrimSpace(line); len(line) >= 32 && strings.Contains(kept, line) {
				t.Errorf("keeps %q of the key", line)
			}
		}
		// What is kept does not change when the Secret is wiped.
		before := fmt.Sprintf("%+v", facts)
		for _, value := range secret.Data {
			clear(value)
		}
		if after := fmt.Sprintf("%+v", facts); after != before {
			t.Error("shares memory with the Secret")
		}
	})
}
