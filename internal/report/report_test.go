// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain ├ ümlaut":   "plain ├ ümlaut",
		"a\x1b[31mb\r\n\t": `a\x1b[31mb\r\n\t`,
		"rtl \u202e":       `rtl \u202e`,
		"bad \xff utf":     `bad \xff utf`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestExamples wants at least one example that the expression matches.
func TestExamples(t *testing.T) {
	for _, expr := range []string{"/", "/api(/|$)(.*)", "/[a-z]{2,3}/v[0-9]+", "/a.b", "/x?", "/(a|b)/.*", "/(.+)", "/(a{3}){3}", "/((a*)*)*"} {
		compiled, err := regexp.Compile("^" + expr)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(examples(expr), compiled.MatchString) {
			t.Errorf("%s: no example of %q matches", expr, examples(expr))
		}
	}
	if got := examples("/api/(?!internal)x"); !slices.Equal(got, []string{"/api/"}) {
		t.Errorf("beyond Go's syntax: got %q", got)
	}
}

const nginx404 = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

func TestCompare(t *testing.T) {
	until := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	own := &x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: until}
	fake := &x509.Certificate{Subject: pkix.Name{CommonName: fakeCertificate}}
	other := &x509.Certificate{DNSNames: []string{"b.example"}, NotAfter: until}
	ownCertificate := &Certificate{Kind: CertificateOwn, Secret: "app/cert", DNSNames: own.DNSNames, NotAfter: &until}
	backend := []Backend{{Service: "web"}}
	for name, tc := range map[string]struct {
		trace    Trace
		status   int
		location string
		body     string
		leaf     *x509.Certificate
		want     string
	}{
		"backend":                     {trace: Trace{Status: 200, Backends: backend}, status: 500},
		"backend redirects":           {trace: Trace{Status: 200, Backends: backend}, status: 302, location: "/login"},
		"nginx instead":               {trace: Trace{Status: 200, Backends: backend}, status: 404, body: nginx404, want: "status: foretold is the answer of a backend, nginx itself answers 404"},
		"404":                         {trace: Trace{Status: 404}, status: 404, body: nginx404},
		"503 instead of 404":          {trace: Trace{Status: 404}, status: 503, want: "status: foretold is 404, the answer is 503"},
		"redirect elsewhere":          {trace: Trace{Status: 308, Location: "https://a.example"}, status: 308, location: "https://b.example", want: `Location: foretold is "https://a.example", the answer is "https://b.example"`},
		"own certificate":             {trace: Trace{Status: 404, Certificate: ownCertificate}, status: 404, leaf: own},
		"fake instead":                {trace: Trace{Status: 404, Certificate: ownCertificate}, status: 404, leaf: fake, want: "certificate: foretold is that of Secret app/cert, the answer shows the default one"},
		"another instead":             {trace: Trace{Status: 404, Certificate: ownCertificate}, status: 404, leaf: other, want: `certificate: foretold is that of Secret app/cert, the answer shows one for "b.example", until 2027-01-02`},
		"default certificate":         {trace: Trace{Status: 404, Certificate: &Certificate{Kind: CertificateDefault}}, status: 404, leaf: fake},
		"default of the operator":     {trace: Trace{Status: 404, Certificate: &Certificate{Kind: CertificateDefault}}, status: 404, leaf: other},
		"certificate that is unknown": {trace: Trace{Status: 404, Certificate: &Certificate{Kind: CertificateUnread}}, status: 404, leaf: other},
	} {
		t.Run(name, func(t *testing.T) {
			tc.trace.Compare("127.0.0.1:443", tc.status, tc.location, []byte(tc.body), tc.leaf)
			if got := strings.Join(tc.trace.Against.Differences, "; "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
