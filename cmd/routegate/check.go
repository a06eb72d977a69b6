// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// errFindings ends a command that found what it is to fail for, which it has shown.
var errFindings = errors.New("findings")

// failOnNone is the value of --fail-on under which findings never fail.
const failOnNone = "none"

type checkOptions struct {
	source *sourceOptions

	live          bool
	assume        []string
	checks        []string
	preset        string
	failOn        string
	baseline      string
	writeBaseline bool
	output        string
}

func checkCommand(source *sourceOptions) *cobra.Command {
	o := &checkOptions{source: source}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Judge the Ingresses of manifests, before a cluster sees them",
		Long: `Judge the Ingresses of manifests by the same checks as the webhook, and say where
in which file each fault stands.

The manifests are the cluster: an IngressClass, Service, Secret or ConfigMap that
they do not hold does not exist. What is known to exist elsewhere is named with
--assume-existing, as ingressclass/NAME, or as service/NAMESPACE/NAME,
secret/NAMESPACE/NAME or configmap/NAMESPACE/NAME; "*" stands for any text but a
slash. Of such an object nothing more is judged; such a class is taken to be one of
ingress-nginx. EndpointSlices are judged only where the manifests hold some.

With --snapshot or --cluster, the manifests are judged as they would be once applied
to what "routegate snapshot" saved, or to the cluster of the kubeconfig file. Only
Ingresses of the manifests are judged; a new Service is not asked for endpoints.

Of what cannot be read the place and the reason are shown, and the rest is judged.

Exit codes:
  0  there is no finding at or above --fail-on
  1  there is one
  2  something could not be read, or the command was not understood`,
		Example: `  # All manifests of a folder, where the class is not among them
  routegate check -R -f deploy/ --assume-existing ingressclass/nginx

  # What Helm or Kustomize makes
  helm template shop ./chart | routegate check -f - --assume-existing ingressclass/nginx
  routegate check -k overlays/prod --assume-existing 'secret/*/*-tls'

  # As it would be after kubectl apply
  routegate check -f deploy/ --cluster

  # For GitHub's code scanning
  routegate check -R -f deploy/ -o sarif > routegate.sarif`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	// --cluster says here that there is one; which it is, --context says.
	source.config.ClusterName = nil
	source.addSourceFlags(cmd)
	f := cmd.Flags()
	f.Lookup("filename").Usage = `files, directories or URLs with manifests, "-" for standard input`
	f.Lookup("kustomize").Usage = "directory of a kustomization"
	f.BoolVar(&o.live, "cluster", false, "judge the manifests as if they were applied to the cluster of the kubeconfig file")
	f.Lookup("snapshot").Usage = `file that "routegate snapshot" wrote, to judge the manifests as if they were applied to that cluster`
	f.StringSliceVar(&o.assume, "assume-existing", nil, "objects that exist though the manifests do not hold them, as kind/namespace/name or ingressclass/name")
	f.StringSliceVar(&o.checks, "check", nil, "names of the only checks to make")
	f.StringVar(&o.preset, "preset", string(policy.Standard), "modes of the checks: observe, standard or strict")
	f.StringVar(&o.failOn, "fail-on", string(checks.Deny), "fail for findings of this mode or a graver one: deny, warn or none")
	f.StringVar(&o.baseline, "baseline", "", "file with findings that are accepted for now")
	f.BoolVar(&o.writeBaseline, "write-baseline", false, "accept all findings: write them into the file of --baseline")
	f.StringVarP(&o.output, "output", "o", report.Table, "format: "+strings.Join(report.FindingFormats(), ", "))
	completeWith(cmd, "preset", string(policy.Observe), string(policy.Standard), string(policy.Strict))
	completeWith(cmd, "fail-on", string(checks.Deny), string(checks.Warn), failOnNone)
	completeWith(cmd, "output", report.FindingFormats()...)
	_ = cmd.RegisterFlagCompletionFunc("check", completeCheck)
	_ = cmd.RegisterFlagCompletionFunc("assume-existing", cobra.NoFileCompletions)
	_ = cmd.MarkFlagFilename("baseline", "json")
	return cmd
}

