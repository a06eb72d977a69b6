// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// The formats of Findings beside JSON and YAML.
const (
	Table  = "table"
	Wide   = "wide"
	SARIF  = "sarif"
	JUnit  = "junit"
	GitHub = "github"
	HTML   = "html"
)

// FindingFormats lists the formats of Findings.
func FindingFormats() []string {
	return []string{Table, Wide, JSON, YAML, SARIF, JUnit, GitHub, HTML}
}

// The modes of findings that neither deny nor warn.
const (
	Audit     checks.Mode = "audit"     // the policy wants it recorded only
	Ignored   checks.Mode = "ignored"   // the Ingress says so
	Undecided checks.Mode = "undecided" // the check could not judge
)

// Findings is what the checks say of Ingresses.
type Findings struct {
	Summary Summary `json:"summary"`
	// Ingresses are all that were judged, with or without findings, in their order.
	Ingresses []Judged `json:"ingresses"`
	// Problems say what could not be read, and so was not judged.
	Problems []Problem `json:"problems,omitempty"`
	// Page is for the html format alone, which can do without.
	Page *Page `json:"-"`
}

// Summary counts.
type Summary struct {
	Ingresses int `json:"ingresses"`
	// Deny, Warn, Audit, Ignored and Undecided are the findings of each mode; Known are
	// those that a baseline holds, which are counted and shown nowhere else.
	Deny      int `json:"deny"`
	Warn      int `json:"warn"`
	Audit     int `json:"audit"`
	Ignored   int `json:"ignored"`
	Undecided int `json:"undecided"`
	Known     int `json:"known"`
	// Failing are the findings for which the command fails.
	Failing int `json:"failing"`
}

// Judged is one Ingress and what was found.
type Judged struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Source    *Source   `json:"source,omitempty"`
	Findings  []Finding `json:"findings"`
	// Hosts are those of the rules, "" for a rule without one. They are for the html format
	// alone.
	Hosts []string `json:"-"`
}

// Source is a place in a file that was given. Line and Column are 0 where they are not
// known.
type Source struct {
	File      string `json:"file"`
	Document  int    `json:"document,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndColumn int    `json:"endColumn,omitempty"`
	// Template is the file that Helm made this of.
	Template string `json:"template,omitempty"`
}

// String writes the place as compilers do.
func (s *Source) String() string {
	text := s.File
	if s.Line > 0 {
		text += fmt.Sprintf(":%d", s.Line)
		if s.Column > 0 {
			text += fmt.Sprintf(":%d", s.Column)
		}
	}
	return text
}

// Finding is one finding in a mode.
type Finding struct {
	Check string      `json:"check"`
	Mode  checks.Mode `json:"mode"`
	Field string      `json:"field,omitempty"`
	// Message is the whole line, as the webhook writes it.
	Message  string `json:"message"`
	Fact     string `json:"fact"`
	Accepted string `json:"accepted,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	// Because is why a finding of a check in mode deny has the mode warn, or why it is
	// ignored.
	Because string `json:"because,omitempty"`
	// Hint is what the user may do where the finding is not so.
	Hint string `json:"hint,omitempty"`
	// Fingerprint is the same wherever the Ingress stands and whatever is around it.
	Fingerprint string `json:"fingerprint"`
	// Fails is true where the command fails for it.
	Fails  bool    `json:"fails"`
	Source *Source `json:"source,omitempty"`

	// unread is why there is no verdict, for Notes.
	unread []checks.Unread
}

// Problem is what could not be read.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

// NewFinding returns a finding of an Ingress of that namespace and name.
func NewFinding(f checks.Finding, mode checks.Mode, namespace, name string) Finding {
	found := Finding{
		Check: f.Check, Mode: mode, Message: f.String(), Fact: f.Fact, Accepted: f.Accepted, Outcome: f.Outcome,
		Fingerprint: fingerprint(namespace, name, f.Fingerprint()), unread: f.Unread,
	}
	if f.Field != nil {
		found.Field = f.Field.String()
	}
	return found
}

// counts reports whether the finding denies or warns. The others are for the formats that
// list everything.
func (f *Finding) counts() bool {
	return f.Mode == checks.Deny || f.Mode == checks.Warn
}

