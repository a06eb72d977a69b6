// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsWithoutRules = Check{
	Name:  "tls-without-rules",
	Title: "spec.tls has no effect in an Ingress without rules",
	Text: `An Ingress with only a default backend belongs to the default server of ingress-nginx, which always serves
the default certificate, whatever spec.tls says.

Add a rule for the host, or have the operator install the certificate with --default-ssl-certificate.

It denies only where the settings of the controller are confirmed, because the flag cannot be seen in the cluster. Nothing
is said of a controller that is known to have it.`,
	Example:     "default-backend",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		if len(ing.Spec.TLS) == 0 || len(ing.Spec.Rules) > 0 || routing.IsCanary(ing) || snap.SettingsOf(ing).DefaultSSLCertificate != "" {
			return nil
		}
		return []Finding{uselessTLS("there are no rules, and the default backend takes no certificate from spec.tls", "must have a rule for the host")}
	},
}
