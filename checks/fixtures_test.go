// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

var update = flag.Bool("update", false, `rewrite the "# want" lines of bad fixtures; read the difference before you commit it`)

const (
	goodSuffix = ".good.yaml"
	badSuffix  = ".bad.yaml"
	wantPrefix = "# want "
	// These give routing.Settings.RunningControllers and NginxControllers.
	runningPrefix = "# with running-controllers: "
	nginxPrefix   = "# with nginx-controllers: "
	// This gives the confirmed routing.ControllerSettings of k8s.io/ingress-nginx, as
	// YAML in one line.
	settingsPrefix = "# with settings: "
	// This gives an element of routing.Settings.ControllerPods, as namespace or
	// namespace/labels.
	podsPrefix = "# with controller-pods: "
)

// now is when fixtures are judged: their certificates are valid then unless
// they say otherwise.
var now = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)

// fixture is one file of testdata/<check>.
type fixture struct {
	path    string
	bad     bool
	want    []string
	ingress *networkingv1.Ingress
	objects []runtime.Object

	settings routing.Settings
}

func readFixture(t testing.TB, path string) fixture {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fx := fixture{path: path, bad: strings.HasSuffix(path, badSuffix)}
	if !fx.bad && !strings.HasSuffix(path, goodSuffix) {
		t.Fatalf("%s: must end in %s or %s", path, goodSuffix, badSuffix)
	}
	if !strings.HasPrefix(string(data), "# ") || strings.HasPrefix(string(data), wantPrefix) {
		t.Errorf("%s: must begin with a comment that says why it exists", path)
	}
	for line := range strings.Lines(string(data)) {
		if want, ok := strings.CutPrefix(line, wantPrefix); ok {
			fx.want = append(fx.want, strings.TrimSpace(want))
		}
		if running, ok := strings.CutPrefix(line, runningPrefix); ok {
			fx.settings.RunningControllers = strings.Split(strings.TrimSpace(running), ",")
		}
		if nginx, ok := strings.CutPrefix(line, nginxPrefix); ok {
			fx.settings.NginxControllers = strings.Split(strings.TrimSpace(nginx), ",")
		}
		if pods, ok := strings.CutPrefix(line, podsPrefix); ok {
			namespace, selector, _ := strings.Cut(strings.TrimSpace(pods), "/")
			set, err := labels.ConvertSelectorToLabelsMap(selector)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			fx.settings.ControllerPods = append(fx.settings.ControllerPods, routing.ControllerPods{Namespace: namespace, Labels: set})
		}
		if text, ok := strings.CutPrefix(line, settingsPrefix); ok {
			settings := routing.ControllerSettings{Confirmed: true}
			if err := yaml.UnmarshalStrict([]byte(text), &settings); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			fx.settings.Controllers = map[string]routing.ControllerSettings{"k8s.io/ingress-nginx": settings}
		}
	}
	if !*update && fx.bad != (len(fx.want) > 0) {
		t.Errorf(`%s: a bad case must have lines "# want MESSAGE", a good one must not`, path)
	}
	objects, err := cluster.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(objects) == 0 {
		t.Fatalf("%s: must hold an Ingress", path)
	}
	ing, ok := objects[0].(*networkingv1.Ingress)
	if !ok {
		t.Fatalf("%s: the first object is a %T; must be the Ingress under test", path, objects[0])
	}
	fx.ingress, fx.objects = ing, objects[1:]
	return fx
}

// run judges the fixture's Ingress in a cluster of which only those kinds were
// read. An optional kind is read only where the fixture holds one of it: as a rule it
// is not.
func (fx fixture) run(t *testing.T, check checks.Check, kinds []routing.Kind) []string {
	t.Helper()
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(kind routing.Kind) bool {
		return slices.Contains(routing.OptionalKinds(), kind) && !slices.ContainsFunc(fx.objects, func(obj runtime.Object) bool {
			return obj.GetObjectKind().GroupVersionKind().Kind == string(kind)
		})
	})
	world := cluster.NewStatic(kinds...)
	world.Now = now
	world.Settings = fx.settings
	for _, obj := range fx.objects {
		kind := routing.Kind(obj.GetObjectKind().GroupVersionKind().Kind)
		held := kind == routing.Secrets && slices.Contains(kinds, routing.SecretData)
		if !held && !slices.Contains(kinds, kind) {
			continue
		}
		if err := world.Apply(obj.(metav1.Object)); err != nil {
			t.Fatalf("%s: %v", fx.path, err)
		}
	}
	snap, err := world.Snapshot(t.Context(), routing.ReferencesOf(fx.ingress), nil)
	if err != nil {
		t.Fatalf("%s: %v", fx.path, err)
	}
	before := fx.ingress.DeepCopy()
	var got []string
	for _, f := range checks.Run([]checks.Check{check}, fx.ingress, snap) {
		fx.discloses(t, f)
		line := f.String()
		if f.Undecided {
			line = "undecided: " + line
		}
		if f.Tentative {
			line += " [tentative]"
		}
		got = append(got, line)
	}
	if !equal(before, fx.ingress) {
		t.Errorf("%s: the check modified the Ingress", fx.path)
	}
	return got
}

