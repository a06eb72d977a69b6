// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// dropped is the outcome of an Ingress that ingress-nginx refuses.
const dropped = "ingress-nginx does not take up the Ingress: requests get 404, or are served by its former version"

// drops returns the annotations for which ingress-nginx does not take up the Ingress,
// of the kind that is asked for.
func drops(ing *networkingv1.Ingress, snap *routing.Snapshot, asked func(routing.AnnotationFault) bool) []Finding {
	config, settings := configOf(ing, snap)
	var findings []Finding
	for _, fault := range config.Faults {
		if fault.Outcome != routing.AnnotationDrops || !asked(fault) {
			continue
		}
		f := Finding{
			Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, settings, fault.Name)),
			Fact:     fmt.Sprintf("ingress-nginx refuses the value %s", quote(fault.Value)),
			Accepted: fault.Accepted,
			Outcome:  dropped,
			Subject:  Subject{Object: "annotation/" + fault.Name + "/" + fault.Value},
		}
		if fault.Risky {
			f.Fact = "ingress-nginx refuses the annotation, whatever its value"
			f.Subject.Object = "annotation/" + fault.Name
		}
		findings = append(findings, f)
	}
	return findings
}
