// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// policyRun runs a policy command as main does.
func policyRun(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root := &cobra.Command{Use: "routegate", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(policyCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		return out.String() + err.Error(), exitCode(err)
	}
	return out.String(), exitOK
}

// TestPolicyPage runs the examples of docs/policy.md: each block of YAML is a valid
// policy file, and each command, on the file before it, prints what stands below it.
func TestPolicyPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	commands := 0
	for i, block := range strings.Split(string(page), "```") {
		language, text, _ := strings.Cut(block, "\n")
		switch {
		case i%2 == 0:
		case language == "yaml":
			if err := os.WriteFile("policy.yaml", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if said, code := policyRun(t, "policy", "validate", "policy.yaml"); code != exitOK || said != "" {
				t.Errorf("exit code %d, said %q for\n%s", code, said, text)
			}
		case language == "console":
			command, want, _ := strings.Cut(text, "\n")
			args, ok := strings.CutPrefix(command, "$ routegate ")
			if !ok {
				t.Fatalf("%q is not a command of routegate", command)
			}
			commands++
			if got, code := policyRun(t, strings.Fields(args)...); got != want || code != exitOK {
				t.Errorf("%s\nexit code %d, got\n%s\nwant\n%s", command, code, got, want)
			}
		default:
			t.Errorf("a block of %q is not tried", language)
		}
	}
	if commands == 0 {
		t.Error("there are no examples")
	}
}

func TestPolicyCommandsRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.yaml", []byte(policyHead+"preset: lax\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"validate", "bad.yaml"}, exitDiffers, "the policy file is not valid:\nbad.yaml:3: preset: is \"lax\""},
		{[]string{"explain", "--policy", "bad.yaml"}, exitDiffers, "bad.yaml:3"},
		{[]string{"validate", "none.yaml"}, exitError, "no such file"},
		{[]string{"explain", "--check", "port-misssing"}, exitError, `--check: there is no check "port-misssing"; did you mean "port-missing"?`},
		{[]string{"explain", "-o", "xml"}, exitError, `--output "xml": must be table or json`},
	} {
		if got, code := policyRun(t, append([]string{"policy"}, tc.args...)...); code != tc.code || !strings.Contains(got, tc.want) {
			t.Errorf("%v: exit code %d, said %q", tc.args, code, got)
		}
	}
}

func TestPolicyExplainAsJSON(t *testing.T) {
	got, code := policyRun(t, "policy", "explain", "--check", "port-missing", "-o", "json", "--namespace-labels", "routegate.dev/audit=x")
	want := `{
  "onUndecided": "allow",
  "gracePeriod": "0s",
  "ratchet": true,
  "dryRun": "warn",
  "disclosure": "authorized",
  "maxFindings": 10,
  "labels": [
    "Namespace label routegate.dev/audit=\"x\" means nothing and does not count; must be one of off, observe, standard, strict"
  ],
  "checks": [
    {
      "check": "port-missing",
      "mode": "deny",
      "setBy": "preset standard"
    }
  ]
}
`
	if got != want || code != exitOK {
		t.Errorf("exit code %d, got %s", code, got)
	}
}
