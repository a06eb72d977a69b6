// SPDX-License-Identifier: Apache-2.0

// Package policy decides what findings mean here: which deny, which warn, and
// what happens when no verdict was possible.
//
// Six rules stand between a finding whose check is in mode deny and a denial;
// each turns it into a warning that says why:
//
//   - ratchet: the former version of the Ingress had the same fault;
//   - dry run: the fault lies in another object, and appliers dry-run a whole set
//     of objects before any of it exists;
//   - grace period: the fault lies in another object, and the namespace is new;
//   - the finding is Tentative;
//   - an Ingress of a namespace that is not read might refute it;
//   - the Ingress says that it is to be ignored, and it could not be found out whether
//     it may.
//
// What the Ingress may ignore neither denies nor warns.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// Preset is a set of modes for all checks.
type Preset string

// The presets.
const (
	Observe  Preset = "observe"  // denies nothing: every mode deny becomes warn
	Standard Preset = "standard" // every check's default mode
	Strict   Preset = "strict"   // denies also what is certain but often transient
)

// OnUndecided says what happens to a request on which no verdict was possible.
type OnUndecided string

// What undecided may mean.
const (
	Allow OnUndecided = "allow" // allowed, with a warning
	Fail  OnUndecided = "fail"  // answered with an error, so that failurePolicy applies
)

// Audit is the mode of a check whose findings are only recorded: in audit
// annotations and metrics. No check has it by default.
const Audit checks.Mode = "audit"

// Disclosure says to whom names of objects in other namespaces are shown.
type Disclosure string

// Who sees names of other namespaces.
const (
	DiscloseAlways     Disclosure = "always"     // everybody
	DiscloseAuthorized Disclosure = "authorized" // who may get that object
	DiscloseNever      Disclosure = "never"      // nobody
)

// MaxFindings is how many findings an answer shows where nothing else is said.
const MaxFindings = 10

// What is accepted, in the order in which messages list it.
var (
	presets     = []Preset{Observe, Standard, Strict}
	onUndecided = []OnUndecided{Allow, Fail}
	disclosures = []Disclosure{DiscloseAlways, DiscloseAuthorized, DiscloseNever}
	modes       = []checks.Mode{checks.Deny, checks.Warn, Audit, checks.Off}
)

// Policy is what holds for one request. Rules make it from the namespace, the class,
// the user and the labels; one that is written out holds everywhere. The zero value is
// not valid.
type Policy struct {
	Preset      Preset
	OnUndecided OnUndecided
	// GracePeriod is the age up to which a namespace is new.
	GracePeriod time.Duration
	// Disclosure says who sees names of other namespaces. Empty means
	// DiscloseAuthorized.
	Disclosure Disclosure
	// MaxFindings is how many findings an answer shows; 0 means MaxFindings.
	MaxFindings int
	// NoRatchet makes what was wrong before deny as well.
	NoRatchet bool
	// StrictDryRun makes a dry run deny what a real write would.
	StrictDryRun bool

	// rulings are the modes of all checks, where Rules made the Policy.
	rulings map[string]ruling
	// enabled are the checks that are not off, where Rules made the Policy.
	enabled []checks.Check
}

// ruling is the mode of one check and what set it: where the settings of the
// controller are not confirmed, and where they are.
type ruling [2]setting

type setting struct {
	mode checks.Mode
	by   string
}

func (r ruling) of(confirmed bool) setting {
	if confirmed {
		return r[1]
	}
	return r[0]
}

// Shown is how many findings an answer shows.
func (p Policy) Shown() int {
	if p.MaxFindings == 0 {
		return MaxFindings
	}
	return p.MaxFindings
}

// Discloses says who sees names of other namespaces.
func (p Policy) Discloses() Disclosure {
	if p.Disclosure == "" {
		return DiscloseAuthorized
	}
	return p.Disclosure
}

// Validate reports every field with a value that is not accepted.
func (p Policy) Validate() error {
	var errs []error
	if !slices.Contains(presets, p.Preset) {
		errs = append(errs, fmt.Errorf("preset %q: must be one of %s", p.Preset, join(presets)))
	}
	if !slices.Contains(onUndecided, p.OnUndecided) {
		errs = append(errs, fmt.Errorf("onUndecided %q: must be one of %s", p.OnUndecided, join(onUndecided)))
	}
	if p.GracePeriod < 0 {
		errs = append(errs, fmt.Errorf("gracePeriod %s: must not be negative", p.GracePeriod))
	}
	return errors.Join(errs...)
}

