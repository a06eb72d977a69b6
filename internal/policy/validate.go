// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
)

// mostFindings bounds MaxFindings: an answer has room for no more.
const mostFindings = 50

// ruleName is what a rule may be called, so that a list of names can be read in an audit
// annotation.
var ruleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// secretAccesses are the ways to read Secrets, which internal/cluster knows.
var secretAccesses = []string{"off", "get", "metadata", "full"}

// headerFaults are what is wrong with what the file says that it is.
func (f *File) headerFaults() []fault {
	var faults []fault
	if f.APIVersion != APIVersion {
		faults = append(faults, fault{"apiVersion", fmt.Sprintf("is %q: must be %s", f.APIVersion, APIVersion)})
	}
	if f.Kind != Kind {
		faults = append(faults, fault{"kind", fmt.Sprintf("is %q: must be %s", f.Kind, Kind)})
	}
	return faults
}

// validator collects what is wrong with a file.
type validator struct {
	all    []checks.Check
	faults []fault
}

func (v *validator) fault(path, format string, args ...any) {
	v.faults = append(v.faults, fault{path, fmt.Sprintf(format, args...)})
}

// oneOf complains of a value that is given and not accepted.
func oneOf[S ~string](v *validator, path string, value S, accepted []S) {
	if value != "" && !slices.Contains(accepted, value) {
		v.fault(path, "is %q: must be one of %s", value, join(accepted))
	}
}

// faults are what is wrong with a file besides its header.
func (f *File) faults(all []checks.Check) []fault {
	v := &validator{all: all}
	v.terms("", f.Terms)
	oneOf(v, "onUndecided", f.OnUndecided, onUndecided)
	oneOf(v, "secretAccess", f.SecretAccess, secretAccesses)
	if f.MaxFindings < 0 || f.MaxFindings > mostFindings {
		v.fault("maxFindings", "is %d: must be 1 to %d", f.MaxFindings, mostFindings)
	}
	v.labels(f.NamespaceLabels)
	if !f.Ignore.allows() && (f.Ignore.Poison || f.Ignore.Restrict) {
		v.fault("ignore.allowed", "is false, which contradicts poison and restrict: leave out what does not count")
	}
	for _, list := range []struct {
		path   string
		values []string
	}{{"controllers.ingressNginx", f.Controllers.IngressNginx}, {"controllers.running", f.Controllers.Running}} {
		for i, value := range list.values {
			if value == "" {
				v.fault(fmt.Sprintf("%s[%d]", list.path, i), "must not be empty: it is a value of spec.controller, such as k8s.io/ingress-nginx")
			}
		}
	}
	byName := map[string]int{}
	for i := range f.Rules {
		rule := &f.Rules[i]
		path := fmt.Sprintf("rules[%d]", i)
		v.rule(path, rule)
		if first, ok := byName[rule.Name]; ok && rule.Name != "" {
			v.fault(path+".name", "is %q, as that of rules[%d]: names must differ", rule.Name, first)
		} else {
			byName[rule.Name] = i
		}
		for j := range i {
			v.contradiction(i, rule, j, &f.Rules[j])
		}
	}
	return v.faults
}

func dot(path, field string) string {
	return strings.TrimPrefix(path+"."+field, ".")
}

func (v *validator) terms(path string, t Terms) {
	oneOf(v, dot(path, "preset"), t.Preset, presets)
	oneOf(v, dot(path, "dryRun"), t.DryRun, []checks.Mode{checks.Warn, checks.Deny})
	oneOf(v, dot(path, "disclosure"), t.Disclosure, disclosures)
	if d, err := time.ParseDuration(t.GracePeriod); t.GracePeriod != "" && (err != nil || d < 0) {
		v.fault(dot(path, "gracePeriod"), "is %q: must be a duration such as 10m, 0s or more", t.GracePeriod)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Modes)) {
		at := dot(path, "modes."+name)
		if !slices.ContainsFunc(v.all, func(c checks.Check) bool { return c.Name == name }) {
			names := make([]string, len(v.all))
			for i := range v.all {
				names[i] = v.all[i].Name
			}
			accepted := `"routegate explain" lists all checks`
			if near := checks.Nearest(name, names); near != "" {
				accepted = fmt.Sprintf("did you mean %q?", near)
			}
			v.fault(at, "there is no check %q; %s", name, accepted)
		}
		if mode := t.Modes[name]; !slices.Contains(modes, mode) {
			v.fault(at, "is %q: must be one of %s", mode, join(modes))
		}
	}
}

