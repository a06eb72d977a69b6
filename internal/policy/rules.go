// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// Subject is what a Policy is chosen by.
type Subject struct {
	// Namespace is the name of the Ingress's namespace, and NamespaceLabels are its
	// labels.
	Namespace       string
	NamespaceLabels map[string]string
	// Class is the name of the ingress class, empty where there is none.
	Class string
	// User writes the Ingress and is in the Groups.
	User   string
	Groups []string
	// Labels are those of the Ingress.
	Labels map[string]string
}

// Rules are a policy file made ready: they choose the Policy of a request. They do not
// change and are safe for concurrent use.
type Rules struct {
	file File
	all  []checks.Check
	// base is what the file says for everything.
	base  Policy
	rules []compiled

	mu sync.RWMutex
	// known are the Policies that were made, by the rules that match and the labels
	// that count.
	known map[string]*Policy
}

// compiled is a rule whose conditions are ready to be tried.
type compiled struct {
	*Rule
	grace      time.Duration
	namespace  labels.Selector
	object     labels.Selector
	namespaces []pattern
	classes    []pattern
	users      []pattern
	groups     []pattern
}

// maxKnown bounds the Policies that are remembered, as the rules that match may be any
// of very many sets.
const maxKnown = 1000

// Compile makes a file ready for these checks. The error names every field that is
// wrong, and what is accepted.
func (f File) Compile(all []checks.Check) (*Rules, error) {
	if faults := f.faults(all); len(faults) > 0 {
		texts := make([]string, len(faults))
		for i, x := range faults {
			texts[i] = x.path + ": " + x.text
		}
		return nil, fmt.Errorf("policy: %s", strings.Join(texts, "\n"))
	}
	r := &Rules{
		file: f, all: all, known: map[string]*Policy{},
		base: Policy{
			Preset:      cmp.Or(f.Preset, Standard),
			OnUndecided: cmp.Or(f.OnUndecided, Allow),
			MaxFindings: f.MaxFindings,
			GracePeriod: duration(f.GracePeriod),
		},
	}
	r.base.apply(f.Terms, r.base.GracePeriod)
	for i := range f.Rules {
		rule := &f.Rules[i]
		r.rules = append(r.rules, compiled{
			Rule: rule, grace: duration(rule.GracePeriod),
			namespace: selector(rule.Match.NamespaceSelector), object: selector(rule.Match.ObjectSelector),
			namespaces: patterns(rule.Match.Namespaces), classes: patterns(rule.Match.Classes),
			users: patterns(rule.Match.Users), groups: patterns(rule.Match.Groups),
		})
	}
	return r, nil
}

// duration is that of a text that was found good, or 0 where there is none.
func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}

// selector is one that was found good, nil where there is none.
func selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return nil
	}
	made, _ := metav1.LabelSelectorAsSelector(s)
	return made
}

// apply changes what is not a mode. It does not touch what the terms leave out.
func (p *Policy) apply(t Terms, grace time.Duration) {
	if t.Ratchet != nil {
		p.NoRatchet = !*t.Ratchet
	}
	if t.DryRun != "" {
		p.StrictDryRun = t.DryRun == checks.Deny
	}
	if t.GracePeriod != "" {
		p.GracePeriod = grace
	}
	if t.Disclosure != "" {
		p.Disclosure = t.Disclosure
	}
}

// File is what the Rules were made from. It must not be modified.
func (r *Rules) File() File {
	return r.file
}

// Checks are the checks that the Rules are about. They must not be modified.
func (r *Rules) Checks() []checks.Check {
	return r.all
}

// NoVerdict returns the Verdict where no check could judge, for that reason.
func (r *Rules) NoVerdict(reason string) Verdict {
	return r.base.NoVerdict(reason)
}

