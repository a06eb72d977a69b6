// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsOnHostlessRule = Check{
	Name:  "tls-on-hostless-rule",
	Title: "spec.tls has no effect on a rule without host",
	Text: `Rules without a host belong to the default server of ingress-nginx, which always serves the default
certificate, whatever spec.tls says.

Give the rule a host, or have the operator install the certificate with --default-ssl-certificate.

It denies only where the settings of the controller are confirmed, because the flag cannot be seen in the cluster. Nothing
is said of a controller that is known to have it.`,
	Example:     "hostless",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		if len(ing.Spec.TLS) == 0 || len(ing.Spec.Rules) == 0 || routing.IsCanary(ing) || snap.SettingsOf(ing).DefaultSSLCertificate != "" {
			return nil
		}
		for i := range ing.Spec.Rules {
			if ing.Spec.Rules[i].Host != "" {
				return nil
			}
		}
		return []Finding{uselessTLS("no rule has a host, and a rule without one takes no certificate from spec.tls", "must have a host")}
	},
}

// uselessTLS is the finding of a TLS section that decides no certificate.
func uselessTLS(fact, accepted string) Finding {
	return Finding{
		Field:    tlsField(0),
		Fact:     fact,
		Accepted: accepted,
		Outcome:  "HTTPS requests get the default certificate",
		Subject:  Subject{Object: "tls"},
	}
}
