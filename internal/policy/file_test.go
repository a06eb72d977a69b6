// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

// TestFiles parses each file of testdata/files. A good one is accepted; the errors of
// a bad one are the lines that begin with "# want".
func TestFiles(t *testing.T) {
	const folder = "testdata/files"
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want "); ok {
					want = append(want, strings.TrimSuffix(text, "\n"))
				}
			}
			_, good := strings.CutSuffix(entry.Name(), ".good.yaml")
			if _, bad := strings.CutSuffix(entry.Name(), ".bad.yaml"); good == bad || good != (len(want) == 0) {
				t.Fatalf("must be .good.yaml without a want line, or .bad.yaml with one")
			}
			file, err := policy.Parse(entry.Name(), data, checks.All())
			if good {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := file.Compile(checks.All()); err != nil {
					t.Errorf("parsed, and then: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if got, want := err.Error(), strings.Join(want, "\n"); got != want {
				t.Errorf("got:\n%s\n\nwant:\n%s", got, want)
			}
		})
	}
}
