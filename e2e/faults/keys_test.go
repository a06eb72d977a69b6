// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keyPair is a certificate with its private key, as a Secret holds it.
type keyPair struct {
	name     string
	crt, key []byte
	// secret are the forms in which the key may be in memory: the DER bytes, the
	// base64 lines, and the private number in both byte orders.
	secret map[string][]byte
}

func newKeyPair(name string, withRSA bool) keyPair {
	GinkgoHelper()
	var signer crypto.Signer
	var der []byte
	var number []byte
	kind := "EC PRIVATE KEY"
	if withRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		Expect(err).NotTo(HaveOccurred())
		signer, der, kind = key, x509.MarshalPKCS1PrivateKey(key), "RSA PRIVATE KEY"
		number = key.D.Bytes()
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		if der, err = x509.MarshalECPrivateKey(key); err == nil {
			number, err = key.Bytes()
		}
		Expect(err).NotTo(HaveOccurred())
		signer = key
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".example.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	crt, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	Expect(err).NotTo(HaveOccurred())

	p := keyPair{
		name:   name,
		crt:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt}),
		key:    pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}),
		secret: map[string][]byte{"DER": der, "number": number},
	}
	reversed := slices.Clone(number)
	slices.Reverse(reversed)
	p.secret["number, reversed"] = reversed
	lines := strings.Split(strings.TrimSpace(string(p.key)), "\n")
	for i, line := range lines[1 : len(lines)-1] {
		p.secret[fmt.Sprintf("base64 line %d", i)] = []byte(line)
	}
	return p
}

// begin is how many bytes tell one form of a key from most others.
const begin = 16

// wanted are the forms of keys, by how they begin.
type wanted map[[begin]byte][]form

type form struct {
	what    string
	content []byte
}

func wantedOf(pairs []keyPair) wanted {
	w := wanted{}
	for _, p := range pairs {
		for what, content := range p.secret {
			if len(content) < begin {
				continue // the end of the last line
			}
			key := [begin]byte(content)
			w[key] = append(w[key], form{p.name + ": " + what, content})
		}
	}
	return w
}

// in returns which of the forms are in a heap, as a whole.
func (w wanted) in(heap [][]byte) []string {
	// Most places are ruled out by their first two bytes.
	var begins [1 << 16]bool
	for key := range w {
		begins[int(key[0])<<8|int(key[1])] = true
	}
	var found []string
	for _, content := range heap {
		for at := 0; at+begin <= len(content); at++ {
			if !begins[int(content[at])<<8|int(content[at+1])] {
				continue
			}
			for _, f := range w[[begin]byte(content[at:])] {
				if bytes.HasPrefix(content[at:], f.content) {
					found = append(found, fmt.Sprintf("%s, in an object of %d bytes", f.what, len(content)))
				}
			}
		}
	}
	return found
}

// inShort says how much of which key was found, and the first of each.
func inShort(found []string) string {
	count, first := map[string]int{}, map[string]string{}
	for _, f := range found {
		name, _, _ := strings.Cut(f, ":")
		if count[name]++; count[name] == 1 {
			first[name] = f
		}
	}
	text := fmt.Sprintf("%d parts of %d keys", len(found), len(count))
	for _, name := range slices.Sorted(maps.Keys(count)) {
		text += fmt.Sprintf("\n%d, first %s", count[name], first[name])
	}
	return text
}

var _ = Describe("Key material", Ordered, func() {
	const secrets = 100
	var ns string
	var pairs []keyPair
	var keys wanted

	BeforeAll(func(ctx SpecContext) {
		made, err := controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "keys-"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		ns = made.Name
		for i := range secrets {
			pair := newKeyPair(fmt.Sprintf("tls-%03d", i), i%10 == 1)
			pairs = append(pairs, pair)
			_, err := controlPlane.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: pair.name}, Type: corev1.SecretTypeTLS,
				Data: map[string][]byte{corev1.TLSCertKey: pair.crt, corev1.TLSPrivateKeyKey: pair.key},
			}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		keys = wantedOf(pairs)
	})

	// heapOf lets a process of its own hold the Secrets and returns its heap while
	// its connections are open, and after.
	heapOf := func(ctx SpecContext, kept string) (live, after [][]byte) {
		GinkgoHelper()
		self, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(GinkgoT().TempDir(), "heap")
		var names []string
		for _, pair := range pairs {
			names = append(names, pair.name)
		}
		cmd := exec.CommandContext(ctx, self)
		// Memory that is freed is written over, so that what is found is held. The
		// ends of buffers that are not zeroed when they are made show it otherwise.
		cmd.Env = append(os.Environ(), "GODEBUG=clobberfree=1", dumpFile+"="+path, dumpKubeconfig+"="+controlPlane.Kubeconfig,
			dumpNamespace+"="+ns, dumpSecrets+"="+strings.Join(names, ","), dumpKept+"="+kept)
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		read := func(path string) [][]byte {
			content, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			heap, err := reachable(content)
			Expect(err).NotTo(HaveOccurred())
			AddReportEntry("searched", fmt.Sprintf("%d objects in %d bytes, for the parts of %d keys", len(heap), len(content), len(pairs)))
			return heap
		}
		return read(path + liveSuffix), read(path)
	}

	It("is not in the heap of a process that judged it", func(ctx SpecContext) {
		live, after := heapOf(ctx, "")
		// A connection's buffers hold what came last.
		AddReportEntry("while connected", inShort(keys.in(live)))
		found := keys.in(after)
		Expect(len(found)).To(BeZero(), inShort(found))
		all := bytes.Join(after, nil)
		for _, pair := range pairs {
			Expect(bytes.Contains(all, []byte(pair.name+".example.com"))).To(BeTrue(), "the facts about %s are not there", pair.name)
		}
	})

	It("is found when one Secret is kept", func(ctx SpecContext) {
		kept := pairs[42].name
		_, after := heapOf(ctx, kept)
		found := keys.in(after)
		Expect(found).NotTo(BeEmpty())
		for _, f := range found {
			Expect(f).To(HavePrefix(kept+": base64 line "), inShort(found))
		}
	})
})
