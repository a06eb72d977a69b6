// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// pair is a certificate and its key, both in PEM too.
type pair struct {
	cert            *x509.Certificate
	key             crypto.Signer
	certPEM, keyPEM []byte
}

// newAuthority makes a certificate authority.
func newAuthority(now time.Time, l Lifetimes) (*pair, error) {
	return newPair(&x509.Certificate{
		NotBefore:             now.Add(-l.Backdate),
		NotAfter:              now.Add(l.Authority),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, "routegate-ca", nil)
}

// issue makes a serving certificate for the hosts, which does not outlive its
// authority.
func (p *pair) issue(hosts []string, now time.Time, l Lifetimes) (*pair, error) {
	template := &x509.Certificate{
		NotBefore:             now.Add(-l.Backdate),
		NotAfter:              now.Add(l.Leaf),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(p.cert.NotAfter) {
		template.NotAfter = p.cert.NotAfter
	}
	template.IPAddresses, template.DNSNames = splitHosts(hosts)
	return newPair(template, "routegate", p)
}

// newPair makes a key and a certificate, signed by issuer, or by itself where
// that is nil.
func newPair(template *x509.Certificate, name string, issuer *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", name, err)
	}
	// Two authorities never have the same name, so that whoever reads a bundle
	// can tell them apart.
	template.Subject = pkix.Name{CommonName: name + "-" + strings.ToLower(rand.Text()[:8])}
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	p := &pair{key: key, certPEM: encodeCert(der)}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	if p.keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, fmt.Errorf("key of %s: %w", name, err)
	}
	return p, nil
}

// parsePair reads what a Secret holds. The error says what is wrong.
func parsePair(certPEM, keyPEM []byte) (*pair, error) {
	both, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := both.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return &pair{cert: both.Leaf, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

// validAt is whether a certificate is valid at that time.
func validAt(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter)
}

// isFor is whether the certificate is for these hosts and no others.
func isFor(c *x509.Certificate, hosts []string) bool {
	ips, names := splitHosts(hosts)
	want := slices.Clone(names)
	for _, ip := range ips {
		want = append(want, ip.String())
	}
	got := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		got = append(got, ip.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	return slices.Equal(slices.Compact(want), slices.Compact(got))
}

func splitHosts(hosts []string) (ips []net.IP, names []string) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
		} else {
			names = append(names, host)
		}
	}
	return ips, names
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
}

// bundle is a set of certificates in a fixed order.
type bundle []*x509.Certificate

// parseBundle reads the certificates that it can, each once.
func parseBundle(text []byte) bundle {
	var b bundle
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return b
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			b = b.with(c)
		}
	}
}

// with returns the bundle with a certificate, unless that is nil or there.
func (b bundle) with(c *x509.Certificate) bundle {
	if c == nil || b.has(c) {
		return b
	}
	return append(slices.Clip(b), c)
}

func (b bundle) has(c *x509.Certificate) bool {
	return slices.ContainsFunc(b, c.Equal)
}

// hasAll is whether all of the others are in the bundle.
func (b bundle) hasAll(others bundle) bool {
	return !slices.ContainsFunc(others, func(c *x509.Certificate) bool { return !b.has(c) })
}

func (b bundle) encode() []byte {
	var text bytes.Buffer
	for _, c := range b {
		text.Write(encodeCert(c.Raw))
	}
	return text.Bytes()
}

// verifies is whether a client with this bundle trusts a server that shows the
// chain, whose first certificate is its own.
func (b bundle) verifies(chain bundle, now time.Time) bool {
	pool := func(certs bundle) *x509.CertPool {
		p := x509.NewCertPool()
		for _, c := range certs {
			p.AddCert(c)
		}
		return p
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: pool(b), Intermediates: pool(chain[1:]), CurrentTime: now})
	return err == nil
}