func (v *validator) labels(l NamespaceLabels) {
	if l.Allow != nil {
		for i, name := range *l.Allow {
			if !slices.Contains(labelNames, name) {
				v.fault(fmt.Sprintf("namespaceLabels.allow[%d]", i), "is %q: must be one of %s", name, strings.Join(labelNames, ", "))
			}
		}
	}
	oneOf(v, "namespaceLabels.atLeast", l.AtLeast, levels)
	oneOf(v, "namespaceLabels.atMost", l.AtMost, levels)
	if least, most := l.bounds(); slices.Index(levels, least) > slices.Index(levels, most) {
		v.fault("namespaceLabels.atLeast", "is %q, which is above atMost %q: must not be; from the lowest they are %s", least, most, join(levels))
	}
}

func (v *validator) rule(path string, r *Rule) {
	switch {
	case r.Name == "":
		v.fault(path+".name", "must be set: denials name the rule")
	case !ruleName.MatchString(r.Name):
		v.fault(path+".name", "is %q: must be 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit", r.Name)
	}
	v.terms(path, r.Terms)
	match := path + ".match"
	for _, s := range []struct {
		field    string
		selector *metav1.LabelSelector
	}{{"namespaceSelector", r.Match.NamespaceSelector}, {"objectSelector", r.Match.ObjectSelector}} {
		if s.selector == nil {
			continue
		}
		if _, err := metav1.LabelSelectorAsSelector(s.selector); err != nil {
			v.fault(match+"."+s.field, "does not parse: %v; the operators are In, NotIn, Exists and DoesNotExist", err)
		}
	}
	for _, l := range []struct {
		field  string
		values []string
		empty  bool
	}{
		{"namespaces", r.Match.Namespaces, false}, {"classes", r.Match.Classes, true},
		{"users", r.Match.Users, false}, {"groups", r.Match.Groups, false},
	} {
		if l.values != nil && len(l.values) == 0 {
			v.fault(match+"."+l.field, "is an empty list, which nothing matches: leave the field out to match everything")
		}
		for i, value := range l.values {
			if value == "" && !l.empty {
				v.fault(fmt.Sprintf("%s.%s[%d]", match, l.field, i), "must not be empty")
			}
		}
	}
	switch {
	case r.Exempt && r.Preset != "":
		v.fault(path+".preset", "contradicts exempt: one switches checks off, the other gives them modes; leave one out")
	case r.Exempt:
		for _, name := range slices.Sorted(maps.Keys(r.Modes)) {
			if mode := r.Modes[name]; mode != checks.Off {
				v.fault(path+".modes."+name, "is %q, which contradicts exempt: give the check its mode in a later rule", mode)
			}
		}
	case len(r.settings()) == 0:
		v.fault(path, "changes nothing: must have at least one of exempt, preset, modes, ratchet, dryRun, gracePeriod, disclosure")
	}
}

// settings are what a rule sets, by the path below it.
func (r *Rule) settings() map[string]string {
	set := map[string]string{}
	if r.Exempt {
		set["exempt"] = "true"
	}
	if r.Ratchet != nil {
		set["ratchet"] = fmt.Sprint(*r.Ratchet)
	}
	for name, value := range map[string]string{
		"preset": string(r.Preset), "dryRun": string(r.DryRun), "gracePeriod": r.GracePeriod, "disclosure": string(r.Disclosure),
	} {
		if value != "" {
			set[name] = value
		}
	}
	for name, mode := range r.Modes {
		set["modes."+name] = string(mode)
	}
	return set
}

// contradiction complains where two rules match the same and set the same thing to
// different values: the earlier one would never count.
func (v *validator) contradiction(i int, later *Rule, j int, earlier *Rule) {
	if later.Match.canonical() != earlier.Match.canonical() {
		return
	}
	before, after := earlier.settings(), later.settings()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[name]; ok && was != after[name] {
			v.fault(fmt.Sprintf("rules[%d].%s", i, name), "is %q, where rules[%d], which matches the same, has %q: leave one out", after[name], j, was)
		}
	}
	if later.Exempt && earlier.Preset != "" {
		v.fault(fmt.Sprintf("rules[%d].exempt", i), "contradicts the preset of rules[%d], which matches the same: leave one out", j)
	}
	if earlier.Exempt && later.Preset != "" {
		v.fault(fmt.Sprintf("rules[%d].preset", i), "contradicts exempt of rules[%d], which matches the same: leave one out", j)
	}
}

// canonical is the same text for the same conditions, in whatever order.
func (m Match) canonical() string {
	sorted := m
	for _, list := range []*[]string{&sorted.Namespaces, &sorted.Classes, &sorted.Users, &sorted.Groups} {
		*list = slices.Clone(*list)
		slices.Sort(*list)
	}
	// Texts and lists of them can always be written.
	text, _ := json.Marshal(sorted)
	return string(text)
}

// bounds are what the label enforce may be at the least and at the most.
func (l NamespaceLabels) bounds() (least, most Preset) {
	return cmp.Or(l.AtLeast, off), cmp.Or(l.AtMost, Strict)
}
