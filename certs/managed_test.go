// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestKeeperNamesWhatIsMissing(t *testing.T) {
	k := &Keeper{Secret: types.NamespacedName{Name: "routegate-tls"}}
	err := k.Validate()
	for _, want := range []string{"Client", "Dynamic", "Configuration", "Ready", "namespace of Secret", "Hosts", "lifetime of the certificate 0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if err := (&Keeper{}).Validate(); err == nil || !strings.Contains(err.Error(), "Secret or Serving must be set") {
		t.Errorf("got %v", err)
	}
	if _, err := k.GetCertificate(nil); err == nil || !strings.Contains(err.Error(), "not read yet") {
		t.Errorf("got %v", err)
	}
}

func TestTrustNeedsTheAuthorityOfWhatIsServed(t *testing.T) {
	now := time.Now()
	authority := func() *pair {
		ca, err := newAuthority(now, DefaultLifetimes())
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca, other := authority(), authority()
	leaf, err := ca.issue(someHosts, now, DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	served := &tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}}
	for name, tc := range map[string]struct {
		bundle []byte
		want   bool
	}{
		"of its authority": {ca.certPEM, true},
		"of both":          {bundle{other.cert, ca.cert}.encode(), true},
		"of another":       {other.certPEM, false},
		"none":             {nil, false},
		"rubbish":          {[]byte("rubbish"), false},
	} {
		if got := trusts(tc.bundle, served, now); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if trusts(ca.certPEM, &tls.Certificate{}, now) {
		t.Error("nothing served is trusted")
	}
}
