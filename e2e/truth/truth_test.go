// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

const madeUp = "testdata/madeup"

// TestTruth holds the default folder to its lists.
func TestTruth(t *testing.T) {
	l, err := readLists()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine()
	rows, err := e.judgeFolder(t.Context(), filepath.Join("..", "..", defaultDir), l)
	if err != nil {
		t.Fatal(err)
	}
	faults := e.faults(rows, l)
	for _, r := range rows {
		if len(faults[r.Name]) > 0 {
			var table bytes.Buffer
			printTable(&table, []row{r})
			t.Errorf("%s\n%s", strings.Join(faults[r.Name], "\n"), table.String())
			delete(faults, r.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Errorf("%s: %s", name, strings.Join(faults[name], "\n"))
	}
	t.Log(totals(rows))
}

// madeUpEngine has two checks: service-gone denies, marked warns.
func madeUpEngine() engine {
	return engine{
		policy: policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow},
		checks: []checks.Check{{
			Name:    "marked",
			Default: checks.Warn,
			Run: func(ing *networkingv1.Ingress, _ *routing.Snapshot) []checks.Finding {
				if ing.Annotations["ingress.example/marked"] == "" {
					return nil
				}
				return []checks.Finding{{Fact: "it is marked"}}
			},
		}, {
			Name:    "service-gone",
			Default: checks.Deny,
			Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) (findings []checks.Finding) {
				if len(ing.Spec.Rules) == 0 {
					return nil
				}
				for _, p := range ing.Spec.Rules[0].HTTP.Paths {
					name := p.Backend.Service.Name
					if _, known := snap.Service(ing.Namespace, name); known == routing.Absent {
						findings = append(findings, checks.Finding{
							Field: field.NewPath("spec"), Fact: "there is no " + name, Subject: checks.Subject{Path: p.Path, Object: name},
						})
					}
				}
				return findings
			},
		}},
	}
}

func TestCompare(t *testing.T) {
	l := lists{
		Unbuilt: map[string][]string{"flag-listed": {"not-yet"}, "flag-unbuilt": {"not-yet"}},
		Argued:  map[string]string{"none-warned": "it is only made up"},
	}
	e := madeUpEngine()
	rows, err := e.judgeFolder(t.Context(), madeUp, l)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"flag-found":                "deny service-gone | deny service-gone | agree | there is no web",
		"flag-found-after-deletion": "allow | deny service-gone | agree | there is no web",
		"flag-listed":               "allow | allow | unbuilt | needs not-yet",
		"flag-misnamed":             "deny service-gone, warn marked | deny service-gone, warn marked | agree, misnamed | it is marked; not owed: spec: there is no web (service-gone)",
		"flag-missed":               "allow | allow | missed | not found: marked",
		"flag-ratchet":              "create: deny service-gone, update: warn marked, update: warn service-gone | deny service-gone, warn marked | agree | there is no web",
		"flag-unbuilt":              "allow | allow | unbuilt | needs not-yet",
		"none-allowed":              "allow | allow | agree | ",
		"none-denied-at-admission":  "deny service-gone | allow | false denial | spec: there is no web (service-gone)",
		"none-same-routing":         "create: allow, update: allow, same routing | allow | agree | ",
		"none-subject-deleted":      "allow | no subject | agree | ",
		"none-warned":               "warn marked | warn marked | agree, needless | argued: it is only made up",
		"optional-warned":           "warn marked | warn marked | agree | it is marked (marked)",
		"order-denied":              "deny service-gone | allow | order | ",
		"runtime-denied":            "deny service-gone | deny service-gone | false denial | spec: there is no web (service-gone)",
		"skip-refused":              "refused by the API | no subject | skip | ",
		"warn-denied":               "deny service-gone | deny service-gone | false denial | spec: there is no web (service-gone)",
		"warn-found":                "warn marked | warn marked | agree | it is marked",
	}
	for _, r := range rows {
		var cells []string
		for _, cell := range r.cells()[3:] {
			cells = append(cells, strings.Join(cell, ", "))
		}
		if got := strings.Join(cells, " | "); got != want[r.Name] {
			t.Errorf("%s:\n got %s\nwant %s", r.Name, got, want[r.Name])
		}
		delete(want, r.Name)
	}
	for name := range want {
		t.Errorf("%s: was not judged", name)
	}

	const line = "truth: scenarios=18 agree=10 missed=1 misnamed=1 false-denials=3 warned-needlessly=1 order=1 unbuilt=2"
	if got := totals(rows); got != line {
		t.Errorf("got  %s\nwant %s", got, line)
	}
	faulty := slices.Sorted(maps.Keys(e.faults(rows, l)))
	if want := []string{"flag-misnamed", "flag-missed", "none-denied-at-admission", "runtime-denied", "warn-denied"}; !slices.Equal(faulty, want) {
		t.Errorf("faults of %q: want %q", faulty, want)
	}
}