// validate reports the first flag with a value that is not accepted.
func (o *checkOptions) validate() error {
	switch {
	case len(*o.source.files.Filenames) == 0 && *o.source.files.Kustomize == "":
		return errors.New(`nothing to judge: name manifests with --filename or --kustomize ("-f -" for standard input)`)
	case !slices.Contains(report.FindingFormats(), o.output):
		return fmt.Errorf("--output %q: must be one of %s", o.output, strings.Join(report.FindingFormats(), ", "))
	case !slices.Contains([]string{string(checks.Deny), string(checks.Warn), failOnNone}, o.failOn):
		return fmt.Errorf("--fail-on %q: must be one of deny, warn, none", o.failOn)
	case o.live && o.source.snapshot != "":
		return errors.New("--cluster and --snapshot exclude each other")
	case o.writeBaseline && o.baseline == "":
		return errors.New("--write-baseline needs --baseline, the file to write")
	}
	return nil
}

// policy returns the modes, and the checks to make with them.
func (o *checkOptions) policy() (policy.Policy, []checks.Check, error) {
	p := policy.Policy{Preset: policy.Preset(o.preset), OnUndecided: policy.Allow}
	if err := p.Validate(); err != nil {
		return p, nil, fmt.Errorf("--%w", err)
	}
	all := checks.All()
	if len(o.checks) > 0 {
		all = all[:0]
		for _, name := range o.checks {
			check, err := checks.Find(name)
			if err != nil {
				return p, nil, fmt.Errorf(`--check: %w ("routegate explain" lists all checks)`, err)
			}
			all = append(all, check)
		}
	}
	return p, p.Enabled(all), nil
}

// known returns the fingerprints of the baseline.
func (o *checkOptions) known() (map[string]bool, error) {
	if o.baseline == "" || o.writeBaseline {
		return nil, nil
	}
	data, err := os.ReadFile(o.baseline)
	if err != nil {
		return nil, fmt.Errorf("--baseline: %w", err)
	}
	baseline, err := report.ReadBaseline(data)
	if err != nil {
		return nil, fmt.Errorf("--baseline %s: %w", o.baseline, err)
	}
	return baseline.Fingerprints(), nil
}

func (o *checkOptions) run(cmd *cobra.Command) error {
	if err := o.validate(); err != nil {
		return err
	}
	rules, enabled, err := o.policy()
	if err != nil {
		return err
	}
	assumed, err := parseAssumptions(o.assume)
	if err != nil {
		return err
	}
	known, err := o.known()
	if err != nil {
		return err
	}
	progress := newProgress(cmd.ErrOrStderr())
	in, err := o.load(cmd, assumed, progress)
	if err != nil {
		progress.done()
		return err
	}
	findings := in.judge(cmd.Context(), judging{policy: rules, checks: enabled, failOn: o.failOn, known: known, offline: !o.live && o.source.snapshot == ""}, progress)
	progress.done()
	stderr := cmd.ErrOrStderr()
	for _, note := range append(in.notes, findings.Notes()...) {
		_, _ = fmt.Fprintln(stderr, note)
	}
	for _, p := range findings.Problems {
		_, _ = fmt.Fprintln(stderr, "Not judged:", p.Message)
	}
	if o.writeBaseline {
		if err := writeBaseline(o.baseline, findings); err != nil {
			return err
		}
	} else if err := findings.Write(cmd.OutOrStdout(), o.output, versionText(), printers.AllowsColorOutput(cmd.OutOrStdout())); err != nil {
		return err
	}
	switch {
	case len(findings.Problems) > 0:
		return errors.New("not all could be read")
	case !o.writeBaseline && findings.Summary.Failing > 0:
		return errFindings
	}
	return nil
}

func writeBaseline(path string, findings *report.Findings) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--baseline: %w", err)
	}
	if err := errors.Join(report.Write(f, report.JSON, report.NewBaseline(findings)), f.Close()); err != nil {
		return fmt.Errorf("--baseline %s: %w", path, err)
	}
	return nil
}

// checked is what a check is made of.
type checked struct {
	static    *cluster.Static
	manifests *manifests.Manifests
	ingresses []*networkingv1.Ingress
	notes     []string
}

