// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var someHosts = []string{"routegate.routegate.svc", "routegate.routegate", "127.0.0.1"}

// world is a Secret, a webhook configuration, and how late everybody is who
// reads them. Time passes only when told to.
type world struct {
	t   *testing.T
	now time.Time
	r   rotation

	secret map[string][]byte
	bundle []byte
	// leaves and bundles are what some replica or API server may still use.
	leaves, bundles []used
	// What the leader has seen, and since when.
	seenLeaf, seenBundle   []byte
	leafSince, bundleSince time.Time
	remembered             map[string][]byte
	why                    []string
}

// used is something that was replaced at a time; not yet when zero.
type used struct {
	value    []byte
	replaced time.Time
}

func newWorld(t *testing.T) *world {
	l := DefaultLifetimes()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), r: rotation{hosts: someHosts, Lifetimes: l}}
}

// elect makes somebody else the leader, who knows nothing of the past.
func (w *world) elect() {
	w.leafSince, w.bundleSince = w.now, w.now
	w.seenLeaf, w.seenBundle = w.secret[CertName], w.bundle
}

func (w *world) view() view {
	if !bytes.Equal(w.seenLeaf, w.secret[CertName]) {
		w.seenLeaf, w.leafSince = w.secret[CertName], w.now
	}
	if !bytes.Equal(w.seenBundle, w.bundle) {
		w.seenBundle, w.bundleSince = w.bundle, w.now
	}
	return view{
		now: w.now, secret: w.secret, leafSince: w.leafSince, remembered: w.remembered,
		bundles: [][]byte{w.bundle}, bundlesSince: w.bundleSince,
	}
}

// act takes steps until there is nothing to do now, and says when there is.
func (w *world) act() time.Time {
	w.t.Helper()
	for range 10 {
		s, err := w.r.next(w.view())
		if err != nil {
			w.t.Fatal(err)
		}
		if s.why != "" {
			w.why = append(w.why, s.why)
		}
		switch {
		case s.secret != nil:
			w.secret = s.secret
			w.remembered = s.secret
			w.use(&w.leaves, s.secret[CertName])
		case s.bundle != nil:
			w.bundle = s.bundle
			w.use(&w.bundles, s.bundle)
		default:
			if !s.again.After(w.now) {
				w.t.Fatalf("look again at %s, which is not after %s", s.again, w.now)
			}
			return s.again
		}
		w.check()
	}
	w.t.Fatalf("10 steps at one moment, the last of which are %q", w.why[len(w.why)-3:])
	return time.Time{}
}

func (w *world) use(all *[]used, value []byte) {
	if n := len(*all); n > 0 {
		if bytes.Equal((*all)[n-1].value, value) {
			return
		}
		(*all)[n-1].replaced = w.now
	}
	*all = append(*all, used{value: value})
}

// inUse are the values that may be in use now.
func (w *world) inUse(all []used) [][]byte {
	var values [][]byte
	for _, u := range all {
		if u.replaced.IsZero() || w.now.Before(u.replaced.Add(w.r.Settle)) {
			values = append(values, u.value)
		}
	}
	return values
}

// check is the promise: whatever API server asks whatever replica trusts it.
func (w *world) check() {
	w.t.Helper()
	// Nobody is trusted before the first bundle is there.
	if len(w.bundles) == 0 {
		return
	}
	for _, leaf := range w.inUse(w.leaves) {
		for _, text := range w.inUse(w.bundles) {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(text)
			for _, host := range []string{"routegate.routegate.svc", "127.0.0.1"} {
				cert := parseBundle(leaf)[0]
				if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: w.now}); err != nil {
					w.t.Fatalf("after %q at %s: %v", w.why, w.now, err)
				}
			}
		}
	}
}

