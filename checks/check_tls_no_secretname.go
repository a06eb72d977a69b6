// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsNoSecretName = Check{
	Name:  "tls-no-secretname",
	Title: "spec.tls names no Secret, so the default certificate is served",
	Text: `An entry of spec.tls without secretName asks ingress-nginx for its default certificate. That is the
self-signed "Kubernetes Ingress Controller Fake Certificate", which browsers refuse, unless the operator gave the
controller another one with --default-ssl-certificate.

Name a Secret, if you did not mean the default certificate.

Such an entry is a documented way to ask for the default certificate, and whether browsers accept that one cannot be
seen in the cluster. So the check is off unless the preset is strict.`,
	Example:     "listed",
	Since:       "0.1",
	Default:     Off,
	Strict:      Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runTLSNoSecretName,
}

func runTLSNoSecretName(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	reported := map[*networkingv1.IngressTLS]bool{}
	for _, use := range tlsUses(ing, snap) {
		if use.entry.SecretName != "" || reported[use.entry] || (use.listed < 0 && namesSecret(ing)) {
			continue
		}
		reported[use.entry] = true
		findings = append(findings, Finding{
			Field:   use.field,
			Fact:    "the entry names no Secret",
			Outcome: fmt.Sprintf("HTTPS requests for %s get the default certificate", quote(use.host)),
			Subject: Subject{Object: "tls/" + strings.Join(use.entry.Hosts, ",")},
		})
	}
	return findings
}

// namesSecret reports whether any entry names a Secret, whose certificate may
// then cover a host that no entry lists.
func namesSecret(ing *networkingv1.Ingress) bool {
	for i := range ing.Spec.TLS {
		if ing.Spec.TLS[i].SecretName != "" {
			return true
		}
	}
	return false
}
