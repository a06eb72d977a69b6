// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/routegate/routegate/checks"
)

// mode is what a finding would mean for the Ingress if it were created now.
type mode string

// The modes, gravest first.
const (
	deny      mode = "deny"
	warn      mode = "warn"
	audited   mode = "audit"   // the policy wants it recorded only
	ignored   mode = "ignored" // the Ingress says so
	undecided mode = "undecided"
)

// modes are all modes, gravest first.
var modes = []mode{deny, warn, audited, ignored, undecided}

// lasting is something that counts only once it has lasted for the settle time, and
// until it has been gone for so long.
type lasting struct {
	// since is when it was first seen.
	since time.Time
	// gone is when it was first seen to be gone; zero while it is there.
	gone time.Time
	// counts is true while it counts.
	counts bool
}

// change is what became of something lasting.
type change int

const (
	nothing change = iota
	appeared
	vanished // it counted and does not any more
	forgotten
)

// see notes whether it is there now. The time is that at which it must be seen
// again, zero where that is not needed.
func (l *lasting) see(there bool, now time.Time, settle time.Duration) (change, time.Time) {
	if there {
		if l.since.IsZero() {
			l.since = now
		}
		l.gone = time.Time{}
		switch due := l.since.Add(settle); {
		case l.counts:
			return nothing, time.Time{}
		case due.After(now):
			return nothing, due
		}
		l.counts = true
		return appeared, time.Time{}
	}
	if !l.counts {
		*l = lasting{}
		return forgotten, time.Time{}
	}
	if l.gone.IsZero() {
		l.gone = now
	}
	if due := l.gone.Add(settle); due.After(now) {
		return nothing, due
	}
	*l = lasting{}
	return vanished, time.Time{}
}

// id tells the findings of one Ingress apart.
type id struct {
	checks.Fingerprint
	undecided bool
}

// found is a finding of one Ingress.
type found struct {
	lasting
	checks.Finding
	mode mode
}

// entry is what is known of one Ingress.
type entry struct {
	uid          types.UID
	findings     map[id]*found
	unroutable   lasting
	unknown      bool
	certificates []Certificate
}

// routable is what counts of the Ingress.
func (e *entry) routable() Routable {
	switch {
	case e.unroutable.counts:
		return No
	case e.unknown:
		return Unknown
	}
	return Yes
}

// changes are findings that began or ceased to count, each in the order of their
// texts.
type changes struct {
	appeared, vanished []*found
}

// update notes a Judgement. The time is that at which the Ingress must be judged
// again, zero where nothing is due.
func (e *entry) update(j Judgement, now time.Time, settle time.Duration) (changes, time.Time) {
	due := j.Until
	earlier := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	seen := map[id]bool{}
	note := func(f checks.Finding, m mode) {
		key := id{f.Fingerprint(), f.Undecided}
		if seen[key] {
			return
		}
		seen[key] = true
		known := e.findings[key]
		if known == nil {
			known = &found{}
			if e.findings == nil {
				e.findings = map[id]*found{}
			}
			e.findings[key] = known
		}
		known.Finding, known.mode = f, m
	}
	for _, f := range j.Verdict.Denied {
		note(f, deny)
	}
	for _, w := range j.Verdict.Warned {
		note(w.Finding, warn)
	}
	for _, f := range j.Verdict.Audited {
		note(f, audited)
	}
	for _, f := range j.Verdict.Ignored {
		note(f, ignored)
	}
	for _, f := range j.Verdict.Undecided {
		note(f, undecided)
	}

	var c changes
	for key, f := range e.findings {
		what, next := f.see(seen[key], now, settle)
		earlier(next)
		switch what {
		case appeared:
			c.appeared = append(c.appeared, f)
		case vanished:
			c.vanished = append(c.vanished, f)
			delete(e.findings, key)
		case forgotten:
			delete(e.findings, key)
		}
	}
	if len(e.findings) == 0 {
		// Most Ingresses have none.
		e.findings = nil
	}
	for _, list := range [][]*found{c.appeared, c.vanished} {
		slices.SortFunc(list, func(a, b *found) int { return cmp.Compare(a.String(), b.String()) })
	}
	_, next := e.unroutable.see(j.Routable == No, now, settle)
	earlier(next)
	e.unknown = j.Routable == Unknown
	e.certificates = j.Certificates
	return c, due
}
