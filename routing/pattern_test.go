// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPatternAgainstPCRE2 holds every answer to the recorded ones of PCRE2.
// hack/pcre2corpus says what the files hold and how to record them again.
func TestPatternAgainstPCRE2(t *testing.T) {
	files, err := filepath.Glob("testdata/pattern/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded answers: %v", err)
	}
	var accepted, refused, undecided, subjects, silent int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var pattern *Pattern
		var expr string
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			fields := strings.Split(line, "\t")
			if fields[0] != "" {
				expr = unquote(t, fields[0])
				want := fields[2]
				pattern, err = CompilePattern(expr, fields[1] == "i")
				var refusal *PatternError
				switch {
				case errors.Is(err, ErrPatternUndecided):
					undecided++
				case errors.As(err, &refusal):
					refused++
					if want == "ok" || want == "differs" {
						t.Errorf("%s: %q is refused, %v, but PCRE2 says %s", file, expr, err, want)
					}
				case err != nil:
					t.Errorf("%s: %q: unexpected error %v", file, expr, err)
				default:
					accepted++
					if want != "ok" {
						t.Errorf("%s: %q is accepted, but PCRE2 says %s", file, expr, want)
					}
				}
				continue
			}
			if pattern == nil || fields[2] == "differs" {
				continue
			}
			subjects++
			subject := unquote(t, fields[1])
			var want []string
			if fields[2] != "none" {
				for _, field := range fields[2:] {
					want = append(want, unquote(t, field))
				}
			}
			groups, ok, err := pattern.Match(subject)
			if errors.Is(err, ErrPatternUndecided) {
				silent++
			} else if err != nil {
				t.Errorf("%s: %q on %q: %v", file, expr, subject, err)
			} else if ok != (want != nil) || !slices.Equal(groups, want) {
				t.Errorf("%s: %q on %q: got %q, PCRE2 says %q", file, expr, subject, groups, want)
			}
		}
	}
	t.Logf("%d accepted, %d refused, %d undecided, %d subjects, %d of them undecided", accepted, refused, undecided, subjects, silent)
	if all := accepted + refused + undecided; undecided*10 > all {
		t.Errorf("%d of %d are undecided; more than a tenth makes the answers useless", undecided, all)
	}
	if silent*20 > subjects {
		t.Errorf("%d of %d subjects are undecided; more than a twentieth makes the answers useless", silent, subjects)
	}
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return text
}

// TestPatternErrors pins which of the three answers is given, and its words.
func TestPatternErrors(t *testing.T) {
	for _, test := range []struct{ expr, want string }{
		{"^/**", `quantifier does not follow a repeatable item at offset 4 of "^/**"`},
		{"^/(a", `missing closing parenthesis at offset 4 of "^/(a"`},
		{"^/a)", `unmatched closing parenthesis at offset 3 of "^/a)"`},
		{"^/(?<a>x)(?<a>y)", `two named subpatterns have the same name (PCRE2_DUPNAMES not set) at offset 14 of "^/(?<a>x)(?<a>y)"`},
		{`^/(a)\2`, `reference to non-existent subpattern at offset 5 of "^/(a)\\2"`},
		{"^/(?R)", ""},
		{"(*UTF8)^/é", ""},
		{`^/\p{L}`, ""},
		{"^/(?<=a{1,2})b", ""},
		{"^/(?:[ab]c){2000}", ""},
		{"^/" + strings.Repeat("a", 5000), ""},
	} {
		pattern, err := CompilePattern(test.expr, true)
		var refusal *PatternError
		switch {
		case pattern != nil:
			t.Errorf("%q is accepted", test.expr)
		case test.want == "":
			if !errors.Is(err, ErrPatternUndecided) {
				t.Errorf("%q: got %v, must be undecided", test.expr, err)
			}
		case !errors.As(err, &refusal) || err.Error() != test.want:
			t.Errorf("%q: got %v, want %s", test.expr, err, test.want)
		}
	}
}

// TestPatternIsBounded matches what takes PCRE a time that grows without limit.
func TestPatternIsBounded(t *testing.T) {
	for _, expr := range []string{`^/(a+)+$`, `^/(a|aa)+$`, `(a*)*b`, `((?>a+)*)*\1c`, `^/((a+)*)*[^a!]\1$`, `^/(?:(?=(a+))\1?)*?b`} {
		pattern, err := CompilePattern(expr, true)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, ok, err := pattern.Match("/" + strings.Repeat("a", 4000) + "!")
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%q took %v", expr, took)
		}
		if ok || err != nil && !errors.Is(err, ErrPatternUndecided) {
			t.Errorf("%q: matched %v, error %v", expr, ok, err)
		}
	}
}

func TestPatternIsLiteral(t *testing.T) {
	for expr, want := range map[string]bool{
		"": true, "/a-b_c/é~@:,;=&%20": true, "/a]b}": true,
		"/a.html": false, "/a*": false, "/{id}": false, "/a$": false, `/a\b`: false,
	} {
		if got := PatternIsLiteral(expr); got != want {
			t.Errorf("PatternIsLiteral(%q) = %v", expr, got)
		}
		if !want {
			continue
		}
		pattern, err := CompilePattern(expr, false)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
		} else if groups, ok, err := pattern.Match("x" + expr + "x"); !ok || err != nil || groups[0] != expr {
			t.Errorf("%q: matched %q, %v, %v", expr, groups, ok, err)
		}
	}
}

// FuzzPattern looks for a panic, for unbounded time, and for groups that are
// not part of the subject.
func FuzzPattern(f *testing.F) {
	for _, expr := range []string{`^/(a+)+$`, `(?i)/foo(/|$)(.*)`, `[[:alpha:]-]`, `(?<n>a)\k<n>|(?<!b{2})c\Kd`, `\Qa\E++(?#c)`, `((((a?){9}){9}){9}){9}`} {
		f.Add(expr, "/foo/aaaa", true)
	}
	f.Fuzz(func(t *testing.T, expr, subject string, caseless bool) {
		start := time.Now()
		defer func() {
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%q took %v", expr, took)
			}
		}()
		pattern, err := CompilePattern(expr, caseless)
		var refusal *PatternError
		if err != nil {
			if !errors.Is(err, ErrPatternUndecided) && !errors.As(err, &refusal) {
				t.Errorf("%q: %v is neither of the errors", expr, err)
			}
			return
		}
		groups, ok, err := pattern.Match(subject)
		if err != nil && !errors.Is(err, ErrPatternUndecided) {
			t.Errorf("%q: %v", expr, err)
		}
		if ok && len(groups) != pattern.Groups()+1 {
			t.Errorf("%q: %d groups, want %d", expr, len(groups), pattern.Groups()+1)
		}
		for _, group := range groups {
			if !strings.Contains(subject, group) {
				t.Errorf("%q on %q: group %q", expr, subject, group)
			}
		}
	})
}
