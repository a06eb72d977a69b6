// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsExpired = Check{
	Name:  "tls-expired",
	Title: "the certificate has expired, or is not valid yet",
	Text: `ingress-nginx serves a certificate whatever its dates are, and only writes a line to its log. Browsers and
other clients refuse it.

Renew the certificate. If a tool was to renew it, find out why it did not.`,
	Example:     "expired",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSExpired,
}

func runTLSExpired(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	reported := map[*networkingv1.IngressTLS]bool{}
	for _, use := range tlsUses(ing, snap) {
		name := use.entry.SecretName
		if name == "" || reported[use.entry] {
			continue
		}
		facts, known := snap.Secret(ing.Namespace, name)
		// A certificate that is not served is another check's to report.
		if known != routing.Present || facts.Unusable != "" || !facts.Certificate.Covers(use.host) {
			continue
		}
		var fact string
		switch c := facts.Certificate; {
		case snap.Now.After(c.NotAfter):
			fact = "expired on " + day(c.NotAfter)
		case snap.Now.Before(c.NotBefore):
			fact = "is not valid before " + day(c.NotBefore)
		default:
			continue
		}
		reported[use.entry] = true
		findings = append(findings, Finding{
			Field:   use.field.Child("secretName"),
			Fact:    fmt.Sprintf("the certificate in Secret %s %s", quote(name), fact),
			Outcome: "clients refuse the certificate",
			Subject: Subject{Object: "Secret/" + name},
			RestsOn: []routing.Ref{secretRef(ing, name)},
		})
	}
	return findings
}

func day(t time.Time) string {
	return t.UTC().Format(time.DateOnly)
}
