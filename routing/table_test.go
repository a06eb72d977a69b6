// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// rule is one path of an Ingress, written short: type, path, Service.
type rule struct {
	kind    networkingv1.PathType
	path    string
	service string
	// regex is true where the Ingress has use-regex.
	regex bool
}

// ingressOf makes an Ingress of one host that is so many seconds old.
func ingressOf(name string, born int, annotations map[string]string, host string, rules ...rule) *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
		Namespace: "app", Name: name, CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(born) * time.Second)),
		Annotations: map[string]string{},
	}}
	for key, value := range annotations {
		ing.Annotations[routing.NginxPrefix+key] = value
	}
	http := &networkingv1.HTTPIngressRuleValue{}
	for _, r := range rules {
		http.Paths = append(http.Paths, networkingv1.HTTPIngressPath{
			Path: r.path, PathType: &r.kind,
			Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
				Name: r.service, Port: networkingv1.ServiceBackendPort{Number: 80},
			}},
		})
	}
	ing.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: http}}}
	return ing
}

// TestLocationsAgreeWithTheRulesOfNginx holds the choice of a location to a second
// implementation, which is slow and obvious: it knows no locations, only the rules
// by which nginx's documentation says that they are chosen.
func TestLocationsAgreeWithTheRulesOfNginx(t *testing.T) {
	const sets = 3000
	random := rand.New(rand.NewPCG(1, 2))
	asked := 0
	for range sets {
		ingresses := randomIngresses(random)
		table := routing.NewTable(&routing.Snapshot{}, routing.ControllerSettings{}, ingresses)
		if !table.Installed() {
			continue
		}
		for range 30 {
			path := randomPath(random)
			want := chosen(ingresses, path)
			got := answer(table.Match(routing.Request{Host: "a.example", Path: path}))
			asked++
			if got != want {
				t.Fatalf("%s: got %s, want %s\n%s", path, got, want, write(ingresses))
			}
		}
	}
	t.Logf("%d requests to %d sets of Ingresses", asked, sets)
	if asked < 10*sets {
		t.Errorf("asked only %d requests: too many sets are refused", asked)
	}
}

// TestPassthroughNeedsTheRoot holds a host whose TLS is passed through to its path "/"
// of type Prefix: without it nothing else answers (semantics row J17).
func TestPassthroughNeedsTheRoot(t *testing.T) {
	settings := routing.ControllerSettings{EnableSSLPassthrough: true}
	service := &routing.Service{ClusterIP: "10.0.0.1"}
	service.Name, service.Namespace = "web", "app"
	snap := &routing.Snapshot{
		Services: map[routing.Key]*routing.Service{{Namespace: "app", Name: "web"}: service},
		Coverage: map[routing.Ref]routing.Coverage{{Kind: routing.Services}: {Read: true}},
	}
	for name, tc := range map[string]struct {
		rule   rule
		status int
	}{
		"root":        {rule{networkingv1.PathTypePrefix, "/", "web", false}, 200},
		"narrow path": {rule{networkingv1.PathTypePrefix, "/api", "web", false}, 0},
		"exact root":  {rule{networkingv1.PathTypeExact, "/", "web", false}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ing := ingressOf("web", 0, map[string]string{"ssl-passthrough": "true"}, "a.example", tc.rule)
			table := routing.NewTable(snap, settings, []*networkingv1.Ingress{ing})
			route := table.Match(routing.Request{HTTPS: true, Host: "a.example", Path: tc.rule.path})
			if route.Status != tc.status || route.Undecided != "" {
				t.Errorf("got %d (%q) by %v; want %d", route.Status, route.Undecided, route.Steps, tc.status)
			}
		})
	}
}

