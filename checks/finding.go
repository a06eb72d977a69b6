// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// Finding is one fault of one Ingress. The zero value of a field means that
// there is nothing to say.
type Finding struct {
	// Check is the name of the check. Run sets it.
	Check string
	// Field is the field at fault.
	Field *field.Path
	// Fact is what is wrong, as a clause. Values from users are quoted and
	// bounded in it.
	Fact string
	// Accepted is what would be accepted, or what was probably meant.
	Accepted string
	// Outcome is what a request would get: "requests get 503".
	Outcome string
	// Subject tells this fault from others of the same check, for comparing an
	// Ingress with its former version. It holds no index into a list.
	Subject Subject
	// RestsOn are the objects, other than the Ingress, whose presence, absence
	// or contents make the finding true. Before such a finding denies, each is
	// to be read again from the API server.
	RestsOn []routing.Ref
	// Mentions are Ingresses that the texts name, each as "namespace/name" in quotes.
	// Run adds those of RestsOn, and leaves only those of other namespaces.
	Mentions []routing.Ref
	// ExplainedBy are objects that were not read, though they may be, and that would
	// let the finding say more. They are never evidence.
	ExplainedBy []routing.Ref
	// Tentative marks a finding that may heal by itself or that the check cannot
	// be certain of. It is never a reason to deny.
	Tentative bool
	// InPart marks a finding that another Ingress might refute, where the Ingresses of
	// some namespaces were not read. It is never a reason to deny.
	InPart bool
	// Undecided marks the absence of a verdict: the check could not judge. Fact
	// says why; Field and Outcome are empty.
	Undecided bool
	// Unread is why it is Undecided, where something was not read.
	Unread []Unread
}

// Unread is an object that a check asked for and that was not read. The kind is never
// SecretData; the name is empty where the check asked for all of them.
type Unread struct {
	routing.Ref
	Reason string
}

// in says it in words. They name no object of another namespace than the one
// given, as they are shown to everybody.
func (u Unread) in(namespace string) string {
	what := string(u.Kind)
	switch {
	case u.Namespace != "" && u.Namespace != namespace:
		what += " of another namespace"
	case u.Name != "":
		what += " " + quote(u.Name)
	}
	return fmt.Sprintf("%s: %s", what, u.Reason)
}

// Subject is what a finding is about.
type Subject struct {
	Host string
	Path string
	Type networkingv1.PathType
	// Object is the object and port, or the value of the annotation, concerned.
	Object string
}

// Fingerprint identifies a finding across versions of an Ingress. It is
// comparable.
type Fingerprint struct {
	Check string
	Subject
}

// Fingerprint returns what identifies the finding.
func (f Finding) Fingerprint() Fingerprint {
	return Fingerprint{Check: f.Check, Subject: f.Subject}
}

// String returns the finding as one line, as users see it: field, fact, what
// would be accepted, check, outcome.
func (f Finding) String() string {
	var b strings.Builder
	if f.Field != nil {
		b.WriteString(f.Field.String())
		b.WriteString(": ")
	}
	b.WriteString(f.Fact)
	if f.Accepted != "" {
		b.WriteString("; ")
		b.WriteString(f.Accepted)
	}
	fmt.Fprintf(&b, " (%s)", f.Check)
	if f.Outcome != "" {
		b.WriteString(": ")
		b.WriteString(f.Outcome)
	}
	return b.String()
}

// Withholding returns the finding with only those of its Mentions named that show
// accepts.
func (f Finding) Withholding(show func(routing.Ref) bool) Finding {
	for _, ref := range f.Mentions {
		if show(ref) {
			continue
		}
		for _, text := range []*string{&f.Fact, &f.Accepted, &f.Outcome} {
			*text = withoutName(*text, quotedName(ref))
		}
	}
	return f
}

// names reports whether a text names the object.
func (f *Finding) names(ref routing.Ref) bool {
	return slices.ContainsFunc([]string{f.Fact, f.Accepted, f.Outcome}, func(text string) bool {
		return strings.Contains(text, quotedName(ref))
	})
}

// quotedName is how texts name an Ingress.
func quotedName(ref routing.Ref) string {
	return quote(ref.Namespace + "/" + ref.Name)
}

// What stands for the name of an Ingress that is not to be named.
const (
	someIngress = "Ingress of another namespace"
	someOther   = "one of another namespace"
)

