// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var aliasTLS = Check{
	Name:  "alias-tls",
	Title: "the certificate of the host does not cover its alias",
	Text: `ingress-nginx looks for a certificate for the hosts of rules only. It serves an alias of the annotation server-alias
with the certificate of the host if that is for the alias as well, and else with its default certificate, which browsers
refuse. An entry of spec.tls for the alias changes nothing.

Have the certificate issued for the alias as well, or write a rule for the name instead.

It only warns, because the default certificate may be for the alias. Nothing is said where an annotation asks
cert-manager for the certificate and spec.tls lists the alias, of an alias that is a regular expression, or where a
Secret cannot be read.`,
	Example:     "not-covered",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"server-alias"},
	Run:         runAliasTLS,
}

func runAliasTLS(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present || routing.PassesTLSThrough(ing) {
		return nil
	}
	config := table.ConfigOf(ing)
	if config == nil || config.Canary.Enabled {
		return nil
	}
	var findings []Finding
	hosts := routing.HostsOf(ing)
	for _, alias := range config.ServerAliases {
		if strings.HasPrefix(alias, "~") || strings.Contains(alias, "*") ||
			(routing.CertificateRequested(ing) && listsTLSHost(ing, alias)) {
			continue
		}
		server := table.AliasOf(alias)
		if server == nil || server.TLS.Kind != routing.OwnCertificate || aliasOwner(ing, snap, table, server.Host) != ing {
			continue
		}
		if _, served := table.CertificateFor(alias); served || !isAmong(hosts, server.Host) {
			continue
		}
		f := Finding{
			Field:    annotationField("server-alias"),
			Fact:     fmt.Sprintf("the certificate of host %s does not cover the alias %s", quote(server.Host), quote(alias)),
			Accepted: "it must be for both",
			Outcome:  fmt.Sprintf("HTTPS requests for %s get the default certificate", quote(alias)),
			Subject:  Subject{Host: alias, Object: "Secret/" + server.TLS.Secret.Name},
		}
		if server.TLSOwner.Namespace == ing.Namespace {
			f.RestsOn = []routing.Ref{secretRef(ing, server.TLS.Secret.Name)}
		} else {
			f.Subject.Object = "Ingress/" + ingressName(server.TLSOwner)
			f.RestsOn = []routing.Ref{ingressRef(server.TLSOwner)}
		}
		findings = append(findings, f)
	}
	return findings
}

func listsTLSHost(ing *networkingv1.Ingress, host string) bool {
	_, listed := listedUse(ing, host)
	return listed
}
