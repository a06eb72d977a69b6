// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// The outcomes of a poison.
const (
	frozen    = "ingress-nginx stops applying any change, for everybody"
	crashLoop = "ingress-nginx crashes again and again, for everybody"
)

// fault is a routing.Refusal in which the Ingress has a part.
type fault struct {
	routing.Refusal
	// rule and path are the Ingress's own, where the fault is about paths.
	rule, path int
	// blamed is true where the Refusal names the Ingress itself.
	blamed bool
	// others are the other Ingresses with a part in it, sorted by name.
	others []*networkingv1.Ingress
}

// faultsOf returns the refusals of that kind in which the Ingress has a part, each
// once. Refusals about a host of which not everything was looked up are left out.
func faultsOf(ing *networkingv1.Ingress, snap *routing.Snapshot, kind routing.RefusalKind) []fault {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	if !slices.ContainsFunc(table.Refusals, func(r routing.Refusal) bool { return r.Kind == kind }) {
		return nil
	}
	hosts := routing.HostsOf(ing)
	type place struct {
		*networkingv1.Ingress
		rule, path int
		annotation string
	}
	seen := map[place]bool{}
	var faults []fault
	for _, r := range table.Refusals {
		at := place{r.Ingress, r.Rule, r.Path, r.Annotation}
		if r.Kind != kind || (r.Annotation == "" && !slices.Contains(hosts, r.Host)) {
			continue
		}
		f, part := partIn(r, ing, snap, table)
		if !part || seen[at] {
			continue
		}
		seen[at] = true
		faults = append(faults, f)
	}
	return faults
}

func partIn(r routing.Refusal, ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table) (fault, bool) {
	f := fault{Refusal: r, rule: r.Rule, path: r.Path, blamed: r.Ingress == ing}
	part := f.blamed
	with := func(loc *routing.Location) {
		switch {
		case loc.Ingress == nil || loc.Path < 0:
		case loc.Ingress != ing:
			f.addOther(loc.Ingress)
		case !part:
			f.rule, f.path, part = loc.Rule, loc.Path, true
		}
	}
	if !f.blamed {
		f.addOther(r.Ingress)
	}
	if r.Other != nil {
		with(r.Other)
	}
	// The rule of the other type is what makes room for the third.
	if server := table.ServerOf(r.Host); r.Kind == routing.RefusalThirdRule && server != nil {
		for _, loc := range server.Locations {
			if loc.Text == r.Other.Text {
				with(loc)
			}
		}
	}
	if !part || (!f.blamed && r.Kind == routing.RefusalRegex && existsWithout(r, ing, snap)) {
		return fault{}, false
	}
	slices.SortFunc(f.others, func(a, b *networkingv1.Ingress) int { return strings.Compare(ingressName(a), ingressName(b)) })
	return f, true
}

// existsWithout reports whether nginx refuses the same if ing did not exist.
func existsWithout(r routing.Refusal, ing *networkingv1.Ingress, snap *routing.Snapshot) bool {
	table, known := snap.TableWithout(ing)
	return known == routing.Present && slices.ContainsFunc(table.Refusals, func(o routing.Refusal) bool {
		return o.Kind == r.Kind && o.Ingress == r.Ingress && o.Rule == r.Rule && o.Path == r.Path
	})
}

func (f *fault) addOther(ing *networkingv1.Ingress) {
	if !slices.Contains(f.others, ing) {
		f.others = append(f.others, ing)
	}
}

// finding returns what all findings of this fault have in common.
func (f *fault) finding(ing *networkingv1.Ingress) Finding {
	finding := Finding{Outcome: frozen, Tentative: f.Uncertain}
	if f.Crashes {
		finding.Outcome = crashLoop
	}
	if f.path >= 0 {
		p := &ing.Spec.Rules[f.rule].HTTP.Paths[f.path]
		finding.Field = pathField(f.rule, f.path)
		finding.Subject = Subject{Host: f.Host, Path: routing.EffectivePath(p.Path), Type: routing.EffectiveType(p.PathType)}
	}
	var names []string
	for _, other := range f.others {
		names = append(names, ingressName(other))
		finding.RestsOn = append(finding.RestsOn, ingressRef(other))
		finding.Tentative = finding.Tentative || routing.MayBeRefused(other)
	}
	if len(names) > 0 {
		finding.Subject.Object = "Ingress/" + strings.Join(names, ",")
	}
	return finding
}

// pathFaults returns the refusals of that kind, which is about paths, with what is
// accepted instead and the fact that say tells of each.
func pathFaults(ing *networkingv1.Ingress, snap *routing.Snapshot, kind routing.RefusalKind, accepted string, say func(f fault, path string) string) []Finding {
	var findings []Finding
	for _, fault := range faultsOf(ing, snap, kind) {
		f := fault.finding(ing)
		f.Fact, f.Accepted = say(fault, quote(f.Subject.Path)), accepted
		findings = append(findings, f)
	}
	return findings
}

// elsewhere says where the other path of the fault is.
func (f *fault) elsewhere() string {
	if len(f.others) == 0 {
		return "at " + pathField(f.Other.Rule, f.Other.Path).String()
	}
	var names []string
	for _, other := range f.others {
		names = append(names, quote(ingressName(other)))
	}
	return "in Ingress " + list(names)
}

func pathField(rule, path int) *field.Path {
	return field.NewPath("spec", "rules").Index(rule).Child("http", "paths").Index(path)
}

func annotationField(name string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(routing.NginxPrefix + name)
}

func ingressName(ing *networkingv1.Ingress) string {
	return ing.Namespace + "/" + ing.Name
}

func ingressRef(ing *networkingv1.Ingress) routing.Ref {
	return routing.Ref{Kind: routing.Ingresses, Namespace: ing.Namespace, Name: ing.Name}
}

// ingressRefs are the references to the Ingress, none where there is none.
func ingressRefs(ing *networkingv1.Ingress) []routing.Ref {
	if ing == nil {
		return nil
	}
	return []routing.Ref{ingressRef(ing)}
}

// ofHost writes a host within a message.
func ofHost(host string) string {
	if host == "" {
		return "the rules without host"
	}
	return "host " + quote(host)
}
