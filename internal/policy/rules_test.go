// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

// poison is a check from which a rule does not exempt by itself.
var poison = checks.Check{Name: "poison", Default: checks.Deny, Poison: true}

// rulesOf parses what follows the header of a policy file for the checks of these tests.
func rulesOf(t testing.TB, text string) *policy.Rules {
	t.Helper()
	list := append(slices.Clone(all), poison)
	file, err := policy.Parse("policy.yaml", []byte("apiVersion: routegate.dev/v1alpha1\nkind: Policy\n"+text), list)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := file.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestRules(t *testing.T) {
	const team = `
rules:
- name: team
  match: {namespaces: [team-*, shop]}
  preset: strict
  modes: {certain: warn}
- name: front
  match: {namespaceSelector: {matchLabels: {tier: front}}}
  modes: {certain: off, silent: deny}
- name: argo
  match: {users: ["system:serviceaccount:argocd:*"], groups: [gitops, robots]}
  modes: {transient: deny}
- name: inner
  match: {classes: [inner-*, ""], objectSelector: {matchLabels: {app: shop}}}
  preset: observe
- name: conformance
  match: {namespaces: [conformance]}
  exempt: true
- name: all
  match: {namespaces: [nothing]}
  exempt: true
  modes: {poison: off}
`
	argo := policy.Subject{Namespace: "app", User: "system:serviceaccount:argocd:controller", Groups: []string{"system:authenticated", "robots"}}
	for name, tc := range map[string]struct {
		file    string
		subject policy.Subject
		want    string // check=mode of each that is not off, with what set it
	}{
		"no rule": {"", policy.Subject{},
			"certain=deny(preset standard) flagged=warn(preset standard) hardened=warn(preset standard) softened=warn(preset standard) transient=warn(preset standard) poison=deny(preset standard)"},
		"preset": {"preset: observe", policy.Subject{},
			"certain=warn(preset observe) flagged=warn(preset observe) hardened=warn(preset observe) softened=warn(preset observe) transient=warn(preset observe) poison=warn(preset observe)"},
		"modes of the file": {"modes: {certain: audit, silent: warn, transient: off}", policy.Subject{},
			"certain=audit(modes) flagged=warn(preset standard) hardened=warn(preset standard) silent=warn(modes) softened=warn(preset standard) poison=deny(preset standard)"},
		"nothing matches": {team, policy.Subject{Namespace: "app", Class: "nginx"},
			"certain=deny(preset standard) flagged=warn(preset standard) hardened=warn(preset standard) softened=warn(preset standard) transient=warn(preset standard) poison=deny(preset standard)"},
		"namespace": {team, policy.Subject{Namespace: "shop"},
			"certain=warn(rule team) flagged=warn(rule team) hardened=deny(rule team) softened=warn(rule team) transient=warn(rule team) poison=deny(rule team)"},
		"namespace by pattern, and a later rule wins": {team, policy.Subject{Namespace: "team-a", NamespaceLabels: map[string]string{"tier": "front"}},
			"flagged=warn(rule team) hardened=deny(rule team) silent=deny(rule front) softened=warn(rule team) transient=warn(rule team) poison=deny(rule team)"},
		"user and group": {team, argo,
			"certain=deny(preset standard) flagged=warn(preset standard) hardened=warn(preset standard) softened=warn(preset standard) transient=deny(rule argo) poison=deny(preset standard)"},
		"user without the group": {team, policy.Subject{Namespace: "app", User: argo.User, Groups: []string{"system:authenticated"}},
			"certain=deny(preset standard) flagged=warn(preset standard) hardened=warn(preset standard) softened=warn(preset standard) transient=warn(preset standard) poison=deny(preset standard)"},
		"class and labels": {team, policy.Subject{Namespace: "app", Class: "inner-1", Labels: map[string]string{"app": "shop"}},
			"certain=warn(rule inner) flagged=warn(rule inner) hardened=warn(rule inner) softened=warn(rule inner) transient=warn(rule inner) poison=warn(rule inner)"},
		"no class": {team, policy.Subject{Namespace: "app", Labels: map[string]string{"app": "shop"}},
			"certain=warn(rule inner) flagged=warn(rule inner) hardened=warn(rule inner) softened=warn(rule inner) transient=warn(rule inner) poison=warn(rule inner)"},
		"class without labels": {team, policy.Subject{Namespace: "conformance", Class: "inner-1"}, "poison=deny(preset standard)"},
		"exempt, poison too":   {team, policy.Subject{Namespace: "nothing", Class: "x"}, ""},

		"label enforce": {"", labelled("enforce", "strict"),
			"certain=deny(label routegate.dev/enforce) flagged=warn(label routegate.dev/enforce) hardened=deny(label routegate.dev/enforce) softened=warn(label routegate.dev/enforce) transient=warn(label routegate.dev/enforce) poison=deny(label routegate.dev/enforce)"},
		"label enforce, off": {"modes: {certain: deny}", labelled("enforce", "off"), ""},
		"label enforce, above the bound": {"preset: observe\nnamespaceLabels: {atMost: standard}", labelled("enforce", "strict"),
			"certain=deny(label routegate.dev/enforce) flagged=warn(label routegate.dev/enforce) hardened=warn(label routegate.dev/enforce) softened=warn(label routegate.dev/enforce) transient=warn(label routegate.dev/enforce) poison=deny(label routegate.dev/enforce)"},
		"label enforce, below the bound": {"namespaceLabels: {atLeast: observe}", labelled("enforce", "off"),
			"certain=warn(label routegate.dev/enforce) flagged=warn(label routegate.dev/enforce) hardened=warn(label routegate.dev/enforce) softened=warn(label routegate.dev/enforce) transient=warn(label routegate.dev/enforce) poison=warn(label routegate.dev/enforce)"},
		"label enforce, not admitted": {"modes: {flagged: off, hardened: off, softened: off, transient: off}\nnamespaceLabels: {allow: [warn]}", labelled("enforce", "off"),
			"certain=deny(preset standard) poison=deny(preset standard)"},
		"label enforce, finer modes of the file": {"modes: {flagged: off, hardened: off, softened: off, transient: off}", labelled("enforce", "observe"),
			"certain=warn(label routegate.dev/enforce) poison=warn(label routegate.dev/enforce)"},
		"label enforce, without meaning": {"modes: {flagged: off, hardened: off, softened: off, transient: off}", labelled("enforce", "Strict"),
			"certain=deny(preset standard) poison=deny(preset standard)"},
		"label enforce, a rule wins": {"rules: [{name: bound, modes: {certain: deny}}]", labelled("enforce", "off"),
			"certain=deny(rule bound)"},
		"label warn": {"modes: {flagged: off, softened: off, transient: off}", labelled("enforce", "off", "warn", "strict"),
			"certain=warn(label routegate.dev/warn) hardened=warn(label routegate.dev/warn) poison=warn(label routegate.dev/warn)"},
		"label warn, off": {"", labelled("warn", "off"),
			"certain=deny(preset standard) poison=deny(preset standard)"},
		"label audit": {"modes: {flagged: off, softened: off, transient: off}", labelled("enforce", "off", "audit", "standard"),
			"certain=audit(label routegate.dev/audit) hardened=audit(label routegate.dev/audit) poison=audit(label routegate.dev/audit)"},
		"label audit takes nothing from warnings": {"modes: {flagged: off, softened: off, transient: off}", labelled("audit", "off"),
			"certain=deny(preset standard) hardened=warn(preset standard) poison=deny(preset standard)"},
	} {
		t.Run(name, func(t *testing.T) {
			rules := rulesOf(t, tc.file)
			for range 2 { // made, then remembered
				if got := modesOf(rules, tc.subject); got != tc.want {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

// labelled is a subject in a namespace with these labels, given as pairs.
func labelled(pairs ...string) policy.Subject {
	s := policy.Subject{Namespace: "app", Class: "nginx", NamespaceLabels: map[string]string{"tier": "back"}}
	for pair := range slices.Chunk(pairs, 2) {
		s.NamespaceLabels["routegate.dev/"+pair[0]] = pair[1]
	}
	return s
}

func modesOf(rules *policy.Rules, s policy.Subject) string {
	p := rules.For(s)
	var words []string
	for _, c := range p.Enabled(rules.Checks()) {
		if mode := p.Mode(&c, false); mode != checks.Off {
			words = append(words, fmt.Sprintf("%s=%s(%s)", c.Name, mode, p.SetBy(c.Name, false)))
		}
	}
	return strings.Join(words, " ")
}

func TestRulesKnowConfirmedSettings(t *testing.T) {
	p := rulesOf(t, "rules: [{name: team, match: {namespaces: [team]}, preset: observe}]").For(policy.Subject{Namespace: "app"})
	if mode := p.Mode(&flagged, true); mode != checks.Deny {
		t.Errorf("flagged is %s", mode)
	}
	if mode := p.Mode(&revealed, true); mode != checks.Warn {
		t.Errorf("revealed is %s", mode)
	}
	if !slices.ContainsFunc(p.Enabled(nil), func(c checks.Check) bool { return c.Name == "revealed" }) {
		t.Error("revealed is not enabled")
	}
}

func TestRulesChangeWhatIsNoMode(t *testing.T) {
	rules := rulesOf(t, `
gracePeriod: 1m
disclosure: never
maxFindings: 3
rules:
- name: team
  match: {namespaces: [team]}
  ratchet: false
  dryRun: deny
  gracePeriod: 0s
  disclosure: always
- name: back
  match: {users: [root]}
  ratchet: true
  dryRun: warn
`)
	base := rules.For(policy.Subject{Namespace: "app"})
	if base.NoRatchet || base.StrictDryRun || base.GracePeriod != time.Minute || base.Discloses() != policy.DiscloseNever || base.Shown() != 3 {
		t.Errorf("for everything: %+v", base)
	}
	team := rules.For(policy.Subject{Namespace: "team"})
	if !team.NoRatchet || !team.StrictDryRun || team.GracePeriod != 0 || team.Discloses() != policy.DiscloseAlways || team.Shown() != 3 {
		t.Errorf("for the team: %+v", team)
	}
	if back := rules.For(policy.Subject{Namespace: "team", User: "root"}); back.NoRatchet || back.StrictDryRun || back.GracePeriod != 0 {
		t.Errorf("for root in the team: %+v", back)
	}
}

func TestDecideByRules(t *testing.T) {
	had := policy.Request{New: []checks.Finding{found("certain", "x")}, Old: []checks.Finding{found("certain", "x")}}
	dry := policy.Request{DryRun: true, New: []checks.Finding{elsewhere("certain", "x")}}
	for name, tc := range map[string]struct {
		file    string
		request policy.Request
		want    string
	}{
		"ratchet":        {"", had, "warned:x(before)"},
		"no ratchet":     {"ratchet: false", had, "denied:x"},
		"dry run":        {"", dry, "warned:x(real write)"},
		"strict dry run": {"dryRun: deny", dry, "denied:x"},
		"audit":          {"modes: {certain: audit}", had, "audited:x"},
		"audit, not judged": {"modes: {certain: audit}\nonUndecided: fail",
			policy.Request{New: []checks.Finding{{Check: "certain", Fact: "not read", Undecided: true}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rules := rulesOf(t, tc.file)
			tc.request.Checks = rules.Checks()
			v := rules.For(policy.Subject{}).Decide(tc.request)
			got := summary(v)
			for _, f := range v.Audited {
				got = strings.TrimSpace(got + " audited:" + f.Fact)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestVerdictNamesWhatSetTheMode(t *testing.T) {
	rules := rulesOf(t, "rules: [{name: team, match: {namespaces: [team]}, modes: {transient: deny}}]")
	v := rules.For(policy.Subject{Namespace: "team"}).Decide(policy.Request{
		Checks: rules.Checks(), New: []checks.Finding{found("transient", "x"), found("certain", "y")},
	})
	if v.SetBy("transient") != "rule team" || v.SetBy("certain") != "preset standard" || v.Mode("transient") != checks.Deny || v.Mode("silent") != "" {
		t.Errorf("got %+v", v)
	}
}

func TestLabelsThatDoNotCount(t *testing.T) {
	rules := rulesOf(t, "namespaceLabels: {allow: [enforce, warn], atLeast: observe, atMost: standard}")
	for _, tc := range []struct {
		label, value    string
		faults, limited string
	}{
		{"enforce", "standard", "", ""},
		{"enforce", "yes", `Namespace label routegate.dev/enforce="yes" means nothing and does not count; must be one of off, observe, standard, strict`, ""},
		{"warn", "", `Namespace label routegate.dev/warn="" means nothing and does not count; must be one of off, observe, standard, strict`, ""},
		{"enforce", "off", "", `Namespace label routegate.dev/enforce="off" counts as "observe": the policy here admits no less`},
		{"enforce", "strict", "", `Namespace label routegate.dev/enforce="strict" counts as "standard": the policy here admits no more`},
		{"warn", "strict", "", ""},
		{"audit", "strict", "", `Namespace label routegate.dev/audit="strict" does not count: the policy here does not admit it`},
	} {
		labels := labelled(tc.label, tc.value).NamespaceLabels
		if got := strings.Join(rules.LabelFaults(labels), "\n"); got != tc.faults {
			t.Errorf("%s=%s: got %q, want %q", tc.label, tc.value, got, tc.faults)
		}
		if got := strings.Join(rules.LabelLimits(labels), "\n"); got != tc.limited {
			t.Errorf("%s=%s: got %q, want %q", tc.label, tc.value, got, tc.limited)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		matches []string
		misses  []string
	}{
		{"shop", []string{"shop"}, []string{"shops", "", "a-shop"}},
		{"team-*", []string{"team-a", "team-"}, []string{"team", "a-team-a"}},
		{"*-prod", []string{"a-prod", "-prod"}, []string{"prod", "a-prod-1"}},
		{"a*b*c", []string{"abc", "a-b-c", "abbc", "abcbc"}, []string{"ac", "acb", "ab"}},
		{"ab*ba", []string{"abba", "ab-ba"}, []string{"aba"}},
		{"*", []string{"x", "system:node:a"}, nil},
	} {
		rules := rulesOf(t, fmt.Sprintf("rules: [{name: x, match: {users: [%q]}, exempt: true}]", tc.pattern))
		matches := func(user string) bool {
			return rules.For(policy.Subject{User: user}).SetBy("certain", false) == "rule x"
		}
		for _, user := range tc.matches {
			if !matches(user) {
				t.Errorf("%q does not match %q", tc.pattern, user)
			}
		}
		for _, user := range tc.misses {
			if matches(user) {
				t.Errorf("%q matches %q", tc.pattern, user)
			}
		}
	}
}

func TestRulesRememberOnlySoMany(t *testing.T) {
	var file strings.Builder
	file.WriteString("rules:\n")
	for i := range 11 {
		fmt.Fprintf(&file, "- {name: r%d, match: {groups: [g%d]}, modes: {certain: warn}}\n", i, i)
	}
	rules := rulesOf(t, file.String())
	for set := range 1 << 11 {
		var groups []string
		for i := range 11 {
			if set&(1<<i) != 0 {
				groups = append(groups, fmt.Sprintf("g%d", i))
			}
		}
		want := "preset standard"
		if len(groups) > 0 {
			want = "rule r" + groups[len(groups)-1][1:]
		}
		if got := rules.For(policy.Subject{Groups: groups}).SetBy("certain", false); got != want {
			t.Fatalf("groups %v: set by %q, want %q", groups, got, want)
		}
	}
	if n := policy.Remembered(rules); n > 1000 {
		t.Errorf("remembers %d policies", n)
	}
}

func TestCompileNamesTheField(t *testing.T) {
	_, err := policy.File{Terms: policy.Terms{Preset: "lax"}, OnUndecided: "deny"}.Compile(all)
	want := "policy: preset: is \"lax\": must be one of observe, standard, strict\nonUndecided: is \"deny\": must be one of allow, fail"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// hundredRules is a file with rules of each kind.
func hundredRules() string {
	var file strings.Builder
	file.WriteString("rules:\n")
	for i := range 25 {
		fmt.Fprintf(&file, "- {name: ns%d, match: {namespaces: [team-%d-*, shop-%d]}, preset: strict}\n", i, i, i)
		fmt.Fprintf(&file, "- {name: selector%d, match: {namespaceSelector: {matchLabels: {team: t%d}, matchExpressions: [{key: env, operator: In, values: [prod, stage]}]}}, preset: observe}\n", i, i)
		fmt.Fprintf(&file, "- {name: user%d, match: {users: ['system:serviceaccount:ns-%d:*'], groups: [g%d]}, modes: {certain: warn}}\n", i, i, i)
		fmt.Fprintf(&file, "- {name: object%d, match: {classes: [class-%d, nginx], objectSelector: {matchLabels: {app: a%d}}}, exempt: true}\n", i, i, i)
	}
	return file.String()
}

// BenchmarkFor has a budget of 10 µs.
func BenchmarkFor(b *testing.B) {
	rules := rulesOf(b, hundredRules())
	s := policy.Subject{
		Namespace: "team-24-a", NamespaceLabels: map[string]string{"team": "t24", "env": "prod", "kubernetes.io/metadata.name": "team-24-a"},
		Class: "nginx", User: "system:serviceaccount:ns-24:deployer", Groups: []string{"system:serviceaccounts", "system:authenticated", "g24"},
		Labels: map[string]string{"app": "a24", "app.kubernetes.io/name": "shop"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if rules.For(s).SetBy("certain", false) != "rule object24" {
			b.Fatal("another rule")
		}
	}
}

func TestLabelsThatRulesSelectBy(t *testing.T) {
	rules := rulesOf(t, `
rules:
- {name: all, match: {objectSelector: {}}, exempt: true}
- {name: namespaces, match: {namespaceSelector: {matchLabels: {team: shop}}}, exempt: true}
- {name: a, match: {objectSelector: {matchLabels: {tier: front, app: shop}}}, exempt: true}
- {name: b, match: {objectSelector: {matchExpressions: [{key: app, operator: Exists}, {key: stage, operator: NotIn, values: [test]}]}}, exempt: true}
`)
	if got := rules.File().IngressLabels(); !slices.Equal(got, []string{"app", "stage", "tier"}) {
		t.Errorf("selects by %q", got)
	}
	for _, tc := range []struct {
		a, b  map[string]string
		alike bool
	}{
		{nil, map[string]string{"team": "shop"}, true},
		{nil, map[string]string{"app": "news"}, false},
		{map[string]string{"app": "news"}, map[string]string{"app": "blog"}, true},
		{map[string]string{"app": "shop"}, map[string]string{"app": "shop", "tier": "front"}, false},
	} {
		if got := rules.SelectAlike(tc.a, tc.b); got != tc.alike {
			t.Errorf("%v and %v: alike is %v", tc.a, tc.b, got)
		}
	}
}
