// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

// The bounds of a request that is sent for real.
const (
	againstTimeout = 10 * time.Second
	againstBody    = 64 << 10
)

// send sends the request to the address and compares the answer with the Trace. No
// redirect is followed, no proxy is used, and no certificate is verified: which one is
// shown is part of the comparison.
func send(ctx context.Context, address string, r routing.Request, trace *report.Trace) error {
	ctx, cancel := context.WithTimeout(ctx, againstTimeout)
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		TLSClientConfig:    &tls.Config{ServerName: r.SNI, InsecureSkipVerify: true},
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	scheme := "http"
	if r.HTTPS {
		scheme = "https"
	}
	target, err := url.Parse(scheme + "://" + address + r.Path)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), nil)
	if err != nil {
		return err
	}
	request.Host = r.Host
	request.Header.Set("User-Agent", "routegate/"+versionText())
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, againstBody))
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	var leaf *x509.Certificate
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		leaf = response.TLS.PeerCertificates[0]
	}
	trace.Compare(address, response.StatusCode, response.Header.Get("Location"), body, leaf)
	return nil
}
