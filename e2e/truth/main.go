// SPDX-License-Identifier: Apache-2.0

// Command truth holds the verdicts of Routegate against what really happened.
//
// A folder of recordings holds, per scenario, Kubernetes objects in the order in
// which they were written (scenarios), what a real API server and a real
// ingress-nginx made of them (results), and what a verdict owes each scenario
// (expect.yaml). The command writes the objects one after the other into a
// cluster in memory and judges the Ingress in question twice: at every write, as
// admission does, and at the end, as an audit would. It prints a table of what
// happened, what is owed, what was said, whether that agrees, and why.
//
// It also asks the routing model for the answer to every request that was
// recorded, and prints a table of those that it did not foretell, with -requests
// of all. The model knows no time, so the command plays the controller's part of
// watching: it keeps which Ingresses were taken up and in which version, which
// certificates were loaded and which configuration was installed last. It also
// plays the machine that recorded, where it is known what answers at which
// address.
//
// It closes with two lines of counts:
//
//	requests: total=N agree=N differ=N undecided=N
//	truth: scenarios=N agree=N missed=N misnamed=N false-denials=N warned-needlessly=N order=N unbuilt=N
//
// Every scenario is in one of these states:
//
//   - agree: where a finding is owed (flag, warn), there is one at the end whose
//     check is among the causes, and where only a warning is owed, nothing was
//     denied; elsewhere (none, optional, runtime), nothing was denied.
//   - missed: a finding is owed and there is none, though a cause has a check.
//   - unbuilt: as missed, but no cause has a check yet, or unbuilt.yaml lists the
//     scenario.
//   - false-denials: there is a denial, at admission or at the end, and none is
//     owed.
//   - order: what is right depends on what comes later.
//   - skip: there is nothing to judge. The line does not show how many these are;
//     with them, the states add up to scenarios.
//
// Two counts go across the states: misnamed are the checks that found at the end
// what is not owed where something else is, warned-needlessly the scenarios with
// a warning where nothing is owed.
//
// Every request is in one of these states:
//
//   - agree: the status, the backend and what it was asked for, the target of a
//     redirect and the certificate are what the model says, as far as they were
//     recorded. Of a request that was repeated, every answer is one that the model
//     allows.
//   - differ: something is not. WHY names what.
//   - undecided: the model does not decide, or it depends on a server of which the
//     recordings do not tell. MODEL then shows the likeliest answer.
//
// The default folder is also held to unbuilt.yaml, argued.yaml and differs.yaml,
// which list its scenarios without a check, the reasons of its needless warnings,
// and the requests that differ or are undecided for a reason that is not the
// model's. Every departure from them is printed and makes the command fail with status 1. Other
// folders are only reported. Status 2 means that a folder could not be judged.
//
// The tests also write the default folder to a real kube-apiserver, with
// routegate as its webhook, and hold every row to what is said offline.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/routegate/routegate/checks"
)

// defaultDir is the folder that the lists are about, from the root of the
// repository.
const defaultDir = "e2e/testdata/truth"

var (
	//go:embed unbuilt.yaml
	unbuiltYAML []byte
	//go:embed argued.yaml
	arguedYAML []byte
	//go:embed differs.yaml
	differsYAML []byte
)

// lists say what is known to be amiss, by scenario.
type lists struct {
	// Unbuilt names the checks that are missing.
	Unbuilt map[string][]string
	// Argued gives the reason of a warning where nothing is owed.
	Argued map[string]string
	// Differs gives the reason why the model cannot say what was observed, by
	// request.
	Differs map[string]string
}

