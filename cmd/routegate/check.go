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

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

type checkOptions struct {
	source *sourceOptions
	judge  judgeOptions

	live          bool
	assume        []string
	baseline      string
	writeBaseline bool
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

The modes are those of --preset, or of the policy file of --policy with the labels of
the Namespaces. What the annotation routegate.dev/ignore of an Ingress names is counted,
and never fails.

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
	f.StringVar(&o.baseline, "baseline", "", "file with findings that are accepted for now")
	f.BoolVar(&o.writeBaseline, "write-baseline", false, "accept all findings: write them into the file of --baseline")
	o.judge.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("assume-existing", cobra.NoFileCompletions)
	_ = cmd.MarkFlagFilename("baseline", "json")
	return cmd
}

// validate reports the first flag with a value that is not accepted.
func (o *checkOptions) validate() error {
	switch {
	case len(*o.source.files.Filenames) == 0 && *o.source.files.Kustomize == "":
		return errors.New(`nothing to judge: name manifests with --filename or --kustomize ("-f -" for standard input)`)
	case o.live && o.source.snapshot != "":
		return errors.New("--cluster and --snapshot exclude each other")
	case o.writeBaseline && o.baseline == "":
		return errors.New("--write-baseline needs --baseline, the file to write")
	}
	return o.judge.validate()
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
	by, err := o.judge.judging(o.source)
	if err != nil {
		return err
	}
	assumed, err := parseAssumptions(o.assume)
	if err != nil {
		return err
	}
	if by.known, err = o.known(); err != nil {
		return err
	}
	by.offline = !o.live && o.source.snapshot == ""
	progress := newProgress(cmd.ErrOrStderr())
	in, err := o.load(cmd, assumed, progress)
	if err != nil {
		progress.done()
		return err
	}
	by.origin = in.manifests.Origin
	findings := by.judge(cmd.Context(), in.static, in.ingresses, progress)
	progress.done()
	findings.Problems = append(in.problems(), findings.Problems...)
	if o.judge.output == report.HTML {
		about := o.about(cmd.Context(), in)
		findings.Page = o.judge.page("Routegate check", about, in.static, in.ingresses, slices.Concat(in.notes, by.notes))
	}
	o.judge.say(cmd.ErrOrStderr(), in.notes, by, findings)
	if o.writeBaseline {
		if err := writeBaseline(o.baseline, findings); err != nil {
			return err
		}
		return readInFull(findings)
	}
	return o.judge.show(cmd.OutOrStdout(), findings)
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

// about says for the html format what was judged.
func (o *checkOptions) about(ctx context.Context, in *checked) []report.Fact {
	given := slices.Clone(*o.source.files.Filenames)
	if kustomize := *o.source.files.Kustomize; kustomize != "" {
		given = append(given, kustomize)
	}
	about := []report.Fact{{Name: "Manifests", Value: strings.Join(given, ", ")}}
	if o.live || o.source.snapshot != "" {
		about = append(about, report.Fact{Name: "Applied to", Value: o.source.clusterText(ctx, in.world, &in.notes)})
	}
	return about
}

// checked is what a check is made of.
type checked struct {
	world     *world
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
	given, err := o.source.readSettings()
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
	in := &checked{world: w, static: static, manifests: m, notes: m.Notes}
	offline := !o.live && o.source.snapshot == ""
	if offline {
		static.Known, static.Unknown = settings.Read(workloads, m.Parts)
	}
	o.source.configure(static, given)
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
	for _, secret := range m.Expected {
		assumed = append(assumed, assumption{kind: routing.Secrets, namespace: secret.Namespace, name: secret.Name})
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

// problems are what of the manifests could not be read.
func (in *checked) problems() []report.Problem {
	var problems []report.Problem
	for _, p := range in.manifests.Problems {
		message := p.Error()
		if p.Line > 0 {
			message = fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err)
		}
		problems = append(problems, report.Problem{File: p.File, Line: p.Line, Message: message})
	}
	return problems
}
