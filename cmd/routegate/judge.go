// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

// errFindings ends a command that found what it is to fail for, which it has shown.
var errFindings = errors.New("findings")

// failOnNone is the value of --fail-on under which findings never fail.
const failOnNone = "none"

// judgeOptions are the flags of the commands that judge Ingresses.
type judgeOptions struct {
	checks     []string
	preset     string
	policyFile string
	failOn     string
	output     string

	flags *pflag.FlagSet
}

func (o *judgeOptions) addFlags(cmd *cobra.Command) {
	o.flags = cmd.Flags()
	f := o.flags
	f.StringSliceVar(&o.checks, "check", nil, "names of the only checks whose findings are wanted")
	f.StringVar(&o.preset, "preset", string(policy.Standard), "modes of the checks: observe, standard or strict")
	f.StringVar(&o.policyFile, "policy", "", `policy file, as of "routegate serve"; the preset alone without it`)
	f.StringVar(&o.failOn, "fail-on", string(checks.Deny), "fail for findings of this mode or a graver one: deny, warn or none")
	f.StringVarP(&o.output, "output", "o", report.Table, "format: "+strings.Join(report.FindingFormats(), ", "))
	completeWith(cmd, "preset", string(policy.Observe), string(policy.Standard), string(policy.Strict))
	completeWith(cmd, "fail-on", string(checks.Deny), string(checks.Warn), failOnNone)
	completeWith(cmd, "output", report.FindingFormats()...)
	_ = cmd.RegisterFlagCompletionFunc("check", completeCheck)
	_ = cmd.MarkFlagFilename("policy", "yaml", "yml")
}

