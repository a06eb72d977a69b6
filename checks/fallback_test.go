// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// TestFallbackIsSilentWhereAnotherCheckSpeaks holds Run to one finding per fault.
func TestFallbackIsSilentWhereAnotherCheckSpeaks(t *testing.T) {
	here := checks.Subject{Host: "a.example", Path: "/foo", Type: networkingv1.PathTypePrefix, Object: "Service/web:80"}
	exact := here
	exact.Type = networkingv1.PathTypeExact
	for name, tc := range map[string]struct {
		other  checks.Finding
		silent bool
	}{
		"same path":        {checks.Finding{Subject: checks.Subject{Host: here.Host, Path: here.Path, Type: here.Type}}, true},
		"other path type":  {checks.Finding{Subject: exact}, false},
		"other path":       {checks.Finding{Subject: checks.Subject{Host: here.Host, Path: "/", Type: here.Type}}, false},
		"same host":        {checks.Finding{Subject: checks.Subject{Host: here.Host}}, true},
		"other host":       {checks.Finding{Subject: checks.Subject{Host: "b.example"}}, false},
		"whole Ingress":    {checks.Finding{Subject: checks.Subject{Object: "annotation/x"}}, true},
		"without a result": {checks.Finding{Undecided: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			says := func(f checks.Finding) func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding {
				return func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding { return []checks.Finding{f} }
			}
			list := []checks.Check{
				{Name: "a-fallback", Fallback: true, Run: says(checks.Finding{Subject: here})},
				{Name: "b-other", Run: says(tc.other)},
			}
			found := checks.Run(list, &networkingv1.Ingress{}, &routing.Snapshot{})
			spoke := slices.ContainsFunc(found, func(f checks.Finding) bool { return f.Check == "a-fallback" })
			if spoke == tc.silent {
				t.Errorf("got %v; the fallback must be silent: %t", found, tc.silent)
			}
		})
	}
}
