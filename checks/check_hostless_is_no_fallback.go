// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var hostlessIsNoFallback = Check{
	Name:  "hostless-is-no-fallback",
	Title: "a path / without host does not answer for the hosts of other rules",
	Text: `nginx chooses the host first and the path then. A rule without host answers for hosts that no rule names, and not for
what the paths of a named host leave over: such requests get 404.

Give the host a path / of its own.

It speaks only where both rules are in one Ingress, and the host has neither a path / nor a spec.defaultBackend that
answers. It only warns, because the paths may be all that is wanted.`,
	Example:     "narrow-path",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runHostlessIsNoFallback,
}

func runHostlessIsNoFallback(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	if root := rootOf(table.ServerOf("")); root.Ingress != ing || root.Rule < 0 {
		return nil
	}
	var findings []Finding
	seen := map[string]bool{"": true}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if seen[host] || ing.Spec.Rules[i].HTTP == nil {
			continue
		}
		seen[host] = true
		// What a wildcard loses is host-stolen-from-wildcard's to report.
		_, parent, _ := strings.Cut(host, ".")
		if answersRoot(table.ServerOf(host)) || (!unnamed(host) && table.ServerOf("*."+parent) != nil) {
			continue
		}
		findings = append(findings, Finding{
			Field:     field.NewPath("spec", "rules").Index(i).Child("host"),
			Fact:      fmt.Sprintf("host %s has no path /, and that of the rule without host is not for it", quote(host)),
			Accepted:  "must have a path /",
			Outcome:   "requests for other paths get 404",
			Subject:   Subject{Host: host},
			Tentative: true,
		})
	}
	return findings
}
