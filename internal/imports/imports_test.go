// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/routegate/routegate/"

// rules are the directions of the design. A package named in a rule, and
// everything that it imports directly or not, must stay clear of the forbidden
// prefixes.
var rules = []struct {
	packages  []string
	forbidden []string
	because   string
}{
	{
		packages: []string{"routing", "checks"},
		forbidden: []string{
			"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "k8s.io/apiserver",
			"github.com/prometheus", "log/slog", "net/http", "os/exec",
			module + "internal", module + "webhook", module + "certs", module + "cmd",
		},
		because: "the model and the checks are pure: a read error, a retry or a log line has no place in them",
	},
	{
		packages:  []string{"routing"},
		forbidden: []string{module + "checks"},
		because:   "checks explain, the model decides: the model knows no check",
	},
	{
		packages:  []string{"internal/policy"},
		forbidden: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", module + "webhook", module + "internal/cluster"},
		because:   "a policy decides from findings and asks nobody",
	},
	{
		packages:  []string{"internal/cluster"},
		forbidden: []string{module + "checks", module + "internal/policy", module + "webhook", "k8s.io/api/admission/"},
		because:   "the cluster gathers data and does not know what for",
	},
	{
		packages:  []string{"webhook"},
		forbidden: []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/informers", module + "internal/cluster", module + "cmd"},
		because:   "the webhook sees the cluster through one method, so that it can be tested without one",
	},
	{
		packages:  []string{"internal/audit"},
		forbidden: []string{"k8s.io/client-go/informers", module + "internal/cluster", module + "webhook", module + "cmd"},
		because:   "the audit sees the cluster through an interface, so that it can be tested without one",
	},
	{
		packages:  []string{"routing", "checks", "internal/policy", "internal/cluster", "internal/audit", "webhook", "certs"},
		forbidden: []string{"k8s.io/cli-runtime", "sigs.k8s.io/kustomize", module + "internal/manifests", module + "internal/report"},
		because:   "what only the command line needs stays out of the webhook",
	},
	{
		packages:  []string{"internal/manifests", "internal/report"},
		forbidden: []string{module + "webhook", module + "internal/policy", module + "cmd"},
		because:   "the command line's readers and writers do not decide about admission",
	},
	{
		packages:  []string{"routing", "checks", "internal/policy", "internal/cluster", "webhook", "certs", "cmd/routegate"},
		forbidden: []string{"github.com/cert-manager/"},
		because:   "cert-manager is used through manifests and configuration only",
	},
}

func TestImportsGoOneWay(t *testing.T) {
	for _, rule := range rules {
		for _, pkg := range rule.packages {
			deps := closure(t, module+pkg)
			for dep := range deps {
				for _, prefix := range rule.forbidden {
					if strings.HasPrefix(dep, prefix) {
						t.Errorf("%s imports %s by way of %s: %s", pkg, dep, strings.Join(chain(deps, dep), " <- "), rule.because)
					}
				}
			}
		}
	}
}

// closure returns every package that pkg imports, each with one that imports it.
func closure(t *testing.T, pkg string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", pkg)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pkg, err, stderr.String())
	}
	importers := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		// What k8s.io's own packages import of the standard library is theirs.
		if !strings.HasPrefix(p.ImportPath, module) {
			for _, imported := range p.Imports {
				if strings.Contains(imported, ".") {
					importers[imported] = p.ImportPath
				}
			}
			continue
		}
		for _, imported := range p.Imports {
			importers[imported] = p.ImportPath
		}
	}
	return importers
}

// chain follows the importers of a package up to one of this module.
func chain(importers map[string]string, dep string) []string {
	var path []string
	for at := importers[dep]; at != "" && len(path) < 10; at = importers[at] {
		path = append(path, at)
		if strings.HasPrefix(at, module) {
			break
		}
	}
	return path
}
