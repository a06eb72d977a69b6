// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// TestWithholding reads the sentences that are left where names are withheld.
func TestWithholding(t *testing.T) {
	ref := func(name string) routing.Ref {
		return routing.Ref{Kind: routing.Ingresses, Namespace: "other", Name: name}
	}
	for fact, want := range map[string]string{
		`Ingress "other/a" has a rule`:                           `an Ingress of another namespace has a rule`,
		`the older Ingress "other/a" decides`:                    `the older Ingress of another namespace decides`,
		`the newer Ingress "other/a"`:                            `the newer Ingress of another namespace`,
		`the canary Ingress "other/a" is older`:                  `the canary Ingress of another namespace is older`,
		`a path of Ingress "other/a"; Ingress "other/a" too`:     `a path of an Ingress of another namespace; an Ingress of another namespace too`,
		`here and in Ingress "app/x", "other/a"`:                 `here and in Ingress "app/x", one of another namespace`,
		`because of the Ingresses "other/a", "other/b" and more`: `because of the Ingresses one of another namespace, "other/b" and more`,
		`Ingress "other/ab"`:                                     `Ingress "other/ab"`,
		`path "a \"other/a\""`:                                   `path "a \"other/a\""`,
	} {
		f := checks.Finding{Fact: fact, Accepted: fact, Outcome: fact, Mentions: []routing.Ref{ref("a"), ref("b")}}
		got := f.Withholding(func(r routing.Ref) bool { return r.Name == "b" })
		if got.Fact != want || got.Accepted != want || got.Outcome != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", fact, got.Fact, want)
		}
		if f.Fact != fact {
			t.Errorf("the finding itself became %s", f.Fact)
		}
	}
}

// TestUnreadNamesNothingElsewhere wants no name of another namespace in why a check could
// not judge.
func TestUnreadNamesNothingElsewhere(t *testing.T) {
	check := checks.Check{Name: "reader", Run: func(_ *networkingv1.Ingress, snap *routing.Snapshot) []checks.Finding {
		snap.Secret("other", "theirs")
		snap.Secret("app", "mine")
		return nil
	}}
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web"}}
	found := checks.Run([]checks.Check{check}, ing, &routing.Snapshot{})
	if len(found) != 1 || !found[0].Undecided {
		t.Fatalf("got %v", found)
	}
	if fact := found[0].Fact; strings.Contains(fact, "theirs") || !strings.Contains(fact, "of another namespace") || !strings.Contains(fact, `"mine"`) {
		t.Errorf("got %s", fact)
	}
}
