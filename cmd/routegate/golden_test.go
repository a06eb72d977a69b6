// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the want.txt of testdata, with -run TestGolden; read the difference before you commit it")

// now is when the cases of testdata are looked at.
var now = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)

// execute runs the command line as main does, and returns what it wrote and its exit
// code.
func execute(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := newRoot(now)
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		if !errors.Is(err, errFindings) {
			fmt.Fprintln(&errs, "routegate:", err)
		}
		code = exitCode(err)
	}
	return out.String(), errs.String(), code
}

// newRoot is the command line for a time.
func newRoot(now time.Time) *cobra.Command {
	root := &cobra.Command{Use: "routegate", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(auditCommand(newSourceOptionsAt(now)), checkCommand(newSourceOptionsAt(now)), explainCommand(), routesCommand(newSourceOptionsAt(now)), snapshotCommand(newSourceOptionsAt(now)), traceCommand(newSourceOptionsAt(now)))
	return root
}

func newSourceOptionsAt(now time.Time) *sourceOptions {
	source := newSourceOptions()
	source.now = func() time.Time { return now }
	return source
}

// TestGolden runs each case of testdata: the arguments in args, one a line, on
// cluster.yaml, or for audit on the snapshot in cluster.json; want.txt holds all that is
// shown.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Fatal("there are no cases")
	}
	for _, dir := range dirs {
		t.Run(filepath.ToSlash(strings.TrimPrefix(dir, "testdata"+string(filepath.Separator))), func(t *testing.T) {
			t.Chdir(dir)
			args, err := os.ReadFile("args")
			if err != nil {
				t.Fatal(err)
			}
			source := []string{"-f", "cluster.yaml"}
			if strings.HasPrefix(string(args), "audit\n") {
				source = []string{"--snapshot", "cluster.json"}
			}
			stdout, stderr, code := execute(t, "", append(strings.Split(strings.TrimSuffix(string(args), "\n"), "\n"), source...)...)
			var got strings.Builder
			got.WriteString(stdout)
			if stderr != "" {
				got.WriteString("--- stderr\n" + stderr)
			}
			fmt.Fprintf(&got, "--- exit code %d\n", code)
			if *update {
				if err := os.WriteFile("want.txt", []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile("want.txt")
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}
