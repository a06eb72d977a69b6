// SPDX-License-Identifier: Apache-2.0

// Command controlplane provides the Kubernetes control plane that the tests
// and the demo run against: the real etcd, kube-apiserver and kubectl. It
// compiles them from Go modules, so that nothing is needed beyond a Go
// toolchain and a module proxy.
//
// Run it from the repository root:
//
//	go -C e2e/controlplane run .
//
// The only thing it writes to standard output is the folder that holds the
// binaries, in the form that KUBEBUILDER_ASSETS takes. Progress goes to
// standard error. What is already built is not built again, and a binary has
// its final name only when it is complete.
//
// With -controllers it also builds kube-controller-manager, and with -node
// moreover what else a whole node runs: kube-scheduler, kubelet and kube-proxy,
// into the same folder.
//
// When KUBEBUILDER_ASSETS is set, its folder is checked and printed, and
// nothing is built.
//
// The versions are those of this module's go.mod. Its tool directives name the
// packages, so that "go mod tidy" keeps what they need.
//
// With -oldest the versions are those of oldest/go.mod: the oldest Kubernetes
// that the chart admits. KUBEBUILDER_ASSETS is then left alone, as its folder
// does not tell of which version it is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	etcdModule       = "go.etcd.io/etcd/server/v3"
	kubernetesModule = "k8s.io/kubernetes"

	assetsVariable = "KUBEBUILDER_ASSETS"
)

// module is a Go module whose go.mod pins a control plane.
type module struct {
	path string
	// dir is its folder, seen from that of this command.
	dir string
	// root is the repository root, seen from dir.
	root string
}

var (
	currentModule = module{path: "github.com/routegate/routegate/e2e/controlplane", dir: ".", root: "../.."}
	oldestModule  = module{path: currentModule.path + "/oldest", dir: "oldest", root: "../../.."}
)

// The names of the executables, in the order in which they are built: the quick
// one first, so that a broken setup shows early.
var (
	binaries           = []string{"etcd", "kube-apiserver", "kubectl"}
	controllerBinaries = []string{"kube-controller-manager"}
	nodeBinaries       = []string{"kube-scheduler", "kubelet", "kube-proxy"}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := flag.String("out", "", "folder to keep the binaries of all versions in (default bin/controlplane below the repository root)")
	controllers := flag.Bool("controllers", false, "also build "+strings.Join(controllerBinaries, ", "))
	node := flag.Bool("node", false, "also build what a whole node runs: "+strings.Join(slices.Concat(controllerBinaries, nodeBinaries), ", "))
	oldest := flag.Bool("oldest", false, "build the oldest Kubernetes that the chart admits")
	flag.Parse()

	var dir string
	w, err := choose(*controllers, *node, *oldest, os.Getenv(assetsVariable))
	if err == nil {
		dir, err = run(ctx, w, *out)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "controlplane: interrupted; the next run goes on from what was compiled so far")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}

// wanted is what a run has to provide.
type wanted struct {
	module module
	names  []string
	// assets is the folder that has them already; otherwise they are built.
	assets string
}

// choose returns what the flags and KUBEBUILDER_ASSETS ask for.
func choose(controllers, node, oldest bool, assets string) (wanted, error) {
	if node && oldest {
		return wanted{}, errors.New("-node and -oldest exclude each other; nodes are of the current Kubernetes only")
	}
	w := wanted{module: currentModule, names: binaries, assets: assets}
	if oldest {
		w.module, w.assets = oldestModule, ""
	}
	if controllers || node {
		w.names = slices.Concat(w.names, controllerBinaries)
	}
	if node {
		w.names = slices.Concat(w.names, nodeBinaries)
	}
	return w, nil
}

// run returns the folder that holds what is wanted, after building what is
// missing.
func run(ctx context.Context, w wanted, out string) (string, error) {
	if w.assets != "" {
		return w.assets, checkAssets(w.assets, w.names)
	}
	v, err := readVersions(ctx, w.module)
	if err != nil {
		return "", err
	}
	if out == "" {
		out = filepath.Join(v.moduleDir, w.module.root, "bin", "controlplane")
	}
	out, err = filepath.Abs(out)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(out, v.folder())
	return dir, ensure(ctx, dir, v.components(w.names), os.Stderr, goBuild)
}

// checkAssets reports what KUBEBUILDER_ASSETS lacks. A relative path is
// refused: the tests of each package run in that package's own folder, so it
// would mean a different place to each of them.
func checkAssets(dir string, names []string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%s must be an absolute path; it is %q", assetsVariable, dir)
	}
	for _, name := range names {
		if file := filepath.Join(dir, name); !isExecutable(file) {
			return fmt.Errorf("%s is set, but %s is not an executable file; complete the folder, or unset %s to have the binaries built", assetsVariable, file, assetsVariable)
		}
	}
	return nil
}

func isExecutable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// versions is what a module's go.mod says about the control plane.
type versions struct {
	moduleDir      string
	etcd           string // with the leading "v"
	kubernetes     string // with the leading "v"
	kubernetesDate time.Time
}

