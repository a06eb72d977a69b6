// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		names []string
		cn    string
		host  string
		want  bool
	}{
		{"same name", []string{"a.example"}, "", "a.example", true},
		{"case", []string{"A.EXAMPLE"}, "", "a.example", true},
		{"trailing dot", []string{"a.example."}, "", "a.example", true},
		{"wildcard, one label", []string{"*.example"}, "", "a.example", true},
		{"wildcard, two labels", []string{"*.example"}, "", "a.b.example", false},
		{"wildcard, its parent", []string{"*.example"}, "", "example", false},
		{"wildcard host", []string{"*.example"}, "", "*.example", true},
		{"wildcard host, plain name", []string{"a.example"}, "", "*.example", false},
		{"second name", []string{"b.example", "a.example"}, "", "a.example", true},
		{"common name alone", nil, "a.example", "a.example", true},
		{"common name beside names", []string{"b.example"}, "a.example", "a.example", false},
		{"no name at all", nil, "", "a.example", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := routing.CertificateFacts{DNSNames: tc.names, CommonName: tc.cn}
			if got := c.Covers(tc.host); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestFactsHoldNoValue(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "app", Name: "cert",
			Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "sesame"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Data: map[string][]byte{"tls.crt": []byte("sesame"), "tls.key": []byte("sesame"), "password": []byte("sesame")},
	}
	facts := routing.FactsOf(secret)
	if text := strings.Join(append(facts.Keys, facts.Unusable, facts.ManagedBy), " ") + fmt.Sprintf("%+v", facts); strings.Contains(text, "sesame") {
		t.Errorf("a value is in the facts: %s", text)
	}
	if got := strings.Join(facts.Keys, ","); got != "password,tls.crt,tls.key" {
		t.Errorf("keys are %s", got)
	}
}
