// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// The formats that every report can be written in.
const (
	JSON = "json"
	YAML = "yaml"
)

// Write writes a report as JSON or YAML.
func Write(w io.Writer, format string, report any) error {
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	switch format {
	case JSON:
		data = append(data, '\n')
	case YAML:
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
	default:
		return fmt.Errorf("format %q: must be json or yaml", format)
	}
	_, err = w.Write(data)
	return err
}

// The escape sequences of a terminal.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// tree writes lines of a tree, coloured or not.
type tree struct {
	w      io.Writer
	colour bool
	err    error
}

func (t *tree) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *tree) paint(colour, text string) string {
	if !t.colour {
		return text
	}
	return colour + text + reset
}

// WriteTree writes a Trace for people, in colours where they can be shown.
func (t *Trace) WriteTree(w io.Writer, colour bool) error {
	out := &tree{w: w, colour: colour}
	out.line("%s", out.paint(bold, printable(t.Method+" "+t.URL)))
	for i, step := range t.Steps {
		last := i == len(t.Steps)-1
		text := printable(step.Text)
		if last {
			text = out.paint(t.colourOfStatus(), t.answer(step))
		}
		out.row(last, step.What, text)
	}
	if len(t.Steps) == 0 {
		out.row(true, "answer", out.paint(t.colourOfStatus(), strconv.Itoa(t.Status)))
	}
	note := func(colour, label, text string) {
		out.line("%s", out.paint(colour, label+": ")+printable(text))
	}
	if t.Undecided != "" {
		note(yellow, "not certain", t.Undecided)
	}
	for _, hint := range t.Hints {
		note(yellow, "hint", hint)
	}
	if len(t.Frozen) > 0 {
		label := "frozen"
		if !t.frozen {
			label = "perhaps frozen"
		}
		note(red, label, frozenText(t.Frozen, t.frozen))
	}
	for _, u := range t.Unserved {
		note(yellow, "not served", fmt.Sprintf("Ingress %s %s", u.Ingress, u.Reason))
	}
	if t.Against != nil {
		t.Against.write(out)
	}
	return out.err
}

// row writes one step.
func (t *tree) row(last bool, what, text string) {
	branch := "├"
	if last {
		branch = "└"
	}
	t.line("%s %s %s", t.paint(dim, branch), t.paint(dim, fmt.Sprintf("%-12s", printable(what))), text)
}

// answer is the last step with the status before it.
func (t *Trace) answer(step Step) string {
	text := printable(step.Text)
	if t.Status == 0 {
		return text
	}
	status := strconv.Itoa(t.Status)
	switch {
	case t.Location != "":
		return status + " to " + printable(t.Location)
	case text == "" || text == status:
		return status
	case len(t.Backends) > 0:
		return status + ", or " + text
	}
	return status + ": " + text
}

func (t *Trace) colourOfStatus() string {
	switch {
	case t.Undecided != "" || t.frozen:
		return yellow
	case 200 <= t.Status && t.Status < 400:
		return green
	}
	return red
}

// Printable escapes what a terminal would not show, or would obey, as reports do.
func Printable(text string) string { return printable(text) }

// printable escapes what a terminal would not show, or would obey.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		text = text[size:]
	}
	return b.String()
}
