// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/routegate/routegate/checks"
)

// The characters that mean something in a workflow command of GitHub Actions: in its
// message, and in its properties.
var (
	escapeMessage  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	escapeProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeGitHub writes workflow commands, which GitHub shows beside the lines of a pull
// request.
func (r *Findings) writeGitHub(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		command(&b, "error", &Source{File: p.File, Line: p.Line}, "Routegate", printable(p.Message))
	}
	for _, j := range r.Ingresses {
		for i := range j.Findings {
			f := &j.Findings[i]
			if !f.counts() {
				continue
			}
			level := "warning"
			if f.Mode == checks.Deny {
				level = "error"
			}
			text := printable(fmt.Sprintf("Ingress %s/%s: %s", j.Namespace, j.Name, f.text()))
			if f.Hint != "" {
				text += "\n" + printable(f.Hint)
			}
			command(&b, level, f.Source, f.Check, text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func command(b *strings.Builder, level string, at *Source, title, message string) {
	var properties []string
	property := func(name, value string) {
		properties = append(properties, name+"="+escapeProperty.Replace(value))
	}
	if at = at.inRepository(); at != nil && at.File != "" {
		property("file", at.File)
		if at.Line > 0 {
			property("line", strconv.Itoa(at.Line))
		}
		if at.Column > 0 {
			property("col", strconv.Itoa(at.Column))
		}
		if at.EndColumn > 0 {
			property("endColumn", strconv.Itoa(at.EndColumn))
		}
	}
	property("title", title)
	fmt.Fprintf(b, "::%s %s::%s\n", level, strings.Join(properties, ","), escapeMessage.Replace(message))
}

// standardInput is the name that manifests gives to what has none.
const standardInput = "standard input"

// inRepository is the place in a file that a repository may have: where Helm's output
// was piped in, the template, of which the lines are not known; nil for what else was
// piped in.
func (s *Source) inRepository() *Source {
	switch {
	case s == nil || s.File != standardInput:
		return s
	case s.Template != "":
		return &Source{File: s.Template}
	}
	return nil
}
