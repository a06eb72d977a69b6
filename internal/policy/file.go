// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// What a policy file says that it is.
const (
	APIVersion = "routegate.dev/v1alpha1"
	Kind       = "Policy"
)

// File is a policy file. A field that is left out has its default.
type File struct {
	// APIVersion is routegate.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is Policy.
	Kind string `json:"kind"`
	// Terms are what holds where no namespace label and no rule says otherwise.
	Terms `json:",inline"`
	// OnUndecided says what to do without a verdict: allow, the default, with a
	// warning; or fail, so that the webhook's failurePolicy applies.
	OnUndecided OnUndecided `json:"onUndecided,omitempty"`
	// MaxFindings is how many findings an answer shows, 1 to 50; by default 10.
	MaxFindings int `json:"maxFindings,omitempty"`
	// NamespaceLabels says how far the labels routegate.dev/enforce, /warn and /audit
	// of a namespace count. By default they count without bounds.
	NamespaceLabels NamespaceLabels `json:"namespaceLabels,omitzero"`
	// Ignore says how far the annotation routegate.dev/ignore of an Ingress counts.
	Ignore IgnoreTerms `json:"ignore,omitzero"`
	// Rules change the terms for what they match. A later rule wins over an
	// earlier one, and over namespace labels.
	Rules []Rule `json:"rules,omitempty"`
	// SecretAccess is how Secrets are read: off, get, metadata or full. A change
	// takes a restart.
	SecretAccess string `json:"secretAccess,omitempty"`
	// Controllers says which controllers there are. A change takes a restart.
	Controllers Controllers `json:"controllers,omitzero"`
}

// IngressLabels returns the keys of the labels of Ingresses that rules select by,
// sorted.
func (f File) IngressLabels() []string {
	var keys []string
	for _, r := range f.Rules {
		if r.Match.ObjectSelector == nil {
			continue
		}
		keys = slices.AppendSeq(keys, maps.Keys(r.Match.ObjectSelector.MatchLabels))
		for _, e := range r.Match.ObjectSelector.MatchExpressions {
			keys = append(keys, e.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Terms are what a file says for everything, and a rule for what it matches.
type Terms struct {
	// Preset is the modes of all checks: observe, standard (the default) or strict.
	Preset Preset `json:"preset,omitempty"`
	// Modes are the modes of single checks, by name, whatever the preset: deny,
	// warn, audit (only recorded) or off.
	Modes map[string]checks.Mode `json:"modes,omitempty"`
	// Ratchet lets pass, with a warning, what was wrong with the Ingress before. It
	// is true by default.
	Ratchet *bool `json:"ratchet,omitempty"`
	// DryRun says what a dry run does where something is missing that would deny a
	// real write: warn, the default, or deny.
	DryRun checks.Mode `json:"dryRun,omitempty"`
	// GracePeriod is the age up to which a namespace is new, where what is missing
	// only warns, such as 10m. It is 0s by default.
	GracePeriod string `json:"gracePeriod,omitempty"`
	// Disclosure says who sees names of objects in other namespaces: always,
	// authorized (who may get the object, the default) or never.
	Disclosure Disclosure `json:"disclosure,omitempty"`
}

// Rule changes the terms for what it matches.
type Rule struct {
	// Name is how denials, audit annotations and "routegate policy explain" call the
	// rule. It is unique within the file.
	Name string `json:"name"`
	// Match says what the rule is for. Everything, when it is left out.
	Match Match `json:"match,omitzero"`
	// Exempt switches off all checks but those of faults with which one Ingress
	// stops the whole controller. Those are switched off by modes alone.
	Exempt bool `json:"exempt,omitempty"`
	Terms  `json:",inline"`
}

// Match selects requests: those that meet every condition that is given. In names, *
// stands for any characters.
type Match struct {
	// Namespaces are names of namespaces, of which one must match.
	Namespaces []string `json:"namespaces,omitempty"`
	// NamespaceSelector selects namespaces by their labels.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// Classes are names of ingress classes, of which one must match; "" is an
	// Ingress without a class.
	Classes []string `json:"classes,omitempty"`
	// Users are names of users who write the Ingress, of which one must match.
	Users []string `json:"users,omitempty"`
	// Groups are names of groups of the user, of which one must match.
	Groups []string `json:"groups,omitempty"`
	// ObjectSelector selects Ingresses by their labels.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
}

// NamespaceLabels says how far the labels of namespaces count.
type NamespaceLabels struct {
	// Allow are the labels that count: enforce, warn and audit, the default. None
	// does, where the list is empty.
	Allow *[]string `json:"allow,omitempty"`
	// AtLeast is what the label enforce cannot go below: off (the default), observe,
	// standard or strict.
	AtLeast Preset `json:"atLeast,omitempty"`
	// AtMost is what the label enforce cannot go above; strict by default.
	AtMost Preset `json:"atMost,omitempty"`
}

// IgnoreTerms says how far the annotation routegate.dev/ignore counts, by which an
// Ingress names checks whose findings neither deny nor warn.
type IgnoreTerms struct {
	// Allowed lets the annotation count. It is true by default.
	Allowed *bool `json:"allowed,omitempty"`
	// Poison lets it name also checks of faults with which one Ingress stops the whole
	// controller.
	Poison bool `json:"poison,omitempty"`
	// Restrict lets only those users add or change the annotation who have the verb
	// routegate-ignore for ingresses.networking.k8s.io in the namespace.
	Restrict bool `json:"restrict,omitempty"`
}

func (t IgnoreTerms) allows() bool {
	return t.Allowed == nil || *t.Allowed
}

// Controllers says which controllers there are.
type Controllers struct {
	// IngressNginx are the values of an IngressClass's spec.controller that mean
	// ingress-nginx; by default k8s.io/ingress-nginx.
	IngressNginx []string `json:"ingressNginx,omitempty"`
	// Running are the values of spec.controller of which a controller runs. Without
	// it, nothing is said of the others.
	Running []string `json:"running,omitempty"`
	// Settings are the settings of an ingress-nginx by its value of spec.controller.
	Settings map[string]routing.ControllerSettings `json:"settings,omitempty"`
}
