// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classFieldBeatsAnnotation = Check{
	Name:  "class-field-beats-annotation",
	Title: "the class annotation differs from spec.ingressClassName",
	Text: `The API server compares the annotation kubernetes.io/ingress.class with spec.ingressClassName only when an
Ingress is created. Where an update makes them differ, ingress-nginx goes by the field, and the annotation has no
effect. Some other controllers go by the annotation, so that two controllers may serve the Ingress.

Remove the annotation, or change the field.`,
	Example:     "differ",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, _ *routing.Snapshot) []Finding {
		value, ok := ing.Annotations[routing.ClassAnnotation]
		if !ok || ing.Spec.IngressClassName == nil || value == *ing.Spec.IngressClassName {
			return nil
		}
		return []Finding{{
			Field:    field.NewPath("metadata", "annotations").Key(routing.ClassAnnotation),
			Fact:     fmt.Sprintf("the annotation says %s and spec.ingressClassName %s", quote(value), quote(*ing.Spec.IngressClassName)),
			Accepted: "must be the same, or absent",
			Outcome:  "ingress-nginx goes by spec.ingressClassName",
			Subject:  Subject{Object: "annotation/" + value},
		}}
	},
}
