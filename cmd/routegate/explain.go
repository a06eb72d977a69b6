// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/docs"
)

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CHECK]",
		Short: "List the checks, or explain one",
		Long: `List all checks with their modes under the preset standard. Given the name of a
check, which stands in parentheses in its messages, say what happens, how to fix
it, and show an example.`,
		Example:           "  routegate explain\n  routegate explain port-missing",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeCheck,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listChecks(cmd.OutOrStdout())
			}
			check, err := checks.Find(args[0])
			if err != nil {
				return fmt.Errorf(`%w ("routegate explain" lists all checks)`, err)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), terminal(docs.CheckPage(check.Name)))
			return err
		},
	}
}

func listChecks(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CHECK\tMODE\tWHAT IS WRONG")
	for _, check := range checks.All() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", check.Name, check.Default, check.Title)
	}
	return table.Flush()
}

// completeCheck offers the names of checks to the shell.
func completeCheck(_ *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, check := range checks.All() {
		if len(args) == 0 && strings.HasPrefix(check.Name, prefix) {
			names = append(names, cobra.CompletionWithDesc(check.Name, check.Title))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// terminalWidth is the number of columns that text is filled to.
const terminalWidth = 80

// terminal writes a page of docs/checks for reading in a terminal. It knows the
// Markdown of those pages: headings, paragraphs, lists, fenced and inline code.
// Comments and lines of links are left out.
func terminal(markdown string) string {
	var b strings.Builder
	var paragraph []string
	first, rest := "", ""
	flush := func() {
		fill(&b, paragraph, first, rest)
		paragraph, first, rest = nil, "  ", "  "
	}
	fenced := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			flush()
			fenced = !fenced
		case fenced:
			b.WriteString(strings.TrimRight("    "+line, " ") + "\n")
		case strings.HasPrefix(line, "<!--"), strings.HasPrefix(line, "["):
			flush()
		case line == "":
			flush()
			b.WriteString("\n")
		case strings.HasPrefix(line, "# "):
			paragraph, first, rest = strings.Fields(line[2:]), "", ""
		case strings.HasPrefix(line, "## "):
			paragraph, first, rest = strings.Fields(strings.ToUpper(line[3:])), "", ""
		case strings.HasPrefix(line, "- "):
			flush()
			paragraph, first, rest = strings.Fields(line[2:]), "  ", "      "
		default:
			paragraph = append(paragraph, strings.Fields(line)...)
		}
	}
	flush()
	return strings.Trim(b.String(), "\n") + "\n"
}

// fill writes the words in lines of the terminal's width, without the marks of
// inline code. The first line and the rest have an indent each.
func fill(b *strings.Builder, words []string, first, rest string) {
	line, empty := first, true
	for _, word := range words {
		word = strings.ReplaceAll(word, "`", "")
		switch {
		case empty:
			line += word
		case len([]rune(line))+1+len([]rune(word)) > terminalWidth:
			b.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	if !empty {
		b.WriteString(line + "\n")
	}
}