func readVersions(ctx context.Context, m module) (versions, error) {
	out, err := goOutput(ctx, m.dir, "list", "-m", "-json", m.path, etcdModule, kubernetesModule)
	if err != nil {
		return versions{}, fmt.Errorf("cannot read the versions; run this as \"go -C e2e/controlplane run .\" from the repository root: %w", err)
	}
	return parseVersions(m, out)
}

func parseVersions(m module, listing []byte) (versions, error) {
	var v versions
	decoder := json.NewDecoder(strings.NewReader(string(listing)))
	for {
		var listed struct {
			Path, Version, Dir string
			Time               time.Time
		}
		err := decoder.Decode(&listed)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return versions{}, fmt.Errorf("cannot decode the output of \"go list -m -json\": %w", err)
		}
		switch listed.Path {
		case m.path:
			v.moduleDir = listed.Dir
		case etcdModule:
			v.etcd = listed.Version
		case kubernetesModule:
			v.kubernetes, v.kubernetesDate = listed.Version, listed.Time
		}
	}
	if v.moduleDir == "" || v.etcd == "" || v.kubernetes == "" {
		return versions{}, fmt.Errorf("\"go list -m -json\" must name %s, %s and %s", m.path, etcdModule, kubernetesModule)
	}
	return v, nil
}

// folder names the folder of these versions on this platform.
func (v versions) folder() string {
	return fmt.Sprintf("%s-etcd%s-%s-%s", strings.TrimPrefix(v.kubernetes, "v"), strings.TrimPrefix(v.etcd, "v"), runtime.GOOS, runtime.GOARCH)
}

// component is one executable to build.
type component struct {
	name    string
	dir     string // of the module that pins it
	version string
	pkg     string
	ldflags string
}

func (v versions) components(names []string) []component {
	var components []component
	for _, name := range names {
		c := component{name: name, dir: v.moduleDir, version: v.kubernetes, pkg: kubernetesModule + "/cmd/" + name, ldflags: v.kubernetesFlags()}
		if name == "etcd" {
			c = component{name: name, dir: v.moduleDir, version: v.etcd, pkg: etcdModule, ldflags: v.etcdFlags()}
		}
		components = append(components, c)
	}
	return components
}

func (v versions) etcdFlags() string {
	return "-s -w -X go.etcd.io/etcd/api/v3/version.GitSHA=" + v.etcd
}

// kubernetesFlags makes the Kubernetes binaries report their version. Without
// them kube-apiserver says v0.0.0-master, and clients warn about version skew.
// A module carries no commit, so that one is left empty.
func (v versions) kubernetesFlags() string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(v.kubernetes, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	values := []string{
		"gitVersion=" + v.kubernetes,
		"gitMajor=" + major,
		"gitMinor=" + minor,
		"gitTreeState=clean",
		"gitCommit=",
		"buildDate=" + v.kubernetesDate.UTC().Format(time.RFC3339),
	}
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range values {
			flags = append(flags, "-X "+pkg+"."+value)
		}
	}
	return strings.Join(flags, " ")
}

// buildFunc builds a component as the given file. The position says which of
// how many components it is, for the progress line.
type buildFunc func(ctx context.Context, c component, file, position string, progress io.Writer) error

// ensure builds the components that dir lacks. It may run in several processes
// at once: they take turns, and the later ones find the work done. Whatever
// ends it early leaves no incomplete binary under a final name.
func ensure(ctx context.Context, dir string, components []component, progress io.Writer, build buildFunc) error {
	complete := func() bool {
		return !slices.ContainsFunc(components, func(c component) bool { return !isExecutable(filepath.Join(dir, c.name)) })
	}
	if complete() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"), progress)
	if err != nil {
		return err
	}
	defer unlock()
	if complete() {
		return nil
	}

	leftovers, err := filepath.Glob(filepath.Join(dir, ".build-*"))
	if err != nil {
		return err
	}
	for _, leftover := range leftovers {
		if err := os.RemoveAll(leftover); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()

	fmt.Fprintf(progress, "controlplane: building into %s\n", dir)
	fmt.Fprintln(progress, "controlplane: the first build takes 5 to 15 minutes and about 4 GB of Go's build and module caches")
	for i, c := range components {
		file := filepath.Join(dir, c.name)
		if isExecutable(file) {
			continue
		}
		unfinished := filepath.Join(temp, c.name)
		if err := build(ctx, c, unfinished, fmt.Sprintf("%d/%d", i+1, len(components)), progress); err != nil {
			return fmt.Errorf("cannot build %s %s: %w", c.name, c.version, err)
		}
		if err := os.Rename(unfinished, file); err != nil {
			return err
		}
	}
	return nil
}

// lock takes an exclusive lock on the file and returns the function that
// releases it. The lock also ends with the process, however that ends.
func lock(ctx context.Context, name string, progress io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", name, err)
		}
		if !waiting {
			fmt.Fprintln(progress, "controlplane: waiting for another process that builds the same binaries")
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
