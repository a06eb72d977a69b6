// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

type liveAuditOptions struct {
	source *sourceOptions
	judge  judgeOptions

	all bool
}

func auditCommand(source *sourceOptions) *cobra.Command {
	o := &liveAuditOptions{source: source}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Judge the Ingresses that are in a cluster",
		Long: `Judge the Ingresses of the cluster of the kubeconfig file, or of what "routegate
snapshot" saved of one, by the same checks as the webhook. The modes are those that the
findings would have if each Ingress were created now: of --preset, or of the policy file
of --policy with the labels of the namespaces. Nothing is changed.

Your own rights are used. What you may not list in the whole cluster is listed in each
namespace with --all-namespaces, and in the current one otherwise. What cannot be read
is said, and what depends on it has no verdict.

Exit codes:
  0  there is no finding at or above --fail-on
  1  there is one
  2  no Ingresses could be read, or the command was not understood`,
		Example: `  # The current namespace
  routegate audit

  # The whole cluster, by the policy that is to be in force
  routegate audit -A --policy policy.yaml

  # The Ingresses of one class, for programs
  routegate audit -A --class nginx --fail-on none -o json

  # For people who read it in a browser
  routegate audit -A -o html > audit.html

  # Elsewhere, and later
  routegate snapshot > cluster.json
  routegate audit --snapshot cluster.json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	source.addClusterFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&source.class, "class", "", "judge the Ingresses of this IngressClass, or value of its spec.controller, only")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "judge the Ingresses of all namespaces; those of a snapshot are judged in full without it")
	_ = cmd.RegisterFlagCompletionFunc("class", cobra.NoFileCompletions)
	o.judge.addFlags(cmd)
	return cmd
}

func (o *liveAuditOptions) run(cmd *cobra.Command) error {
	if o.all && *o.source.config.Namespace != "" {
		return errors.New("--all-namespaces and --namespace exclude each other")
	}
	if err := o.judge.validate(); err != nil {
		return err
	}
	by, err := o.judge.judging(o.source)
	if err != nil {
		return err
	}
	progress := newProgress(cmd.ErrOrStderr())
	progress.begin("reading the cluster", -1)
	o.source.each, o.source.inPart, o.source.progress = o.all, true, progress.step
	w, err := o.source.read(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
	progress.done()
	if err != nil {
		return err
	}
	ingresses, err := o.wanted(w)
	if err != nil {
		return err
	}
	findings := by.judge(cmd.Context(), w.static, ingresses, progress)
	progress.done()
	notes := unreadNotes(w, ingresses)
	if o.judge.output == report.HTML {
		about := o.about(cmd.Context(), w, &notes)
		findings.Page = o.judge.page("Routegate audit", about, w.static, ingresses, slices.Concat(w.said, notes, by.notes))
	}
	o.judge.say(cmd.ErrOrStderr(), notes, by, findings)
	return o.judge.show(cmd.OutOrStdout(), findings)
}

// about says for the html format what was judged.
func (o *liveAuditOptions) about(ctx context.Context, w *world, notes *[]string) []report.Fact {
	namespace := o.namespace(w)
	if namespace == "" {
		namespace = "all"
	}
	about := []report.Fact{{Name: "Cluster", Value: o.source.clusterText(ctx, w, notes)}, {Name: "Namespace", Value: namespace}}
	if o.source.class != "" {
		about = append(about, report.Fact{Name: "Class", Value: o.source.class})
	}
	return about
}

// namespace is the one whose Ingresses are judged, empty for all.
func (o *liveAuditOptions) namespace(w *world) string {
	if o.all || w.manifests && !w.given {
		return ""
	}
	return w.namespace
}

// wanted are the Ingresses to judge, sorted by namespace and name.
func (o *liveAuditOptions) wanted(w *world) ([]*networkingv1.Ingress, error) {
	if _, known := w.snap.Classes[o.source.class]; !known {
		if _, err := o.source.chosen(w); err != nil {
			return nil, err
		}
	}
	namespace := o.namespace(w)
	ingresses := slices.DeleteFunc(slices.Clone(w.ingresses), func(ing *networkingv1.Ingress) bool {
		class := w.snap.ClassOf(ing)
		return namespace != "" && ing.Namespace != namespace ||
			o.source.class != "" && class.Name != o.source.class && class.SpecController != o.source.class
	})
	slices.SortFunc(ingresses, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return ingresses, nil
}

// unreadNotes say what was not read of that by which the Ingresses are judged.
func unreadNotes(w *world, ingresses []*networkingv1.Ingress) []string {
	var notes []string
	for _, unread := range w.static.Unread() {
		effect := ""
		switch unread.Kind {
		case routing.Namespaces:
			notes = append(notes, fmt.Sprintf("Namespaces were not read (%s): their labels and their age do not count", unread.Reason))
			continue
		case routing.Services:
			effect = "backends are not judged there"
		case routing.EndpointSlices:
			effect = "endpoints are not judged there"
		case routing.Secrets:
			effect = "TLS checks are skipped there"
		default:
			notes = append(notes, unreadText(unread))
			continue
		}
		if n := len(unreadIn(w.snap, unread, ingresses)); n == 1 {
			notes = append(notes, fmt.Sprintf("%ss are not readable in 1 namespace (%s): %s", unread.Kind, unread.Reason, effect))
		} else if n > 1 {
			notes = append(notes, fmt.Sprintf("%ss are not readable in %d namespaces (%s): %s", unread.Kind, n, unread.Reason, effect))
		}
	}
	return notes
}

// unreadIn are the namespaces of those Ingresses that need the kind, where it was not
// read.
func unreadIn(snap *routing.Snapshot, unread cluster.Unread, ingresses []*networkingv1.Ingress) map[string]bool {
	in := map[string]bool{}
	for _, ing := range ingresses {
		needs := unread.Kind != routing.Secrets || len(routing.ReferencesOf(ing).Secrets) > 0
		if needs && !snap.CoverageOf(routing.Ref{Kind: unread.Kind, Namespace: ing.Namespace}).Read {
			in[ing.Namespace] = true
		}
	}
	return in
}
