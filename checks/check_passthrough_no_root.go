// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var passthroughNoRoot = Check{
	Name:  "passthrough-no-root",
	Title: "a host passes TLS through and has no path / to pass it to",
	Text: `Where TLS is passed through, ingress-nginx sees no paths: it hands all connections of the host to the Service of the path
/ of type Prefix. Other paths do not count, nor does spec.defaultBackend. Without that path the connections go nowhere
and are closed.

Give the host a path / of type Prefix with the Service that ends TLS, or remove the annotation ssl-passthrough.

It speaks only where the settings of the controller say that it runs with --enable-ssl-passthrough.`,
	Example:     "narrow-path",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"ssl-passthrough"},
	Run:         runPassthroughNoRoot,
}

func runPassthroughNoRoot(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, p := range passedThrough(ing, snap) {
		// What a newer Ingress adds to the host of another is not passed through anyway.
		if !p.server.PassthroughRoot().Placeholder || p.server.Oldest != ing {
			continue
		}
		findings = append(findings, Finding{
			Field:    p.rule,
			Fact:     fmt.Sprintf("host %s passes TLS through and has no path / of type Prefix", quote(p.server.Host)),
			Accepted: "must have a path / with the Service that ends TLS",
			Outcome:  "TLS connections are closed",
			Subject:  Subject{Host: p.server.Host},
		})
	}
	return findings
}

// passthrough is a host of the Ingress under test whose TLS connections are passed
// through.
type passthrough struct {
	server *routing.Server
	// rule is the field of its first rule.
	rule *field.Path
}

// passedThrough returns the hosts of the Ingress whose TLS connections ingress-nginx
// passes through, in the order of the rules. It returns none where the settings of the
// controller do not say that it does so.
func passedThrough(ing *networkingv1.Ingress, snap *routing.Snapshot) []passthrough {
	if _, settings := configOf(ing, snap); !settings.EnableSSLPassthrough {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var all []passthrough
	seen := map[string]bool{}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if server := table.ServerOf(host); !seen[host] && server != nil && server.Passthrough && !unnamed(host) {
			all = append(all, passthrough{server, field.NewPath("spec", "rules").Index(i)})
		}
		seen[host] = true
	}
	return all
}
