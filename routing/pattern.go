// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// ErrPatternUndecided is wrapped by the errors which mean that PCRE may do
// otherwise: the expression uses a construct that this package leaves out or
// on which releases of PCRE differ, or matching it took too many steps.
// Nothing may be concluded from it.
var ErrPatternUndecided = errors.New("regular expression cannot be judged")

// PatternError says that PCRE certainly refuses an expression. nginx then
// refuses the whole configuration which holds it.
type PatternError struct {
	// Expr is the expression as it was given.
	Expr string
	// Offset is the byte at which reading stopped. It is near the place that
	// nginx's own message names; releases of PCRE differ in where they point.
	Offset int
	// Reason is what PCRE says about it, in PCRE's words.
	Reason string
}

func (e *PatternError) Error() string {
	return fmt.Sprintf("%s at offset %d of %q", e.Reason, e.Offset, e.Expr)
}

const (
	// maxPatternLength keeps an expression far from PCRE's own limits. nginx
	// reads no parameter that is longer than its buffer of 4096 bytes.
	maxPatternLength = 4096
	// maxPatternSize is compared with an upper estimate of what PCRE compiles
	// an expression to. PCRE refuses more than 65535 bytes.
	maxPatternSize = 50000
	// maxPatternSteps bounds one Match to some milliseconds.
	maxPatternSteps = 500000
	// maxTableSteps bounds what all slow matches take that one Table is asked for: many
	// slow expressions, and many requests for them, are as many times as many. A match of
	// fewPatternSteps or less is not slow and not counted, so that a Table may be asked
	// for long.
	maxTableSteps   = 40 * maxPatternSteps
	fewPatternSteps = 2000
	// maxPatternDepth is PCRE's limit of nested parentheses.
	maxPatternDepth = 250
)

// Pattern is a regular expression as nginx compiles it with PCRE2: it is read
// and matched as bytes, not as characters, and letters outside ASCII have no
// case. The answers were compared with PCRE2 10.42 and 10.46, and are undecided
// where these two differ. A Pattern is immutable and safe for concurrent use.
type Pattern struct {
	program []instruction
	groups  int
	slots   int
	// anchored says that every match begins at the start of the subject.
	anchored bool
	// doubtful says that PCRE's optimizations may miss matches, so that only
	// the compilation is decided.
	doubtful bool
	// within is what is left of the steps of the Table that has the pattern, nil without one.
	within *atomic.Int64
}

// CompilePattern compiles an expression as it reaches PCRE, which is after
// nginx has read its configuration and undone its quoting. Caseless is what
// "~*" asks for.
//
// The error is a *PatternError if PCRE certainly refuses the expression, and
// wraps ErrPatternUndecided if PCRE may accept or read it in a way that this
// package does not know. The memory and time it takes are bounded.
func CompilePattern(expr string, caseless bool) (*Pattern, error) {
	if len(expr) > maxPatternLength {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrPatternUndecided, maxPatternLength)
	}
	if strings.IndexByte(expr, 0) >= 0 {
		return nil, fmt.Errorf("%w: it contains a NUL byte", ErrPatternUndecided)
	}
	p := patternParser{expr: expr}
	tree, err := p.parse(patternFlags{caseless: caseless})
	if err != nil {
		return nil, err
	}
	if tree.size() > maxPatternSize {
		return nil, fmt.Errorf("%w: it may be too large for PCRE", ErrPatternUndecided)
	}
	c := patternCompiler{}
	c.node(tree)
	c.emit(instruction{op: opAccept})
	return &Pattern{program: c.program, groups: p.groups, slots: c.slots, anchored: tree.anchored(), doubtful: tree.doubtful(nil)}, nil
}

// Match looks for the first match in the subject, as pcre2_match does for a
// location, a rewrite or a server name. groups[0] is the text matched, and the
// others are the capturing groups, of which those that took no part are empty.
// The error wraps ErrPatternUndecided if the bound on steps was hit, or if the
// expression is one of the few whose matches PCRE is known to miss.
func (p *Pattern) Match(subject string) (groups []string, ok bool, err error) {
	if p.doubtful {
		return nil, false, fmt.Errorf("%w: PCRE may miss a match of it", ErrPatternUndecided)
	}
	if p.within != nil && p.within.Load() < 0 {
		return nil, false, fmt.Errorf("%w: all slow matches together took more than %d steps", ErrPatternUndecided, maxTableSteps)
	}
	m := newMachine(p, subject)
	defer func() {
		if p.within != nil && m.steps > fewPatternSteps {
			p.within.Add(-int64(m.steps))
		}
	}()
	for start := 0; start <= len(subject); start++ {
		end, matched := m.run(0, start)
		if m.steps > maxPatternSteps {
			return nil, false, fmt.Errorf("%w: matching took more than %d steps", ErrPatternUndecided, maxPatternSteps)
		}
		if matched {
			return m.texts(start, end), true, nil
		}
		if p.anchored {
			break
		}
	}
	return nil, false, nil
}

// Groups returns the number of capturing groups, named ones included.
func (p *Pattern) Groups() int { return p.groups }

// PatternIsLiteral says that an expression has no character with a meaning of
// its own, so that it matches exactly itself.
func PatternIsLiteral(expr string) bool {
	return !strings.ContainsAny(expr, `\^$.[|()?*+{`)
}
