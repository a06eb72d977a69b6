// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// Clients are those who may connect: who show a certificate of an authority in
// a file and, where names are given, with one of these common names.
type Clients struct {
	file  string
	names []string
	log   logr.Logger

	mu   sync.Mutex
	text []byte
	pool *x509.CertPool
	said string
}

// NewClients reads the authorities from a file in PEM. It is read again at each
// handshake, of which there are few, so that a change counts at once; while it
// cannot be read or holds no certificate, the authorities before it count.
func NewClients(file string, names []string, log logr.Logger) (*Clients, error) {
	c := &Clients{file: file, names: names, log: log}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// Require makes a server close connections of others during the handshake,
// before anything else is read from them.
func (c *Clients) Require(config *tls.Config) {
	// With RequireAndVerifyClientCert the authorities could not change.
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = c.verify
}

func (c *Clients) read() error {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("client CA file: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool != nil && bytes.Equal(text, c.text) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("client CA file %q: must hold at least one certificate in PEM", c.file)
	}
	c.text, c.pool = text, pool
	return nil
}

// verify is called for resumed sessions too.
func (c *Clients) verify(state tls.ConnectionState) error {
	err := c.read()
	c.mu.Lock()
	pool := c.pool
	if said := fmt.Sprint(err); said != c.said {
		c.said = said
		if err != nil {
			c.log.Error(err, "client CA file cannot be used; the one before counts")
		}
	}
	c.mu.Unlock()

	if len(state.PeerCertificates) == 0 {
		return errors.New("client certificate: there is none")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	cert := state.PeerCertificates[0]
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots:         pool,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	if name := cert.Subject.CommonName; len(c.names) > 0 && !slices.Contains(c.names, name) {
		return fmt.Errorf("client certificate: common name %q: must be one of %s", name, strings.Join(c.names, ", "))
	}
	return nil
}
