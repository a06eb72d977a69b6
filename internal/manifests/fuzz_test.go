// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
)

// FuzzRead reads arbitrary manifests. What cannot be read is a problem with its place, and
// of every Ingress that is left it can be said where its fields stand.
func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("../../e2e/testdata/truth/scenarios/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no scenarios: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var scenario struct {
			Objects []map[string]any `json:"objects"`
		}
		if err := yaml.Unmarshal(text, &scenario); err != nil {
			f.Fatal(err)
		}
		var documents []string
		for _, object := range scenario.Objects {
			document, err := yaml.Marshal(object)
			if err != nil {
				f.Fatal(err)
			}
			documents = append(documents, string(document))
		}
		f.Add(strings.Join(documents, "---\n"))
	}
	f.Add(class + "---\n" + ingressList + "---\n" + custom + "---\n" + slice)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := manifests.Read(manifests.Options{
			FilenameOptions: resource.FilenameOptions{Filenames: []string{"-"}}, Stdin: strings.NewReader(text), Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Problems {
			if p.Err == nil || !strings.HasPrefix(p.Error(), manifests.StandardInput) || p.Document > 0 && p.Line < 1 {
				t.Errorf("no place or no fault: %d, line %d: %v", p.Document, p.Line, p.Err)
			}
		}
		ingresses, err := m.Apply(cluster.NewStatic())
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, ing := range ingresses {
			origin := m.Origin(ing)
			for _, path := range []*field.Path{nil, field.NewPath("spec", "rules").Index(0).Child("http", "paths").Index(1), field.NewPath("metadata", "annotations").Key("a")} {
				if at := origin.Position(path); at.Line < 1 || at.Line > lines || at.Column < 1 {
					t.Errorf("%s of %s/%s stands in line %d of %d, column %d", path, ing.Namespace, ing.Name, at.Line, lines, at.Column)
				}
			}
		}
	})
}
