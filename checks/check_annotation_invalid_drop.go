// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var annotationInvalidDrop = Check{
	Name:  "annotation-invalid-drop",
	Title: "ingress-nginx refuses a value, and the whole Ingress with it",
	Text: `For some annotations, ingress-nginx does not take up an Ingress at all if the value is not of the type that it expects. A
new Ingress is answered with 404. After a change, the former version stays served, while kubectl shows the new one; the
reason stands only in the controller's log.

Correct the value as the message says, or remove the annotation.

It denies only where the settings of the controller are confirmed and under the preset strict, because a controller with
--enable-annotation-validation=false, or one before 1.12, takes up the Ingress. An empty value is never refused, and a value that is merely ignored is not reported here.`,
	Example:     "limit",
	Since:       "0.1",
	Default:     Warn,
	Confirmed:   Deny,
	Strict:      Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationInvalidDrop,
}

func runAnnotationInvalidDrop(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return drops(ing, snap, func(f routing.AnnotationFault) bool { return !f.Risky && f.Word == "" })
}
