// SPDX-License-Identifier: Apache-2.0

// Package policy decides what findings mean here: which deny, which warn, and
// what happens when no verdict was possible.
//
// Five rules stand between a finding whose check is in mode deny and a denial;
// each turns it into a warning that says why:
//
//   - ratchet: the former version of the Ingress had the same fault;
//   - dry run: the fault lies in another object, and appliers dry-run a whole set
//     of objects before any of it exists;
//   - grace period: the fault lies in another object, and the namespace is new;
//   - the finding is Tentative;
//   - an Ingress of a namespace that is not read might refute it.
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

// Policy is the rules of one cluster. The zero value is not valid.
type Policy struct {
	Preset      Preset
	OnUndecided OnUndecided
	// GracePeriod is the age up to which a namespace is new.
	GracePeriod time.Duration
}

// Validate reports every field with a value that is not accepted.
func (p Policy) Validate() error {
	var errs []error
	if presets := []Preset{Observe, Standard, Strict}; !slices.Contains(presets, p.Preset) {
		errs = append(errs, fmt.Errorf("preset %q: must be one of %s", p.Preset, join(presets)))
	}
	if values := []OnUndecided{Allow, Fail}; !slices.Contains(values, p.OnUndecided) {
		errs = append(errs, fmt.Errorf("onUndecided %q: must be one of %s", p.OnUndecided, join(values)))
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
	if p.Preset == Strict && c.Strict != "" {
		return c.Strict
	}
	mode := c.Default
	if confirmed && c.Confirmed != "" {
		mode = c.Confirmed
	}
	if p.Preset == Observe && mode == checks.Deny {
		return checks.Warn
	}
	return mode
}

// Enabled returns the checks whose mode is not off for every Ingress.
func (p Policy) Enabled(list []checks.Check) []checks.Check {
	return slices.DeleteFunc(slices.Clone(list), func(c checks.Check) bool {
		return p.Mode(&c, false) == checks.Off && p.Mode(&c, true) == checks.Off
	})
}

// CouldDeny reports whether a finding of a check in mode deny is among those of a
// Request, so that what was wrong before matters.
func (p Policy) CouldDeny(r Request) bool {
	return slices.ContainsFunc(r.New, func(f checks.Finding) bool {
		return !f.Undecided && slices.ContainsFunc(r.Checks, func(c checks.Check) bool {
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
	// mayFail is true when a check that could have denied was undecided and the
	// policy wants that to fail.
	mayFail bool
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
	modes := make(map[string]checks.Mode, len(r.Checks))
	for i := range r.Checks {
		modes[r.Checks[i].Name] = p.Mode(&r.Checks[i], r.Confirmed)
	}
	old := former{has: map[checks.Fingerprint]bool{}, undecided: map[string]bool{}}
	for _, f := range r.Old {
		if f.Undecided {
			old.undecided[f.Check] = true
		} else {
			old.has[f.Fingerprint()] = true
		}
	}

	var v Verdict
	couldDeny := false
	for _, f := range r.New {
		mode := modes[f.Check]
		switch {
		case mode == checks.Off || mode == "":
		case f.Undecided:
			v.Undecided = append(v.Undecided, f)
			couldDeny = couldDeny || mode == checks.Deny
		case mode == checks.Warn:
			v.Warned = append(v.Warned, Warning{Finding: f})
		default:
			if because := p.spared(f, r, old); because != "" {
				v.Warned = append(v.Warned, Warning{Finding: f, Because: because})
			} else {
				v.Denied = append(v.Denied, f)
			}
		}
	}
	v.mayFail = couldDeny && p.OnUndecided == Fail
	return v
}

// former is what was wrong with the former version of an Ingress.
type former struct {
	has       map[checks.Fingerprint]bool
	undecided map[string]bool
}

// spared says why a finding in mode deny does not deny, or nothing.
func (p Policy) spared(f checks.Finding, r Request, old former) string {
	switch {
	case old.has[f.Fingerprint()]:
		return "not denied: the Ingress had this before"
	case old.undecided[f.Check]:
		return "not denied: whether the Ingress had this before could not be judged"
	case f.Tentative:
		return "not denied: not certain"
	case f.InPart:
		return "not denied: the Ingresses of other namespaces are not read"
	case len(f.RestsOn) > 0 && r.DryRun:
		return "dry run: a real write would be denied"
	case len(f.RestsOn) > 0 && p.young(r):
		return fmt.Sprintf("not denied: the namespace is younger than %s", p.GracePeriod)
	}
	return ""
}

func (p Policy) young(r Request) bool {
	return p.GracePeriod > 0 && r.Namespace != nil && r.Now.Sub(r.Namespace.CreationTimestamp.Time) < p.GracePeriod
}
