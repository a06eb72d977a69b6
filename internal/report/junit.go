// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// writeJUnit writes a test for each Ingress, which fails where the command fails for it,
// and one with an error for each problem. Findings that do not fail are output of the
// test.
func (r *Findings) writeJUnit(w io.Writer) error {
	suite := junit.Testsuite{Name: "routegate"}
	for _, p := range r.Problems {
		suite.AddTestcase(junit.Testcase{
			Name: "read", Classname: printable(orElse(p.File, "input")),
			Error: &junit.Result{Message: printable(p.Message), Type: "unreadable", Data: printable(p.Message)},
		})
	}
	for _, j := range r.Ingresses {
		test := junit.Testcase{Name: printable("Ingress " + j.Namespace + "/" + j.Name), Classname: "cluster"}
		if j.Source != nil {
			test.Classname = printable(j.Source.File)
		}
		var failed, other []string
		first := ""
		for i := range j.Findings {
			f := &j.Findings[i]
			line := fmt.Sprintf("%s: %s", f.Mode, f.text())
			if f.Source != nil {
				line = f.Source.String() + ": " + line
			}
			if f.Hint != "" {
				line += " (hint: " + f.Hint + ")"
			}
			// XML cannot hold every character, and what is one line is to stay one.
			line = printable(line)
			if !f.Fails {
				other = append(other, line)
				continue
			}
			if first == "" {
				first = f.Check
			}
			failed = append(failed, line)
		}
		if len(failed) > 0 {
			test.Failure = &junit.Result{Message: failed[0], Type: first, Data: strings.Join(failed, "\n")}
			if more := len(failed) - 1; more > 0 {
				test.Failure.Message += fmt.Sprintf(" (and %d more)", more)
			}
		}
		if len(other) > 0 {
			test.SystemOut = &junit.Output{Data: strings.Join(other, "\n")}
		}
		suite.AddTestcase(test)
	}
	var suites junit.Testsuites
	suites.Name = "routegate"
	suites.AddSuite(suite)
	if _, err := io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"); err != nil {
		return err
	}
	return suites.WriteXML(w)
}
