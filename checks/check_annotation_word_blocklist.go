// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var annotationWordBlocklist = Check{
	Name:  "annotation-word-blocklist",
	Title: "an annotation has a word that the controller's ConfigMap forbids",
	Text: `An operator can forbid words in annotations, by annotation-value-word-blocklist of the ConfigMap of ingress-nginx. It does
not take up an Ingress with such a word in any annotation of its prefix, known or not. A new Ingress is answered with
404. After a change, the former version stays served, while kubectl shows the new one.

Write the value without the word, or have the operator take it off the list.

It speaks only where the settings of the controller list words.`,
	Example:     "word",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationWordBlocklist,
}

func runAnnotationWordBlocklist(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return drops(ing, snap, func(f routing.AnnotationFault) bool { return f.Word != "" })
}
