// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/routegate/routegate/checks"
)

// writeTable writes the findings for people, Ingress by Ingress. Those that neither deny
// nor warn are counted only; Notes says why there is no verdict.
func (r *Findings) writeTable(w io.Writer, colour bool) error {
	out := &tree{w: w, colour: colour}
	for _, j := range r.Ingresses {
		first := true
		for i := range j.Findings {
			f := &j.Findings[i]
			if !f.counts() {
				continue
			}
			if first {
				first = false
				out.line("%s%s", out.paint(bold, printable(j.Namespace+"/"+j.Name)), out.paint(dim, printable(from(j.Source))))
			}
			out.line("  %s %s", out.paint(colourOf(f.Mode), fmt.Sprintf("%-4s", f.Mode)), printable(f.text()))
			if f.Source != nil && f.Source.Line > 0 {
				out.line("       %s", out.paint(dim, printable("at "+f.Source.String())))
			}
			if f.Hint != "" {
				out.line("       %s", out.paint(dim, "hint: "+printable(f.Hint)))
			}
		}
		if !first {
			out.line("")
		}
	}
	out.line("%s", r.Summary.String())
	return out.err
}

// text is the message with why it does not deny.
func (f *Finding) text() string {
	if f.Because == "" {
		return f.Message
	}
	return fmt.Sprintf("%s [%s]", f.Message, f.Because)
}

func from(s *Source) string {
	switch {
	case s == nil:
		return ""
	case s.Template != "":
		return fmt.Sprintf(" (%s, from %s)", s.File, s.Template)
	}
	return fmt.Sprintf(" (%s)", s.File)
}

func colourOf(mode checks.Mode) string {
	if mode == checks.Deny {
		return red
	}
	return yellow
}

// String says the counts in words.
func (s Summary) String() string {
	if s.Ingresses == 0 {
		return "There is no Ingress to judge"
	}
	texts := []string{
		countOf(s.Ingresses, "Ingress", "Ingresses") + " judged",
		fmt.Sprintf("%d would be denied", s.Deny),
		countOf(s.Warn, "warning", "warnings"),
	}
	if s.Audit > 0 {
		texts = append(texts, fmt.Sprintf("%d only recorded", s.Audit))
	}
	if s.Ignored > 0 {
		texts = append(texts, fmt.Sprintf("%d ignored", s.Ignored))
	}
	if s.Known > 0 {
		texts = append(texts, fmt.Sprintf("%d in the baseline", s.Known))
	}
	if s.Undecided > 0 {
		texts = append(texts, fmt.Sprintf("%d without a verdict", s.Undecided))
	}
	return strings.Join(texts, ", ")
}

// writeWide writes one line for each finding.
func (r *Findings) writeWide(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "MODE\tINGRESS\tCHECK\tPLACE\tFIELD\tFACT\tACCEPTED\tOUTCOME")
	for _, j := range r.Ingresses {
		for i := range j.Findings {
			f := &j.Findings[i]
			at := ""
			if f.Source != nil {
				at = f.Source.String()
			}
			row := []string{string(f.Mode), j.Namespace + "/" + j.Name, f.Check, at, f.Field, f.Fact, f.Accepted, f.Outcome}
			for i := range row {
				if row[i] = printable(row[i]); row[i] == "" {
					row[i] = "-"
				}
			}
			_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
		}
	}
	return table.Flush()
}
