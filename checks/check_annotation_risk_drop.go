// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var annotationRiskDrop = Check{
	Name:  "annotation-risk-drop",
	Title: "ingress-nginx refuses an annotation for its risk, with the whole Ingress",
	Text: `ingress-nginx rates the risk of each annotation, and does not take up an Ingress with one above annotations-risk-level of
its ConfigMap. By default that refuses every snippet, even where allow-snippet-annotations is true and where the snippet
is empty. A new Ingress is answered with 404. After a change, the former version stays served, while kubectl shows the
new one.

Remove the annotation, or have the operator set annotations-risk-level to Critical and allow-snippet-annotations to true.

It denies only where the settings of the controller are confirmed and under the preset strict, because the operator may
have raised the level, and controllers before 1.12 take every risk by default.`,
	Example:     "configuration-snippet",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationRiskDrop,
}

func runAnnotationRiskDrop(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return drops(ing, snap, func(f routing.AnnotationFault) bool { return f.Risky })
}
