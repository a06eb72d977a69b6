// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/routegate/routegate/checks"
)

// checkLink is a link of a runbook to the page of a check.
var checkLink = regexp.MustCompile(`\.\./checks/([a-z0-9-]+)\.md`)

// TestRunbooks runs the commands of docs/runbooks. Below "$ routegate ..." stands what
// it prints where the manifests of testdata/<runbook>/deploy are the cluster. Of the
// commands that need a real cluster, whose answers are not shown, the flags are parsed.
func TestRunbooks(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "docs", "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, link := range checkLink.FindAllStringSubmatch(string(text), -1) {
				if !slices.ContainsFunc(checks.All(), func(c checks.Check) bool { return c.Name == link[1] }) {
					t.Errorf("there is no check %q", link[1])
				}
			}
			blocks := strings.Split(string(text), "```")
			commands := 0
			if name != "README" {
				if !strings.Contains(string(index), "]("+name+".md)") {
					t.Errorf("README.md does not lead to %s.md", name)
				}
				t.Chdir(filepath.Join(dir, "testdata", name))
			}
			for i, block := range blocks {
				if i%2 == 0 {
					continue
				}
				language, body, _ := strings.Cut(block, "\n")
				switch language {
				case "console":
					command, want, _ := strings.Cut(body, "\n")
					commands++
					got := runbookCommand(t, command)
					if *update {
						blocks[i] = language + "\n" + command + "\n" + got
					} else if got != want {
						t.Errorf("%s\ngot\n%s\nwant\n%s\nread the difference, then: go test ./cmd/routegate -run TestRunbooks -update", command, got, want)
					}
				case "sh":
					for line := range strings.Lines(body) {
						if args, ok := strings.CutPrefix(line, "routegate "); ok {
							parseRunbookFlags(t, args)
						}
					}
				default:
					t.Errorf("a block of %q is not tried", language)
				}
			}
			if commands == 0 && name != "README" {
				t.Error("there are no examples")
			}
			if *update {
				if err := os.WriteFile(page, []byte(strings.Join(blocks, "```")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if len(pages) < 2 {
		t.Error("there are no runbooks")
	}
}

// runbookCommand returns what a terminal shows for the command.
func runbookCommand(t *testing.T, command string) string {
	t.Helper()
	line, ok := strings.CutPrefix(command, "$ routegate ")
	if !ok {
		t.Fatalf("%q is not a command of routegate", command)
	}
	args := strings.Fields(line)
	if args[0] == "trace" || args[0] == "routes" {
		args = append(args, "-f", "deploy/")
	}
	stdout, stderr, _ := execute(t, "", args...)
	return stdout + stderr
}

// parseRunbookFlags sees that a command has the flags that the line gives.
func parseRunbookFlags(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " >")
	root := newRoot(now)
	command, args, err := root.Find(strings.Fields(line))
	if err != nil {
		t.Errorf("routegate %s: %v", line, err)
		return
	}
	if err := command.ParseFlags(args); err != nil {
		t.Errorf("routegate %s: %v", line, err)
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		t.Errorf("routegate %s: %v", line, err)
	}
}
