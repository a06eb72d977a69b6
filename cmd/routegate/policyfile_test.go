// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/routegate/routegate/internal/policy"
)

const policyHead = "apiVersion: routegate.dev/v1alpha1\nkind: Policy\n"

// mount writes the file as the kubelet does: into a new folder, to which a link then
// points.
func mount(t *testing.T, dir, generation, text string) {
	t.Helper()
	folder := filepath.Join(dir, generation)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "policy.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "next")
	if err := os.Symlink(generation, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// policySourceOf makes a policySource of the arguments of serve.
func policySourceOf(t *testing.T, args ...string) (*policySource, *prometheus.Registry, error) {
	t.Helper()
	o := &serveOptions{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.addFlags(flags)
	if err := flags.Parse(append([]string{"--self-signed"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	s, err := o.policySource(fake.NewClientset(), registry, logr.Discard())
	return s, registry, err
}

// values are the current values of the metrics, by name and the value of the label.
func values(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "routegate_policy_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			found[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return found
}

func TestPolicyFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "..data", "policy.yaml")
	mount(t, dir, "1", policyHead+"preset: observe\n")
	s, registry, err := policySourceOf(t, "--policy="+path, "--on-undecided=fail", "--secret-access=get")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	s.complain = func(_ context.Context, reason, text string) { told = append(told, reason+": "+text) }
	inForce := func() policy.Preset { return s.Rules().File().Preset }
	if file := s.Rules().File(); file.Preset != policy.Observe || file.OnUndecided != policy.Fail || file.SecretAccess != "get" {
		t.Fatalf("started with %+v", file)
	}
	expect := func(step string, preset policy.Preset, want map[string]float64, events ...string) {
		t.Helper()
		s.reload(t.Context())
		s.reload(t.Context()) // what has not changed is not looked at again
		if inForce() != preset {
			t.Errorf("%s: preset %s is in force, want %s", step, inForce(), preset)
		}
		got := values(t, registry)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %v, want %v", step, name, got[name], value)
			}
		}
		if strings.Join(told, "\n") != strings.Join(events, "\n") {
			t.Errorf("%s: told %q, want %q", step, told, events)
		}
		told = nil
	}
	expect("unchanged", policy.Observe, map[string]float64{"reloads_total loaded": 0, "reloads_total refused": 0, "refused": 0})

	mount(t, dir, "2", policyHead+"preset: lax\n")
	expect("bad", policy.Observe, map[string]float64{"reloads_total loaded": 0, "reloads_total refused": 1, "refused": 1},
		"PolicyRefused: the policy before stays in force: "+path+`:3: preset: is "lax": must be one of observe, standard, strict`)

	mount(t, dir, "3", policyHead+"preset: strict\n")
	expect("good", policy.Strict, map[string]float64{"reloads_total loaded": 1, "reloads_total refused": 1, "refused": 0, "restart_needed": 0})

	mount(t, dir, "4", policyHead+"preset: standard\nonUndecided: allow\n")
	expect("against a flag", policy.Strict, map[string]float64{"reloads_total loaded": 1, "reloads_total refused": 2, "refused": 1},
		`PolicyRefused: the policy before stays in force: --on-undecided "fail" contradicts onUndecided "allow" of `+path+": leave one out")

	mount(t, dir, "5", policyHead+"preset: standard\ncontrollers: {running: [x]}\n")
	expect("takes a restart", policy.Standard, map[string]float64{"reloads_total loaded": 2, "refused": 0, "restart_needed": 1},
		"PolicyNeedsRestart: "+path+": controllers changed, which takes a restart; the rest is in force")

	mount(t, dir, "5a", policyHead+"preset: standard\nrules: [{name: a, match: {objectSelector: {matchLabels: {app: web}}}, exempt: true}]\n")
	expect("selects by a label that is not kept", policy.Standard, map[string]float64{"reloads_total loaded": 3, "refused": 0, "restart_needed": 1},
		"PolicyNeedsRestart: "+path+": labels of objectSelector changed, which takes a restart; the rest is in force")

	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	expect("gone", policy.Standard, map[string]float64{"reloads_total refused": 3, "refused": 1},
		"PolicyRefused: the policy before stays in force: open "+path+": no such file or directory")

	mount(t, dir, "6", policyHead+"preset: standard\n")
	expect("back", policy.Standard, map[string]float64{"reloads_total loaded": 4, "refused": 0, "restart_needed": 0})
}

func TestPolicyFileAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	for name, tc := range map[string]struct {
		text string
		args []string
		want string
	}{
		"the same as the flags": {"preset: strict\ngracePeriod: 60s\n", []string{"--preset=strict", "--grace-period=1m"}, ""},
		"bad":                   {"preset: lax\n", nil, path + `:3: preset: is "lax"`},
		"against flags": {"preset: strict\nsecretAccess: full\ncontrollers: {ingressNginx: [a, b]}\n",
			[]string{"--preset=observe", "--secret-access=off", "--ingress-nginx-controllers=a"},
			`--preset "observe" contradicts preset "strict" of ` + path + ": leave one out\n" +
				`--secret-access "off" contradicts secretAccess "full" of ` + path + ": leave one out\n" +
				`--ingress-nginx-controllers "a" contradicts controllers.ingressNginx "a,b" of ` + path + ": leave one out"},
	} {
		if err := os.WriteFile(path, []byte(policyHead+tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := policySourceOf(t, append(tc.args, "--policy="+path)...)
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, _, err := policySourceOf(t, "--policy="+path+"x"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: got %v", err)
	}
}

func TestEventIsOfThePod(t *testing.T) {
	client := fake.NewClientset()
	pod, err := parsePod("guard/routegate-1/f00")
	if err != nil {
		t.Fatal(err)
	}
	(&podEvents{client: client, pod: pod, log: logr.Discard()}).warn(t.Context(), "PolicyRefused", strings.Repeat("ü", 2000))
	events, err := client.CoreV1().Events("guard").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("got %v, %v", events, err)
	}
	e := events.Items[0]
	if e.InvolvedObject != (corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "guard", Name: "routegate-1", UID: "f00"}) {
		t.Errorf("is about %+v", e.InvolvedObject)
	}
	if e.Type != corev1.EventTypeWarning || e.Reason != "PolicyRefused" || len(e.Message) > 1024 || !strings.HasSuffix(e.Message, "ü…") {
		t.Errorf("got %+v", e)
	}
	for _, text := range []string{"", "a/b", "a/b/c/d", "a//c"} {
		if _, err := parsePod(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestLabelsThatAreKeptTakeNoRestart(t *testing.T) {
	selecting := func(keys ...string) policy.File {
		var f policy.File
		for _, key := range keys {
			f.Rules = append(f.Rules, policy.Rule{Name: key, Match: policy.Match{ObjectSelector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}},
			}}})
		}
		return f
	}
	if what := needsRestart(selecting("app", "team"), selecting("team")); what != "" {
		t.Errorf("fewer labels: %q", what)
	}
	if what := needsRestart(selecting("app"), selecting("team")); what != "labels of objectSelector" {
		t.Errorf("another label: %q", what)
	}
}
