// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var tlsRuleHostNotListed = Check{
	Name:  "tls-rule-host-not-listed",
	Title: "spec.tls leaves out a rule's host, and no certificate covers it",
	Text: `Once an Ingress has a spec.tls, ingress-nginx treats all hosts of its rules as HTTPS hosts: it redirects
plain HTTP, even for a host that no entry lists. It serves such a host with any certificate of spec.tls that covers
it; if none does, with its default certificate, which browsers refuse.

List the host in an entry whose certificate covers it, or move its rule to an Ingress without spec.tls.`,
	Example:     "second-host",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSRuleHostNotListed,
}

func runTLSRuleHostNotListed(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if len(ing.Spec.TLS) == 0 || routing.IsCanary(ing) || routing.PassesTLSThrough(ing) {
		return nil
	}
	// A host with an entry that is meant for it is other checks' to report.
	considered := map[string]bool{"": true}
	for _, use := range tlsUses(ing, snap) {
		considered[use.host] = true
	}
	var findings []Finding
	// Collected once, and only for a finding.
	secrets := sync.OnceValue(func() []routing.Ref { return secretRefs(ing) })
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if considered[host] {
			continue
		}
		considered[host] = true
		if decidedByOlder(ing, snap, host) || coveredElsewhere(ing, snap, host) {
			continue
		}
		findings = append(findings, Finding{
			Field:    field.NewPath("spec", "rules").Index(i).Child("host"),
			Fact:     fmt.Sprintf("no entry of spec.tls lists %s, and none of its certificates covers it", quote(host)),
			Accepted: "must be listed with a certificate that covers it",
			Outcome:  "requests are redirected to HTTPS and get the default certificate",
			Subject:  Subject{Host: host},
			RestsOn:  secrets(),
		})
	}
	return findings
}

// secretRefs are the Secrets that an Ingress names.
func secretRefs(ing *networkingv1.Ingress) []routing.Ref {
	var refs []routing.Ref
	for _, name := range routing.ReferencesOf(ing).Secrets {
		refs = append(refs, secretRef(ing, name))
	}
	return refs
}
