// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsSANMismatch = Check{
	Name:  "tls-san-mismatch",
	Title: "the certificate does not cover the host",
	Text: `ingress-nginx does not serve a certificate that was made for other names. It serves its default certificate
instead, which browsers refuse. The DNS names of the certificate count; its common name counts only if it has none. A
wildcard covers exactly one label: *.example.com covers neither example.com nor a.b.example.com.

Have the certificate issued for the host as well, or name a Secret whose certificate covers it.

The check says nothing where an annotation asks cert-manager for the certificate. It only warns where a tool fills the
Secret, and of a host that no entry of spec.tls lists.`,
	Example:     "other-names",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSSANMismatch,
}

func runTLSSANMismatch(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if routing.CertificateRequested(ing) {
		return nil
	}
	var findings []Finding
	for _, use := range tlsUses(ing, snap) {
		name := use.entry.SecretName
		if name == "" {
			continue
		}
		facts, known := snap.Secret(ing.Namespace, name)
		// An unusable Secret is tls-secret-unusable's to report.
		if known != routing.Present || facts.Unusable != "" || facts.Certificate.Covers(use.host) {
			continue
		}
		if use.listed < 0 && coveredElsewhere(ing, snap, use.host) {
			continue
		}
		f := Finding{
			Field:     use.field.Child("secretName"),
			Fact:      fmt.Sprintf("the certificate in Secret %s does not cover %s", quote(name), quote(use.host)),
			Accepted:  "it is for " + namesOf(facts.Certificate),
			Outcome:   fmt.Sprintf("HTTPS requests for %s get the default certificate", quote(use.host)),
			Subject:   Subject{Host: use.host, Object: "Secret/" + name},
			RestsOn:   []routing.Ref{secretRef(ing, name)},
			Tentative: facts.ManagedBy != "" || use.listed < 0,
		}
		if use.listed >= 0 {
			f.Field = use.field.Child("hosts").Index(use.listed)
		}
		findings = append(findings, f)
	}
	return findings
}

func namesOf(c *routing.CertificateFacts) string {
	names := c.DNSNames
	if len(names) == 0 {
		if c.CommonName == "" {
			return "no name"
		}
		names = []string{c.CommonName}
	}
	text := ""
	for i, name := range names {
		if i == maxListed {
			return text + fmt.Sprintf(" and %d more", len(names)-maxListed)
		}
		if i > 0 {
			text += ", "
		}
		text += quote(name)
	}
	return text
}
