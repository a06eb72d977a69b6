// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

// TestSend holds that the request arrives as it was traced.
func TestSend(t *testing.T) {
	var got *http.Request
	var sni string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, sni = r, r.TLS.ServerName
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "https://")
	trace := &report.Trace{Status: 302, Location: "https://elsewhere.example/", Certificate: &report.Certificate{Kind: report.CertificateDefault}}
	err := send(t.Context(), address, routing.Request{
		Method: "PUT", HTTPS: true, Host: "shop.example.com", SNI: "other.example.com", Path: "/a%2Fb?c=d", Headers: map[string]string{"X-Canary": "always"},
	}, trace)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.Host != "shop.example.com" || got.RequestURI != "/a%2Fb?c=d" || got.Header.Get("X-Canary") != "always" || sni != "other.example.com" {
		t.Errorf("got %s %s %s %v, SNI %s", got.Method, got.Host, got.RequestURI, got.Header, sni)
	}
	if a := trace.Against; a.Status != 302 || len(a.Differences) > 0 || a.Certificate == nil {
		t.Errorf("got %+v", a)
	}
}

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://a.example":            "",
		"http://[::1]:8080/x":          "",
		"a.example/x":                  "has no scheme",
		"//a.example/x":                "scheme",
		"a.example:8080/x":             "has no scheme",
		"http://":                      "has no host",
		"http://:80/":                  "has no host",
		"http://a.example:0/":          "must be 1 to 65535",
		"http://user:secret@a.example": "must not hold a user",
		"http://a.example/%zz":         "invalid URL escape",
	} {
		_, err := parseURL(raw)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", raw, err)
		}
	}
}
