// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// The labels of a namespace that change what holds in it. Each has a preset or off as
// its value.
const (
	// EnforceLabel replaces the preset. With off, the namespace opts out.
	EnforceLabel = "routegate.dev/enforce"
	// WarnLabel warns also of what does not deny but is a finding under the preset.
	WarnLabel = "routegate.dev/warn"
	// AuditLabel records what neither denies nor warns but is a finding under the
	// preset.
	AuditLabel = "routegate.dev/audit"
)

// labelPrefix is before the names by which a policy file calls the labels.
const labelPrefix = "routegate.dev/"

var (
	labelNames = []string{"enforce", "warn", "audit"}
	// levels are the values of the labels, from the lowest.
	levels = []Preset{off, Observe, Standard, Strict}
)

// off is the value of a label that is no preset.
const off Preset = "off"

// counted are the labels of a namespace that count, as values that mean something and
// within their bounds.
type counted struct {
	enforce, warn, audit Preset
}

// counted reads the labels of a namespace, and says of each that does not count, or not
// as it is, why.
func (l NamespaceLabels) counted(labels map[string]string) (c counted, meaningless, limited []string) {
	least, most := l.bounds()
	for i, into := range []*Preset{&c.enforce, &c.warn, &c.audit} {
		name := labelNames[i]
		value, ok := labels[labelPrefix+name]
		if !ok {
			continue
		}
		level := Preset(value)
		what := fmt.Sprintf("Namespace label %s%s=%q", labelPrefix, name, value)
		at := slices.Index(levels, level)
		switch {
		case at < 0:
			meaningless = append(meaningless, fmt.Sprintf("%s means nothing and does not count; must be one of %s", what, join(levels)))
		case l.Allow != nil && !slices.Contains(*l.Allow, name):
			limited = append(limited, what+" does not count: the policy here does not admit it")
		case name == "enforce" && at < slices.Index(levels, least):
			limited = append(limited, fmt.Sprintf("%s counts as %q: the policy here admits no less", what, least))
			*into = least
		case name == "enforce" && at > slices.Index(levels, most):
			limited = append(limited, fmt.Sprintf("%s counts as %q: the policy here admits no more", what, most))
			*into = most
		default:
			*into = level
		}
	}
	return c, meaningless, limited
}

// LabelFaults says which labels of a namespace mean nothing, and what would be
// accepted.
func (r *Rules) LabelFaults(labels map[string]string) []string {
	if !slices.ContainsFunc(labelNames, func(name string) bool { _, ok := labels[labelPrefix+name]; return ok }) {
		return nil
	}
	_, meaningless, _ := r.file.NamespaceLabels.counted(labels)
	return meaningless
}

// LabelLimits says which labels of a namespace the policy file does not honour, or not
// as they are.
func (r *Rules) LabelLimits(labels map[string]string) []string {
	_, _, limited := r.file.NamespaceLabels.counted(labels)
	return limited
}

// SameLabels reports whether two sets of labels of a namespace have the same meaning
// here.
func SameLabels(a, b map[string]string) bool {
	for _, name := range labelNames {
		was, had := a[labelPrefix+name]
		is, has := b[labelPrefix+name]
		if had != has || was != is {
			return false
		}
	}
	return true
}

// key tells apart what the labels make of a Policy.
func (c counted) key() string {
	return strings.Join([]string{string(c.enforce), string(c.warn), string(c.audit)}, ",")
}