// validate reports the first flag with a value that is not accepted.
func (o *judgeOptions) validate() error {
	switch {
	case !slices.Contains(report.FindingFormats(), o.output):
		return fmt.Errorf("--output %q: must be one of %s", o.output, strings.Join(report.FindingFormats(), ", "))
	case !slices.Contains([]string{string(checks.Deny), string(checks.Warn), failOnNone}, o.failOn):
		return fmt.Errorf("--fail-on %q: must be one of deny, warn, none", o.failOn)
	}
	for _, name := range o.checks {
		if _, err := checks.Find(name); err != nil {
			return fmt.Errorf(`--check: %w ("routegate explain" lists all checks)`, err)
		}
	}
	if err := (policy.Policy{Preset: policy.Preset(o.preset), OnUndecided: policy.Allow}).Validate(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// judging returns how to judge, and has the source take what the policy file says about
// the controllers.
func (o *judgeOptions) judging(source *sourceOptions) (*judging, error) {
	file, err := o.file(source)
	if err != nil {
		return nil, err
	}
	source.inPolicy = file.Controllers
	if file.Controllers.IngressNginx != nil {
		source.nginxControllers = file.Controllers.IngressNginx
	}
	file = over(policy.File{Terms: policy.Terms{Preset: policy.Preset(o.preset)}}, file)
	// Who runs the command sees names of other namespaces by rights of their own.
	file.Disclosure = policy.DiscloseAlways
	for i := range file.Rules {
		file.Rules[i].Disclosure = ""
	}
	rules, err := file.Compile(checks.All())
	if err != nil {
		return nil, err
	}
	return &judging{rules: rules, only: o.checks, failOn: o.failOn, origin: func(*networkingv1.Ingress) *manifests.Origin { return nil }}, nil
}

// file reads the policy file, which no flag may contradict.
func (o *judgeOptions) file(source *sourceOptions) (policy.File, error) {
	if o.policyFile == "" {
		return policy.File{}, nil
	}
	text, err := os.ReadFile(o.policyFile)
	if err != nil {
		return policy.File{}, fmt.Errorf("--policy: %w", err)
	}
	file, err := policy.Parse(filepath.Clean(o.policyFile), text, checks.All())
	if err != nil {
		return policy.File{}, fmt.Errorf("--policy: %w", err)
	}
	errs := contradictions(o.flags, o.policyFile, []flagAndField{
		{"preset", "preset", string(file.Preset), o.preset},
		{"ingress-nginx-controllers", "controllers.ingressNginx", strings.Join(file.Controllers.IngressNginx, ","), strings.Join(source.nginxControllers, ",")},
	})
	if source.settingsFile != "" && file.Controllers.Settings != nil {
		errs = append(errs, fmt.Errorf("--controller-settings contradicts controllers.settings of %s: leave one out", o.policyFile))
	}
	return file, errors.Join(errs...)
}

// say writes what there is to say beside the findings.
func (o *judgeOptions) say(stderr io.Writer, notes []string, by *judging, findings *report.Findings) {
	for _, note := range slices.Concat(notes, by.notes, findings.Notes()) {
		_, _ = fmt.Fprintln(stderr, note)
	}
	for _, p := range findings.Problems {
		_, _ = fmt.Fprintln(stderr, "Not judged:", p.Message)
	}
}

// show writes the findings, and returns the error that the command ends with.
func (o *judgeOptions) show(stdout io.Writer, findings *report.Findings) error {
	if err := findings.Write(stdout, o.output, versionText(), printers.AllowsColorOutput(stdout)); err != nil {
		return err
	}
	if err := readInFull(findings); err != nil {
		return err
	}
	if findings.Summary.Failing > 0 {
		return errFindings
	}
	return nil
}

func readInFull(findings *report.Findings) error {
	if len(findings.Problems) > 0 {
		return errors.New("not all could be read")
	}
	return nil
}

// judging is how Ingresses are judged. It is for one cluster.
type judging struct {
	rules *policy.Rules
	// only names the checks whose findings are wanted; all are where it is empty.
	only   []string
	failOn string
	// known are the fingerprints of a baseline.
	known map[string]bool
	// offline is true where an object may exist though it is not there.
	offline bool
	// origin says where an Ingress stands, nil for those of a cluster.
	origin func(*networkingv1.Ingress) *manifests.Origin

	// notes are what annotations and labels say that does not count.
	notes []string
	// looked are the namespaces whose labels were looked at.
	looked map[string]bool
}

// judge judges the Ingresses of the cluster.
func (j *judging) judge(ctx context.Context, static *cluster.Static, ingresses []*networkingv1.Ingress, progress *progress) *report.Findings {
	findings := &report.Findings{Ingresses: []report.Judged{}}
	progress.begin("judging Ingresses", len(ingresses))
	for _, ing := range ingresses {
		if err := ctx.Err(); err != nil {
			findings.Problems = append(findings.Problems, report.Problem{Message: fmt.Sprintf("the command was stopped: %v", err)})
			break
		}
		findings.Add(j.one(ing, static.Around(routing.ReferencesOf(ing))), func(fingerprint string) bool { return j.known[fingerprint] })
		progress.step()
	}
	return findings
}

func (j *judging) one(ing *networkingv1.Ingress, snap *routing.Snapshot) report.Judged {
	origin := j.origin(ing)
	var labels map[string]string
	if ns, _ := snap.Namespace(ing.Namespace); ns != nil {
		labels = ns.Labels
	}
	verdict, _ := j.rules.Judge(ing, snap, labels)
	ignore := j.note(ing, snap, labels, origin)

	judged := report.Judged{Namespace: ing.Namespace, Name: ing.Name, Source: sourceOf(origin, nil), Findings: []report.Finding{}, Hosts: routing.ReferencesOf(ing).Hosts}
	add := func(f checks.Finding, mode checks.Mode, because string) {
		if len(j.only) > 0 && !slices.Contains(j.only, f.Check) {
			return
		}
		found := report.NewFinding(f, mode, ing.Namespace, ing.Name)
		found.Because = because
		found.Fails = mode == checks.Deny && j.failOn != failOnNone || mode == checks.Warn && j.failOn == string(checks.Warn)
		if origin != nil {
			found.Source = sourceOf(origin, f.Field)
		}
		if j.offline {
			found.Hint = hintOf(f, snap)
		}
		judged.Findings = append(judged.Findings, found)
	}
	for _, f := range verdict.Denied {
		add(f, checks.Deny, "")
	}
	for _, w := range verdict.Warned {
		add(w.Finding, checks.Warn, w.Because)
	}
	for _, f := range verdict.Audited {
		add(f, report.Audit, "")
	}
	for _, f := range verdict.Ignored {
		add(f, report.Ignored, "ignored: "+ignore.Reason)
	}
	for _, f := range verdict.Undecided {
		add(f, report.Undecided, "")
	}
	return judged
}

// note says what does not count in the annotation of the Ingress and the labels of its
// namespace, and returns what does in the former.
func (j *judging) note(ing *networkingv1.Ingress, snap *routing.Snapshot, labels map[string]string, origin *manifests.Origin) policy.Ignore {
	ignore, faults := j.rules.Ignore(ing.Annotations, snap.Now)
	for _, fault := range faults {
		at := ""
		if origin != nil {
			at = sourceOf(origin, field.NewPath("metadata", "annotations").Key(policy.IgnoreAnnotation)).String() + ": "
		}
		j.notes = append(j.notes, fmt.Sprintf("%sIngress %s: %s", at, checks.Quote(ing.Namespace+"/"+ing.Name), fault))
	}
	if !j.looked[ing.Namespace] {
		if j.looked == nil {
			j.looked = map[string]bool{}
		}
		j.looked[ing.Namespace] = true
		for _, fault := range slices.Concat(j.rules.LabelFaults(labels), j.rules.LabelLimits(labels)) {
			j.notes = append(j.notes, fmt.Sprintf("Namespace %s: %s", checks.Quote(ing.Namespace), fault))
		}
	}
	return ignore
}

// sourceOf is the place of a field, that of the object for nil.
func sourceOf(origin *manifests.Origin, path *field.Path) *report.Source {
	if origin == nil {
		return nil
	}
	at := origin.Position(path)
	return &report.Source{
		File: origin.File, Document: origin.Document, Template: origin.Template,
		Line: at.Line, Column: at.Column, EndColumn: at.EndColumn,
	}
}