func join[S ~string](values []S) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

// Mode returns the mode of a check for an Ingress; confirmed says whether the
// settings of the controller that serves it are.
func (p Policy) Mode(c *checks.Check, confirmed bool) checks.Mode {
	if ruled, ok := p.rulings[c.Name]; ok {
		return ruled.of(confirmed).mode
	}
	return p.Preset.mode(c, confirmed)
}

// SetBy names what set the mode of a check: the preset, the modes of the policy
// file, a rule or a namespace label.
func (p Policy) SetBy(check string, confirmed bool) string {
	if ruled, ok := p.rulings[check]; ok {
		return ruled.of(confirmed).by
	}
	return p.Preset.by()
}

func (p Preset) by() string { return "preset " + string(p) }

// mode returns the mode of a check under the preset.
func (p Preset) mode(c *checks.Check, confirmed bool) checks.Mode {
	if p == Strict && c.Strict != "" {
		return c.Strict
	}
	mode := c.Default
	if confirmed && c.Confirmed != "" {
		mode = c.Confirmed
	}
	if p == Observe && mode == checks.Deny {
		return checks.Warn
	}
	return mode
}

// Enabled returns the checks whose mode is not off for every Ingress.
//
// Where Rules made the Policy, these are of the checks that the Rules are about,
// whatever the list.
func (p Policy) Enabled(list []checks.Check) []checks.Check {
	if p.rulings != nil {
		return p.enabled
	}
	return slices.DeleteFunc(slices.Clone(list), func(c checks.Check) bool {
		return p.Mode(&c, false) == checks.Off && p.Mode(&c, true) == checks.Off
	})
}

// CouldDeny reports whether a finding of a check in mode deny is among those of a
// Request, so that what was wrong before matters.
func (p Policy) CouldDeny(r Request) bool {
	return slices.ContainsFunc(r.New, func(f checks.Finding) bool {
		return !f.Undecided && !r.Ignore.names(f.Check) && slices.ContainsFunc(r.Checks, func(c checks.Check) bool {
			return c.Name == f.Check && p.Mode(&c, r.Confirmed) == checks.Deny
		})
	})
}

// Request is what a Verdict is made from.
type Request struct {
	// Checks are the checks that were run.
	Checks []checks.Check
	// New are the findings of the Ingress as it would be, Old those of the
	// Ingress as it was. Old may be nil when the Ingress is created, or when New
	// could not deny.
	New, Old []checks.Finding
	// Confirmed is true when the settings of the controller that serves the Ingress
	// are.
	Confirmed bool
	// DryRun is true when nothing will be stored.
	DryRun bool
	// Ignore is what the annotation of the Ingress says that counts.
	Ignore Ignore
	// Namespace is the namespace of the Ingress, nil when it was not read.
	Namespace *routing.Namespace
	// Now is the time of the request.
	Now time.Time
}

// Warning is a finding that does not deny, and why not.
type Warning struct {
	checks.Finding
	// Because is why a finding in mode deny does not deny, as a clause. Empty
	// when the mode is warn.
	Because string
}

// Verdict is what is to become of a request.
type Verdict struct {
	Denied    []checks.Finding
	Warned    []Warning
	Undecided []checks.Finding
	// Audited are the findings that are only recorded.
	Audited []checks.Finding
	// Ignored are the findings that the Ingress says are to be ignored. They are
	// recorded as such.
	Ignored []checks.Finding
	// settings are the modes of the checks with a finding, and what set them.
	settings map[string]setting
	// mayFail is true when a check that could have denied was undecided and the
	// policy wants that to fail.
	mayFail bool
}

// Withholding returns the Verdict with only those names of other namespaces that show
// accepts.
func (v Verdict) Withholding(show func(routing.Ref) bool) Verdict {
	v.Denied, v.Warned = slices.Clone(v.Denied), slices.Clone(v.Warned)
	for i, f := range v.Denied {
		v.Denied[i] = f.Withholding(show)
	}
	for i, w := range v.Warned {
		v.Warned[i].Finding = w.Withholding(show)
	}
	return v
}

// Fails reports whether the request is to be answered with an error: a check
// that could have denied was undecided, the policy says so, and nothing is
// denied.
func (v Verdict) Fails() bool {
	return v.mayFail && len(v.Denied) == 0
}

