// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var forceSSLRedirectLoop = Check{
	Name:  "force-ssl-redirect-loop",
	Title: "force-ssl-redirect sends clients to HTTPS, where the host has no TLS",
	Text: `With the annotation force-ssl-redirect, ingress-nginx redirects every plain request to HTTPS. No Ingress gives the
host a certificate, so that clients are shown the default one and most refuse it. Where a load balancer in front ends
TLS and forwards plain requests, every one of them is redirected again and again.

Give the host a certificate in spec.tls, or leave out the annotation.

It only warns: where the load balancer says in a header that the client used HTTPS, and the controller trusts it
(use-forwarded-headers), or where the default certificate covers the host, all is well. Nothing is said where the
annotation ssl-passthrough asks for the certificate of the backend.`,
	Example:     "no-tls",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"force-ssl-redirect"},
	Run:         runForceSSLRedirectLoop,
}

func runForceSSLRedirectLoop(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	at, value := annotationOf(ing, "force-ssl-redirect")
	if on, err := strconv.ParseBool(value); err != nil || !on || len(ing.Spec.TLS) > 0 || !asksBackends(ing) {
		return nil
	}
	paths := locatedPaths(ing, snap)
	var findings []Finding
	told := map[string]bool{}
	for _, p := range paths {
		host := p.subject.Host
		if told[host] || p.server.TLS.Kind != routing.NoCertificate || p.server.Passthrough || host == "" {
			continue
		}
		told[host] = true
		findings = append(findings, Finding{
			Field:     at,
			Fact:      fmt.Sprintf("plain requests for host %s are redirected to HTTPS, for which no Ingress gives it a certificate", quote(host)),
			Accepted:  "spec.tls must list the host, or the annotation must be left out",
			Outcome:   "clients are shown the default certificate, or are redirected for ever behind a load balancer that ends TLS",
			Subject:   Subject{Host: host, Object: "annotation/force-ssl-redirect"},
			Tentative: true,
		})
	}
	return findings
}
