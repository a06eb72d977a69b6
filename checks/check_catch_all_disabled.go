// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var catchAllDisabled = Check{
	Name:  "catch-all-disabled",
	Title: "the controller takes up no Ingress with a spec.defaultBackend",
	Text: `With the flag --disable-catch-all, ingress-nginx does not take up an Ingress that has a spec.defaultBackend, and with it
goes every rule of the Ingress. After an update, its former version is not served any more either.

Remove spec.defaultBackend. A rule without host is accepted and answers for all other hosts.

It speaks only where the settings of the controller say that it has the flag.`,
	Example:     "beside-rules",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runCatchAllDisabled,
}

func runCatchAllDisabled(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if _, settings := configOf(ing, snap); !settings.DisableCatchAll || ing.Spec.DefaultBackend == nil {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("spec", "defaultBackend"),
		Fact:     "the controller runs with --disable-catch-all and takes up no Ingress with a default backend",
		Accepted: "must not be set; a rule without host answers for all other hosts",
		Outcome:  "nothing of the Ingress is served, nor of its former version: requests get 404",
	}}
}
