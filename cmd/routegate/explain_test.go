// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/routegate/routegate/checks"
)

func explain(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := explainCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestExplainListsAllChecks(t *testing.T) {
	out, err := explain(t)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	all := checks.All()
	if len(lines) != len(all)+1 || strings.Join(strings.Fields(lines[0]), " ") != "CHECK MODE WHAT IS WRONG" {
		t.Fatalf("want a heading and %d lines; got\n%s", len(all), out)
	}
	for i, check := range all {
		got := strings.Join(strings.Fields(lines[i+1]), " ")
		if want := check.Name + " " + string(check.Default) + " " + check.Title; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExplainShowsEveryCheck(t *testing.T) {
	for _, check := range checks.All() {
		out, err := explain(t, check.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out, check.Name+": ") {
			t.Errorf("%s: must begin with its name; got\n%s", check.Name, out)
		}
		words := strings.Join(strings.Fields(out), " ")
		for _, want := range append(strings.Split(check.Text, "\n\n"), check.Title, "WHAT HAPPENS", "HOW TO FIX IT", "Mode: "+string(check.Default), "("+check.Name+")") {
			if !strings.Contains(words, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: %q is missing in\n%s", check.Name, want, out)
			}
		}
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsAny(line, "`") || strings.Contains(line, "<!--") || strings.Contains(line, ".md") {
				t.Errorf("%s: Markdown is left in %q", check.Name, line)
			}
			code := strings.HasPrefix(line, "    ")
			if !code && len(line) > terminalWidth {
				t.Errorf("%s: more than %d columns in %q", check.Name, terminalWidth, line)
			}
		}
	}
}

func TestTerminal(t *testing.T) {
	page := "<!-- comment -->\n\n# a-check: `spec.x` is wrong\n\n- Mode: deny\n- `" + strings.Repeat("word ", 20) + "end`\n\n" +
		"## What happens\n\nOne\ntwo.\n\n```yaml\nkind: Ingress\n\n  # a comment\n```\n\n[All checks](README.md)\n"
	want := `a-check: spec.x is wrong

  Mode: deny
  word word word word word word word word word word word word word word word
      word word word word word end

WHAT HAPPENS

  One two.

    kind: Ingress

      # a comment
`
	if got := terminal(page); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExplainSuggestsANearName(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"misspelt":     {[]string{"prot-missing"}, `there is no check "prot-missing"; did you mean "port-missing"? ("routegate explain" lists all checks)`},
		"nothing near": {[]string{"certificates"}, `there is no check "certificates" ("routegate explain" lists all checks)`},
		"a path":       {[]string{"../checks/README"}, `there is no check "../checks/README" ("routegate explain" lists all checks)`},
		"two names":    {[]string{"class-none", "port-missing"}, "accepts at most 1 arg(s), received 2"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := explain(t, tc.args...)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
			if out != "" {
				t.Errorf("got output %q", out)
			}
		})
	}
}

func TestExplainCompletesNames(t *testing.T) {
	names, _ := completeCheck(nil, nil, "port-")
	want := []string{"port-ambiguous", "port-missing", "port-not-tcp"}
	if len(names) != len(want) {
		t.Fatalf("got %q, want %q", names, want)
	}
	for i := range want {
		if !strings.HasPrefix(names[i], want[i]+"\t") {
			t.Errorf("got %q, want %s with its title", names[i], want[i])
		}
	}
	if names, _ := completeCheck(nil, []string{"class-none"}, ""); len(names) != 0 {
		t.Errorf("a second name is offered: %q", names)
	}
}
