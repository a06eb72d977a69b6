// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// engine judges as the webhook does: these checks under this policy.
type engine struct {
	checks []checks.Check
	policy policy.Policy
}

// newEngine returns all checks under the default policy.
func newEngine() engine {
	return engine{checks: checks.All(), policy: policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow}}
}

// said is a verdict by its findings.
type said struct {
	denied, warned, undecided []checks.Finding
}

// opinion is everything that was said about the subject of a scenario.
type opinion struct {
	writes []write
	// end is nil where there is no subject at the end.
	end *said
	// exchanges are the requests that were recorded, with what the model says.
	exchanges []exchange
	// notes are faults of the scenario itself.
	notes []string
}

// write is one write of the subject and what admission said of it.
type write struct {
	operation string
	// settled says why nobody was asked: the API server refused the write, or it
	// changed nothing that is judged. Where it is empty, said counts.
	settled string
	said
}

// refused settles a write that never reaches admission.
const refused = "refused by the API"

// all is what was said at every write and at the end.
func (o opinion) all() said {
	var all said
	add := func(s said) {
		all.denied = append(all.denied, s.denied...)
		all.warned = append(all.warned, s.warned...)
		all.undecided = append(all.undecided, s.undecided...)
	}
	for _, w := range o.writes {
		add(w.said)
	}
	if o.end != nil {
		add(*o.end)
	}
	return all
}

// play writes the objects of a scenario one after the other, deletes what is to
// be deleted, and judges the subject at every write and at the end. The requests
// are asked of the model before something is deleted and at the end.
func (e engine) play(ctx context.Context, s *scenario) (o opinion, err error) {
	w := newWorld()
	for i := range s.Objects {
		w.Now = start.Add(time.Duration(i) * step)
		if err := e.write(ctx, w, s, i, &o); err != nil {
			return o, fmt.Errorf("%s: objects[%d]: %w", s.Name, i, err)
		}
	}
	w.Now = start.Add(time.Duration(len(s.Objects)) * step)
	if s.recorded != nil && len(s.Delete) > 0 {
		o.exchanges = w.ask(s, before, s.recorded.Before)
	}
	for _, ref := range s.Delete {
		if err := w.remove(ref); err != nil {
			o.notes = append(o.notes, err.Error())
		}
	}
	if s.recorded != nil {
		o.exchanges = append(o.exchanges, w.ask(s, "", s.recorded.Requests)...)
	}
	if ing, ok := w.objects[s.Subject].(*networkingv1.Ingress); ok {
		end, err := e.judge(ctx, w, ing, nil)
		if err != nil {
			return o, fmt.Errorf("%s: %w", s.Name, err)
		}
		o.end = &end
	}
	return o, nil
}

// write writes the i-th object and, where it is the subject, judges it first.
func (e engine) write(ctx context.Context, w *world, s *scenario, i int, o *opinion) error {
	ref, err := head(s.Objects[i])
	if err != nil {
		return err
	}
	made := write{operation: "create"}
	if _, exists := w.objects[ref]; exists {
		made.operation = "update"
	}
	if s.rejected(i) {
		if ref == s.Subject {
			made.settled = refused
			o.writes = append(o.writes, made)
		}
		return nil
	}
	obj, note := decode(s.Objects[i])
	if note != "" {
		o.notes = append(o.notes, fmt.Sprintf("objects[%d]: %s", i, note))
	}
	if obj == nil {
		return nil
	}
	old, err := w.admit(ctx, ref, obj)
	if err != nil {
		return err
	}
	if ing, ok := obj.(*networkingv1.Ingress); ok && ref == s.Subject {
		former, _ := old.(*networkingv1.Ingress)
		if former != nil && routing.SameRouting(former, ing) {
			made.settled = "allow, same routing"
		} else if made.said, err = e.judge(ctx, w, ing, former); err != nil {
			return err
		}
		o.writes = append(o.writes, made)
	}
	return w.put(ref, obj)
}

// source is where Snapshots come from.
type source interface {
	Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error)
}

// judge decides on an Ingress in a cluster as it is, as webhook.Handler does.
// There is nothing to confirm: what is read here is the truth.
func (e engine) judge(ctx context.Context, from source, ing, old *networkingv1.Ingress) (said, error) {
	snap, err := from.Snapshot(ctx, routing.ReferencesOf(ing, old), nil)
	if err != nil {
		return said{}, err
	}
	enabled := e.policy.Enabled(e.checks)
	r := policy.Request{Checks: enabled, New: checks.Run(enabled, ing, snap), Confirmed: snap.SettingsOf(ing).Confirmed, Now: snap.Now}
	if old != nil {
		r.Old = checks.Run(enabled, old, snap)
	}
	r.Namespace, _ = snap.Namespace(ing.Namespace)
	verdict := e.policy.Decide(r)
	all := said{denied: verdict.Denied, undecided: verdict.Undecided}
	for _, warning := range verdict.Warned {
		all.warned = append(all.warned, warning.Finding)
	}
	return all, nil
}

// built reports whether there is a check of that name.
func (e engine) built(name string) bool {
	return slices.ContainsFunc(e.checks, func(c checks.Check) bool { return c.Name == name })
}

// state is how what was said compares with what is owed, or with what was
// observed. Every scenario is in exactly one, and so is every request.
type state string

const (
	agree       state = "agree"
	missed      state = "missed"
	falseDenial state = "false denial"
	order       state = "order"
	unbuilt     state = "unbuilt"
	skipped     state = "skip"
	differ      state = "differ"
	undecided   state = "undecided"
)

// row is one scenario with what was said of it and what that is worth.
type row struct {
	*scenario
	opinion
	state state
	// misnamed are the checks with a finding at the end that is not owed, where
	// another is.
	misnamed []string
	// needless is true where there was a warning and nothing is owed.
	needless bool
	why      string
}