// For returns the Policy for a request. It must not be modified.
func (r *Rules) For(s Subject) *Policy {
	// A byte for each rule, and what the labels say.
	key := make([]byte, len(r.rules), len(r.rules)+32)
	for i := range r.rules {
		if r.rules[i].matches(&s) {
			key[i] = 1
		}
	}
	labels, _, _ := r.file.NamespaceLabels.counted(s.NamespaceLabels)
	key = append(key, labels.key()...)

	r.mu.RLock()
	p := r.known[string(key)]
	r.mu.RUnlock()
	if p != nil {
		return p
	}
	p = r.make(key[:len(r.rules)], labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxKnown {
		clear(r.known)
	}
	r.known[string(key)] = p
	return p
}

// Judge judges an Ingress that nobody is writing, as if it were created now in its
// namespace with those labels, and returns by which Policy, which must not be modified.
// Rules for users do not match. Names of other namespaces are withheld if not everybody
// may see them, as nobody is asked who may.
func (r *Rules) Judge(ing *networkingv1.Ingress, snap *routing.Snapshot, labels map[string]string) (Verdict, *Policy) {
	p := r.For(Subject{Namespace: ing.Namespace, NamespaceLabels: labels, Class: snap.ClassOf(ing).Name, Labels: ing.Labels})
	enabled := p.Enabled(r.all)
	request := Request{Checks: enabled, New: checks.Run(enabled, ing, snap), Confirmed: snap.SettingsOf(ing).Confirmed, Now: snap.Now}
	request.Namespace, _ = snap.Namespace(ing.Namespace)
	request.Ignore, _ = r.Ignore(ing.Annotations, snap.Now)
	v := p.Decide(request)
	if p.Discloses() != DiscloseAlways {
		v = v.Withholding(func(routing.Ref) bool { return false })
	}
	return v, p
}

// make returns the Policy where these rules match and these labels count.
func (r *Rules) make(matched []byte, labels counted) *Policy {
	p := r.base
	p.rulings = make(map[string]ruling, len(r.all))
	for i := range r.rules {
		if matched[i] != 0 {
			p.apply(r.rules[i].Terms, r.rules[i].grace)
		}
	}
	for i := range r.all {
		c := &r.all[i]
		ruled := ruling{r.setting(c, false, matched, labels), r.setting(c, true, matched, labels)}
		p.rulings[c.Name] = ruled
		if ruled[0].mode != checks.Off || ruled[1].mode != checks.Off {
			p.enabled = append(p.enabled, *c)
		}
	}
	return &p
}

// setting returns the mode of a check, and what set it: the file as a whole, then the
// labels, then each rule that matches.
func (r *Rules) setting(c *checks.Check, confirmed bool, matched []byte, labels counted) setting {
	s := r.labelled(c, confirmed, labels)
	for i := range r.rules {
		if matched[i] == 0 {
			continue
		}
		rule := r.rules[i].Rule
		by := "rule " + rule.Name
		switch mode, ok := rule.Modes[c.Name]; {
		case ok:
			s = setting{mode, by}
		case rule.Exempt && !c.Poison:
			s = setting{checks.Off, by}
		case rule.Preset != "":
			s = setting{rule.Preset.mode(c, confirmed), by}
		}
	}
	return s
}

// labelled returns the mode of a check before any rule.
func (r *Rules) labelled(c *checks.Check, confirmed bool, labels counted) setting {
	if labels.enforce == off {
		s := setting{checks.Off, "label " + EnforceLabel}
		return r.reported(s, c, confirmed, labels)
	}
	s := r.under(r.base.Preset, r.base.Preset.by(), c, confirmed)
	if labels.enforce != "" {
		s = r.under(labels.enforce, "label "+EnforceLabel, c, confirmed)
	}
	return r.reported(s, c, confirmed, labels)
}

// under returns the mode of a check under a preset, which something has set. The modes
// of the file as a whole are finer than any preset.
func (r *Rules) under(preset Preset, by string, c *checks.Check, confirmed bool) setting {
	if preset == off {
		return setting{checks.Off, by}
	}
	if mode, ok := r.file.Modes[c.Name]; ok {
		return setting{mode, "modes"}
	}
	return setting{preset.mode(c, confirmed), by}
}

// reported changes a mode that does not deny as the labels for warnings and audit say.
func (r *Rules) reported(s setting, c *checks.Check, confirmed bool, labels counted) setting {
	if s.mode == checks.Deny {
		return s
	}
	if labels.warn != "" {
		w := r.under(labels.warn, "label "+WarnLabel, c, confirmed)
		if w.mode == checks.Deny {
			w.mode = checks.Warn
		}
		if w.mode == checks.Warn || s.mode == checks.Warn {
			s = w
		}
	}
	if labels.audit != "" && s.mode == checks.Off {
		if a := r.under(labels.audit, "label "+AuditLabel, c, confirmed); a.mode != checks.Off {
			s = setting{Audit, a.by}
		}
	}
	return s
}

// matches reports whether every condition of the rule is met.
func (c *compiled) matches(s *Subject) bool {
	m := &c.Match
	return (m.Namespaces == nil || matchAny(c.namespaces, s.Namespace)) &&
		(m.Classes == nil || matchAny(c.classes, s.Class)) &&
		(m.Users == nil || matchAny(c.users, s.User)) &&
		(m.Groups == nil || slices.ContainsFunc(s.Groups, func(group string) bool { return matchAny(c.groups, group) })) &&
		(c.namespace == nil || c.namespace.Matches(labels.Set(s.NamespaceLabels))) &&
		(c.object == nil || c.object.Matches(labels.Set(s.Labels)))
}

// SelectAlike reports whether no rule tells two sets of labels of an Ingress apart.
func (r *Rules) SelectAlike(a, b map[string]string) bool {
	return !slices.ContainsFunc(r.rules, func(c compiled) bool {
		return c.object != nil && c.object.Matches(labels.Set(a)) != c.object.Matches(labels.Set(b))
	})
}

// pattern is a name in which * stands for any characters, as the parts between them.
type pattern []string

func patterns(texts []string) []pattern {
	made := make([]pattern, len(texts))
	for i, text := range texts {
		made[i] = strings.Split(text, "*")
	}
	return made
}

func matchAny(patterns []pattern, name string) bool {
	for _, p := range patterns {
		if p.matches(name) {
			return true
		}
	}
	return false
}

func (p pattern) matches(name string) bool {
	last := len(p) - 1
	if last == 0 {
		return name == p[0]
	}
	rest, ok := strings.CutPrefix(name, p[0])
	if !ok {
		return false
	}
	for _, part := range p[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, p[last])
}
