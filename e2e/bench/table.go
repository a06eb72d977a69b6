// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table of ratios. A budget of 0 is none, and so is a gate. The
// gate is what the ratio must not exceed in "make test": what was reached, and room for the
// noise of a machine.
type row struct {
	what, ours, against string
	ratio, budget, gate float64
	also                string
}

// table is the table of ratios.
type table struct {
	rows []row
}

// ratio adds a comparison of two times.
func (t *table) ratio(what string, ours, against time.Duration, budget, gate float64) {
	t.rows = append(t.rows, row{
		what: what, ours: brief(ours), against: brief(against), ratio: float64(ours) / float64(against), budget: budget, gate: gate,
	})
}

// single adds a time that is compared with nothing, whose budget is in words.
func (t *table) single(what string, ours time.Duration, budget string) {
	t.rows = append(t.rows, row{what: what, ours: brief(ours), also: budget})
}

// brief rounds to three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func (t *table) print(out io.Writer, size int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "WHAT, AT %d OF EACH KIND\tROUTEGATE\tAGAINST\tRATIO\tBUDGET\n", size)
	for _, r := range t.rows {
		var ratio, budgets string
		if r.ratio != 0 {
			ratio = fmt.Sprintf("%.2f", r.ratio)
		}
		if r.budget != 0 {
			budgets = fmt.Sprintf("%.2g", r.budget)
		}
		if r.also != "" {
			budgets = strings.TrimPrefix(budgets+", "+r.also, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.what, r.ours, r.against, ratio, budgets)
	}
	return w.Flush()
}

// over returns the rows whose ratio is above their gate.
func (t *table) over() []string {
	var over []string
	for _, r := range t.rows {
		if r.gate != 0 && r.ratio > r.gate {
			over = append(over, fmt.Sprintf("%s: %.2f, at most %.2g", r.what, r.ratio, r.gate))
		}
	}
	return over
}

// markdown prints a table as docs/performance.md quotes it. The first cell of each row
// is a heading.
func markdown(out io.Writer, title string, head []string, rows [][]string) {
	fmt.Fprintf(out, "\n%s\n\n| %s |\n|%s\n", title, strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(r, " | "))
	}
}
