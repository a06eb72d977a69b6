// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseVersions(t *testing.T) {
	listing := `{"Path": "` + currentModule.path + `", "Main": true, "Dir": "/src/e2e/controlplane"}
{"Path": "` + etcdModule + `", "Version": "v3.7.3"}
{"Path": "` + kubernetesModule + `", "Version": "v1.37.1", "Time": "2026-09-23T17:06:22Z"}
`
	v, err := parseVersions(currentModule, []byte(listing))
	if err != nil {
		t.Fatal(err)
	}
	if v.moduleDir != "/src/e2e/controlplane" {
		t.Errorf("moduleDir is %q", v.moduleDir)
	}
	if got, want := v.folder(), "1.37.1-etcd3.7.3-"; !strings.HasPrefix(got, want) {
		t.Errorf("folder() is %q, must start with %q", got, want)
	}
	flags := v.kubernetesFlags()
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.37.1",
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=37",
		"-X k8s.io/client-go/pkg/version.gitVersion=v1.37.1",
		"-X k8s.io/client-go/pkg/version.buildDate=2026-09-23T17:06:22Z",
	} {
		if !strings.Contains(flags+" ", want+" ") {
			t.Errorf("flags lack %q: %s", want, flags)
		}
	}

	withoutKubernetes, _, _ := strings.Cut(listing, `{"Path": "`+kubernetesModule)
	if _, err := parseVersions(currentModule, []byte(withoutKubernetes)); err == nil || !strings.Contains(err.Error(), kubernetesModule) {
		t.Errorf("a listing without Kubernetes gives the error %v, must name the module", err)
	}
}

// Each go.mod must be readable, and name every package that is built of it, so
// that "go mod tidy" keeps what it needs.
func TestReadVersions(t *testing.T) {
	for _, c := range []struct {
		module module
		names  []string
	}{
		{currentModule, slices.Concat(binaries, controllerBinaries, nodeBinaries)},
		{oldestModule, slices.Concat(binaries, controllerBinaries)},
	} {
		t.Run(c.module.path, func(t *testing.T) {
			v, err := readVersions(t.Context(), c.module)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(v.moduleDir, c.module.root, "LICENSE")); err != nil {
				t.Errorf("root is not that of the repository: %v", err)
			}
			goMod, err := os.ReadFile(filepath.Join(c.module.dir, "go.mod"))
			if err != nil {
				t.Fatal(err)
			}
			for i, built := range v.components(c.names) {
				if built.name != c.names[i] {
					t.Errorf("component %d is %q, must be %q", i, built.name, c.names[i])
				}
				if built.dir != v.moduleDir {
					t.Errorf("%s is built in %s, must be in %s", built.name, built.dir, v.moduleDir)
				}
				if !strings.Contains(string(goMod), "\t"+built.pkg+"\n") {
					t.Errorf("go.mod has no tool directive for %s", built.pkg)
				}
			}
		})
	}
}

// The chart says how old a Kubernetes may be, and that one is built.
func TestOldestIsTheChartsOldest(t *testing.T) {
	chart, err := os.ReadFile("../../charts/routegate/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, version, ok := strings.Cut(string(chart), "kubeVersion: \">=")
	minor, _, ok2 := strings.Cut(version, ".0-0\"\n")
	if !ok || !ok2 {
		t.Fatal("the kubeVersion of Chart.yaml is not of the form \">=1.30.0-0\"")
	}
	v, err := readVersions(t.Context(), oldestModule)
	if err != nil {
		t.Fatal(err)
	}
	if want := "v" + minor + "."; !strings.HasPrefix(v.kubernetes, want) {
		t.Errorf("oldest/go.mod has Kubernetes %s, and Chart.yaml admits %s and newer", v.kubernetes, minor)
	}
}

