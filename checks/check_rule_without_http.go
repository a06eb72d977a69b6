// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var ruleWithoutHTTP = Check{
	Name:  "rule-without-http",
	Title: "a rule has a host and no paths",
	Text: `A rule with a host but without the field http makes ingress-nginx serve the host with nothing behind it:
every request gets 404, even where a wildcard host answered before. If this Ingress is the oldest of the host, its
spec.defaultBackend answers instead.

Give the rule paths, or the Ingress a spec.defaultBackend.

Another Ingress of the host may bring the paths later, so this only warns.`,
	Example:     "nothing-behind",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runRuleWithoutHTTP,
}

func runRuleWithoutHTTP(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if routing.IsCanary(ing) {
		return nil
	}
	others, known := takenByOthers(ing, snap)
	if known == routing.Unread {
		return nil
	}
	withPaths := map[string]bool{}
	for i := range ing.Spec.Rules {
		if ing.Spec.Rules[i].HTTP != nil {
			withPaths[ing.Spec.Rules[i].Host] = true
		}
	}
	hasDefault := ing.Spec.DefaultBackend != nil && ing.Spec.DefaultBackend.Service != nil
	var findings []Finding
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		// A rule without host and without paths adds nothing to the default server.
		if host == "" || withPaths[host] || others.withPaths[host] || (hasDefault && !others.hosts[host]) {
			continue
		}
		findings = append(findings, Finding{
			Field:    field.NewPath("spec", "rules").Index(i),
			Fact:     fmt.Sprintf("the rule for host %s has no paths", quote(host)),
			Accepted: "must have http.paths, or the Ingress a spec.defaultBackend",
			Outcome:  "requests get 404",
			Subject:  Subject{Host: host},
		})
	}
	return findings
}