// load reads the manifests and what they are applied to.
func (o *checkOptions) load(cmd *cobra.Command, assumed []assumption, progress *progress) (*checked, error) {
	workloads, err := settings.ParseWorkloads(o.source.controllers)
	if err != nil {
		return nil, fmt.Errorf("--controller-deployment %w", err)
	}
	given, err := readSettings(o.source.settingsFile)
	if err != nil {
		return nil, err
	}
	w := &world{namespace: *o.source.config.Namespace}
	static, err := o.base(cmd.Context(), w, workloads)
	if err != nil {
		return nil, err
	}
	progress.begin("reading manifests", -1)
	m, err := manifests.Read(manifests.Options{
		FilenameOptions: o.source.files.ToOptions(), Stdin: cmd.InOrStdin(), Namespace: w.namespace, Now: static.Now,
		Workloads: workloads, Progress: progress.step,
	})
	if err != nil {
		return nil, err
	}
	in := &checked{static: static, manifests: m, notes: m.Notes}
	offline := !o.live && o.source.snapshot == ""
	if offline {
		static.Known, static.Unknown = settings.Read(workloads, m.Parts)
	}
	static.Settings.NginxControllers = o.source.nginxControllers
	static.Settings.Controllers = settings.Merge(given, static.Known)
	for _, err := range static.Unknown {
		in.notes = append(in.notes, fmt.Sprintf("The settings of a controller are not known, so its defaults are taken: %v", err))
	}
	in.leaveOutEndpoints(offline)
	for _, obj := range m.Objects {
		if ing, ok := obj.(*networkingv1.Ingress); ok {
			// Being written is what makes a controller look again.
			ing.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: static.Now}}}
		}
	}
	if in.ingresses, err = m.Apply(static); err != nil {
		return nil, err
	}
	return in, in.suppose(assumed)
}

// base is what the manifests are applied to.
func (o *checkOptions) base(ctx context.Context, w *world, workloads []settings.Workload) (*cluster.Static, error) {
	switch {
	case o.live:
		return o.source.loadLive(ctx, w, workloads)
	case o.source.snapshot != "":
		return readSnapshot(o.source.snapshot)
	}
	static := cluster.NewStatic()
	static.Now = o.source.clock()
	return static, nil
}

// judging is how Ingresses are judged.
type judging struct {
	policy policy.Policy
	checks []checks.Check
	failOn string
	known  map[string]bool
	// offline is true where an object may exist though it is not there.
	offline bool
}

// judge judges the Ingresses of the manifests.
func (in *checked) judge(ctx context.Context, by judging, progress *progress) *report.Findings {
	findings := &report.Findings{Ingresses: []report.Judged{}}
	for _, p := range in.manifests.Problems {
		message := p.Error()
		if p.Line > 0 {
			message = fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err)
		}
		findings.Problems = append(findings.Problems, report.Problem{File: p.File, Line: p.Line, Message: message})
	}
	progress.begin("judging Ingresses", len(in.ingresses))
	for _, ing := range in.ingresses {
		if err := ctx.Err(); err != nil {
			findings.Problems = append(findings.Problems, report.Problem{Message: fmt.Sprintf("the command was stopped: %v", err)})
			break
		}
		findings.Add(in.judgeOne(ing, by), func(fingerprint string) bool { return by.known[fingerprint] })
		progress.step()
	}
	return findings
}

func (in *checked) judgeOne(ing *networkingv1.Ingress, by judging) report.Judged {
	snap := in.static.Around(routing.ReferencesOf(ing))
	verdict := by.policy.Decide(policy.Request{
		Checks: by.checks, New: checks.Run(by.checks, ing, snap), Confirmed: snap.SettingsOf(ing).Confirmed, Now: snap.Now,
	})
	origin := in.manifests.Origin(ing)
	judged := report.Judged{Namespace: ing.Namespace, Name: ing.Name, Source: sourceOf(origin, nil), Findings: []report.Finding{}}
	add := func(f checks.Finding, mode checks.Mode, because string) {
		found := report.NewFinding(f, mode, ing.Namespace, ing.Name)
		found.Because = because
		found.Source = sourceOf(origin, &f)
		found.Fails = mode == checks.Deny && by.failOn != failOnNone || mode == checks.Warn && by.failOn == string(checks.Warn)
		if by.offline {
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
	for _, f := range verdict.Undecided {
		add(f, report.Undecided, "")
	}
	return judged
}

// sourceOf is the place of a finding, that of the Ingress for nil.
func sourceOf(origin *manifests.Origin, f *checks.Finding) *report.Source {
	if origin == nil {
		return nil
	}
	at := origin.Position(nil)
	if f != nil {
		at = origin.Position(f.Field)
	}
	return &report.Source{
		File: origin.File, Document: origin.Document, Template: origin.Template,
		Line: at.Line, Column: at.Column, EndColumn: at.EndColumn,
	}
}