// What is there already is not built again: each module's in a folder of its own,
// and for the current one also what KUBEBUILDER_ASSETS names.
func TestRunFindsWhatIsBuilt(t *testing.T) {
	out := t.TempDir()
	fill := func(name string) string {
		dir := filepath.Join(out, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range binaries {
			writeFile(t, filepath.Join(dir, name), 0o755)
		}
		return dir
	}
	folder := func(m module) string {
		v, err := readVersions(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return fill(v.folder())
	}
	current, oldest, given := folder(currentModule), folder(oldestModule), fill("given")
	for _, c := range []struct {
		oldest       bool
		assets, want string
	}{
		{false, "", current},
		{false, given, given},
		{true, "", oldest},
		{true, given, oldest},
	} {
		w, err := choose(false, false, c.oldest, c.assets)
		if err != nil {
			t.Fatal(err)
		}
		got, err := run(t.Context(), w, out)
		if err != nil || got != c.want {
			t.Errorf("oldest=%t, assets %q: got %q, %v, want %q", c.oldest, c.assets, got, err, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	w, err := choose(false, true, false, "given")
	if err != nil || len(w.names) != len(binaries)+len(controllerBinaries)+len(nodeBinaries) || w.assets != "given" {
		t.Errorf("-node gives %+v, %v", w, err)
	}
	if _, err := choose(false, true, true, ""); err == nil || !strings.Contains(err.Error(), "-oldest") {
		t.Errorf("-node and -oldest together: error is %v, must name them", err)
	}
}

func TestCheckAssets(t *testing.T) {
	dir := t.TempDir()
	for _, name := range binaries {
		writeFile(t, filepath.Join(dir, name), 0o755)
	}
	if err := checkAssets(dir, binaries); err != nil {
		t.Errorf("complete folder: %v", err)
	}

	for _, more := range [][]string{controllerBinaries, nodeBinaries} {
		if err := checkAssets(dir, slices.Concat(binaries, more)); err == nil || !strings.Contains(err.Error(), more[0]) {
			t.Errorf("folder without %s: error is %v, must name the first", more, err)
		}
	}

	missing := filepath.Join(dir, "kube-apiserver")
	if err := os.Chmod(missing, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkAssets(dir, binaries); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("file that is not executable: error is %v, must name %s", err, missing)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	if err := checkAssets(dir, binaries); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: error is %v, must name %s", err, missing)
	}
	if err := checkAssets("bin/assets", binaries); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("relative path: error is %v, must ask for an absolute one", err)
	}
}

var testComponents = []component{{name: "one"}, {name: "two"}, {name: "three"}}

func TestEnsureBuildsOnlyWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "versions")
	var built []string
	build := func(_ context.Context, c component, file, position string, _ io.Writer) error {
		built = append(built, c.name+" "+position)
		return os.WriteFile(file, nil, 0o755)
	}
	expect := func(want string) {
		t.Helper()
		if err := ensure(t.Context(), dir, testComponents, io.Discard, build); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(built, ", "); got != want {
			t.Errorf("built %q, want %q", got, want)
		}
		built = nil
	}
	expect("one 1/3, two 2/3, three 3/3")
	expect("")
	if err := os.Remove(filepath.Join(dir, "two")); err != nil {
		t.Fatal(err)
	}
	expect("two 2/3")
}

// A build that ends early must not leave a binary, and must not keep the next
// run from finishing the work.
func TestEnsureAfterInterruptedBuild(t *testing.T) {
	dir := t.TempDir()
	interrupted := errors.New("interrupted")
	build := func(_ context.Context, c component, file, _ string, _ io.Writer) error {
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			return err
		}
		if c.name == "two" {
			return interrupted
		}
		return nil
	}
	if err := ensure(t.Context(), dir, testComponents, io.Discard, build); !errors.Is(err, interrupted) {
		t.Fatalf("error is %v, want %v", err, interrupted)
	}
	expectFiles(t, dir, ".lock", "one")

	// What a killed process leaves behind.
	if err := os.Mkdir(filepath.Join(dir, ".build-123"), 0o755); err != nil {
		t.Fatal(err)
	}
	build = func(_ context.Context, _ component, file, _ string, _ io.Writer) error {
		return os.WriteFile(file, nil, 0o755)
	}
	if err := ensure(t.Context(), dir, testComponents, io.Discard, build); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, dir, ".lock", "one", "three", "two")
}

func TestEnsureTakesTurns(t *testing.T) {
	dir := t.TempDir()
	var running, builds atomic.Int32
	build := func(_ context.Context, _ component, file, _ string, _ io.Writer) error {
		builds.Add(1)
		if running.Add(1) > 1 {
			t.Error("two builds ran at once")
		}
		defer running.Add(-1)
		time.Sleep(10 * time.Millisecond)
		return os.WriteFile(file, nil, 0o755)
	}
	var runs sync.WaitGroup
	for range 3 {
		runs.Go(func() {
			if err := ensure(t.Context(), dir, testComponents, io.Discard, build); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	if got := builds.Load(); got != int32(len(testComponents)) {
		t.Errorf("%d builds, want %d", got, len(testComponents))
	}
}

func TestEnsureStopsWaiting(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), filepath.Join(dir, ".lock"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var progress bytes.Buffer
	err = ensure(ctx, dir, testComponents, &progress, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
	if want := "waiting for another process"; !strings.Contains(progress.String(), want) {
		t.Errorf("progress is %q, must say %q", progress.String(), want)
	}
}

func TestProgressStatus(t *testing.T) {
	p := newProgress(io.Discard, "controlplane: kube-apiserver v1.37.1 (2/3)")
	defer p.stop()
	steps := []struct {
		change func()
		want   string
	}{
		{func() {}, "reading packages"},
		{p.downloading, "1 modules downloaded"},
		{func() { p.expect(2) }, "0 of 2 packages"},
		{p.compiled, "1 of 2 packages"},
		{p.compiled, "linking"},
		{p.compiled, "linking"},
		{p.done, "built"},
	}
	for _, step := range steps {
		step.change()
		got := p.status(130 * time.Second)
		if want := fmt.Sprintf("controlplane: kube-apiserver v1.37.1 (2/3): %s, 2m10s", step.want); got != want {
			t.Errorf("status is %q, want %q", got, want)
		}
		if len(got) > 79 {
			t.Errorf("status %q does not fit a line of 80 columns", got)
		}
	}
}

func writeFile(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, nil, mode); err != nil {
		t.Fatal(err)
	}
}

func expectFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("folder has %q, want %q", got, want)
	}
}
