// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var tlsHostWithoutRule = Check{
	Name:  "tls-host-without-rule",
	Title: "no rule has a host of an entry of spec.tls",
	Text: `ingress-nginx looks for certificates for the hosts of rules, within the Ingress that has the rule. The certificate of an
entry of spec.tls with other hosts alone is never served.

Add a rule for the host, or correct its spelling, or remove the entry.

Nothing is said of an entry of which at least one host has a rule or is an alias, in this or another Ingress, nor where the
certificate covers the host of a rule although the entry does not list it, nor where an annotation asks cert-manager for
the certificate. A host of a rule that no entry lists is reported as tls-rule-host-not-listed alone.`,
	Example:     "other-host",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSHostWithoutRule,
}

func runTLSHostWithoutRule(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	// Rules without host, and Ingresses without rules, have checks of their own.
	hosts := slices.DeleteFunc(routing.HostsOf(ing), func(host string) bool { return host == "" })
	if table == nil || len(hosts) == 0 || routing.CertificateRequested(ing) || routing.PassesTLSThrough(ing) {
		return nil
	}
	if len(runTLSRuleHostNotListed(ing, snap)) > 0 {
		// The entry may be meant for the host that is left out.
		return nil
	}
	var findings []Finding
	for i := range ing.Spec.TLS {
		entry := &ing.Spec.TLS[i]
		if entry.SecretName == "" || slices.ContainsFunc(entry.Hosts, func(host string) bool { return isNamed(table, host) }) ||
			slices.ContainsFunc(hosts, func(host string) bool { return mayCover(entry.Hosts, host) }) {
			continue
		}
		facts, known := snap.Secret(ing.Namespace, entry.SecretName)
		if known == routing.Unread || (known == routing.Present && (facts.Unusable != "" || slices.ContainsFunc(hosts, facts.Certificate.Covers))) {
			continue
		}
		findings = append(findings, Finding{
			Field:    tlsField(i).Child("hosts"),
			Fact:     fmt.Sprintf("no rule of any Ingress is for %s", list(quoteAll(entry.Hosts))),
			Accepted: didYouMean(entry.Hosts[0], hosts),
			Outcome:  fmt.Sprintf("the certificate in Secret %s is never served", quote(entry.SecretName)),
			Subject:  Subject{Host: entry.Hosts[0], Object: "Secret/" + entry.SecretName},
		})
	}
	return findings
}

// isNamed reports whether a rule names the host, or an alias or a redirect to or from
// its twin with "www." does.
func isNamed(table *routing.Table, host string) bool {
	if table.ServerOf(host) != nil || table.AliasOf(host) != nil {
		return true
	}
	twin := table.ServerOf(routing.WWWTwin(host))
	return twin != nil && twin.Oldest != nil && table.ConfigOf(twin.Oldest).FromToWWW
}