// compare values an opinion.
func (e engine) compare(s *scenario, o opinion, l lists) row {
	r := row{scenario: s, opinion: o, state: agree}
	all := o.all()
	switch s.expected.Owed {
	case owedOrder:
		r.state = order
	case owedSkip:
		r.state = skipped
	case owedFlag, owedWarn:
		e.compareCauses(&r, l)
		if s.expected.Owed == owedWarn && len(all.denied) > 0 {
			r.state, r.why = falseDenial, all.denied[0].String()
		}
	default:
		r.needless = s.expected.Owed == owedNone && len(all.warned) > 0
		switch {
		case len(all.denied) > 0:
			r.state, r.why = falseDenial, all.denied[0].String()
		case r.needless && l.Argued[s.Name] != "":
			r.why = "argued: " + l.Argued[s.Name]
		case len(all.warned) > 0:
			r.why = all.warned[0].String()
		}
	}
	for _, note := range o.notes {
		r.why = strings.TrimPrefix(r.why+"; "+note, "; ")
	}
	return r
}

// compareCauses looks for the causes among the findings at the end, be they
// denied or warned of.
func (e engine) compareCauses(r *row, l lists) {
	var found []checks.Finding
	if r.end != nil {
		found = slices.Concat(r.end.denied, r.end.warned)
	}
	causes := r.expected.Causes
	isCause := func(f checks.Finding) bool { return slices.Contains(causes, f.Check) }
	missing, listed := l.Unbuilt[r.Name]
	if !listed {
		missing = causes
	}
	if hit := slices.IndexFunc(found, isCause); hit >= 0 {
		r.why = found[hit].Fact
	} else if listed || !slices.ContainsFunc(causes, e.built) {
		r.state, r.why = unbuilt, "needs "+strings.Join(missing, " or ")
	} else {
		r.state, r.why = missed, "not found: "+strings.Join(causes, " or ")
	}
	for _, f := range found {
		if !isCause(f) && !slices.Contains(r.misnamed, f.Check) {
			r.misnamed = append(r.misnamed, f.Check)
			r.why += "; not owed: " + f.String()
		}
	}
}

// judgeFolder plays every scenario of a folder.
func (e engine) judgeFolder(ctx context.Context, dir string, l lists) ([]row, error) {
	scenarios, err := load(dir)
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(scenarios))
	for _, s := range scenarios {
		o, err := e.play(ctx, s)
		if err != nil {
			return nil, err
		}
		rows = append(rows, e.compare(s, o, l))
	}
	return rows, nil
}

// totals returns the closing line.
func totals(rows []row) string {
	count := map[state]int{}
	misnamed, needless := 0, 0
	for _, r := range rows {
		count[r.state]++
		misnamed += len(r.misnamed)
		if r.needless {
			needless++
		}
	}
	return fmt.Sprintf("truth: scenarios=%d agree=%d missed=%d misnamed=%d false-denials=%d warned-needlessly=%d order=%d unbuilt=%d",
		len(rows), count[agree], count[missed], misnamed, count[falseDenial], needless, count[order], count[unbuilt])
}

// faults holds rows to the lists that were written for them. It returns what is
// to be corrected, in the code or in a list, by scenario.
func (e engine) faults(rows []row, l lists) map[string][]string {
	faults := map[string][]string{}
	known := map[string]bool{}
	for _, r := range rows {
		known[r.Name] = true
		fault := func(format string, args ...any) {
			faults[r.Name] = append(faults[r.Name], fmt.Sprintf(format, args...))
		}
		ids, listed := l.Unbuilt[r.Name]
		switch {
		case r.state == missed || r.state == falseDenial:
			fault("%s: %s", r.state, r.why)
		case r.state == unbuilt && len(ids) == 0:
			fault("no check finds what is owed: build one, or name it in unbuilt.yaml")
		case r.state != unbuilt && listed:
			fault("%s: take it out of unbuilt.yaml", r.state)
		}
		for _, id := range ids {
			if e.built(id) {
				fault("unbuilt.yaml names %s, which is built", id)
			}
			if !slices.Contains(r.expected.Causes, id) {
				fault("unbuilt.yaml names %s, which is no cause in expect.yaml", id)
			}
		}
		if len(r.misnamed) > 0 {
			fault("misnamed: %s", r.why)
		}
		if reason, argued := l.Argued[r.Name]; r.needless && reason == "" {
			fault("warned needlessly: stop that, or argue for it in argued.yaml: %s", r.why)
		} else if argued && !r.needless {
			fault("no needless warning: take it out of argued.yaml")
		}
		for i := range r.exchanges {
			x := &r.exchanges[i]
			switch reason, listed := l.Differs[x.key()]; {
			case x.state == agree && listed:
				fault("request %s agrees: take it out of differs.yaml", x.key())
			case x.state != agree && reason == "":
				fault("request %s: %s: correct the model, or explain it in differs.yaml: %s", x.key(), x.state, x.why)
			}
			known[x.key()] = true
		}
		for _, f := range r.all().undecided {
			fault("undecided: %s: %s", f.Check, f.Fact)
		}
		for _, note := range r.notes {
			fault("%s", note)
		}
	}
	stray := func(file, name string) {
		if !known[name] {
			faults[name] = append(faults[name], file+" names it, but there is no such scenario")
		}
	}
	for name := range l.Unbuilt {
		stray("unbuilt.yaml", name)
	}
	for name := range l.Argued {
		stray("argued.yaml", name)
	}
	for key := range l.Differs {
		if !known[key] {
			faults[key] = append(faults[key], "differs.yaml names it, but there is no such request")
		}
	}
	return faults
}
