// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var passthroughWildcard = Check{
	Name:  "passthrough-wildcard",
	Title: "TLS is not passed through for a wildcard, nor without a host",
	Text: `To pass TLS through, ingress-nginx compares the name that the client asks for with the host of the rule, letter by letter.
No client asks for *.example.com, so that the annotation ssl-passthrough has no effect on such a host, nor on a rule
without one. ingress-nginx ends TLS itself, with a certificate of its own, and speaks plain HTTP to a backend that
expects TLS.

Write a rule for each host, or set nginx.ingress.kubernetes.io/backend-protocol: "HTTPS" instead of the annotation.

It speaks only where the settings of the controller say that it runs with --enable-ssl-passthrough.`,
	Example:     "wildcard",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"ssl-passthrough"},
	Run:         runPassthroughWildcard,
}

func runPassthroughWildcard(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	config, settings := configOf(ing, snap)
	if !settings.EnableSSLPassthrough || !config.SSLPassthrough || config.Canary.Enabled || config.Dropped != "" {
		return nil
	}
	var findings []Finding
	seen := map[string]bool{}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if seen[host] || !unnamed(host) {
			continue
		}
		seen[host] = true
		f := Finding{
			Field:    field.NewPath("spec", "rules").Index(i).Child("host"),
			Fact:     fmt.Sprintf("TLS is passed through by name, and no client asks for the name %s", quote(host)),
			Accepted: "must be a host without wildcard",
			Outcome:  "ingress-nginx ends TLS itself",
			Subject:  Subject{Host: host, Object: "annotation/ssl-passthrough"},
		}
		if host == "" {
			f.Fact = "TLS is passed through by name, and the rule has no host"
		}
		findings = append(findings, f)
	}
	return findings
}

// unnamed reports whether no client asks for the host by this name.
func unnamed(host string) bool {
	return host == "" || strings.HasPrefix(host, "*.")
}
