// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var wwwRedirectCert = Check{
	Name:  "www-redirect-cert",
	Title: "the certificate does not cover the host that is redirected from",
	Text: `The annotation from-to-www-redirect makes ingress-nginx redirect www.example.com to example.com, or the other way round.
It serves HTTPS requests for the former with the certificate of the latter, if that is for both names. Else clients are
shown the default certificate, which browsers refuse, and never see the redirect. An entry of spec.tls for the host alone
changes nothing.

Have the certificate of the host that is redirected to issued for both names.

It speaks only where spec.tls lists the host that is redirected from. Nothing is said where an annotation asks
cert-manager for the certificate, or where a Secret cannot be read.`,
	Example:     "not-covered",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"from-to-www-redirect"},
	Run:         runWWWRedirectCert,
}

func runWWWRedirectCert(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil || !table.ConfigOf(ing).FromToWWW || routing.CertificateRequested(ing) || routing.PassesTLSThrough(ing) {
		return nil
	}
	var findings []Finding
	for _, host := range routing.HostsOf(ing) {
		twin := routing.WWWTwin(host)
		use, listed := listedUse(ing, twin)
		if !listed || unnamed(host) || table.ServerOf(twin) != nil || !ownsPathOf(table, ing, host) {
			continue
		}
		server := table.ServerOf(host)
		if _, served := table.CertificateFor(twin); served || server.TLSOwner != ing || server.TLS.Kind != routing.OwnCertificate {
			continue
		}
		findings = append(findings, Finding{
			Field:    use.field.Child("hosts").Index(use.listed),
			Fact:     fmt.Sprintf("%s is redirected to %s, whose certificate does not cover it", quote(twin), quote(host)),
			Accepted: "the certificate in Secret " + quote(server.TLS.Secret.Name) + " must be for both",
			Outcome:  fmt.Sprintf("HTTPS requests for %s get the default certificate", quote(twin)),
			Subject:  Subject{Host: twin, Object: "Secret/" + server.TLS.Secret.Name},
			RestsOn:  []routing.Ref{secretRef(ing, server.TLS.Secret.Name)},
		})
	}
	return findings
}
