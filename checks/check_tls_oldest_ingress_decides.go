// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var tlsOldestIngressDecides = Check{
	Name:  "tls-oldest-ingress-decides",
	Title: "the TLS section of an older Ingress decides, and brings no certificate",
	Text: `Of all Ingresses of a host, the oldest with a spec.tls decides the certificate, even if its Secret does not exist or
cannot be used, or if its entries are for other hosts. ingress-nginx then serves its default certificate, which browsers
refuse, and ignores the good Secret of any newer Ingress.

Remove spec.tls from the older Ingress, or let it name a Secret with a certificate for the host.

Within one namespace this only warns, because one Ingress may be about to replace the other. It also only warns where the
certificate of the older Ingress may still come: its Secret does not exist, a tool fills it, or an annotation asks
cert-manager for it; where it asks for the default certificate, which may be a good one; and where ingress-nginx may have
refused it. Nothing is said where a Secret cannot be read.`,
	Example:     "other-hosts",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Run:         runTLSOldestIngressDecides,
}

func runTLSOldestIngressDecides(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present || len(ing.Spec.TLS) == 0 || routing.PassesTLSThrough(ing) {
		return nil
	}
	if config := table.ConfigOf(ing); config == nil || config.Canary.Enabled {
		return nil
	}
	var findings []Finding
	seen := map[string]bool{"": true}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if seen[host] {
			continue
		}
		seen[host] = true
		server := table.ServerOf(host)
		if server == nil || server.TLSOwner == nil || server.TLSOwner == ing || server.TLS.Kind != routing.DefaultCertificate {
			continue
		}
		owner := server.TLSOwner
		own := table.CertificateOf(ing, host)
		if own.Kind != routing.OwnCertificate || server.Passthrough || routing.PassesTLSThrough(owner) {
			continue
		}
		f := Finding{
			Field: field.NewPath("spec", "tls"),
			Fact: fmt.Sprintf("the older Ingress %s decides the certificate of host %s, and brings none that can be used",
				quote(ingressName(owner)), quote(host)),
			Accepted:  "that Ingress must name a good Secret, or have no spec.tls",
			Outcome:   fmt.Sprintf("HTTPS requests for %s get the default certificate", quote(host)),
			Subject:   Subject{Host: host, Object: "Ingress/" + ingressName(owner)},
			RestsOn:   []routing.Ref{ingressRef(owner), secretRef(ing, own.Secret.Name)},
			Tentative: owner.Namespace == ing.Namespace || routing.CertificateRequested(owner) || routing.MayBeRefused(owner) || mayComeYet(owner, server.TLS, snap),
		}
		if use, ok := listedUse(ing, host); ok {
			f.Field = use.field.Child("hosts").Index(use.listed)
		}
		if server.TLS.Secret.Name != "" {
			f.RestsOn = append(f.RestsOn, secretRef(owner, server.TLS.Secret.Name))
		}
		findings = append(findings, f)
	}
	return findings
}

// mayComeYet reports whether the certificate that the Ingress brings may be a good
// one soon, or the default one on purpose.
func mayComeYet(owner *networkingv1.Ingress, brought routing.Certificate, snap *routing.Snapshot) bool {
	if brought.Secret.Name != "" {
		facts, known := snap.Secret(brought.Secret.Namespace, brought.Secret.Name)
		return known != routing.Present || facts.ManagedBy != ""
	}
	for i := range owner.Spec.TLS {
		name := owner.Spec.TLS[i].SecretName
		if name == "" {
			return true
		}
		facts, known := snap.Secret(owner.Namespace, name)
		if known != routing.Present || facts.ManagedBy != "" {
			return true
		}
	}
	return false
}
