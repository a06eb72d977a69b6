// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/routegate/routegate/certs"
)

func TestSelfSignedIsVerifiedByItsBundle(t *testing.T) {
	pair, bundle, err := certs.SelfSigned([]string{"routegate.example", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("the bundle holds no certificate")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"routegate.example", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example"}); err == nil {
		t.Error("other.example is verified too")
	}
	if !leaf.NotBefore.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("valid from %s: a clock that is late would refuse it", leaf.NotBefore)
	}
	if strings.Contains(string(bundle), "PRIVATE") {
		t.Error("the bundle holds a key")
	}
}

func TestSelfSignedNeedsAHost(t *testing.T) {
	if _, _, err := certs.SelfSigned(nil); err == nil || !strings.Contains(err.Error(), "at least one host") {
		t.Errorf("got %v", err)
	}
}

func TestWatchNamesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := certs.Watch(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func TestWatchServesWhatIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "first.example")
	get, run, err := certs.Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- run(t.Context()) }()
	if got := servedName(t, get); got != "first.example" {
		t.Errorf("serves %q", got)
	}
	write(t, dir, "second.example")
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); servedName(t, get) != "second.example"; {
		select {
		case <-tick.C:
		case err := <-running:
			t.Fatalf("watching ended: %v", err)
		case <-deadline:
			t.Fatal("the new certificate is not served")
		}
	}
}

func servedName(t *testing.T, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) string {
	t.Helper()
	pair, err := get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.DNSNames[0]
}

// write puts a new pair for the host into the directory.
func write(t *testing.T, dir, host string) {
	t.Helper()
	pair, _, err := certs.SelfSigned([]string{host})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certs.CertName: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		certs.KeyName:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
