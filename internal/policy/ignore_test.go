// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

func TestIgnore(t *testing.T) {
	no := false
	poison := checks.Check{Name: "poison", Default: checks.Deny, Poison: true}
	list := []checks.Check{certain, poison, transient}
	const form = `; must be like "check-a,check-b; until=2027-01-31; reason=why", where until may be left out`
	const long = "certain; reason=we, who own the shop = know; until=2027-01-31"

	for name, tc := range map[string]struct {
		terms  policy.IgnoreTerms
		value  string
		want   string // the checks, and the reason
		faults []string
	}{
		"one check":               {value: "certain; reason=moves on Monday", want: "certain: moves on Monday"},
		"a semicolon at the end":  {value: "certain; reason=moves;", want: "certain: moves"},
		"space and repetition":    {value: " certain , transient,certain;reason = moves ", want: "certain,transient: moves"},
		"until later":             {value: "certain; until=2026-12-01; reason=moves", want: "certain: moves"},
		"until the end of today":  {value: "certain; until=2026-11-21; reason=moves", want: "certain: moves"},
		"until yesterday":         {value: "certain; until=2026-11-20; reason=moves", faults: []string{`="certain; until=2026-11-20; reason=moves" ignores nothing since the end of 2026-11-20; must have a later date after until=, or be left out`}},
		"the end last":            {value: long, want: "certain: we, who own the shop = know"},
		"no reason":               {value: "certain", faults: []string{`="certain" ignores nothing: reason= is missing` + form}},
		"an end and no reason":    {value: "certain; until=2027-01-31", faults: []string{`="certain; until=2027-01-31" ignores nothing: reason= is missing` + form}},
		"an empty reason":         {value: "certain; reason=", faults: []string{`="certain; reason=" ignores nothing: reason= is empty` + form}},
		"two reasons":             {value: "certain; reason=a; reason=b", faults: []string{`="certain; reason=a; reason=b" ignores nothing: reason= is there twice` + form}},
		"no check":                {value: "; reason=a", faults: []string{`="; reason=a" ignores nothing: a name of a check is missing` + form}},
		"empty":                   {value: "", faults: []string{`="" ignores nothing: a name of a check is missing` + form}},
		"a date of another form":  {value: "certain; until=31.1.2027; reason=a", faults: []string{`="certain; until=31.1.2027; reason=a" ignores nothing: until="31.1.2027" is no date of the form YYYY-MM-DD` + form}},
		"no such date":            {value: "certain; until=2027-02-30; reason=a", faults: []string{`="certain; until=2027-02-30; reason=a" ignores nothing: until="2027-02-30" is no date of the form YYYY-MM-DD` + form}},
		"an unknown key":          {value: "certain; till=2027-01-31; reason=a", faults: []string{`="certain; till=2027-01-31; reason=a" ignores nothing: "till=2027-01-31" is neither until= nor reason=` + form}},
		"a mistyped check":        {value: "certaim,transient; reason=a", want: "transient: a", faults: []string{`="certaim,transient; reason=a" names the check "certaim", which there is not; did you mean "certain"?`}},
		"a check that is unknown": {value: "quite-another; reason=a", want: ": a", faults: []string{`="quite-another; reason=a" names the check "quite-another", which there is not; "routegate explain" lists all checks`}},
		"poison":                  {value: "poison,certain; reason=a", want: "certain: a", faults: []string{`="poison,certain; reason=a" does not ignore poison, which stops the controller for everybody: the policy here does not admit that`}},
		"poison, admitted":        {terms: policy.IgnoreTerms{Poison: true}, value: "poison; reason=a", want: "poison: a"},
		"not admitted":            {terms: policy.IgnoreTerms{Allowed: &no}, value: "certain; reason=a", faults: []string{`="certain; reason=a" ignores nothing: the policy here does not admit it`}},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := policy.File{Ignore: tc.terms}.Compile(list)
			if err != nil {
				t.Fatal(err)
			}
			ignore, faults := rules.Ignore(map[string]string{policy.IgnoreAnnotation: tc.value}, now.Add(23*time.Hour))
			want := tc.faults
			for i := range want {
				want[i] = "annotation routegate.dev/ignore" + want[i]
			}
			if !slices.Equal(faults, want) {
				t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(faults, "\n"), strings.Join(want, "\n"))
			}
			got := ""
			if ignore.Reason != "" {
				got = strings.Join(ignore.Checks, ",") + ": " + ignore.Reason
			}
			if got != tc.want {
				t.Errorf("ignores %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNoAnnotationIgnoresNothing(t *testing.T) {
	rules, err := policy.File{}.Compile(all)
	if err != nil {
		t.Fatal(err)
	}
	if ignore, faults := rules.Ignore(map[string]string{"other": "x"}, now); len(ignore.Checks) > 0 || len(faults) > 0 {
		t.Errorf("ignores %v and complains %q", ignore.Checks, faults)
	}
}

// TestRestrictsIgnore tells when the right to ignore matters.
func TestRestrictsIgnore(t *testing.T) {
	no := false
	for _, tc := range []struct {
		terms policy.IgnoreTerms
		want  bool
	}{
		{policy.IgnoreTerms{}, false},
		{policy.IgnoreTerms{Restrict: true}, true},
		{policy.IgnoreTerms{Allowed: &no}, false},
	} {
		rules, err := policy.File{Ignore: tc.terms}.Compile(all)
		if err != nil {
			t.Fatal(err)
		}
		if rules.RestrictsIgnore() != tc.want {
			t.Errorf("%+v: got %v", tc.terms, !tc.want)
		}
	}
}

// TestIgnoreIsNoCheck keeps the name under which findings about the annotation are
// shown from being that of a check.
func TestIgnoreIsNoCheck(t *testing.T) {
	v := policy.Verdict{}.RefuseIgnore("jane", "app")
	if len(v.Denied) != 1 || v.Allowed() {
		t.Fatalf("got %+v", v)
	}
	name := v.Denied[0].Check
	if slices.ContainsFunc(checks.All(), func(c checks.Check) bool { return c.Name == name }) {
		t.Errorf("%q is a check", name)
	}
	if v.Mode(name) != checks.Deny || v.SetBy(name) == "" {
		t.Errorf("mode %q set by %q", v.Mode(name), v.SetBy(name))
	}
}

// TestDoubtIgnore wants what could not be found out to fail only where the policy says
// that undecided does.
func TestDoubtIgnore(t *testing.T) {
	for undecided, fails := range map[policy.OnUndecided]bool{policy.Allow: false, policy.Fail: true} {
		rules, err := policy.File{OnUndecided: undecided}.Compile(all)
		if err != nil {
			t.Fatal(err)
		}
		v := rules.DoubtIgnore(policy.Verdict{}, "no answer")
		if v.Fails() != fails || len(v.Undecided) != 1 {
			t.Errorf("%s: fails %v with %v", undecided, v.Fails(), v.Undecided)
		}
	}
}