// TestReferencesOfCatchAlls holds that Ingresses which answer for hosts that no rule
// names find each other, and that a wildcard finds those above it.
func TestReferencesOfCatchAlls(t *testing.T) {
	alone := ingressOf("web", 0, nil, "")
	alone.Spec.Rules, alone.Spec.DefaultBackend = nil, &networkingv1.IngressBackend{}
	for name, tc := range map[string]struct {
		ingress *networkingv1.Ingress
		near    []string
	}{
		"no rules": {alone, []string{"", routing.CatchAllHost}},
		"no host":  {ingressOf("web", 0, nil, ""), []string{routing.CatchAllHost}},
		"wildcard": {ingressOf("web", 0, nil, "*.b.c.example"), []string{"*.c.example", "*.example", "www.*.b.c.example"}},
	} {
		if got := routing.ReferencesOf(tc.ingress).Near; !slices.Equal(got, tc.near) {
			t.Errorf("%s: got %q; want %q", name, got, tc.near)
		}
	}
}

func answer(r *routing.Route) string {
	switch {
	case r.Status == 301:
		return "slash"
	case r.At == nil || r.At.Placeholder:
		return "nothing"
	}
	return r.At.Upstream.Service
}

var segments = []string{"/a", "/A", "/b", "/ab", "/a.b", "/a/b", "/a/b/c", "/b+", "/", "/a/", "/a/b/", "/(a|b)", "/a.*"}

func randomPath(random *rand.Rand) string {
	plain := []string{"a", "A", "b", "ab", "axb", "c", "abc"}
	path := ""
	for range 1 + random.IntN(3) {
		path += "/" + plain[random.IntN(len(plain))]
	}
	if random.IntN(3) == 0 {
		path += "/"
	}
	if random.IntN(12) == 0 {
		return "/"
	}
	return path
}

func randomIngresses(random *rand.Rand) []*networkingv1.Ingress {
	kinds := []networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific}
	var ingresses []*networkingv1.Ingress
	service := 0
	for i := range 1 + random.IntN(3) {
		annotations := map[string]string{}
		if random.IntN(5) == 0 {
			annotations["use-regex"] = "true"
		}
		var rules []rule
		for range 1 + random.IntN(4) {
			service++
			rules = append(rules, rule{
				kind: kinds[random.IntN(len(kinds))], path: segments[random.IntN(len(segments))], service: fmt.Sprintf("s%d", service),
			})
		}
		ingresses = append(ingresses, ingressOf(fmt.Sprintf("i%d", i), random.IntN(3), annotations, "a.example", rules...))
	}
	return ingresses
}

// chosen is the second implementation. It returns the Service, "slash" where nginx
// adds one, or "nothing".
func chosen(ingresses []*networkingv1.Ingress, path string) string {
	byAge := slices.Clone(ingresses)
	slices.SortFunc(byAge, func(a, b *networkingv1.Ingress) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(b.Name, a.Name)
	})
	// Every host is born with a root that leads nowhere.
	rules := []rule{{kind: networkingv1.PathTypePrefix, path: "/", service: "nothing", regex: usesRegex(byAge[0])}}
	for _, ing := range byAge {
		own := usesRegex(ing)
		for _, p := range ing.Spec.Rules[0].HTTP.Paths {
			kind := networkingv1.PathTypePrefix
			if *p.PathType == networkingv1.PathTypeExact {
				kind = networkingv1.PathTypeExact
			}
			// Only the first rule of that path is compared (semantics section 0.1, line 6).
			switch at := slices.IndexFunc(rules, func(r rule) bool { return r.path == p.Path }); {
			case at < 0 || rules[at].kind != kind:
				rules = append(rules, rule{kind, p.Path, p.Backend.Service.Name, own})
			case rules[at].service == "nothing":
				rules[at].service, rules[at].regex = p.Backend.Service.Name, own
			}
		}
	}
	if slices.ContainsFunc(rules, func(r rule) bool { return r.regex }) {
		return chosenByRegex(rules, path)
	}
	best, length := "nothing", 0
	for _, r := range rules {
		base := strings.TrimSuffix(r.path, "/")
		switch {
		case r.path == path && (r.kind == networkingv1.PathTypeExact || r.path != "/"):
			if r.kind == networkingv1.PathTypeExact {
				return r.service
			}
			best, length = r.service, len(path)+1
		case strings.HasSuffix(r.path, "/") && base == path && base != "":
			if length <= len(path) {
				best, length = "slash", len(path)+1
			}
		case r.kind == networkingv1.PathTypePrefix && strings.HasPrefix(path, base+"/") && len(base)+1 > length:
			best, length = r.service, len(base)+1
		}
	}
	return best
}

