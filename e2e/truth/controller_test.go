// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

// TestController plays the files of testdata/controller. The model is made up: it
// drops and refuses what an annotation says.
func TestController(t *testing.T) {
	files, err := os.ReadDir("testdata/controller")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file.Name(), ".yaml"), func(t *testing.T) {
			var fixture struct {
				Description string            `json:"description"`
				Objects     []json.RawMessage `json:"objects"`
				Delete      []reference       `json:"delete"`
				// Before is the state before the deletions, Want that at the end.
				Before []string `json:"before"`
				Want   []string `json:"want"`
			}
			if err := readYAML(filepath.Join("testdata/controller", file.Name()), &fixture); err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			installed := fakeModel(w)
			for _, raw := range fixture.Objects {
				ref, err := head(raw)
				if err != nil {
					t.Fatal(err)
				}
				obj, note := decode(raw)
				if note != "" {
					t.Fatal(note)
				}
				mustWrite(t, w, ref, obj)
				w.Now = w.Now.Add(step)
			}
			if got := stateOf(w.controller, installed); len(fixture.Delete) > 0 && !slices.Equal(got, fixture.Before) {
				t.Errorf("%s: before: got %q, want %q", fixture.Description, got, fixture.Before)
			}
			for _, ref := range fixture.Delete {
				if err := w.remove(ref); err != nil {
					t.Fatal(err)
				}
			}
			if got := stateOf(w.controller, installed); !slices.Equal(got, fixture.Want) {
				t.Errorf("%s: got %q, want %q", fixture.Description, got, fixture.Want)
			}
		})
	}
}

// fakeModel replaces the model of a world, and returns what its tables were made
// of.
func fakeModel(w *world) map[*routing.Table][]string {
	made := map[*routing.Table][]string{}
	c := w.controller
	c.newTable = func(snap *routing.Snapshot, _ routing.ControllerSettings, ingresses []*networkingv1.Ingress) *routing.Table {
		table := &routing.Table{Dropped: map[*networkingv1.Ingress]string{}}
		for _, ing := range ingresses {
			made[table] = append(made[table], "installed "+versionOf(ing))
			if ing.Annotations["test/dropped"] != "" {
				table.Dropped = map[*networkingv1.Ingress]string{ing: "a test"}
			}
			if ing.Annotations["test/refused"] != "" {
				table.Refusals = append(table.Refusals, routing.Refusal{Ingress: ing})
			}
		}
		for key, facts := range snap.Secrets {
			made[table] = append(made[table], "installed Secret "+key.Namespace+"/"+key.Name+" "+strings.Join(facts.Keys, ","))
		}
		for key := range snap.ConfigMaps {
			made[table] = append(made[table], "installed ConfigMap "+key.Namespace+"/"+key.Name)
		}
		return table
	}
	c.follow = func(table, previous *routing.Table) *routing.Table {
		if len(table.Refusals) > 0 {
			return previous
		}
		return table
	}
	c.sync(w)
	return made
}

// versionOf names an Ingress with the version that its annotation tells.
func versionOf(ing *networkingv1.Ingress) string {
	text := ing.Namespace + "/" + ing.Name + " " + ing.Annotations["version"]
	if name := annotation(ing, "default-backend"); name != "" {
		text += " falling back to " + name
	}
	return text
}

// stateOf is all that a controller remembers, in words.
func stateOf(c *controller, made map[*routing.Table][]string) []string {
	var state []string
	for _, key := range c.sorted() {
		state = append(state, "taken "+versionOf(c.taken[key].parsed))
	}
	for key, facts := range c.loaded {
		state = append(state, "loaded "+key.Namespace+"/"+key.Name+" "+strings.Join(facts.Keys, ","))
	}
	if len(made[c.installed]) == 0 {
		return append(state, "installed nothing")
	}
	return append(state, made[c.installed]...)
}

// TestSameWrite writes an Ingress again without a change, which is no event.
func TestSameWrite(t *testing.T) {
	w := newWorld()
	made := fakeModel(w)
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}
	mustWrite(t, w, reference{Kind: "IngressClass", Name: "nginx"}, class)
	name := "nginx"
	first := ingressOf(&name, nil)
	mustWrite(t, w, webRef, first)
	mustWrite(t, w, webRef, ingressOf(&name, nil))
	if got := w.controller.taken[keyOf(first)].written; got != first {
		t.Errorf("the second write was taken up, want the first; %q", stateOf(w.controller, made))
	}
}

func TestLoadable(t *testing.T) {
	for name, test := range map[string]struct {
		facts routing.SecretFacts
		want  bool
	}{
		"a good pair":               {routing.SecretFacts{Keys: []string{"tls.crt", "tls.key"}}, true},
		"a bad pair":                {routing.SecretFacts{Keys: []string{"tls.crt", "tls.key"}, Unusable: "no"}, false},
		"an authority":              {routing.SecretFacts{Keys: []string{"ca.crt"}, Unusable: "no"}, true},
		"an authority, half a pair": {routing.SecretFacts{Keys: []string{"ca.crt", "tls.crt"}, Unusable: "no"}, true},
		"an authority, a bad pair":  {routing.SecretFacts{Keys: []string{"ca.crt", "tls.crt", "tls.key"}, Unusable: "no"}, false},
		"a file of passwords":       {routing.SecretFacts{Keys: []string{"auth"}, Unusable: "no"}, false},
	} {
		if got := loadable(&test.facts); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