// discloses wants no name of an object of another namespace in a text from which names
// are withheld, unless the Ingress itself has it.
func (fx fixture) discloses(t *testing.T, f checks.Finding) {
	t.Helper()
	own, err := yaml.Marshal(fx.ingress)
	if err != nil {
		t.Fatal(err)
	}
	text := f.Withholding(func(routing.Ref) bool { return false }).String()
	for _, obj := range fx.objects {
		m := obj.(metav1.Object)
		if m.GetNamespace() == "" || m.GetNamespace() == fx.ingress.Namespace {
			continue
		}
		for _, name := range []string{m.GetNamespace() + "/" + m.GetName(), `"` + m.GetNamespace() + `"`, `"` + m.GetName() + `"`} {
			if strings.Contains(text, name) && !strings.Contains(string(own), strings.Trim(name, `"`)) {
				t.Errorf("%s: names %s of another namespace though names are withheld: %s", fx.path, name, text)
			}
		}
	}
	if all := f.Withholding(func(routing.Ref) bool { return true }).String(); all != f.String() {
		t.Errorf("%s: withholding nothing changes the text to: %s", fx.path, all)
	}
}

func equal(a, b *networkingv1.Ingress) bool {
	x, errX := a.Marshal()
	y, errY := b.Marshal()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func fixturesOf(t *testing.T, check string) []fixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", check, "*"))
	if err != nil {
		t.Fatal(err)
	}
	fixtures := make([]fixture, 0, len(paths))
	for _, path := range paths {
		fixtures = append(fixtures, readFixture(t, path))
	}
	return fixtures
}

// TestFixtures compares the whole messages of each check with its fixtures.
func TestFixtures(t *testing.T) {
	for _, check := range checks.All() {
		t.Run(check.Name, func(t *testing.T) {
			var good, bad int
			for _, fx := range fixturesOf(t, check.Name) {
				got := fx.run(t, check, check.Reads)
				if fx.bad {
					bad++
				} else {
					good++
				}
				if *update && fx.bad {
					rewrite(t, fx.path, got)
					continue
				}
				if !slices.Equal(got, fx.want) {
					t.Errorf("%s:\n got:  %s\n want: %s", fx.path,
						strings.Join(got, "\n       "), strings.Join(fx.want, "\n       "))
				}
			}
			if good == 0 || bad == 0 {
				t.Errorf("testdata/%s holds %d good and %d bad cases; must hold at least one of each", check.Name, good, bad)
			}
		})
	}
}

// rewrite replaces the want lines. New ones stand after the opening comment.
func rewrite(t *testing.T, path string, want []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	written := false
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, wantPrefix) {
			continue
		}
		if !written && !strings.HasPrefix(line, "#") {
			for _, w := range want {
				out.WriteString(wantPrefix + w + "\n")
			}
			written = true
		}
		out.WriteString(line)
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFoldersHaveChecks fails for fixtures that no check runs.
func TestFoldersHaveChecks(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		// The go command looks there for what once failed.
		if entry.Name() == "fuzz" {
			continue
		}
		if !slices.ContainsFunc(checks.All(), func(c checks.Check) bool { return c.Name == entry.Name() }) {
			t.Errorf("testdata/%s: there is no check of that name", entry.Name())
		}
	}
}

// TestReadsAreNeeded fails for a kind in Reads without which every fixture comes
// out the same: then either the kind is not read or no fixture shows it.
func TestReadsAreNeeded(t *testing.T) {
	for _, check := range checks.All() {
		t.Run(check.Name, func(t *testing.T) {
			fixtures := fixturesOf(t, check.Name)
			for i, kind := range check.Reads {
				without := slices.Delete(slices.Clone(check.Reads), i, i+1)
				if !slices.ContainsFunc(fixtures, func(fx fixture) bool {
					return !slices.Equal(fx.run(t, check, without), fx.run(t, check, check.Reads))
				}) {
					t.Errorf("no fixture needs %s", kind)
				}
			}
		})
	}
}

// TestNothingIsSaidOfWhatWasNotRead runs every check on every fixture of all
// checks in a cluster of which nothing was read: only undecided may come out.
func TestNothingIsSaidOfWhatWasNotRead(t *testing.T) {
	for _, owner := range checks.All() {
		for _, fx := range fixturesOf(t, owner.Name) {
			for _, check := range checks.All() {
				for _, line := range fx.run(t, check, []routing.Kind{routing.Namespaces}) {
					if !strings.HasPrefix(line, "undecided: ") {
						t.Errorf("%s, %s: %s", fx.path, check.Name, line)
					}
				}
			}
		}
	}
}

func TestAllIsValid(t *testing.T) {
	if err := checks.Validate(checks.All()); err != nil {
		t.Error(err)
	}
}
