// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/routegate/routegate/internal/manifests"
)

func read(t *testing.T, text string) *manifests.Manifests {
	t.Helper()
	m, err := manifests.Read(manifests.Options{
		FilenameOptions: resource.FilenameOptions{Filenames: []string{"-"}}, Stdin: strings.NewReader(text), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	port       = field.NewPath("spec", "rules").Index(0).Child("http", "paths").Index(0).Child("backend", "service", "port")
	annotation = field.NewPath("metadata", "annotations").Key("nginx.ingress.kubernetes.io/app-root")
)

// TestPosition marks with ^ where the field stands; the mark is no part of the input.
func TestPosition(t *testing.T) {
	const head = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web}\n"
	for name, tc := range map[string]struct {
		text  string
		field *field.Path
		width int
	}{
		"block": {head + "spec:\n  rules:\n  - http:\n      paths:\n      - backend:\n          service:\n            name: web\n            ^port: {number: 80}\n", port, 4},
		"flow":  {head + "spec: {rules: [{http: {paths: [{backend: {service: {name: web, ^port: {number: 80}}}}]}}]}\n", port, 4},
		"JSON":  {`{"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"}, "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", ^"port": {"number": 80}}}}]}}]}}`, port, 6},
		"second document, after comments": {"# one\n---\n---\n# two\nkind: Service\napiVersion: v1\nmetadata: {name: web}\n---\n# three\n" + head +
			"spec:\n  defaultBackend:\n    service:\n      ^port: {number: 80}\n      name: web\n", field.NewPath("spec", "defaultBackend", "service", "port"), 4},
		"CRLF":                 {strings.ReplaceAll("# one\n---\n"+head+"spec:\n  ^ingressClassName: nginx\n", "\n", "\r\n"), field.NewPath("spec", "ingressClassName"), 16},
		"annotation":           {"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata:\n  name: web\n  annotations:\n    other: x\n    ^nginx.ingress.kubernetes.io/app-root: /\n", annotation, 36},
		"quoted name":          {"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata:\n  name: web\n  annotations:\n    ^\"nginx.ingress.kubernetes.io/app-root\": /\n", annotation, 38},
		"after umlauts":        {"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web, annotations: {x: äöü, ^nginx.ingress.kubernetes.io/app-root: /}}\n", annotation, 36},
		"missing":              {head + "^spec:\n  rules: []\n", field.NewPath("spec", "ingressClassName"), 4},
		"missing item":         {head + "spec:\n  ^rules: [{host: a}]\n", field.NewPath("spec", "rules").Index(1), 5},
		"item":                 {head + "spec:\n  rules:\n  - host: a\n  - ^host: b\n", field.NewPath("spec", "rules").Index(1), 0},
		"in a list":            {"kind: List\napiVersion: v1\nitems:\n- kind: Service\n  apiVersion: v1\n  metadata: {name: web}\n- kind: Ingress\n  apiVersion: networking.k8s.io/v1\n  metadata: {name: web}\n  spec:\n    ^ingressClassName: nginx\n", field.NewPath("spec", "ingressClassName"), 16},
		"object in a list":     {"kind: List\napiVersion: v1\nitems:\n- ^kind: Ingress\n  apiVersion: networking.k8s.io/v1\n  metadata: {name: web}\n", nil, 0},
		"typed list":           {"kind: IngressList\napiVersion: networking.k8s.io/v1\nitems:\n- metadata: {name: web}\n  spec: {^ingressClassName: nginx}\n", field.NewPath("spec", "ingressClassName"), 16},
		"anchor":               {"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web}\nspec:\n  defaultBackend: &b\n    service:\n      name: web\n      ^port: {number: 80}\n  rules:\n  - http: {paths: [{pathType: Prefix, path: /, backend: *b}]}\n", port, 4},
		"merge":                {"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata:\n  name: web\n  annotations: &a\n    ^nginx.ingress.kubernetes.io/app-root: /\n  labels:\n    <<: *a\n", field.NewPath("metadata", "labels").Key("nginx.ingress.kubernetes.io/app-root"), 36},
		"old version":          {"kind: Ingress\napiVersion: extensions/v1beta1\nmetadata: {name: web}\nspec:\n  rules:\n  - http:\n      paths:\n      - backend:\n          serviceName: web\n          ^servicePort: 80\n", port, 11},
		"old version, name":    {"kind: Ingress\napiVersion: extensions/v1beta1\nmetadata: {name: web}\nspec:\n  backend:\n    ^serviceName: web\n    servicePort: 80\n", field.NewPath("spec", "defaultBackend", "service", "name"), 11},
		"old version, backend": {"kind: Ingress\napiVersion: extensions/v1beta1\nmetadata: {name: web}\nspec:\n  ^backend:\n    serviceName: web\n    servicePort: 80\n", field.NewPath("spec", "defaultBackend", "service"), 7},
	} {
		t.Run(name, func(t *testing.T) {
			before, _, marked := strings.Cut(tc.text, "^")
			if !marked {
				t.Fatal("there is no mark")
			}
			m := read(t, strings.Replace(tc.text, "^", "", 1))
			if len(m.Problems) > 0 {
				t.Fatal(m.Problems)
			}
			origin := m.Origin(&networkingv1.Ingress{ObjectMeta: objectMeta("default", "web")})
			if origin == nil {
				t.Fatal("the Ingress has no origin")
			}
			want := manifests.Position{
				Line:   strings.Count(before, "\n") + 1,
				Column: len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1,
			}
			if tc.width > 0 {
				want.EndColumn = want.Column + tc.width
			}
			if got := origin.Position(tc.field); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestTemplate(t *testing.T) {
	m := read(t, "---\n# Source: shop/templates/ingress.yaml\n"+ingress("a", "")+"---\n# Source: shop/charts/x y/ingress.yaml \n# a comment\n"+ingress("b", "")+"---\n"+ingress("c", "")+"# Source: too/late.yaml\n")
	for name, want := range map[string]string{"a": "shop/templates/ingress.yaml", "b": "shop/charts/x y/ingress.yaml", "c": ""} {
		origin := m.Origin(&networkingv1.Ingress{ObjectMeta: objectMeta("default", name)})
		if origin.Template != want || origin.File != manifests.StandardInput {
			t.Errorf("%s: got %+v, want template %q", name, origin, want)
		}
	}
}

// TestTheRestGoesOn wants all that can be read beside each problem.
func TestTheRestGoesOn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": ingress("a", ""), "b.yaml": ingress("b", "") + "---\nkind: [\n---\n" + ingress("c", ""), "c.yaml": "{{ if .Values.x }}\n",
		"d.yaml": "---\n" + ingress("a", "") + "---\n" + ingress("d", ""),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "e.yaml")); err != nil {
		t.Fatal(err)
	}
	m, err := manifests.Read(manifests.Options{FilenameOptions: resource.FilenameOptions{Filenames: []string{dir, filepath.Join(dir, "missing")}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, obj := range m.Objects {
		got = append(got, obj.GetName())
	}
	if want := "a b c d"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	want := []string{"b.yaml, document 2: ", "c.yaml, document 1: ", `d.yaml, document 1: metadata.name: the Ingress "default/a" was defined before`, "e.yaml", "missing"}
	if len(m.Problems) != len(want) {
		t.Fatalf("got %d problems, want %d: %v", len(m.Problems), len(want), m.Problems)
	}
	for i, p := range m.Problems {
		if !strings.Contains(p.Error(), want[i]) {
			t.Errorf("got %s, want %s", p.Error(), want[i])
		}
	}
	if line := m.Problems[0].Line; line != 6 {
		t.Errorf("the second document of b.yaml begins in line %d, want 6", line)
	}
}

func TestNotes(t *testing.T) {
	m := read(t, "kind: Ingres\napiVersion: networking.k8s.io/v1\nmetadata: {name: web}\n---\n"+deployment+"---\n"+custom)
	want := []string{
		`standard input, document 1: the kind "Ingres" of "web" is not known in networking.k8s.io/v1; it is left out`,
		"Objects of kinds that are not known here were left out: Certificate 1",
	}
	if strings.Join(m.Notes, "\n") != strings.Join(want, "\n") || len(m.Problems) > 0 {
		t.Errorf("got %q and %v, want %q", m.Notes, m.Problems, want)
	}
}

// failing is a stream that fails.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestUnreadableStream(t *testing.T) {
	m, err := manifests.Read(manifests.Options{
		FilenameOptions: resource.FilenameOptions{Filenames: []string{"-"}},
		Stdin:           io.MultiReader(strings.NewReader(ingress("web", "")+"---\n"), failing{}), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Objects) != 1 || len(m.Problems) != 1 || !strings.Contains(m.Problems[0].Error(), "broken pipe") {
		t.Errorf("got %d objects, %v", len(m.Objects), m.Problems)
	}
}

// TestOldVersions converts what can be converted exactly.
func TestOldVersions(t *testing.T) {
	const old = "kind: Ingress\napiVersion: %s\nmetadata: {name: web, annotations: {a: b}}\nspec:\n  ingressClassName: nginx\n  tls: [{hosts: [a.example], secretName: tls}]\n  backend: {serviceName: fallback, servicePort: http}\n  rules:\n  - host: a.example\n    http: {paths: [{path: /a, backend: {serviceName: web, servicePort: 80}}, {path: /b, pathType: Exact, backend: {resource: {kind: Bucket, name: b}}}]}\n"
	const current = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web, annotations: {a: b}}\nspec:\n  ingressClassName: nginx\n  tls: [{hosts: [a.example], secretName: tls}]\n  defaultBackend: {service: {name: fallback, port: {name: http}}}\n  rules:\n  - host: a.example\n    http: {paths: [{path: /a, pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}, {path: /b, pathType: Exact, backend: {resource: {kind: Bucket, name: b}}}]}\n"
	want := read(t, current).Objects[0]
	for _, version := range []string{"extensions/v1beta1", "networking.k8s.io/v1beta1"} {
		m := read(t, fmt.Sprintf(old, version))
		if len(m.Problems) > 0 || len(m.Objects) != 1 {
			t.Fatal(m.Problems)
		}
		if fmt.Sprintf("%+v", m.Objects[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", version, m.Objects[0], want)
		}
		if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "not served since Kubernetes 1.22") {
			t.Errorf("%s: got the notes %q", version, m.Notes)
		}
	}
	for text, want := range map[string]string{
		"backend: {serviceName: web, servicePort: \"80\"}":                                  `the Ingress "web" of extensions/v1beta1 cannot be converted to networking.k8s.io/v1: spec.backend.servicePort: "80" is no name of a port`,
		"backend: {serviceName: web, servicePort: 70000}":                                   "spec.backend.servicePort: 70000 is no port",
		"backend: {servicePort: 80}":                                                        "spec.backend.serviceName: must be set",
		"backend: {serviceName: web, servicePort: 80, resource: {kind: Bucket, name: b}}":   "spec.backend: has both serviceName and resource",
		"rules: [{http: {paths: [{backend: {service: {name: web, port: {number: 80}}}}]}}]": `unknown field "spec.rules[0].http.paths[0].backend.service"`,
	} {
		m := read(t, "# first\n---\nkind: Ingress\napiVersion: extensions/v1beta1\nmetadata: {name: web}\nspec: {"+text+"}\n")
		if len(m.Objects) > 0 || len(m.Problems) != 1 || !strings.Contains(m.Problems[0].Error(), want) || m.Problems[0].Line != 3 {
			t.Errorf("%s: got %d objects and %+v, want %s in line 3", text, len(m.Objects), m.Problems, want)
		}
	}
}
