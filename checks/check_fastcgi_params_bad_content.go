// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var fastCGIParamsBadContent = Check{
	Name:  "fastcgi-params-bad-content",
	Title: "ingress-nginx refuses a FastCGI parameter, and the whole Ingress with it",
	Text: `ingress-nginx takes FastCGI parameters from the ConfigMap that the annotation fastcgi-params-configmap names, and only of
letters, digits and a few signs. If one entry has a space, a colon, a quotation mark or the end of a line, the controller
does not take up the Ingress at all: a new one is answered with 404; after a change, the former version stays served,
while kubectl shows the new one.

Correct the entry first, and then write the Ingress: the controller does not notice a ConfigMap that is corrected later.
Mind that a block of YAML ends in the end of a line.`,
	Example:     "space",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.IngressClasses, routing.ConfigMaps},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"fastcgi-params-configmap"},
	Run:         runFastCGIParamsBadContent,
}

func runFastCGIParamsBadContent(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	const name = "fastcgi-params-configmap"
	config, settings := configOf(ing, snap)
	if config.Dropped != "" {
		return nil
	}
	param := snap.RefusedParam(config)
	if param == "" {
		return nil
	}
	configMap := config.FastCGIParams
	return []Finding{{
		Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, settings, name)),
		Fact:     fmt.Sprintf("ConfigMap %s has a character in %s that ingress-nginx refuses", quote(configMap.Name), quote(param)),
		Accepted: "must be letters, digits and _ $ { } / . - only",
		Outcome:  dropped,
		Subject:  Subject{Object: "ConfigMap/" + configMap.Name},
		RestsOn:  []routing.Ref{{Kind: routing.ConfigMaps, Namespace: configMap.Namespace, Name: configMap.Name}},
	}}
}
