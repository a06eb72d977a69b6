// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Try a policy file: validate it, or explain what it makes of a request",
	}
	cmd.AddCommand(policyValidateCommand(), policyExplainCommand())
	return cmd
}

func policyValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Say what is wrong with a policy file",
		Long: `Read a policy file as "routegate serve --policy" would, and print nothing if it is
valid. Otherwise name the line and the field of everything that is wrong, and what is
accepted.

The exit code is 0 for a valid file, 1 for one that is not, and 2 for one that cannot
be read.`,
		Example: "  routegate policy validate policy.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := parsePolicyFile(args[0])
			return err
		},
	}
}

// explainOptions are the flags of policy explain.
type explainOptions struct {
	policyFile string
	subject    policy.Subject
	output     string
	check      string
}

func policyExplainCommand() *cobra.Command {
	o := &explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Print the mode of every check for a request, and what set it",
		Long: `Print the mode that every check has for an Ingress of that namespace and class,
written by that user, and what set it: the preset, the modes of the file, a label of
the namespace or a rule. No cluster is asked: say with --namespace-labels which labels
the namespace has, and with --labels which the Ingress has.

The mode in the third column holds where the settings of the controller are known: by
--controller-deployment of "routegate serve", or controllers.settings of the file.

The exit code is 1 where the policy file is not valid, and 2 where it cannot be read.`,
		Example: `  routegate policy explain --policy policy.yaml -n shop --class nginx --user mia
  routegate policy explain --policy policy.yaml -n shop --namespace-labels routegate.dev/enforce=strict
  routegate policy explain --policy policy.yaml -n shop --check port-missing -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.OutOrStdout())
		},
	}
	o.addFlags(cmd.Flags())
	_ = cmd.MarkFlagFilename("policy", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("check", completeCheck)
	return cmd
}

func (o *explainOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.policyFile, "policy", "", "policy file; the preset standard without it")
	f.StringVarP(&o.subject.Namespace, "namespace", "n", "default", "namespace of the Ingress")
	f.StringToStringVar(&o.subject.NamespaceLabels, "namespace-labels", nil, "labels of the namespace, as key=value")
	f.StringVar(&o.subject.Class, "class", "", "name of the IngressClass; an Ingress without a class when empty")
	f.StringVar(&o.subject.User, "user", "", "user who writes the Ingress, such as system:serviceaccount:NAMESPACE:NAME")
	f.StringSliceVar(&o.subject.Groups, "groups", nil, "groups that the user is in")
	f.StringToStringVar(&o.subject.Labels, "labels", nil, "labels of the Ingress, as key=value")
	f.StringVar(&o.check, "check", "", "name of the one check to print")
	f.StringVarP(&o.output, "output", "o", "table", "output format: table or json")
}

// explanation is what holds for a request, as JSON has it.
type explanation struct {
	OnUndecided policy.OnUndecided `json:"onUndecided"`
	GracePeriod string             `json:"gracePeriod"`
	Ratchet     bool               `json:"ratchet"`
	DryRun      checks.Mode        `json:"dryRun"`
	Disclosure  policy.Disclosure  `json:"disclosure"`
	MaxFindings int                `json:"maxFindings"`
	// Labels are what is to be said of labels that do not count, or not as they are.
	Labels []string         `json:"labels,omitempty"`
	Checks []explainedCheck `json:"checks"`
}

// explainedCheck is a check with its mode and what set it.
type explainedCheck struct {
	Check string      `json:"check"`
	Mode  checks.Mode `json:"mode"`
	SetBy string      `json:"setBy"`
	// Confirmed is the mode where the settings of the controller are known, if it is
	// another.
	Confirmed checks.Mode `json:"confirmed,omitempty"`
}

func (o *explainOptions) run(out io.Writer) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("--output %q: must be table or json", o.output)
	}
	list := checks.All()
	if o.check != "" {
		if _, err := checks.Find(o.check); err != nil {
			return fmt.Errorf("--check: %w", err)
		}
	}
	file, err := parsePolicyFile(o.policyFile)
	if err != nil {
		return err
	}
	rules, err := file.Compile(list)
	if err != nil {
		return err
	}
	p := rules.For(o.subject)
	e := explanation{
		OnUndecided: p.OnUndecided, GracePeriod: p.GracePeriod.String(), Ratchet: !p.NoRatchet, DryRun: checks.Warn,
		Disclosure: p.Discloses(), MaxFindings: p.Shown(),
		Labels: append(rules.LabelFaults(o.subject.NamespaceLabels), rules.LabelLimits(o.subject.NamespaceLabels)...),
	}
	if p.StrictDryRun {
		e.DryRun = checks.Deny
	}
	for i := range list {
		if c := &list[i]; o.check == "" || c.Name == o.check {
			line := explainedCheck{Check: c.Name, Mode: p.Mode(c, false), SetBy: p.SetBy(c.Name, false)}
			if confirmed := p.Mode(c, true); confirmed != line.Mode {
				line.Confirmed = confirmed
			}
			e.Checks = append(e.Checks, line)
		}
	}
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(e)
	}
	return e.write(out)
}

func (e explanation) write(out io.Writer) error {
	for _, text := range e.Labels {
		_, _ = fmt.Fprintln(out, text)
	}
	ratchet := "what was wrong before only warns"
	if !e.Ratchet {
		ratchet = "what was wrong before denies too"
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "onUndecided\t%s\nratchet\t%s\ndryRun\t%s\ngracePeriod\t%s\ndisclosure\t%s\nmaxFindings\t%d\n",
		e.OnUndecided, ratchet, e.DryRun, e.GracePeriod, e.Disclosure, e.MaxFindings)
	if err := table.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	_, _ = fmt.Fprintln(table, strings.Join([]string{"CHECK", "MODE", "IF SETTINGS ARE KNOWN", "SET BY"}, "\t"))
	for _, c := range e.Checks {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Check, c.Mode, cmp.Or(c.Confirmed, c.Mode), c.SetBy)
	}
	return table.Flush()
}