// TestFaultsOfLists holds the folder to lists that are wrong.
func TestFaultsOfLists(t *testing.T) {
	l := lists{
		Unbuilt: map[string][]string{
			"flag-found":   {"service-gone"},
			"flag-listed":  {"not-yet", "other"},
			"flag-unbuilt": {},
			"none-allowed": {"not-yet"},
			"gone":         {"not-yet"},
		},
		Argued: map[string]string{"none-allowed": "it once warned", "none-warned": ""},
	}
	e := madeUpEngine()
	rows, err := e.judgeFolder(t.Context(), madeUp, l)
	if err != nil {
		t.Fatal(err)
	}
	faults := e.faults(rows, l)
	for name, want := range map[string][]string{
		"flag-found":   {"agree: take it out of unbuilt.yaml", "unbuilt.yaml names service-gone, which is built"},
		"flag-listed":  {"unbuilt.yaml names other, which is no cause in expect.yaml"},
		"flag-unbuilt": {"no check finds what is owed: build one, or name it in unbuilt.yaml"},
		"gone":         {"unbuilt.yaml names it, but there is no such scenario"},
		"none-allowed": {
			"agree: take it out of unbuilt.yaml", "unbuilt.yaml names not-yet, which is no cause in expect.yaml",
			"no needless warning: take it out of argued.yaml",
		},
		"none-warned": {"warned needlessly: stop that, or argue for it in argued.yaml: it is marked (marked)"},
	} {
		if !slices.Equal(faults[name], want) {
			t.Errorf("%s: got %q, want %q", name, faults[name], want)
		}
	}
}

func ingressOf(class *string, annotations map[string]string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web", Annotations: annotations},
		Spec:       networkingv1.IngressSpec{IngressClassName: class},
	}
}

var webRef = reference{Kind: "Ingress", Namespace: "app", Name: "web"}

func TestDefaultClass(t *testing.T) {
	field := "given"
	for name, test := range map[string]struct {
		// classes are names; "!" marks a default. Those of one string are written
		// in the same second.
		classes []string
		ingress *networkingv1.Ingress
		want    string
	}{
		"no class at all":     {nil, ingressOf(nil, nil), ""},
		"no default":          {[]string{"a"}, ingressOf(nil, nil), ""},
		"one default":         {[]string{"a", "b!", "c"}, ingressOf(nil, nil), "b"},
		"the newest default":  {[]string{"c!", "a!", "b"}, ingressOf(nil, nil), "a"},
		"the first by name":   {[]string{"c! a! b!"}, ingressOf(nil, nil), "a"},
		"a field":             {[]string{"a!"}, ingressOf(&field, nil), "given"},
		"an annotation":       {[]string{"a!"}, ingressOf(nil, map[string]string{routing.ClassAnnotation: "x"}), ""},
		"an empty annotation": {[]string{"a!"}, ingressOf(nil, map[string]string{routing.ClassAnnotation: ""}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			for _, sameSecond := range test.classes {
				for _, class := range strings.Fields(sameSecond) {
					class, isDefault := strings.CutSuffix(class, "!")
					obj := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}}
					if isDefault {
						obj.Annotations = map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}
					}
					mustWrite(t, w, reference{Kind: "IngressClass", Name: class}, obj)
				}
				w.Now = w.Now.Add(step)
			}
			mustWrite(t, w, webRef, test.ingress)
			got := ""
			if test.ingress.Spec.IngressClassName != nil {
				got = *test.ingress.Spec.IngressClassName
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}

			again := ingressOf(nil, nil)
			mustWrite(t, w, webRef, again)
			if again.Spec.IngressClassName != nil {
				t.Errorf("the update got class %q, want none", *again.Spec.IngressClassName)
			}
		})
	}
}

