// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/internal/cluster"
)

func TestServeOptionsNameTheFlagAtFault(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"no certificate":        {nil, []string{"one of --managed-certificate, --cert-dir and --self-signed must be given"}},
		"two certificates":      {[]string{"--self-signed", "--cert-dir=x"}, []string{"--managed-certificate, --self-signed and --cert-dir exclude each other"}},
		"a bundle of nothing":   {[]string{"--cert-dir=x", "--ca-bundle-file=y"}, []string{"--ca-bundle-file needs --self-signed"}},
		"port":                  {[]string{"--self-signed", "--port=70000"}, []string{"--port 70000: must be 1 to 65535"}},
		"live reads":            {[]string{"--self-signed", "--live-reads=0"}, []string{"--live-reads 0: must be at least 1"}},
		"drain time":            {[]string{"--self-signed", "--drain-time=-1s"}, []string{"--drain-time -1s: must not be negative"}},
		"controller":            {[]string{"--self-signed", "--controller-deployment=nginx"}, []string{`--controller-deployment "nginx": must be namespace/name of a Deployment`}},
		"log format":            {[]string{"--self-signed", "--log-format=xml"}, []string{`--log-format "xml": must be json or text`}},
		"controller pods":       {[]string{"--self-signed", "--controller-pods=In_gress"}, []string{`--controller-pods "In_gress": must be namespace or namespace/label=value,...: "In_gress" is no name of a namespace`}},
		"labels of these":       {[]string{"--self-signed", "--controller-pods=ingress-nginx/app"}, []string{`--controller-pods "ingress-nginx/app": must be`}},
		"two controllers":       {[]string{"--self-signed", "--controller-pods=ingress-nginx/app=nginx,tier=edge", "--controller-pods=edge"}, nil},
		"a namespace twice":     {[]string{"--self-signed", "--namespaces=a,b,a"}, []string{`--namespaces: namespace "a": must be named once`}},
		"no namespace":          {[]string{"--self-signed", "--namespaces="}, []string{`--namespaces: namespace "": a lowercase RFC 1123 label must consist of`}},
		"a bad namespace":       {[]string{"--self-signed", "--namespaces=a,b/c"}, []string{`--namespaces: namespace "b/c": a lowercase RFC 1123 label must consist of`}},
		"two namespaces":        {[]string{"--self-signed", "--namespaces=a,b"}, nil},
		"reverse checks":        {[]string{"--self-signed", "--reverse-checks=services,pods"}, []string{`--reverse-checks "pods": must be of ingressclasses, secrets, services`}},
		"no reverse checks":     {[]string{"--self-signed", "--reverse-checks="}, nil},
		"explained to nobody":   {[]string{"--self-signed", "--explain-requests"}, []string{"--explain-requests needs --verbosity=1"}},
		"explained":             {[]string{"--self-signed", "--explain-requests", "--verbosity=1"}, nil},
		"preset":                {[]string{"--self-signed", "--preset=lax"}, []string{`preset "lax": must be one of observe, standard, strict`}},
		"several at once":       {[]string{"--port=0", "--on-undecided=deny"}, []string{"--port 0", `onUndecided "deny": must be one of allow, fail`, "--cert-dir"}},
		"managed, and no more":  {[]string{"--managed-certificate=a/b"}, []string{"--managed-certificate needs --webhook-configuration"}},
		"no lease":              {[]string{"--managed-certificate=a/b", "--webhook-configuration=c"}, []string{"--webhook-configuration needs --lease"}},
		"half a name":           {[]string{"--managed-certificate=b", "--webhook-configuration=c", "--lease=a/b/c"}, []string{`--managed-certificate "b": must be NAMESPACE/NAME`, `--lease "a/b/c": must be NAMESPACE/NAME`}},
		"no hosts":              {[]string{"--self-signed", "--hosts="}, []string{"--hosts: must name at least one host"}},
		"lifetimes":             {[]string{"--managed-certificate=a/b", "--webhook-configuration=c", "--lease=a/b", "--authority-lifetime=1h"}, []string{"lifetime of the certificate authority 1h0m0s: must be at least three times that of the certificate"}},
		"rules of what":         {[]string{"--self-signed", "--write-rules"}, []string{"--write-rules needs --webhook-configuration"}},
		"nothing to configure":  {[]string{"--cert-dir=x", "--webhook-configuration=c", "--lease=a/b"}, []string{"--webhook-configuration needs --managed-certificate or --write-rules"}},
		"nothing to lead for":   {[]string{"--cert-dir=x", "--lease=a/b"}, []string{"--lease needs --webhook-configuration or --audit"}},
		"audit without lease":   {[]string{"--self-signed", "--audit"}, []string{"--audit needs --lease"}},
		"audit alone":           {[]string{"--self-signed", "--audit", "--lease=a/b"}, nil},
		"audit's numbers":       {[]string{"--self-signed", "--audit", "--lease=a/b", "--audit-settle-time=-1s", "--audit-max-series=0"}, []string{"--audit-settle-time -1s: must not be negative", "--audit-max-series 0: must be at least 1"}},
		"names without clients": {[]string{"--cert-dir=x", "--client-name=a"}, []string{"--client-name needs --client-ca-file"}},
		"everything, managed":   {[]string{"--managed-certificate=a/b", "--webhook-configuration=c", "--lease=a/b", "--write-rules"}, nil},
		"rules, from disk":      {[]string{"--cert-dir=x", "--webhook-configuration=c", "--lease=a/b", "--write-rules"}, nil},
		"everything in order":   {[]string{"--self-signed"}, nil},
		"everything, from disk": {[]string{"--cert-dir=x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := &serveOptions{}
			flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			o.addFlags(flags)
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			err := o.validate()
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestNothingIsSaidOfSecretsThatAreNotRead(t *testing.T) {
	for access, want := range map[cluster.SecretAccess]int{cluster.SecretsOff: 2, cluster.SecretsMetadata: 3, cluster.SecretsFull: 3} {
		kinds, err := parseReverse([]string{"ingressclasses", "secrets", "services"}, access)
		if err != nil || len(kinds) != want {
			t.Errorf("%s: got %v, %v", access, kinds, err)
		}
	}
}

func TestVersionIsOneLine(t *testing.T) {
	cmd := versionCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if line := out.String(); !strings.HasPrefix(line, "routegate ") || strings.Count(line, "\n") != 1 {
		t.Errorf("got %q", line)
	}
}

func TestLogHoldsNothingThatATerminalObeys(t *testing.T) {
	const evil = "\x1b[2J\x9b\x00\r\a\x7f\u0085\u009b31m\u202e\u2066web"
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := newLogger(&out, format, 1)
		log.V(1).Info("answered", "name", evil, "uid", types.UID(evil))
		log.Error(errors.New(evil), "no verdict", "stack", "a\n\tb"+evil)
		if lines := strings.Count(out.String(), "\n"); lines != 2 {
			t.Errorf("%s: got %d lines: %q", format, lines, out.String())
		}
		if !strings.Contains(out.String(), "web") || strings.ContainsFunc(strings.ReplaceAll(out.String(), "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: got %q", format, out.String())
		}
	}
}

// A caller that keeps its connection must leave it while the process is stopping,
// whichever way to speak HTTP an API server has: HTTP/1.1 to a Service, HTTP/2 to
// localhost.
func TestSendAway(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%t", http2), func(t *testing.T) {
			var stopping atomic.Bool
			var connections atomic.Int32
			server := httptest.NewUnstartedServer(sendAway(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), &stopping))
			server.EnableHTTP2 = http2
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.StartTLS()
			defer server.Close()
			call := func() {
				t.Helper()
				resp, err := server.Client().Post(server.URL, "", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if (resp.ProtoMajor == 2) != http2 {
					t.Fatalf("protocol is %s", resp.Proto)
				}
			}
			for range 3 {
				call()
			}
			if n := connections.Load(); n != 1 {
				t.Fatalf("%d connections for three calls, must be one", n)
			}
			stopping.Store(true)
			// The client may read of it after its next call.
			for deadline := time.Now().Add(10 * time.Second); connections.Load() == 1; {
				if time.Now().After(deadline) {
					t.Fatal("the caller keeps its connection")
				}
				call()
			}
		})
	}
}

// What is managed is looked at in e2e/certs.
func TestMetricsOfEachCertificate(t *testing.T) {
	chain, key, err := certs.PEM([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	leaf, authority, ok := bytes.Cut(chain, []byte("-----END CERTIFICATE-----\n"))
	if !ok || len(authority) == 0 {
		t.Fatalf("%q are not two certificates", chain)
	}
	leaf = append(bytes.Clone(leaf), "-----END CERTIFICATE-----\n"...)
	dir := t.TempDir()
	for name, content := range map[string][]byte{certs.CertName: leaf, certs.KeyName: key, certs.AuthorityCertName: authority} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, o := range map[string]serveOptions{
		"self-signed": {selfSigned: true, hosts: []string{"localhost"}},
		"directory":   {certDir: dir},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, err := o.certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			metric := &certs.Expiry{Serving: certificate.get, Authorities: certificate.authorities}
			if got := testutil.CollectAndCount(metric); got != 2 {
				t.Errorf("%d values, must be one for the certificate and one for its authority", got)
			}
		})
	}
}