func readLists() (lists, error) {
	var l lists
	if err := utilyaml.UnmarshalStrict(unbuiltYAML, &l.Unbuilt); err != nil {
		return l, fmt.Errorf("unbuilt.yaml: %w", err)
	}
	if err := utilyaml.UnmarshalStrict(arguedYAML, &l.Argued); err != nil {
		return l, fmt.Errorf("argued.yaml: %w", err)
	}
	if err := utilyaml.UnmarshalStrict(differsYAML, &l.Differs); err != nil {
		return l, fmt.Errorf("differs.yaml: %w", err)
	}
	return l, nil
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0, 1 where the default folder is not as listed,
// 2 where there is nothing to report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("truth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", defaultDir, "the folder with scenarios, results and expect.yaml")
	allRequests := flags.Bool("requests", false, "print all requests, not only those that do not agree")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if err == nil {
			fmt.Fprintf(stderr, "truth: unexpected argument %q\n", flags.Arg(0))
		}
		return 2
	}

	e := newEngine()
	l, err := readLists()
	var rows []row
	if err == nil {
		rows, err = e.judgeFolder(ctx, *dir, l)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "truth: %s\n", strings.TrimSuffix(line, "\n"))
		}
		return 2
	}

	printTable(stdout, rows)
	printRequests(stdout, rows, *allRequests)
	status := 0
	if sameFolder(*dir, defaultDir) {
		faults := e.faults(rows, l)
		for _, name := range slices.Sorted(maps.Keys(faults)) {
			status = 1
			for _, fault := range faults[name] {
				fmt.Fprintf(stdout, "FAULT %s: %s\n", name, fault)
			}
		}
	}
	fmt.Fprintln(stdout, requestTotals(rows))
	fmt.Fprintln(stdout, totals(rows))
	return status
}

func sameFolder(a, b string) bool {
	as, aErr := os.Stat(a)
	bs, bErr := os.Stat(b)
	return aErr == nil && bErr == nil && os.SameFile(as, bs)
}

// printTable writes the rows. A cell with several entries takes several lines,
// so that the table stays narrow.
func printTable(out io.Writer, rows []row) {
	lines := [][][]string{{{"SCENARIO"}, {"REALITY"}, {"OWED"}, {"AT ADMISSION"}, {"AT THE END"}, {"RESULT"}, {"WHY"}}}
	for i := range rows {
		lines = append(lines, rows[i].cells())
	}
	printLines(out, lines)
}

// printRequests writes a table of the requests that do not agree, or of all.
func printRequests(out io.Writer, rows []row, all bool) {
	lines := [][][]string{{{"REQUEST"}, {"TO"}, {"MODEL"}, {"OBSERVED"}, {"RESULT"}, {"WHY"}}}
	for _, r := range rows {
		for i := range r.exchanges {
			if all || r.exchanges[i].state != agree {
				lines = append(lines, r.exchanges[i].cells())
			}
		}
	}
	if len(lines) > 1 {
		fmt.Fprintln(out)
		printLines(out, lines)
	}
}

// printLines aligns the columns.
func printLines(out io.Writer, lines [][][]string) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		printCells(table, cells)
	}
	table.Flush()
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

func printCells(out io.Writer, cells [][]string) {
	height := 0
	for _, cell := range cells {
		height = max(height, len(cell))
	}
	for i := range height {
		line := make([]string, len(cells))
		for j, cell := range cells {
			if i < len(cell) {
				line[j] = cell[i]
			}
		}
		fmt.Fprintln(out, strings.Join(line, "\t"))
	}
}

// cells are the entries of each column.
func (r *row) cells() [][]string {
	reality := []string{"-"}
	if r.recorded != nil {
		reality = append([]string{r.recorded.Verdict}, r.recorded.Flags...)
	}
	expected := []string{string(r.expected.Owed)}
	for i, cause := range r.expected.Causes {
		if i == 0 {
			expected[0] += " " + cause
		} else {
			expected = append(expected, strings.Repeat(" ", len(r.expected.Owed)+1)+cause)
		}
	}
	var admission []string
	for _, w := range r.writes {
		lines := []string{w.settled}
		if w.settled == "" {
			lines = w.words()
		}
		for _, line := range lines {
			if len(r.writes) > 1 {
				line = w.operation + ": " + line
			}
			admission = append(admission, line)
		}
	}
	end := []string{"no subject"}
	if r.end != nil {
		end = r.end.words()
	}
	result := []string{string(r.state)}
	if len(r.misnamed) > 0 {
		result = append(result, "misnamed")
	}
	if r.needless {
		result = append(result, "needless")
	}
	return [][]string{{r.Name}, reality, expected, admission, end, result, {short(r.why)}}
}

// words says it by the names of the checks, each once.
func (s said) words() []string {
	var words []string
	add := func(what string, findings []checks.Finding) {
		for _, f := range findings {
			if word := what + " " + f.Check; !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	add("deny", s.denied)
	add("warn", s.warned)
	add("undecided", s.undecided)
	if len(words) == 0 {
		return []string{"allow"}
	}
	return words
}

// short bounds the last column.
func short(text string) string {
	const most = 120
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
