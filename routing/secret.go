// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SecretFacts is what may be remembered of a Secret: never a byte of a value
// that is or could be a key.
type SecretFacts struct {
	Meta
	// Type is the Secret's type. ingress-nginx does not look at it.
	Type corev1.SecretType
	// Keys are the names of the entries, sorted.
	Keys []string
	// Certificate is the leaf certificate of tls.crt, nil when there is none
	// that parses.
	Certificate *CertificateFacts
	// Unusable says why ingress-nginx cannot serve TLS with this Secret, as a
	// clause about it: `has no key "tls.key"`. It is empty when the pair is
	// usable, whatever its names and dates.
	Unusable string
	// ManagedBy names the tool that fills this Secret, as far as its metadata
	// tell; such a tool may replace the contents at any time. Empty if none is
	// known.
	ManagedBy string
}

// Blank reports whether ingress-nginx can make nothing of the Secret: it holds neither
// a certificate with its key nor a ca.crt.
func (f *SecretFacts) Blank() bool {
	has := func(key string) bool { return slices.Contains(f.Keys, key) }
	pair := has(corev1.TLSCertKey) && has(corev1.TLSPrivateKeyKey)
	return !pair && !has(caKey)
}

// CertificateFacts describes a leaf certificate.
type CertificateFacts struct {
	CommonName          string
	DNSNames            []string
	NotBefore, NotAfter time.Time
}

// Covers reports whether ingress-nginx v1.15.1 takes the certificate for the
// host: by its DNS names, or by its common name when it has no DNS names
// (semantics row J04). The host may be a wildcard, which only the same wildcard
// covers.
func (c *CertificateFacts) Covers(host string) bool {
	names := c.DNSNames
	if len(names) == 0 {
		names = []string{c.CommonName}
	}
	return slices.ContainsFunc(names, func(name string) bool { return coversName(name, host) })
}

// coversByDNSName is Covers without the common name.
func (c *CertificateFacts) coversByDNSName(host string) bool {
	return slices.ContainsFunc(c.DNSNames, func(name string) bool { return coversName(name, host) })
}

// Names reports whether the certificate is handed out for another name of a server,
// such as an alias: by its common name too, whatever DNS names it has.
func (c *CertificateFacts) Names(host string) bool {
	return c.coversByDNSName(host) || coversName(c.CommonName, host)
}

// names are the names that the certificate is for.
func (c *CertificateFacts) names() []string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames
	}
	return []string{c.CommonName}
}

// coversName compares label by label; a wildcard stands for exactly one label,
// the first.
func coversName(pattern, host string) bool {
	pattern, host = strings.TrimSuffix(pattern, "."), strings.TrimSuffix(host, ".")
	if pattern == "" || host == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, parent, found := strings.Cut(host, ".")
		return found && strings.EqualFold(rest, parent)
	}
	return strings.EqualFold(pattern, host)
}

// FactsOfMetadata returns what a Secret's metadata tell of it. What it holds is
// left out.
func FactsOfMetadata(meta *metav1.ObjectMeta) *SecretFacts {
	return &SecretFacts{Meta: MetaOf(meta), ManagedBy: managerOf(meta)}
}

// FactsOf computes the facts about a Secret. The result shares no memory with
// the Secret's data.
func FactsOf(secret *corev1.Secret) *SecretFacts {
	facts := FactsOfMetadata(&secret.ObjectMeta)
	facts.Type = secret.Type
	for key := range secret.Data {
		facts.Keys = append(facts.Keys, strings.Clone(key))
	}
	slices.Sort(facts.Keys)
	facts.Certificate, facts.Unusable = judgePair(secret.Data)
	return facts
}

// judgePair follows ingress-nginx v1.15.1, internal/ingress/controller/store
// getPemCertificate and internal/net/ssl CreateSSLCert (semantics row J02). No
// text that it returns holds a byte of the data.
func judgePair(data map[string][]byte) (*CertificateFacts, string) {
	crt, hasCrt := data[corev1.TLSCertKey]
	key, hasKey := data[corev1.TLSPrivateKeyKey]
	switch {
	case !hasCrt && !hasKey:
		return nil, `has no keys "tls.crt" and "tls.key"`
	case !hasCrt:
		return nil, `has no key "tls.crt"`
	case !hasKey:
		return nil, `has no key "tls.key"`
	}

	block, _ := pem.Decode(crt)
	switch {
	case block == nil:
		return nil, "holds no PEM block in tls.crt"
	case block.Type != "CERTIFICATE":
		return nil, "has no certificate as the first PEM block of tls.crt"
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "has a certificate in tls.crt that does not parse"
	}
	facts := &CertificateFacts{
		CommonName: strings.Clone(leaf.Subject.CommonName),
		NotBefore:  leaf.NotBefore,
		NotAfter:   leaf.NotAfter,
	}
	for _, name := range leaf.DNSNames {
		facts.DNSNames = append(facts.DNSNames, strings.Clone(name))
	}

	if err := checkKey(crt, key); err != nil {
		return facts, err.Error()
	}
	if ca := data["ca.crt"]; len(ca) > 0 {
		if err := checkCA(ca); err != nil {
			return facts, err.Error()
		}
		if crl := data["ca.crl"]; len(crl) > 0 {
			if err := checkCRL(crl); err != nil {
				return facts, err.Error()
			}
		}
	}
	return facts, ""
}

// checkKey tells apart what users mix up: no key, a locked key, somebody else's
// key.
func checkKey(crt, key []byte) error {
	block, _ := pem.Decode(key)
	switch {
	case block == nil:
		return errors.New("holds no PEM block in tls.key")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return errors.New("has an encrypted key in tls.key; it must not have a passphrase")
	}
	if _, err := tls.X509KeyPair(crt, key); err != nil {
		// The error's text is not passed on: it is not ours, and it is about a key.
		return errors.New("has a key in tls.key that does not belong to the first certificate of tls.crt")
	}
	return nil
}

func checkCA(ca []byte) error {
	for n := 0; ; n++ {
		var block *pem.Block
		block, ca = pem.Decode(ca)
		if block == nil {
			if n == 0 {
				return errors.New("holds no PEM block in ca.crt, which spoils its good pair as well")
			}
			return nil
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("has a certificate in ca.crt (number %d) that does not parse, which spoils its good pair as well", n+1)
		}
	}
}

func checkCRL(crl []byte) error {
	block, _ := pem.Decode(crl)
	if block == nil || block.Type != "X509 CRL" {
		return errors.New("holds no X509 CRL as the first PEM block of ca.crl, which spoils its good pair as well")
	}
	if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
		return errors.New("has a revocation list in ca.crl that does not parse, which spoils its good pair as well")
	}
	return nil
}

// managerOf recognises the tools that write Secrets (semantics rows J01, J02).
func managerOf(meta *metav1.ObjectMeta) string {
	for _, owner := range meta.OwnerReferences {
		switch owner.Kind {
		case "Certificate", "ExternalSecret", "SealedSecret", "VaultStaticSecret", "VaultPKISecret", "OnePasswordItem":
			return owner.Kind
		}
	}
	for _, mark := range []struct{ annotation, tool string }{
		{"cert-manager.io/certificate-name", "Certificate"},
		{"reflector.v1.k8s.emberstack.com/reflects", "reflector"},
		{"replicator.v1.mittwald.de/replicated-from-version", "kubernetes-replicator"},
		{"replicator.v1.mittwald.de/replicate-from", "kubernetes-replicator"},
	} {
		if _, ok := meta.Annotations[mark.annotation]; ok {
			return mark.tool
		}
	}
	return ""
}