func TestRotationNeverBreaksTrust(t *testing.T) {
	for name, random := range map[string]func(r *rand.Rand) (wait time.Duration, leader bool){
		"one leader that looks when it said": func(*rand.Rand) (time.Duration, bool) { return 0, false },
		"looks at any time": func(r *rand.Rand) (time.Duration, bool) {
			return time.Duration(r.Int64N(int64(10 * 24 * time.Hour))), false
		},
		"looks often": func(r *rand.Rand) (time.Duration, bool) {
			if r.IntN(2) == 0 {
				return 0, false
			}
			return time.Duration(r.Int64N(int64(20 * time.Minute))), false
		},
		"leaders change": func(r *rand.Rand) (time.Duration, bool) {
			return time.Duration(r.Int64N(int64(12 * time.Hour))), r.IntN(4) == 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			seed := rand.Uint64()
			t.Logf("the seed is %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			looks := 0
			for end := w.now.Add(3 * 365 * 24 * time.Hour); w.now.Before(end); looks++ {
				again := w.act()
				at := again
				wait, leader := random(r)
				// At the latest when it was told to.
				if sooner := w.now.Add(wait); wait > 0 && sooner.Before(again) {
					at = sooner
				}
				w.now = at
				w.check()
				if leader {
					w.elect()
				}
			}
			authorities := map[string]bool{}
			for _, u := range w.bundles {
				for _, c := range parseBundle(u.value) {
					authorities[c.Subject.CommonName] = true
				}
			}
			t.Logf("%d looks, %d certificates, %d bundles, %d authorities", looks, len(w.leaves), len(w.bundles), len(authorities))
			if len(w.leaves) < 12 || len(authorities) < 4 {
				t.Errorf("%d certificates of %d authorities in three years: nothing was rotated", len(w.leaves), len(authorities))
			}
		})
	}
}

func TestRotationOfAuthorityStepByStep(t *testing.T) {
	w := newWorld(t)
	first := w.act()
	if want := w.now.Add(w.r.Leaf - w.r.Leaf/3); !first.Equal(want) {
		t.Errorf("looks again at %s, want %s, when the certificate is two thirds through", first, want)
	}
	ca1, leaf1 := w.secret[AuthorityCertName], w.secret[CertName]
	if !bytes.Equal(w.bundle, ca1) {
		t.Fatal("the bundle is not the authority")
	}

	w.now = first
	w.act()
	leaf2 := w.secret[CertName]
	if bytes.Equal(leaf1, leaf2) || !bytes.Equal(w.secret[AuthorityCertName], ca1) || !bytes.Equal(w.bundle, ca1) {
		t.Fatal("a new certificate is not all that changed")
	}

	// The next authority is made and published; what is served stays.
	w.now = due(parseBundle(ca1)[0], w.r.Authority)
	w.secret = withLeaf(t, w) // a fresh one, so that only the authority is due
	again := w.act()
	leaf := w.secret[CertName]
	ca2 := w.secret[NextCertName]
	if len(ca2) == 0 || !bytes.Equal(w.bundle, append(bytes.Clone(ca1), ca2...)) {
		t.Fatalf("after %q the webhook does not trust both", w.why)
	}
	if want := w.now.Add(w.r.Settle); !again.Equal(want) {
		t.Fatalf("looks again at %s, want %s", again, want)
	}

	// A leader that saw the bundle a moment ago starts to wait anew.
	w.now = again.Add(-time.Second)
	w.elect()
	w.now = again
	if again = w.act(); !bytes.Equal(w.secret[CertName], leaf) {
		t.Fatal("a new leader did not wait for API servers")
	}

	w.now = again
	again = w.act()
	if bytes.Equal(w.secret[CertName], leaf) || !bytes.Equal(w.secret[AuthorityCertName], ca2) || !bytes.Equal(w.secret[OldCertName], ca1) || len(w.secret[NextCertName]) > 0 {
		t.Fatalf("after %q the next authority does not issue", w.why)
	}
	if !bytes.Contains(w.bundle, ca1) {
		t.Fatal("the old authority is not trusted while a replica may serve a certificate of it")
	}

	w.now = again
	w.act()
	if len(w.secret[OldCertName]) > 0 || !bytes.Equal(w.bundle, ca2) {
		t.Fatalf("after %q the old authority is still there", w.why)
	}
}

// withLeaf is the Secret with a new certificate of its authority.
func withLeaf(t *testing.T, w *world) map[string][]byte {
	t.Helper()
	ca, err := parsePair(w.secret[AuthorityCertName], w.secret[AuthorityKeyName])
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.issue(someHosts, w.now, w.r.Lifetimes)
	if err != nil {
		t.Fatal(err)
	}
	data := maps.Clone(w.secret)
	data[CertName], data[KeyName] = leaf.certPEM, leaf.keyPEM
	w.leaves = []used{{value: leaf.certPEM}}
	w.remembered = data
	return data
}

func TestRotationWaitsUntilTheBundleIsSeen(t *testing.T) {
	w := newWorld(t)
	w.act()
	ca1 := w.bundle
	w.now = due(parseBundle(ca1)[0], w.r.Authority)
	w.secret = withLeaf(t, w)
	w.act()
	// Somebody, such as a GitOps tool, takes away the new one, and again.
	for range 5 {
		w.now = w.now.Add(w.r.Settle - time.Minute)
		w.bundle = ca1
		w.act()
		if len(w.secret[NextCertName]) == 0 {
			t.Fatal("the next authority issues, though API servers were told to forget it")
		}
		if !bytes.Contains(w.bundle, w.secret[NextCertName]) {
			t.Fatal("the bundle is not put back")
		}
	}
}