func TestAges(t *testing.T) {
	w := newWorld()
	first, other, second := ingressOf(nil, nil), ingressOf(nil, nil), ingressOf(nil, nil)
	otherRef := reference{Kind: "Ingress", Namespace: "app", Name: "other"}
	other.Name = "other"
	if old := mustWrite(t, w, webRef, first); old != nil {
		t.Errorf("the first write has a former version: %v", old)
	}
	w.Now = w.Now.Add(step)
	mustWrite(t, w, otherRef, other)
	w.Now = w.Now.Add(step)
	if old := mustWrite(t, w, webRef, second); old != metav1.Object(first) {
		t.Errorf("the former version is %v, want the first", old)
	}
	if !second.CreationTimestamp.Time.Equal(start) || second.UID != first.UID {
		t.Errorf("the update has UID %q of %s, want %q of %s", second.UID, second.CreationTimestamp, first.UID, start)
	}
	if got := other.CreationTimestamp.Sub(first.CreationTimestamp.Time); got != step {
		t.Errorf("the second object is %s younger, want %s", got, step)
	}
	if other.UID == first.UID {
		t.Errorf("two objects share the UID %q", other.UID)
	}

	snap, err := w.Snapshot(t.Context(), routing.References{Namespace: "app"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	namespace, known := snap.Namespace("app")
	if known != routing.Present || snap.Now.Sub(namespace.CreationTimestamp.Time) < 24*time.Hour {
		t.Errorf("the namespace is %v, want it present and old", namespace)
	}
}

func mustWrite(t *testing.T, w *world, ref reference, obj metav1.Object) metav1.Object {
	t.Helper()
	old, err := w.admit(t.Context(), ref, obj)
	if err == nil {
		err = w.put(ref, obj)
	}
	if err != nil {
		t.Fatal(err)
	}
	return old
}

func TestDeletion(t *testing.T) {
	s := &scenario{
		Name: "deletion", Subject: webRef,
		Objects: []json.RawMessage{[]byte(`{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"namespace": "app", "name": "web"}}`)},
		Delete:  []reference{{Kind: "Service", Namespace: "app", Name: "web"}, webRef, webRef},
	}
	o, err := madeUpEngine().play(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cannot delete Service app/web, which does not exist", "cannot delete Ingress app/web, which does not exist"}
	if !slices.Equal(o.notes, want) || len(o.writes) != 1 || o.end != nil {
		t.Errorf("got %+v, want notes %q, one write and no subject at the end", o, want)
	}
}

func TestDecode(t *testing.T) {
	for name, test := range map[string]struct {
		manifest, note string
		kept           bool
	}{
		"known":         {`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}`, "", true},
		"unknown field": {`{"apiVersion": "v1", "kind": "Service", "spec": {"prots": []}}`, `unknown field "spec.prots"`, true},
		"unknown kind":  {`{"apiVersion": "example.com/v1", "kind": "Certificate"}`, `no kind "Certificate" is registered`, false},
		"wrong type":    {`{"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": "x"}]}}`, "cannot unmarshal", false},
	} {
		t.Run(name, func(t *testing.T) {
			obj, note := decode([]byte(test.manifest))
			if (obj != nil) != test.kept || (note == "") != (test.note == "") || !strings.Contains(note, test.note) {
				t.Errorf("got %v, %q, want kept=%v, %q", obj, note, test.kept, test.note)
			}
		})
	}
}

func TestRun(t *testing.T) {
	incomplete := t.TempDir()
	if err := os.CopyFS(incomplete, os.DirFS(madeUp)); err != nil {
		t.Fatal(err)
	}
	expect := filepath.Join(incomplete, "expect.yaml")
	if err := os.WriteFile(expect, []byte("flag-found: {owed: flag}\nflag-missed: {owed: nothing}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir            string
		status         int
		stdout, stderr string
	}{
		"another folder": {madeUp, 0, "\ntruth: scenarios=18 ", ""},
		"no folder":      {"testdata/nope", 2, "", "truth: open testdata/nope/scenarios: "},
		"not expected":   {incomplete, 2, "", "truth: none-allowed: expect.yaml does not say what is owed to it\n"},
		"no such word":   {incomplete, 2, "", "truth: flag-missed: expect.yaml says owed: nothing, which is none of "},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), []string{"-dir", test.dir}, &stdout, &stderr)
			got := fmt.Sprintf("status %d\n%s%s", status, stdout.String(), stderr.String())
			if status != test.status || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("%s\nwant status %d, %q, %q", got, test.status, test.stdout, test.stderr)
			}
		})
	}
}
