// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// Expiry is a metric: when the certificates end without which the API server
// cannot call. It is built by a struct literal, and looks when it is asked.
type Expiry struct {
	// Serving returns the certificate that is served, with its chain.
	Serving func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Authorities returns certificates in PEM, among which may be those of
	// authorities that are not in the chain.
	Authorities func() ([]byte, error)
	Log         logr.Logger
}

var _ prometheus.Collector = (*Expiry)(nil)

var expiryDesc = prometheus.NewDesc("routegate_certificate_expiration_timestamp_seconds",
	"When the certificate that is served ends, and the first of the authorities that vouch for it, as far as they are known, in seconds since 1970.",
	[]string{"certificate"}, nil)

// Describe is of prometheus.Collector.
func (e *Expiry) Describe(descs chan<- *prometheus.Desc) { descs <- expiryDesc }

// Collect is of prometheus.Collector. There is no value for what is not known.
func (e *Expiry) Collect(metrics chan<- prometheus.Metric) {
	served, err := e.Serving(nil)
	if err != nil {
		// Whoever asks whether this replica is ready is told why.
		return
	}
	var chain bundle
	for _, der := range served.Certificate {
		chain = append(chain, parseBundle(encodeCert(der))...)
	}
	if len(chain) == 0 {
		return
	}
	value := func(name string, end time.Time) {
		metrics <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(end.Unix()), name)
	}
	value("serving", chain[0].NotAfter)
	text, err := e.Authorities()
	if err != nil {
		e.Log.Error(err, "there is no metric of when the certificate authority ends")
		return
	}
	if end, ok := authorityEnd(chain[0], append(chain[1:], parseBundle(text)...)); ok {
		value("authority", end)
	}
}

// authorityEnd is when the first of the authorities ends that vouch for the
// certificate, directly or for one another.
func authorityEnd(c *x509.Certificate, known bundle) (end time.Time, ok bool) {
	for {
		at := slices.IndexFunc(known, func(a *x509.Certificate) bool { return c.CheckSignatureFrom(a) == nil })
		if at < 0 {
			return end, ok
		}
		c = known[at]
		// One that vouches for itself is the last.
		known = slices.Delete(slices.Clone(known), at, at+1)
		if !ok || c.NotAfter.Before(end) {
			end, ok = c.NotAfter, true
		}
	}
}

// ReadAuthorities reads ca.crt from a directory that Watch reads. There need not
// be one.
func ReadAuthorities(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, AuthorityCertName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("certificate directory %q: %w", dir, err)
	}
	return text, nil
}
