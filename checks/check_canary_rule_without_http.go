// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var canaryRuleWithoutHTTP = Check{
	Name:  "canary-rule-without-http",
	Title: "a canary Ingress has a rule without paths, which crashes ingress-nginx",
	Text: `ingress-nginx crashes on a canary Ingress with a rule that has no field http, as soon as there is any Ingress
that is no canary. It crashes again after each restart, so that no host is served any more in the whole cluster.

Give the rule paths, or remove it.

It only warns where no other Ingress of the same host or Service was seen that is no canary; there will hardly be none
in the cluster.`,
	Example:     "no-paths",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"canary"},
	Poison:      true,
	Run:         runCanaryRuleWithoutHTTP,
}

func runCanaryRuleWithoutHTTP(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	if config := table.ConfigOf(ing); config == nil || !config.Canary.Enabled {
		return nil
	}
	certain := map[int]bool{}
	for _, fault := range faultsOf(ing, snap, routing.RefusalCanaryWithout) {
		certain[fault.rule] = fault.blamed && !fault.Uncertain
	}
	var findings []Finding
	for i := range ing.Spec.Rules {
		if ing.Spec.Rules[i].HTTP != nil {
			continue
		}
		host := ing.Spec.Rules[i].Host
		findings = append(findings, Finding{
			Field:     field.NewPath("spec", "rules").Index(i),
			Fact:      fmt.Sprintf("the rule of a canary Ingress for %s has no paths", ofHost(host)),
			Accepted:  "must have http.paths",
			Outcome:   crashLoop,
			Subject:   Subject{Host: host},
			Tentative: !certain[i],
		})
	}
	return findings
}
