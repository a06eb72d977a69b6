// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsSecretUnusable = Check{
	Name:  "tls-secret-unusable",
	Title: "the Secret of spec.tls holds no usable certificate and key",
	Text: `ingress-nginx takes a certificate and its key from the entries tls.crt and tls.key of the Secret, whatever
type the Secret has. The first PEM block of tls.crt must be the certificate that belongs to the key; intermediates
come after it. A ca.crt or ca.crl in the same Secret that does not parse spoils a good pair. If the pair is unusable,
the host is served with the default certificate, which browsers refuse.

Delete the Secret and create it again: kubectl create secret tls NAME --cert=FILE --key=FILE.

The check says nothing where an annotation asks cert-manager for the certificate, and only warns where a tool fills
the Secret.`,
	Example:     "other-keys",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSSecretUnusable,
}

func runTLSSecretUnusable(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if routing.CertificateRequested(ing) {
		return nil
	}
	var findings []Finding
	reported := map[*networkingv1.IngressTLS]bool{}
	for _, use := range tlsUses(ing, snap) {
		name := use.entry.SecretName
		if name == "" || reported[use.entry] || (use.listed < 0 && coveredElsewhere(ing, snap, use.host)) {
			continue
		}
		facts, known := snap.Secret(ing.Namespace, name)
		if known != routing.Present || facts.Unusable == "" {
			continue
		}
		reported[use.entry] = true
		findings = append(findings, Finding{
			Field:     use.field.Child("secretName"),
			Fact:      fmt.Sprintf("Secret %s %s", quote(name), facts.Unusable),
			Accepted:  heldKeys(facts),
			Outcome:   "HTTPS requests get the default certificate",
			Subject:   Subject{Object: "Secret/" + name},
			RestsOn:   []routing.Ref{secretRef(ing, name)},
			Tentative: facts.ManagedBy != "",
		})
	}
	return findings
}

// heldKeys says what the Secret holds where it lacks one of the two entries.
func heldKeys(facts *routing.SecretFacts) string {
	if slices.Contains(facts.Keys, "tls.crt") && slices.Contains(facts.Keys, "tls.key") {
		return ""
	}
	if len(facts.Keys) == 0 {
		return "it is empty"
	}
	held := quoteAll(facts.Keys)
	if len(held) > maxListed {
		held = append(held[:maxListed], fmt.Sprintf("%d more", len(held)-maxListed))
	}
	return "it has " + strings.Join(held, ", ")
}
