// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var tlsSecretMissing = Check{
	Name:  "tls-secret-missing",
	Title: "spec.tls names a Secret that does not exist",
	Text: `The certificate of a host comes from a Secret in the namespace of the Ingress. If it does not exist,
ingress-nginx still redirects plain HTTP to HTTPS, and answers there with its default certificate. Browsers refuse
that, unless the operator installed one that covers the host.

Correct the name, or create the Secret: kubectl create secret tls NAME --cert=FILE --key=FILE.

The check says nothing where an annotation asks cert-manager for the certificate, or Gardener's cert-management, or the
operator of AKS application routing. Other tools that fill Secrets later cannot be seen in the Ingress, so this denies only
under the preset strict. For controllers other than ingress-nginx it never denies, and says nothing unless the controller
is known to read the Secrets of spec.tls.`,
	Example: "misspelt",
	Since:   "0.1",
	Default: Warn,
	Strict:  Deny,
	Reads:   []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Secrets, routing.SecretData},
	Run:     runTLSSecretMissing,
}

func runTLSSecretMissing(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	if class.State == routing.ClassUnread || !class.Controller.ReadsTLSSecrets || routing.CertificateRequested(ing) {
		return nil
	}
	if class.Controller.Name != routing.Nginx {
		return missingOfAllEntries(ing, snap)
	}
	var findings []Finding
	reported := map[*networkingv1.IngressTLS]bool{}
	for _, use := range tlsUses(ing, snap) {
		name := use.entry.SecretName
		if name == "" || reported[use.entry] || (use.listed < 0 && coveredElsewhere(ing, snap, use.host)) {
			continue
		}
		if snap.SecretExists(ing.Namespace, name) != routing.Absent {
			continue
		}
		reported[use.entry] = true
		findings = append(findings, missingSecret(ing, snap, use.field, name,
			"HTTPS requests get the default certificate", false))
	}
	return findings
}

// missingOfAllEntries is for other controllers that read the Secrets of
// spec.tls: how they pick an entry is not modelled, so every entry counts.
func missingOfAllEntries(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for i := range ing.Spec.TLS {
		name := ing.Spec.TLS[i].SecretName
		if name == "" {
			continue
		}
		if snap.SecretExists(ing.Namespace, name) == routing.Absent {
			findings = append(findings, missingSecret(ing, snap, tlsField(i), name,
				"HTTPS requests get another certificate or none", true))
		}
	}
	return findings
}

func missingSecret(ing *networkingv1.Ingress, snap *routing.Snapshot, entry *field.Path, name, outcome string, tentative bool) Finding {
	return Finding{
		Field:     entry.Child("secretName"),
		Fact:      fmt.Sprintf("Secret %s does not exist in namespace %s", quote(name), quote(ing.Namespace)),
		Accepted:  didYouMean(name, snap.Names[routing.Ref{Kind: routing.Secrets, Namespace: ing.Namespace}]),
		Outcome:   outcome,
		Subject:   Subject{Object: "Secret/" + name},
		RestsOn:   []routing.Ref{secretRef(ing, name)},
		Tentative: tentative,
	}
}
