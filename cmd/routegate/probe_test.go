// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What happens with a real API server is in e2e/chart.
func TestHeard(t *testing.T) {
	const warning = `spec.rules[0]: Service "routegate-probe-no-such-service" does not exist (service-missing): requests get 503 [dry run: a real write would be denied]`
	for name, tc := range map[string]struct {
		warnings []string
		err      error
		code     int
		want     string
	}{
		"warned":             {[]string{"something else", warning}, nil, exitOK, warning},
		"denied":             {nil, errors.New(`admission webhook "validate.ingress.routegate.dev" denied the request: ` + warning), exitOK, warning},
		"found beside":       {[]string{warning}, errors.New("another webhook denied"), exitOK, warning},
		"silence":            {nil, nil, exitDiffers, "let through without a word"},
		"other warnings":     {[]string{"something else"}, nil, exitDiffers, "let through without a word"},
		"no verdict":         {[]string{"no verdict on parts of this Ingress: Service: not read yet"}, nil, exitDiffers, "could not judge"},
		"closed":             {nil, errors.New(`failed calling webhook "validate.ingress.routegate.dev": no endpoints`), exitDiffers, "no endpoints"},
		"somebody else":      {nil, errors.New(`admission webhook "other" denied the request`), exitError, "not because of Routegate"},
		"no rights":          {nil, errors.New(`User "x" cannot create resource "ingresses"`), exitError, "not because of Routegate"},
		"other with a check": {nil, errors.New(`denied by a policy (service-missing)`), exitError, "not because of Routegate"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := heard(tc.warnings, tc.err)
			code := exitOK
			if err != nil {
				code = exitCode(err)
			}
			if code != tc.code || !strings.Contains(text, tc.want) {
				t.Errorf("got %d, %q; want %d with %q", code, text, tc.code, tc.want)
			}
		})
	}
}

func TestExcluded(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"routegate.dev/enforce": "off"}}}
	off := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "routegate.dev/enforce", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"off"}},
	}}
	on := &metav1.LabelSelector{MatchLabels: map[string]string{"routegate.dev/enforce": "off"}}
	for name, tc := range map[string]struct {
		webhook admissionregistrationv1.ValidatingWebhook
		want    string
	}{
		"no selectors":      {admissionregistrationv1.ValidatingWebhook{}, ""},
		"namespace matches": {admissionregistrationv1.ValidatingWebhook{NamespaceSelector: on}, ""},
		"namespace is out":  {admissionregistrationv1.ValidatingWebhook{NamespaceSelector: off}, `namespaceSelector "routegate.dev/enforce notin (off)" does not match the labels "routegate.dev/enforce=off": namespace "shop" is left out`},
		"object is out":     {admissionregistrationv1.ValidatingWebhook{NamespaceSelector: on, ObjectSelector: on}, `objectSelector "routegate.dev/enforce=off" does not match the labels ""`},
	} {
		t.Run(name, func(t *testing.T) {
			got := excluded(&tc.webhook, ns)
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAddressOf(t *testing.T) {
	port, url, noPort := int32(8443), "https://gate.example.com:9443/validate", "https://gate.example.com/validate"
	for _, tc := range []struct {
		config        admissionregistrationv1.WebhookClientConfig
		address, name string
	}{
		{admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "guard", Name: "routegate"}}, "routegate.guard.svc:443", "routegate.guard.svc"},
		{admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "guard", Name: "routegate", Port: &port}}, "routegate.guard.svc:8443", "routegate.guard.svc"},
		{admissionregistrationv1.WebhookClientConfig{URL: &url}, "gate.example.com:9443", "gate.example.com"},
		{admissionregistrationv1.WebhookClientConfig{URL: &noPort}, "gate.example.com:443", "gate.example.com"},
	} {
		if address, name := addressOf(tc.config); address != tc.address || name != tc.name {
			t.Errorf("got %q, %q; want %q, %q", address, name, tc.address, tc.name)
		}
	}
}