func usesRegex(ing *networkingv1.Ingress) bool {
	return ing.Annotations[routing.NginxPrefix+"use-regex"] == "true"
}

// chosenByRegex takes the first of the longest paths, in reverse order of the
// alphabet where they are as long, that matches at the start.
func chosenByRegex(rules []rule, path string) string {
	slices.SortStableFunc(rules, func(a, b rule) int {
		if len(a.path) != len(b.path) {
			return len(b.path) - len(a.path)
		}
		return strings.Compare(b.path, a.path)
	})
	for _, r := range rules {
		pattern := r.path
		exact := slices.ContainsFunc(rules, func(o rule) bool { return o.path == r.path && o.kind == networkingv1.PathTypeExact })
		if r.kind == networkingv1.PathTypePrefix && !r.regex && exact && r.path != "/" {
			// What is left of a Prefix beside an Exact is its subtree.
			pattern = strings.TrimSuffix(r.path, "/") + "/"
		}
		if regexp.MustCompile("(?i)^" + pattern).MatchString(path) {
			return r.service
		}
	}
	return "nothing"
}

func write(ingresses []*networkingv1.Ingress) string {
	var b strings.Builder
	for _, ing := range ingresses {
		fmt.Fprintf(&b, "%s %s %v\n", ing.Name, ing.CreationTimestamp.Format(time.TimeOnly), ing.Annotations)
		for _, p := range ing.Spec.Rules[0].HTTP.Paths {
			fmt.Fprintf(&b, "  %s %s -> %s\n", *p.PathType, p.Path, p.Backend.Service.Name)
		}
	}
	return b.String()
}

// TestSlowPatternsOfATable is about many slow expressions and requests for them, each of
// which is within its bound: together they are undecided before long, and what is not
// slow goes on.
func TestSlowPatternsOfATable(t *testing.T) {
	slow := "/" + strings.Repeat("a", 40) + "!"
	ing := ingressOf("web", 1, map[string]string{"use-regex": "true"}, "a.example",
		rule{kind: networkingv1.PathTypeImplementationSpecific, path: "/(a+|a+a)+[b-z]$", service: "a"},
		rule{kind: networkingv1.PathTypeImplementationSpecific, path: "/x[0-9]", service: "b"})
	table := routing.NewTable(&routing.Snapshot{}, routing.ControllerSettings{}, []*networkingv1.Ingress{ing})
	// tooLong reports whether an expression took too long. That the Service was not read
	// is the reason otherwise.
	tooLong := func(table *routing.Table, path string) bool {
		route := table.Answer(routing.Request{HTTPS: true, Host: "a.example", Path: path})
		return strings.HasSuffix(route.Undecided, "takes too long")
	}
	if tooLong(table, "/x1") {
		t.Fatal("too long at first")
	}
	for range 100 {
		if !tooLong(table, slow) {
			t.Fatal("a match of too many steps is decided")
		}
	}
	pattern, err := routing.CompilePattern("^/x[0-9]", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := pattern.Match("/x1"); !ok || err != nil {
		t.Errorf("an expression of no Table: %t, %v", ok, err)
	}
	if !tooLong(table, "/x1") {
		t.Error("decided after all steps were taken")
	}
	fast := routing.NewTable(&routing.Snapshot{}, routing.ControllerSettings{}, []*networkingv1.Ingress{ing})
	for range 100_000 {
		if tooLong(fast, "/x1") {
			t.Fatal("fast requests are undecided")
		}
	}
}