// Allowed reports whether the request is allowed. A Verdict that Fails is
// neither allowed nor denied.
func (v Verdict) Allowed() bool {
	return len(v.Denied) == 0 && !v.mayFail
}

// Mode returns the mode of a check with a finding. It is empty for any other.
func (v Verdict) Mode(check string) checks.Mode {
	return v.settings[check].mode
}

// SetBy names what set the mode of a check with a finding.
func (v Verdict) SetBy(check string) string {
	return v.settings[check].by
}

// NoVerdict returns the Verdict where no check could judge, for that reason.
func (p Policy) NoVerdict(reason string) Verdict {
	return Verdict{
		Undecided: []checks.Finding{{Fact: reason, Undecided: true}},
		mayFail:   p.OnUndecided == Fail,
	}
}

// Decide turns findings into a Verdict. The order of the findings is kept.
func (p Policy) Decide(r Request) Verdict {
	if len(r.New) == 0 {
		return Verdict{}
	}
	return p.decide(&r)
}

func (p *Policy) decide(r *Request) Verdict {
	old := former{has: map[checks.Fingerprint]bool{}, undecided: map[string]bool{}}
	for _, f := range r.Old {
		if f.Undecided {
			old.undecided[f.Check] = true
		} else {
			old.has[f.Fingerprint()] = true
		}
	}

	v := Verdict{settings: p.settings(r)}
	couldDeny := false
	for _, f := range r.New {
		mode := v.settings[f.Check].mode
		switch {
		case mode == checks.Off || mode == "":
		case f.Undecided && (mode == Audit || r.Ignore.names(f.Check)):
			// That it could not be judged matters to nobody.
		case !r.Ignore.Uncertain && r.Ignore.names(f.Check):
			v.Ignored = append(v.Ignored, f)
		case f.Undecided:
			v.Undecided = append(v.Undecided, f)
			couldDeny = couldDeny || mode == checks.Deny
		case mode == Audit:
			v.Audited = append(v.Audited, f)
		case mode == checks.Warn:
			v.Warned = append(v.Warned, Warning{Finding: f})
		default:
			if because := p.spared(&f, r, &old); because != "" {
				v.Warned = append(v.Warned, Warning{Finding: f, Because: because})
			} else {
				v.Denied = append(v.Denied, f)
			}
		}
	}
	v.mayFail = couldDeny && p.OnUndecided == Fail
	return v
}

// settings are the modes of the checks with a finding, and what set them.
func (p *Policy) settings(r *Request) map[string]setting {
	found := make(map[string]setting, len(r.New))
	for _, f := range r.New {
		if _, ok := found[f.Check]; ok {
			continue
		}
		at := slices.IndexFunc(r.Checks, func(c checks.Check) bool { return c.Name == f.Check })
		if at < 0 {
			continue
		}
		found[f.Check] = setting{mode: p.Mode(&r.Checks[at], r.Confirmed), by: p.SetBy(f.Check, r.Confirmed)}
	}
	return found
}

// former is what was wrong with the former version of an Ingress.
type former struct {
	has       map[checks.Fingerprint]bool
	undecided map[string]bool
}

// spared says why a finding in mode deny does not deny, or nothing.
func (p *Policy) spared(f *checks.Finding, r *Request, old *former) string {
	switch {
	case !p.NoRatchet && old.has[f.Fingerprint()]:
		return "not denied: the Ingress had this before"
	case !p.NoRatchet && old.undecided[f.Check]:
		return "not denied: whether the Ingress had this before could not be judged"
	case r.Ignore.names(f.Check):
		return "not denied: whether the Ingress may ignore this could not be found out"
	case f.Tentative:
		return "not denied: not certain"
	case f.InPart:
		return "not denied: the Ingresses of other namespaces are not read"
	case len(f.RestsOn) > 0 && r.DryRun && !p.StrictDryRun:
		return "dry run: a real write would be denied"
	case len(f.RestsOn) > 0 && p.young(r):
		return fmt.Sprintf("not denied: the namespace is younger than %s", p.GracePeriod)
	}
	return ""
}

func (p *Policy) young(r *Request) bool {
	return p.GracePeriod > 0 && r.Namespace != nil && r.Now.Sub(r.Namespace.CreationTimestamp.Time) < p.GracePeriod
}