// fingerprint is that of a finding of an Ingress, as short text.
func fingerprint(namespace, name string, f checks.Fingerprint) string {
	h := sha256.New()
	for _, part := range []string{namespace, name, f.Check, f.Host, f.Path, string(f.Type), f.Object} {
		// The length keeps parts apart.
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Add adds an Ingress. The findings that known names are left out and counted.
func (r *Findings) Add(j Judged, known func(fingerprint string) bool) {
	kept := make([]Finding, 0, len(j.Findings))
	for _, f := range j.Findings {
		if known(f.Fingerprint) {
			r.Summary.Known++
			continue
		}
		kept = append(kept, f)
		switch f.Mode {
		case checks.Deny:
			r.Summary.Deny++
		case checks.Warn:
			r.Summary.Warn++
		case Audit:
			r.Summary.Audit++
		case Ignored:
			r.Summary.Ignored++
		case Undecided:
			r.Summary.Undecided++
		}
		if f.Fails {
			r.Summary.Failing++
		}
	}
	j.Findings = kept
	r.Ingresses = append(r.Ingresses, j)
	r.Summary.Ingresses++
}

// Write writes the findings in one of the FindingFormats. Colour is for tables.
func (r *Findings) Write(w io.Writer, format, version string, colour bool) error {
	switch format {
	case Table:
		return r.writeTable(w, colour)
	case Wide:
		return r.writeWide(w)
	case SARIF:
		return r.writeSARIF(w, version)
	case JUnit:
		return r.writeJUnit(w)
	case GitHub:
		return r.writeGitHub(w)
	case HTML:
		return r.writeHTML(w, version)
	}
	return Write(w, format, r)
}

// Notes say once each why checks have no verdict, with how many Ingresses that concerns.
// Objects of one kind that were not read for the same reason are one note.
func (r *Findings) Notes() []string {
	type why struct {
		kind   routing.Kind // empty where nothing was unread
		reason string
	}
	ingresses := map[why]int{}
	named := map[why]map[routing.Ref]bool{}
	for _, j := range r.Ingresses {
		seen := map[why]bool{}
		note := func(w why) {
			if !seen[w] {
				seen[w] = true
				ingresses[w]++
			}
		}
		for i := range j.Findings {
			f := &j.Findings[i]
			if f.Mode != Undecided {
				continue
			}
			if len(f.unread) == 0 {
				note(why{reason: f.Fact})
			}
			for _, u := range f.unread {
				w := why{u.Kind, u.Reason}
				note(w)
				if named[w] == nil {
					named[w] = map[routing.Ref]bool{}
				}
				if u.Name != "" {
					named[w][u.Ref] = true
				}
			}
		}
	}
	notes := make([]string, 0, len(ingresses))
	for w, n := range ingresses {
		text := w.reason
		if w.kind != "" {
			text = fmt.Sprintf("%s: %s", someOf(w.kind, named[w]), w.reason)
		}
		notes = append(notes, fmt.Sprintf("No verdict on parts of %s: %s", countOf(n, "Ingress", "Ingresses"), printable(text)))
	}
	slices.Sort(notes)
	return notes
}

// someOf names one of the objects, and counts the rest.
func someOf(kind routing.Kind, refs map[routing.Ref]bool) string {
	names := make([]string, 0, len(refs))
	for ref := range refs {
		names = append(names, ref.Name)
	}
	slices.Sort(names)
	switch len(names) {
	case 0:
		return string(kind)
	case 1:
		return fmt.Sprintf("%s %s", kind, checks.Quote(names[0]))
	}
	return fmt.Sprintf("%s %s and %d more", kind, checks.Quote(names[0]), len(names)-1)
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Baseline is the findings that are accepted for now.
type Baseline struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Findings   []BaselineFinding `json:"findings"`
}

// BaselineFinding is one of a Baseline. The fingerprint alone counts; the rest is for
// those who read the file.
type BaselineFinding struct {
	Fingerprint string `json:"fingerprint"`
	Ingress     string `json:"ingress"`
	Check       string `json:"check"`
	Fact        string `json:"fact"`
}

// The version and kind of a Baseline's file.
const (
	baselineVersion = "routegate.dev/v1alpha1"
	baselineKind    = "Baseline"
)

// NewBaseline accepts all findings that deny or warn: what is ignored may be until a day
// only.
func NewBaseline(r *Findings) *Baseline {
	b := &Baseline{APIVersion: baselineVersion, Kind: baselineKind, Findings: []BaselineFinding{}}
	seen := map[string]bool{}
	for _, j := range r.Ingresses {
		for i := range j.Findings {
			f := &j.Findings[i]
			if f.counts() && !seen[f.Fingerprint] {
				seen[f.Fingerprint] = true
				b.Findings = append(b.Findings, BaselineFinding{Fingerprint: f.Fingerprint, Ingress: j.Namespace + "/" + j.Name, Check: f.Check, Fact: f.Fact})
			}
		}
	}
	return b
}

// ReadBaseline reads what Write wrote of a Baseline as JSON.
func ReadBaseline(data []byte) (*Baseline, error) {
	var b Baseline
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("is no baseline: %w", err)
	}
	if b.APIVersion != baselineVersion || b.Kind != baselineKind {
		return nil, fmt.Errorf("apiVersion %q, kind %q: must be %s, %s", b.APIVersion, b.Kind, baselineVersion, baselineKind)
	}
	return &b, nil
}

// Fingerprints are those of the findings.
func (b *Baseline) Fingerprints() map[string]bool {
	known := make(map[string]bool, len(b.Findings))
	for _, f := range b.Findings {
		known[f.Fingerprint] = true
	}
	return known
}
