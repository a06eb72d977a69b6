// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

var (
	certain   = checks.Check{Name: "certain", Default: checks.Deny}
	transient = checks.Check{Name: "transient", Default: checks.Warn}
	hardened  = checks.Check{Name: "hardened", Default: checks.Warn, Strict: checks.Deny}
	silent    = checks.Check{Name: "silent", Default: checks.Off}
	flagged   = checks.Check{Name: "flagged", Default: checks.Warn, Confirmed: checks.Deny}
	revealed  = checks.Check{Name: "revealed", Default: checks.Off, Confirmed: checks.Warn}
	softened  = checks.Check{Name: "softened", Default: checks.Warn, Confirmed: checks.Deny, Strict: checks.Warn}
	all       = []checks.Check{certain, flagged, hardened, revealed, silent, softened, transient}

	now  = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)
	rest = []routing.Ref{{Kind: routing.Services, Namespace: "app", Name: "web"}}
)

func found(check, object string) checks.Finding {
	return checks.Finding{Check: check, Fact: object, Subject: checks.Subject{Object: object}}
}

func elsewhere(check, object string) checks.Finding {
	f := found(check, object)
	f.RestsOn = rest
	return f
}

func namespaceOf(age time.Duration) *routing.Namespace {
	return &routing.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app", CreationTimestamp: metav1.NewTime(now.Add(-age))}}
}

func TestDecide(t *testing.T) {
	standard := policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow}
	failing := policy.Policy{Preset: policy.Standard, OnUndecided: policy.Fail}
	tentative := found("certain", "x")
	tentative.Tentative = true
	tentativeFlag := found("flagged", "x")
	tentativeFlag.Tentative = true
	undecidedFlag := checks.Finding{Check: "flagged", Fact: "not read", Undecided: true}
	inPart := found("certain", "x")
	inPart.InPart = true
	undecided := checks.Finding{Check: "certain", Fact: "not read", Undecided: true}
	ignored := policy.Ignore{Checks: []string{"certain", "silent"}}
	doubtful := policy.Ignore{Checks: []string{"certain"}, Uncertain: true}
	undecidedWarning := checks.Finding{Check: "transient", Fact: "not read", Undecided: true}

	for name, tc := range map[string]struct {
		policy  policy.Policy
		request policy.Request
		want    string // one word per finding, as summary writes them
		allowed bool
	}{
		"nothing":   {standard, policy.Request{}, "", true},
		"deny":      {standard, policy.Request{New: []checks.Finding{found("certain", "x")}}, "denied:x", false},
		"warn":      {standard, policy.Request{New: []checks.Finding{found("transient", "x")}}, "warned:x", true},
		"off":       {standard, policy.Request{New: []checks.Finding{found("silent", "x")}}, "", true},
		"observe":   {policy.Policy{Preset: policy.Observe, OnUndecided: policy.Allow}, policy.Request{New: []checks.Finding{found("certain", "x")}}, "warned:x", true},
		"strict":    {policy.Policy{Preset: policy.Strict, OnUndecided: policy.Allow}, policy.Request{New: []checks.Finding{found("hardened", "x"), found("transient", "y")}}, "denied:x warned:y", false},
		"in part":   {standard, policy.Request{New: []checks.Finding{inPart}}, "warned:x(not read)", true},
		"tentative": {standard, policy.Request{New: []checks.Finding{tentative}}, "warned:x(certain)", true},

		"settings not confirmed":                  {standard, policy.Request{New: []checks.Finding{found("flagged", "x"), found("revealed", "y")}}, "warned:x", true},
		"settings confirmed":                      {standard, policy.Request{Confirmed: true, New: []checks.Finding{found("flagged", "x"), found("revealed", "y"), found("transient", "z")}}, "denied:x warned:y warned:z", false},
		"settings confirmed, observe":             {policy.Policy{Preset: policy.Observe, OnUndecided: policy.Allow}, policy.Request{Confirmed: true, New: []checks.Finding{found("flagged", "x")}}, "warned:x", true},
		"settings confirmed, strict":              {policy.Policy{Preset: policy.Strict, OnUndecided: policy.Allow}, policy.Request{Confirmed: true, New: []checks.Finding{found("flagged", "x"), found("softened", "y")}}, "denied:x warned:y", false},
		"settings confirmed, tentative":           {standard, policy.Request{Confirmed: true, New: []checks.Finding{tentativeFlag}}, "warned:x(certain)", true},
		"settings confirmed, it was there before": {standard, policy.Request{Confirmed: true, New: []checks.Finding{found("flagged", "x")}, Old: []checks.Finding{found("flagged", "x")}}, "warned:x(before)", true},
		"settings not confirmed, undecided":       {failing, policy.Request{New: []checks.Finding{undecidedFlag}}, "undecided:not read", true},
		"settings confirmed, undecided":           {failing, policy.Request{Confirmed: true, New: []checks.Finding{undecidedFlag}}, "undecided:not read FAIL", false},

		"ignored":                  {standard, policy.Request{Ignore: ignored, New: []checks.Finding{found("certain", "x"), found("silent", "y"), found("transient", "z")}}, "warned:z ignored:x", true},
		"ignored, undecided":       {failing, policy.Request{Ignore: ignored, New: []checks.Finding{undecided}}, "", true},
		"ignored, if the user may": {standard, policy.Request{Ignore: doubtful, New: []checks.Finding{found("certain", "x"), found("certain", "y")}}, "warned:x(found out) warned:y(found out)", true},

		"ratchet: it was there before":      {standard, policy.Request{New: []checks.Finding{found("certain", "x")}, Old: []checks.Finding{found("certain", "x")}}, "warned:x(before)", true},
		"ratchet: something else was there": {standard, policy.Request{New: []checks.Finding{found("certain", "x")}, Old: []checks.Finding{found("certain", "y")}}, "denied:x", false},
		"ratchet: another check found it":   {standard, policy.Request{New: []checks.Finding{found("certain", "x")}, Old: []checks.Finding{found("transient", "x")}}, "denied:x", false},
		"ratchet: nobody knows":             {standard, policy.Request{New: []checks.Finding{found("certain", "x")}, Old: []checks.Finding{undecided}}, "warned:x(before)", true},

		"dry run, fault in the Ingress":       {standard, policy.Request{DryRun: true, New: []checks.Finding{found("certain", "x")}}, "denied:x", false},
		"dry run, fault elsewhere":            {standard, policy.Request{DryRun: true, New: []checks.Finding{elsewhere("certain", "x")}}, "warned:x(real write)", true},
		"grace period, new namespace":         {policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow, GracePeriod: time.Minute}, policy.Request{Namespace: namespaceOf(time.Second), New: []checks.Finding{elsewhere("certain", "x"), found("certain", "y")}}, "denied:y warned:x(younger)", false},
		"grace period, old namespace":         {policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow, GracePeriod: time.Minute}, policy.Request{Namespace: namespaceOf(time.Hour), New: []checks.Finding{elsewhere("certain", "x")}}, "denied:x", false},
		"grace period, namespace not read":    {policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow, GracePeriod: time.Minute}, policy.Request{New: []checks.Finding{elsewhere("certain", "x")}}, "denied:x", false},
		"no grace period, very new namespace": {standard, policy.Request{Namespace: namespaceOf(0), New: []checks.Finding{elsewhere("certain", "x")}}, "denied:x", false},

		"undecided, allow":                  {standard, policy.Request{New: []checks.Finding{undecided}}, "undecided:not read", true},
		"undecided, fail":                   {failing, policy.Request{New: []checks.Finding{undecided}}, "undecided:not read FAIL", false},
		"undecided on a warning, fail":      {failing, policy.Request{New: []checks.Finding{undecidedWarning}}, "undecided:not read", true},
		"undecided beside a denial, fail":   {failing, policy.Request{New: []checks.Finding{undecided, found("certain", "x")}}, "denied:x undecided:not read", false},
		"undecided beside a warning, allow": {standard, policy.Request{New: []checks.Finding{undecided, found("transient", "x")}}, "warned:x undecided:not read", true},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.Checks, tc.request.Now = all, now
			v := tc.policy.Decide(tc.request)
			if got := summary(v); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if v.Allowed() != tc.allowed {
				t.Errorf("Allowed is %v, want %v", v.Allowed(), tc.allowed)
			}
		})
	}
}

