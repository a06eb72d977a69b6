// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// SelfSigned makes a certificate authority and a certificate for the hosts,
// which may be DNS names and IP addresses, and returns the certificate with its
// key, and the authority's certificate in PEM: the CA bundle with which clients
// verify it. Both are valid from an hour ago, for a year. Nothing is written to
// disk and the authority's key is forgotten, so that a restart makes a new
// authority.
func SelfSigned(hosts []string) (*tls.Certificate, []byte, error) {
	chain, key, err := PEM(hosts)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	if len(pair.Certificate) != 2 {
		return nil, nil, fmt.Errorf("self-signed certificate: chain has %d certificates, want that of the host and that of its authority", len(pair.Certificate))
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[1]})
	return &pair, bundle, nil
}

// PEM makes a certificate as SelfSigned does and returns its chain and key in
// PEM, as a Secret of type kubernetes.io/tls holds them.
func PEM(hosts []string) (chain, key []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("self-signed certificate: at least one host must be given")
	}
	ips, names := splitHosts(hosts)
	chain, key, err = cert.GenerateSelfSignedCertKey(hosts[0], ips, names)
	if err != nil {
		return nil, nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	return chain, key, nil
}

// The files in a certificate directory, named as in a Secret of type
// kubernetes.io/tls.
const (
	CertName = "tls.crt"
	KeyName  = "tls.key"
)

// reloadInterval is how often the files are compared, besides being watched:
// some file systems report no changes.
const reloadInterval = 10 * time.Second

// Watch reads tls.crt and tls.key from the directory and returns a function for
// tls.Config.GetCertificate that always gives the newest pair that was valid,
// and one that keeps it up to date until its context is done. It fails at once
// where there is no valid pair yet.
func Watch(dir string) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), run func(context.Context) error, err error) {
	watcher, err := certwatcher.New(filepath.Join(dir, CertName), filepath.Join(dir, KeyName))
	if err != nil {
		return nil, nil, fmt.Errorf("certificate directory %q: %w", dir, err)
	}
	return watcher.GetCertificate, watcher.WithWatchInterval(reloadInterval).Start, nil
}
