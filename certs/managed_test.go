// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
)

func TestKeeperNamesWhatIsMissing(t *testing.T) {
	k := &Keeper{Secret: types.NamespacedName{Name: "routegate-tls"}, Rules: []admissionregistrationv1.RuleWithOperations{{}}}
	err := k.Validate()
	for _, want := range []string{"Client", "Dynamic", "Configuration", "Ready", "Webhook", "namespace of Secret", "Hosts", "lifetime of the certificate 0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if err := (&Keeper{}).Validate(); err == nil || !strings.Contains(err.Error(), "Secret or Serving must be set") {
		t.Errorf("got %v", err)
	}
	if _, err := k.GetCertificate(nil); err == nil || !strings.Contains(err.Error(), "not read yet") {
		t.Errorf("got %v", err)
	}
}

func TestTrustNeedsTheAuthorityOfWhatIsServed(t *testing.T) {
	now := time.Now()
	authority := func() *pair {
		ca, err := newAuthority(now, DefaultLifetimes())
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca, other := authority(), authority()
	leaf, err := ca.issue(someHosts, now, DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	served := &tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}}
	for name, tc := range map[string]struct {
		bundle []byte
		want   bool
	}{
		"of its authority": {ca.certPEM, true},
		"of both":          {bundle{other.cert, ca.cert}.encode(), true},
		"of another":       {other.certPEM, false},
		"none":             {nil, false},
		"rubbish":          {[]byte("rubbish"), false},
	} {
		if got := trusts(tc.bundle, served, now); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if trusts(ca.certPEM, &tls.Certificate{}, now) {
		t.Error("nothing served is trusted")
	}
}

func TestRulesAreWrittenWhenTheWebhookCanBeCalled(t *testing.T) {
	now := time.Now()
	ca, err := newAuthority(now, DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.issue(someHosts, now, DefaultLifetimes())
	if err != nil {
		t.Fatal(err)
	}
	rules := func(operations ...admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
		scope := admissionregistrationv1.AllScopes
		return []admissionregistrationv1.RuleWithOperations{{
			Operations: operations,
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"g"}, APIVersions: []string{"v1"}, Resources: []string{"r"}, Scope: &scope},
		}}
	}
	wanted := rules(admissionregistrationv1.Create, admissionregistrationv1.Update)
	notReady := errors.New("not ready")
	for name, tc := range map[string]struct {
		was    []admissionregistrationv1.RuleWithOperations
		bundle []byte
		// ready is the answer at each look, seven seconds apart.
		ready []error
		want  []admissionregistrationv1.RuleWithOperations
	}{
		"after 15 seconds":              {nil, ca.certPEM, make([]error, 4), wanted},
		"not before":                    {nil, ca.certPEM, make([]error, 3), nil},
		"15 seconds without a break":    {nil, ca.certPEM, []error{nil, nil, notReady, nil, nil, nil}, nil},
		"once there was no break":       {nil, ca.certPEM, []error{nil, notReady, nil, nil, nil, nil}, wanted},
		"not without a bundle":          {nil, nil, make([]error, 4), nil},
		"in place of others":            {rules(admissionregistrationv1.Create), ca.certPEM, make([]error, 4), wanted},
		"others stay until they can be": {rules(admissionregistrationv1.Create), nil, make([]error, 4), rules(admissionregistrationv1.Create)},
	} {
		t.Run(name, func(t *testing.T) {
			config := &admissionregistrationv1.ValidatingWebhookConfiguration{
				TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
				ObjectMeta: metav1.ObjectMeta{Name: "routegate"},
				Webhooks: []admissionregistrationv1.ValidatingWebhook{
					{Name: "other"}, {Name: "it", Rules: tc.was, ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: tc.bundle}},
				},
			}
			scheme := runtime.NewScheme()
			if err := admissionregistrationv1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			var ready error
			k := &Keeper{
				Dynamic: fake.NewSimpleDynamicClient(scheme, config), Configuration: "routegate", Webhook: "it", Rules: wanted,
				Serving: func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}}, nil },
				Ready:   func() error { return ready },
			}
			for i, answer := range tc.ready {
				ready = answer
				if _, err := k.setRules(t.Context(), now.Add(time.Duration(i)*7*time.Second), config, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			live, err := k.Dynamic.Resource(configurations).Get(t.Context(), "routegate", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got admissionregistrationv1.ValidatingWebhookConfiguration
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &got); err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(got.Webhooks[1].Rules, tc.want) {
				t.Errorf("rules are %v, must be %v", got.Webhooks[1].Rules, tc.want)
			}
			if len(got.Webhooks[0].Rules) > 0 {
				t.Errorf("the other webhook has the rules %v", got.Webhooks[0].Rules)
			}
		})
	}
}
