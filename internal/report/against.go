// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Against is what a real request got, beside what was foretold.
type Against struct {
	// Address is where the request was sent.
	Address string `json:"address"`
	// Status and Location are those of the answer.
	Status   int    `json:"status"`
	Location string `json:"location,omitempty"`
	// ByController is true where the body is one of nginx's own pages, so that no
	// backend answered.
	ByController bool `json:"byController"`
	// Certificate is the leaf that was shown, absent over plain HTTP.
	Certificate *Shown `json:"certificate,omitempty"`
	// Differences say what is otherwise than foretold. It is empty where all agrees.
	Differences []string `json:"differences"`
}

// Shown is a certificate that a server showed.
type Shown struct {
	// Kind is "own" where it is the one that was foretold, else "default" where it is
	// the controller's, else "other".
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject,omitempty"`
	DNSNames []string  `json:"dnsNames,omitempty"`
	NotAfter time.Time `json:"notAfter"`
}

const certificateOther = "other"

// fakeCertificate is the common name of the certificate that ingress-nginx makes for
// itself.
const fakeCertificate = "Kubernetes Ingress Controller Fake Certificate"

// Compare takes up what a real request got. The leaf is nil over plain HTTP.
//
// Where a backend was foretold, any answer agrees that is not one of nginx's own
// pages: what a backend says is its own affair.
func (t *Trace) Compare(address string, status int, location string, body []byte, leaf *x509.Certificate) {
	a := &Against{Address: address, Status: status, Location: location, ByController: isNginxPage(status, body), Differences: []string{}}
	differ := func(format string, args ...any) { a.Differences = append(a.Differences, fmt.Sprintf(format, args...)) }
	if len(t.Backends) > 0 {
		if a.ByController {
			differ("status: foretold is the answer of a backend, nginx itself answers %d", status)
		}
	} else {
		if status != t.Status {
			differ("status: foretold is %d, the answer is %d", t.Status, status)
		}
		if location != t.Location {
			differ("Location: foretold is %q, the answer is %q", t.Location, location)
		}
	}
	if leaf != nil {
		a.Certificate = t.shown(leaf)
		if c := t.Certificate; c != nil && c.Kind != CertificateUnread && c.Kind != a.Certificate.Kind {
			// A default certificate of the operator's own cannot be told from another one.
			if c.Kind != CertificateDefault || a.Certificate.Kind != certificateOther {
				differ("certificate: foretold is %s, the answer shows %s", c.text(), a.Certificate.text())
			}
		}
	}
	t.Against = a
}

func (t *Trace) shown(leaf *x509.Certificate) *Shown {
	s := &Shown{Kind: certificateOther, Subject: leaf.Subject.CommonName, DNSNames: leaf.DNSNames, NotAfter: leaf.NotAfter}
	c := t.Certificate
	switch {
	case c != nil && c.Kind == CertificateOwn && c.NotAfter != nil && c.NotAfter.Equal(leaf.NotAfter) && slices.Equal(c.DNSNames, leaf.DNSNames):
		s.Kind = CertificateOwn
	case leaf.Subject.CommonName == fakeCertificate:
		s.Kind = CertificateDefault
	}
	return s
}

// isNginxPage reports whether a body is the page that ingress-nginx's nginx makes for
// a status, which bears no version.
func isNginxPage(status int, body []byte) bool {
	text := string(body)
	return strings.Contains(text, "<hr><center>nginx</center>") && strings.Contains(text, "<title>"+strconv.Itoa(status)+" ")
}

func (c *Certificate) text() string {
	if c.Kind == CertificateOwn {
		return "that of Secret " + c.Secret
	}
	return "the default one"
}

func (s *Shown) text() string {
	switch s.Kind {
	case CertificateOwn:
		return "that one"
	case CertificateDefault:
		return "the default one"
	}
	names := strings.Join(s.DNSNames, ", ")
	if names == "" {
		names = s.Subject
	}
	return fmt.Sprintf("one for %q, until %s", names, s.NotAfter.Format(time.DateOnly))
}

func (a *Against) write(out *tree) {
	answer := strconv.Itoa(a.Status)
	if a.Location != "" {
		answer += ", Location " + a.Location
	}
	if a.Certificate != nil {
		answer += ", certificate " + a.Certificate.text()
	}
	out.line("%s", out.paint(bold, printable("against "+a.Address)))
	out.row(len(a.Differences) == 0, "answer", printable(answer))
	for i, difference := range a.Differences {
		out.row(i == len(a.Differences)-1, "differs", out.paint(red, printable(difference)))
	}
}