func TestRotationOfWhatIsNotInOrder(t *testing.T) {
	garbage := []byte("-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
	later := func(w *world, d time.Duration) { w.now = w.now.Add(d) }
	for name, tc := range map[string]struct {
		spoil func(w *world)
		// forget is a process that never saw the Secret in order.
		forget bool
		// keeps says that what was served still is, until others are trusted.
		keeps bool
		// steps are the first words of the first reason.
		step string
	}{
		"no key of the authority":     {func(w *world) { w.secret[AuthorityKeyName] = garbage }, true, true, "the next certificate authority"},
		"key of another authority":    {func(w *world) { w.secret[AuthorityKeyName] = w.secret[KeyName] }, true, true, "the next certificate authority"},
		"no certificate of authority": {func(w *world) { w.secret[AuthorityCertName] = nil }, true, true, "the next certificate authority"},
		"garbage for an authority":    {func(w *world) { w.secret[AuthorityCertName] = garbage }, true, true, "the next certificate authority"},
		"a certificate as an authority": {func(w *world) {
			w.secret[AuthorityCertName], w.secret[AuthorityKeyName] = w.secret[CertName], w.secret[KeyName]
		}, true, true, ""},
		"garbage for the next":           {func(w *world) { w.secret[NextCertName], w.secret[NextKeyName] = garbage, garbage }, true, true, "no old certificate authority"},
		"garbage for the old":            {func(w *world) { w.secret[OldCertName] = garbage }, true, true, "no old certificate authority"},
		"half a certificate":             {func(w *world) { w.secret[CertName] = w.secret[CertName][:100] }, true, false, "a certificate, as none was valid"},
		"no certificate":                 {func(w *world) { w.secret[CertName], w.secret[KeyName] = nil, nil }, true, false, "a certificate, as none was valid"},
		"no key":                         {func(w *world) { delete(w.secret, KeyName) }, true, false, "a certificate, as none was valid"},
		"only rubbish":                   {func(w *world) { w.secret = map[string][]byte{CertName: garbage, AuthorityKeyName: {0}} }, true, false, "a certificate authority and a certificate"},
		"only rubbish, but remembered":   {func(w *world) { w.secret = map[string][]byte{CertName: garbage, AuthorityKeyName: {0}} }, false, true, "what the Secret held before"},
		"half a certificate, remembered": {func(w *world) { w.secret[CertName] = w.secret[CertName][:100] }, false, true, "what the Secret held before"},
		"emptied":                        {func(w *world) { w.secret = map[string][]byte{} }, false, true, "what the Secret held, and the next"},
		"deleted":                        {func(w *world) { w.secret = nil }, false, true, "what the Secret held, and the next"},
		"certificate expired":            {func(w *world) { later(w, w.r.Leaf+time.Hour) }, false, false, "a certificate, as none was valid"},
		"everything expired":             {func(w *world) { later(w, w.r.Authority+time.Hour) }, false, false, "a certificate authority and a certificate"},
		"everything expired, forgotten":  {func(w *world) { later(w, w.r.Authority+time.Hour) }, true, false, "a certificate authority and a certificate"},
		"deleted when expired":           {func(w *world) { later(w, w.r.Authority+time.Hour); w.secret = nil }, false, false, "the first certificate authority"},
		"made in the future":             {func(w *world) { later(w, -3*w.r.Backdate) }, false, false, "a certificate authority and a certificate"},
		"other hosts":                    {func(w *world) { w.r.hosts = append([]string{"new.example"}, someHosts...) }, false, false, "a new certificate of the same"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.act()
			later(w, time.Hour)
			w.act()
			leaf, was := w.secret[CertName], w.bundle
			w.secret, w.remembered = maps.Clone(w.secret), maps.Clone(w.secret)
			w.why = nil
			if tc.forget {
				w.remembered = nil
			}
			tc.spoil(w)
			if !tc.keeps {
				// Nothing to be trusted is left.
				w.leaves, w.bundles = nil, nil
			}
			remembered := w.remembered != nil
			for range 4 {
				again := w.act()
				if tc.keeps && len(w.why) > 0 && w.now.Before(w.leaves[0].replaced.Add(w.r.Settle)) {
					if !bytes.Contains(w.bundle, was) {
						t.Error("what was trusted is not trusted any more")
					}
				}
				w.now = again
			}
			w.act()
			if tc.step != "" && (len(w.why) == 0 || !strings.HasPrefix(w.why[0], tc.step)) {
				t.Errorf("steps: %q, want %q first (remembered: %t)", w.why, tc.step, remembered)
			}
			if tc.keeps && len(w.leaves) == 0 || len(leaf) == 0 {
				t.Error("nothing was served")
			}
			// In the end all is in order, and only the one authority is trusted.
			c, err := w.r.read(w.secret, w.now)
			if err != nil || c.ca == nil || c.leaf == nil {
				t.Fatalf("read: %+v, %v", c, err)
			}
			if got := parseBundle(w.bundle); !got.verifies(bundle{c.leaf.cert}, w.now) {
				t.Error("the certificate is not trusted")
			}
			if !isFor(c.leaf.cert, w.r.hosts) {
				t.Errorf("the certificate is for %v", c.leaf.cert.DNSNames)
			}
		})
	}
}

