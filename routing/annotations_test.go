// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestAnnotationValues holds every validator against values that were sorted
// with the expressions of the controller itself.
func TestAnnotationValues(t *testing.T) {
	for _, a := range Annotations() {
		t.Run(a.Name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "annotations", a.Name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var values struct{ Accepted, Refused []string }
			if err := yaml.UnmarshalStrict(data, &values); err != nil {
				t.Fatal(err)
			}
			if len(values.Accepted) == 0 || (a.Type != "") != (len(values.Refused) > 0) {
				t.Errorf("%d accepted and %d refused values: there must be one of each, and refused ones only where Type says what is accepted",
					len(values.Accepted), len(values.Refused))
			}
			for _, v := range values.Accepted {
				if !a.Accepts(v) {
					t.Errorf("%q is not accepted", v)
				}
			}
			for _, v := range values.Refused {
				if a.Accepts(v) {
					t.Errorf("%q is accepted", v)
				}
			}
			if !a.Accepts("") {
				t.Error("the empty value is not accepted")
			}
		})
	}
}

func TestAnnotationFilesAreKnown(t *testing.T) {
	files, err := filepath.Glob("testdata/annotations/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := AnnotationNamed(strings.TrimSuffix(filepath.Base(file), ".yaml")); !ok {
			t.Errorf("%s is of no annotation", file)
		}
	}
}

func TestAnnotationTable(t *testing.T) {
	all := Annotations()
	if !slices.IsSortedFunc(all, func(a, b Annotation) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	if got := len(all); got != 137 {
		t.Errorf("%d annotations, want 137", got)
	}
	for name, instead := range RemovedAnnotations() {
		if _, ok := AnnotationNamed(name); ok {
			t.Errorf("removed annotation %s is known", name)
		}
		if _, ok := AnnotationNamed(instead); instead != "" && !ok {
			t.Errorf("%s, for removed annotation %s, is not known", instead, name)
		}
	}
	for _, a := range all {
		if a.Outcome != AnnotationIgnored && a.Type == "" {
			t.Errorf("%s has an outcome, though every value is accepted", a.Name)
		}
		if snippet := strings.HasSuffix(a.Name, "-snippet"); snippet != (a.Risk == RiskCritical) {
			t.Errorf("%s has the risk %s", a.Name, a.Risk)
		}
	}
	removed := RemovedAnnotations()
	clear(removed)
	if len(RemovedAnnotations()) == 0 {
		t.Error("the caller can change the removed annotations")
	}
	for alias, name := range map[string]string{"whitelist-source-range": "allowlist-source-range", "limit-whitelist": "limit-allowlist"} {
		if a, ok := AnnotationNamed(alias); !ok || a.Name != name {
			t.Errorf("alias %s is of %q", alias, a.Name)
		}
	}
}

// TestDroppingAnnotations names those for whose value a whole Ingress is dropped,
// from semantics section 1.N.
func TestDroppingAnnotations(t *testing.T) {
	want := strings.Fields(`auth-realm auth-secret-type auth-tls-error-page auth-tls-match-cn
		auth-tls-pass-certificate-to-upstream auth-type auth-url client-body-buffer-size connection-proxy-header custom-http-errors
		default-backend fastcgi-index fastcgi-params-configmap from-to-www-redirect http2-push-preload limit-allowlist
		limit-connections limit-rpm limit-rps load-balance opentelemetry-operation-name permanent-redirect
		permanent-redirect-code relative-redirects server-alias ssl-ciphers ssl-passthrough temporal-redirect temporal-redirect-code
		upstream-hash-by upstream-hash-by-subset upstream-hash-by-subset-size upstream-vhost x-forwarded-prefix`)
	got := map[string]bool{}
	for _, a := range Annotations() {
		if a.Outcome == AnnotationDrops {
			got[a.Name] = true
		}
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("got  %v\nwant %v", names, want)
	}
}
