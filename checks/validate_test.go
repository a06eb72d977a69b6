// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

func TestValidateTheConfirmedMode(t *testing.T) {
	for name, tc := range map[string]struct {
		mode        checks.Mode
		controllers []string
		want        string // what the error says, empty where there is none
	}{
		"none":               {"", nil, ""},
		"deny":               {checks.Deny, []string{routing.Nginx}, ""},
		"no mode":            {"maybe", []string{routing.Nginx}, "Confirmed must be empty or one of deny, warn, off"},
		"every controller":   {checks.Deny, nil, "Confirmed needs Controllers to be ingress-nginx alone"},
		"another controller": {checks.Deny, []string{routing.Nginx, "traefik"}, "Confirmed needs Controllers to be ingress-nginx alone"},
	} {
		err := checks.Validate([]checks.Check{{
			Name: "some-check", Title: "title", Text: "text", Since: "0.1", Default: checks.Warn,
			Confirmed: tc.mode, Controllers: tc.controllers,
			Run: func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding { return nil },
		}})
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestValidateRegardless(t *testing.T) {
	for kind, want := range map[routing.Kind]bool{routing.Ingresses: true, routing.Services: false} {
		err := checks.Validate([]checks.Check{{
			Name: "some-check", Title: "title", Text: "text", Since: "0.1", Default: checks.Deny, Reads: []routing.Kind{kind}, Regardless: true,
			Run: func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding { return nil },
		}})
		if (err == nil) != want || (err != nil && !strings.Contains(err.Error(), "Regardless needs Reads to name Ingress")) {
			t.Errorf("reading %s: got %v", kind, err)
		}
	}
}

func TestValidateAnnotations(t *testing.T) {
	for name, tc := range map[string]struct {
		annotation  string
		controllers []string
		want        string // what the error says, empty where there is none
	}{
		"known":            {"canary", []string{routing.Nginx}, ""},
		"unknown":          {"cannary", []string{routing.Nginx}, `Annotations names "cannary", which is no annotation of ingress-nginx`},
		"with prefix":      {"nginx.ingress.kubernetes.io/canary", []string{routing.Nginx}, "which is no annotation of ingress-nginx"},
		"an alias":         {"whitelist-source-range", []string{routing.Nginx}, "which is no annotation of ingress-nginx"},
		"every controller": {"canary", nil, "Annotations needs Controllers to be ingress-nginx alone"},
	} {
		err := checks.Validate([]checks.Check{{
			Name: "some-check", Title: "title", Text: "text", Since: "0.1", Default: checks.Warn,
			Controllers: tc.controllers, Annotations: []string{tc.annotation},
			Run: func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding { return nil },
		}})
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
