// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var canaryKillsNormalIngress = Check{
	Name:  "canary-kills-normal-ingress",
	Title: "a canary and a newer Ingress that is none have the same Service and port",
	Text: `For ingress-nginx a Service and port belong to the Ingress that names them first. If that is a canary, no location leads
there, and the paths of any newer Ingress with the same Service and port vanish: requests get 404, or another path
answers.

Use another Service for the canary, for example one more Service for the same Pods. Or name the port by its name in the
one Ingress and by its number in the other, which makes them two.

It only warns where ingress-nginx may have refused the other Ingress for one of its annotations.`,
	Example:     "newer",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runCanaryKillsNormalIngress,
}

func runCanaryKillsNormalIngress(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	config := table.ConfigOf(ing)
	if config == nil {
		return nil
	}
	var findings []Finding
	reported := map[string]bool{}
	add := func(at *field.Path, b backend, fact string, other *networkingv1.Ingress, outcome string) {
		findings = append(findings, Finding{
			Field:     at,
			Fact:      fact,
			Accepted:  "must be another Service or port",
			Outcome:   outcome,
			Subject:   b.about("Ingress/" + ingressName(other)),
			RestsOn:   []routing.Ref{ingressRef(other)},
			Tentative: routing.MayBeRefused(other),
		})
	}
	for _, b := range backends(ing, snap) {
		if b.path == nil || b.Service == nil {
			continue
		}
		up := table.UpstreamOf(ing.Namespace, b.Service)
		what := fmt.Sprintf("Service %s and port %s", quote(b.Service.Name), quote(routing.BackendPort(b.Service.Port)))
		switch {
		case !up.Serverless:
		case !config.Canary.Enabled && up.First.Namespace == ing.Namespace:
			add(b.field.Child("service"), b, fmt.Sprintf("%s belong to the older canary Ingress %s", what, quote(ingressName(up.First))), up.First,
				"this path is not served")
		case config.Canary.Enabled && up.First == ing && !reported[up.Name]:
			reported[up.Name] = true
			for _, other := range othersNaming(ing, snap, table, up, false) {
				if other.Namespace == ing.Namespace {
					add(b.field.Child("service"), b, fmt.Sprintf("%s of this canary are those of the newer Ingress %s", what, quote(ingressName(other))), other,
						"the paths of that Ingress are not served")
				}
			}
		}
	}
	return findings
}