// described are words after which someIngress needs no article.
var described = []string{"older ", "newer ", "canary "}

// withoutName replaces the name of an Ingress, which is quoted, in a text.
func withoutName(text, name string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, name)
		if !found {
			b.WriteString(text)
			return b.String()
		}
		rest, singular := strings.CutSuffix(before, "Ingress ")
		b.WriteString(rest)
		switch {
		case !singular:
			b.WriteString(someOther)
		case slices.ContainsFunc(described, func(word string) bool { return strings.HasSuffix(rest, word) }):
			b.WriteString(someIngress)
		default:
			b.WriteString("an " + someIngress)
		}
		text = after
	}
}

// undecided is the finding of a check that could not judge.
func undecided(c *Check, reason string) Finding {
	return Finding{Check: c.Name, Fact: reason, Undecided: true}
}

// unread is the finding of a check that could not judge an Ingress of the namespace,
// since something was not read.
func unread(c *Check, namespace string, missed []Unread) Finding {
	var f Finding
	var reasons []string
	for _, u := range missed {
		if !slices.Contains(f.Unread, u) {
			f.Unread = append(f.Unread, u)
			reasons = append(reasons, u.in(namespace))
		}
	}
	slices.Sort(reasons)
	f.Check, f.Fact, f.Undecided = c.Name, strings.Join(slices.Compact(reasons), "; "), true
	return f
}

func compareFindings(a, b Finding) int {
	return cmp.Or(
		compareFields(a.Field, b.Field),
		cmp.Compare(a.Check, b.Check),
		cmp.Compare(a.Fact, b.Fact),
	)
}

// compareFields orders field paths so that paths[2] comes before paths[10].
func compareFields(a, b *field.Path) int {
	as, bs := fieldText(a), fieldText(b)
	for {
		i, j := strings.IndexByte(as, '['), strings.IndexByte(bs, '[')
		if i < 0 || j < 0 || as[:i] != bs[:j] {
			return cmp.Compare(as, bs)
		}
		an, arest := leadingNumber(as[i+1:])
		bn, brest := leadingNumber(bs[j+1:])
		if an != bn {
			return cmp.Compare(an, bn)
		}
		as, bs = arest, brest
	}
}

func fieldText(p *field.Path) string {
	if p == nil {
		return ""
	}
	return p.String()
}

func leadingNumber(s string) (int, string) {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return -1, s
	}
	return n, s[end:]
}

// maxQuoted bounds a value from a user within a message, in runes.
const maxQuoted = 64

// quote writes a value from a user: in quotes, bounded, on one line, without
// control characters.
func quote(value string) string {
	if runes := []rune(value); len(runes) > maxQuoted {
		value = string(runes[:maxQuoted-1]) + "…"
	}
	return strconv.Quote(value)
}

// Quote writes a value from a user as messages do: in quotes, bounded, on one line.
func Quote(value string) string { return quote(value) }

// bare writes what is mostly a name as quote does, without the quotes.
func bare(value string) string {
	quoted := quote(value)
	return quoted[1 : len(quoted)-1]
}

// maxListed bounds the values that a message lists.
const maxListed = 5

// oneOf writes what would be accepted: "must be one of a, b".
func oneOf(values []string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return "must be " + values[0]
	}
	return "must be one of " + list(values)
}

// list joins values, of which it shows only so many.
func list(values []string) string {
	if len(values) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(values[:maxListed], ", "), len(values)-maxListed)
	}
	return strings.Join(values, ", ")
}

// Nearest returns the candidate that the value is probably a misspelling of, or
// nothing. The closest wins, among equals the first in alphabetical order.
func Nearest(value string, candidates []string) string {
	if len(value) < 2 {
		return ""
	}
	best, bestDistance := "", max(1, len(value)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if len(candidate)-len(value) >= bestDistance || len(value)-len(candidate) >= bestDistance {
			continue
		}
		if d := distance(value, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is the number of letters by which two names differ; two neighbours
// that changed places count as one.
func distance(a, b string) int {
	d := levenshtein.ComputeDistance(a, b)
	if d != 2 || len(a) != len(b) {
		return d
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	if i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:] {
		return 1
	}
	return d
}

// didYouMean writes the suggestion of a near name, or nothing.
func didYouMean(value string, candidates []string) string {
	if name := Nearest(value, candidates); name != "" {
		return "did you mean " + quote(name) + "?"
	}
	return ""
}