func TestRotationLeavesASecretOfOthersAlone(t *testing.T) {
	ca, err := newAuthority(time.Now(), DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.issue(someHosts, time.Now(), DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.secret = map[string][]byte{CertName: leaf.certPEM, KeyName: leaf.keyPEM, AuthorityCertName: ca.certPEM}
	s, err := w.r.next(w.view())
	if err == nil || !strings.Contains(err.Error(), "must be empty, or be mounted and used with --cert-dir") {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := w.r.serving(w.secret, w.now); err == nil {
		t.Error("it is served")
	}
}

func TestOnlyTheFirstIsForAnyReplica(t *testing.T) {
	w := newWorld(t)
	s, err := w.r.next(w.view())
	if err != nil || !s.first {
		t.Errorf("of an absent Secret: %t, %v", s.first, err)
	}
	w.secret = map[string][]byte{"unrelated": []byte("x")}
	if s, err = w.r.next(w.view()); err != nil || !s.first {
		t.Errorf("of an empty Secret: %t, %v", s.first, err)
	}
	w.act()
	w.now = w.now.Add(w.r.Leaf)
	if s, err = w.r.next(w.view()); err != nil || s.first || s.secret == nil {
		t.Errorf("of an expired certificate: %t, %v", s.first, err)
	}
}

func TestDeletedSecretIsNotPutBackAtOnce(t *testing.T) {
	w := newWorld(t)
	w.act()
	w.secret = nil
	w.now = w.now.Add(time.Hour)
	again := w.act()
	if want := w.now.Add(w.r.Restore); !again.Equal(want) || w.secret != nil {
		t.Errorf("again at %s, want %s: a release that is being uninstalled would leave a Secret behind", again, want)
	}
}

func TestWithoutConfigurationTheAuthorityIsRotatedToo(t *testing.T) {
	w := newWorld(t)
	v := w.view()
	v.bundles = nil
	for range 200 {
		v.bundlesSince, v.leafSince = v.now.Add(-2*w.r.Settle), v.now.Add(-2*w.r.Settle)
		s, err := w.r.next(v)
		if err != nil {
			t.Fatal(err)
		}
		if s.bundle != nil {
			t.Fatal("a bundle for nobody")
		}
		if s.secret != nil {
			v.secret = s.secret
		} else {
			v.now = s.again
		}
		if c, _ := w.r.read(v.secret, v.now); c.leaf == nil {
			t.Fatalf("no valid certificate at %s", v.now)
		}
	}
	if v.now.Before(w.now.Add(2 * w.r.Authority)) {
		t.Errorf("only %s passed", v.now.Sub(w.now))
	}
}

func FuzzRotationOfAnySecret(f *testing.F) {
	w := rotation{hosts: someHosts, Lifetimes: DefaultLifetimes()}
	now := time.Now()
	s, err := w.next(view{now: now})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.secret[CertName], s.secret[KeyName], s.secret[AuthorityCertName], s.secret[AuthorityKeyName])
	f.Add([]byte("x"), []byte(nil), []byte(nil), []byte("x"))
	f.Fuzz(func(t *testing.T, cert, key, caCert, caKey []byte) {
		data := map[string][]byte{CertName: cert, KeyName: key, AuthorityCertName: caCert, AuthorityKeyName: caKey}
		s, err := w.next(view{now: now, secret: data, bundles: [][]byte{caCert}})
		if err != nil && !strings.Contains(err.Error(), "must be empty") {
			t.Error(err)
		}
		if s.secret != nil {
			if _, err := w.serving(s.secret, now); err != nil {
				t.Errorf("what it writes cannot be served: %v", err)
			}
		}
	})
}
