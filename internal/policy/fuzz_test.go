// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

// faultLine is one line of an error: the file, the line in it, and the fault. YAML that
// cannot be read at all has no line where its parser names none.
var faultLine = regexp.MustCompile(`^policy\.yaml(:[0-9]+)?: .`)

// FuzzParse reads arbitrary policy files. Each is either valid, and then it compiles and
// decides, or every fault is named in one line that says where it stands.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/files/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := policy.Parse("policy.yaml", []byte(text), checks.All())
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !faultLine.MatchString(line) {
					t.Errorf("does not say where: %q", line)
				}
				if strings.ContainsFunc(line, unicode.IsControl) {
					t.Errorf("has a control character: %q", line)
				}
			}
			return
		}
		rules, err := file.Compile(checks.All())
		if err != nil {
			t.Fatalf("parsed, and does not compile: %v", err)
		}
		for _, s := range []policy.Subject{
			{},
			{Namespace: "app", Class: "nginx", User: "mia", Groups: []string{"dev"}, Labels: map[string]string{"a": "b"},
				NamespaceLabels: map[string]string{"routegate.dev/enforce": "strict", "routegate.dev/warn": "off"}},
		} {
			p := rules.For(s)
			if shown := p.Shown(); shown < 1 || shown > 50 {
				t.Errorf("shows %d findings", shown)
			}
			p.Decide(policy.Request{Checks: p.Enabled(rules.Checks())})
		}
	})
}