func summary(v policy.Verdict) string {
	var words []string
	for _, f := range v.Denied {
		words = append(words, "denied:"+f.Fact)
	}
	for _, w := range v.Warned {
		word := "warned:" + w.Fact
		for _, key := range []string{"before", "certain", "real write", "younger", "not read", "found out"} {
			if strings.Contains(w.Because, key) {
				word += "(" + key + ")"
				break
			}
		}
		words = append(words, word)
	}
	for _, f := range v.Undecided {
		words = append(words, "undecided:"+f.Fact)
	}
	for _, f := range v.Ignored {
		words = append(words, "ignored:"+f.Fact)
	}
	if v.Fails() {
		words = append(words, "FAIL")
	}
	return strings.Join(words, " ")
}

func TestEnabledLeavesOutWhatIsOff(t *testing.T) {
	p := policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow}
	var names []string
	for _, c := range p.Enabled(all) {
		names = append(names, c.Name)
	}
	if want := []string{"certain", "flagged", "hardened", "revealed", "softened", "transient"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestCouldDeny(t *testing.T) {
	p := policy.Policy{Preset: policy.Standard, OnUndecided: policy.Allow}
	for name, tc := range map[string]struct {
		confirmed bool
		finding   checks.Finding
		want      bool
	}{
		"deny":                 {false, found("certain", "x"), true},
		"warn":                 {true, found("transient", "x"), false},
		"not confirmed":        {false, found("flagged", "x"), false},
		"confirmed":            {true, found("flagged", "x"), true},
		"confirmed, undecided": {true, checks.Finding{Check: "flagged", Undecided: true}, false},
	} {
		if got := p.CouldDeny(policy.Request{Checks: all, Confirmed: tc.confirmed, New: []checks.Finding{tc.finding}}); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := (policy.Policy{Preset: policy.Standard, OnUndecided: policy.Fail}).Validate(); err != nil {
		t.Errorf("a valid policy: %v", err)
	}
	err := policy.Policy{Preset: "lax", OnUndecided: "deny", GracePeriod: -time.Second}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`preset "lax": must be one of observe, standard, strict`,
		`onUndecided "deny": must be one of allow, fail`,
		"gracePeriod -1s: must not be negative",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestAVerdictFailsOnceItsDenialsAreTakenBack(t *testing.T) {
	p := policy.Policy{Preset: policy.Standard, OnUndecided: policy.Fail}
	v := p.Decide(policy.Request{Checks: all, New: []checks.Finding{
		found("certain", "x"), {Check: "certain", Fact: "not read", Undecided: true},
	}})
	if v.Fails() || v.Allowed() {
		t.Errorf("with a denial: Fails is %v, Allowed is %v", v.Fails(), v.Allowed())
	}
	v.Denied = nil
	if !v.Fails() || v.Allowed() {
		t.Errorf("without: Fails is %v, Allowed is %v", v.Fails(), v.Allowed())
	}
	if none := p.NoVerdict("late"); !none.Fails() || none.Undecided[0].Fact != "late" {
		t.Errorf("no verdict: %+v", none)
	}
}
