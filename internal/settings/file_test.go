// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

func TestParseFile(t *testing.T) {
	critical := routing.RiskCritical
	got, err := settings.ParseFile([]byte(`
k8s.io/ingress-nginx:
  annotationsRiskLevel: Critical
  allowSnippets: true
  customHTTPErrors: [404, 503]
  defaultSSLCertificate: ingress-nginx/cert
  noTLSRedirectLocations: []
example.com/old:
  version: v1.11.8
  disableAnnotationValidation: false
example.com/plain: {}
`))
	want := map[string]routing.ControllerSettings{
		"k8s.io/ingress-nginx": {
			Confirmed: true, AnnotationsRiskLevel: &critical, AllowSnippets: true, CustomHTTPErrors: []int{404, 503},
			DefaultSSLCertificate: "ingress-nginx/cert", NoTLSRedirectLocations: []string{},
		},
		"example.com/old":   {Version: "v1.11.8", AnnotationsRiskLevel: &critical, AllowCrossNamespace: true, LenientPathType: true},
		"example.com/plain": {Confirmed: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestParseFileNamesTheFault(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"unknown field":    {"a: {allowSnippet: true}", []string{`"a": unknown field "allowSnippet"`}},
		"spelling":         {"a: {AllowSnippets: true}", []string{`"a": unknown field "AllowSnippets"`}},
		"confirmed":        {"a: {confirmed: true}", []string{`"a": unknown field "confirmed"`}},
		"duplicate field":  {"a:\n  allowSnippets: true\n  allowSnippets: false\n", []string{`"allowSnippets" already set`}},
		"duplicate class":  {"a: {}\na: {}\n", []string{`"a" already set`}},
		"type":             {`a: {allowSnippets: "maybe"}`, []string{`"a": allowSnippets "maybe": must be of type bool`}},
		"element":          {`a: {customHTTPErrors: [x]}`, []string{`"a": customHTTPErrors ["x"]: must be of type int`}},
		"risk":             {"a: {annotationsRiskLevel: Extreme}", []string{`"a": annotationsRiskLevel "Extreme": must be Low, Medium, High or Critical`}},
		"version":          {"a: {version: latest}", []string{`"a": version "latest": must be a version such as v1.15.1`}},
		"no name":          {"a: {defaultSSLCertificate: cert}", []string{`"a": defaultSSLCertificate "cert": must be namespace/name`}},
		"codes":            {"a: {customHTTPErrors: [200]}", []string{"customHTTPErrors 200: must be 300 to 599"}},
		"number":           {"a: {proxyBuffersNumber: -1}", []string{"proxyBuffersNumber -1: must not be negative"}},
		"several at once":  {"a: {one: 1, two: 2}\nb: {three: 3}", []string{`"a": unknown field "one"`, `"a": unknown field "two"`, `"b": unknown field "three"`}},
		"no map":           {"[]", []string{"cannot unmarshal array"}},
		"not a controller": {"a: true", []string{"cannot unmarshal bool"}},
	} {
		_, err := settings.ParseFile([]byte(tc.file))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", name, err, want)
			}
		}
	}
}
