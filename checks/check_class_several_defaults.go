// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classSeveralDefaults = Check{
	Name:  "class-several-defaults",
	Title: "several IngressClasses are the default, and the newest was taken",
	Text: `Where several IngressClasses are marked as the default, an Ingress that is created without a class gets the
newest of them; of equally old ones, the first by name. If they belong to different controllers, the Ingress may end
up with one that nobody expected.

Set spec.ingressClassName, and mark only one IngressClass as the default.

The check says nothing where kubectl's record of what was applied shows that the class was given, or where all the
defaults belong to one controller.`,
	Example: "newest-taken",
	Since:   "0.1",
	Default: Warn,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runClassSeveralDefaults,
}

func runClassSeveralDefaults(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	classes, known := snap.AllClasses()
	if known == routing.Unread || ing.Spec.IngressClassName == nil {
		return nil
	}
	chosen, ok := classes[*ing.Spec.IngressClassName]
	if !ok || !chosen.Default {
		return nil
	}
	var others []string
	for name, class := range classes {
		if !class.Default || class == chosen {
			continue
		}
		if class.DefaultsBefore(chosen) {
			return nil // this one would have been filled in, so the class was given
		}
		if class.Controller != chosen.Controller {
			others = append(others, name)
		}
	}
	if len(others) == 0 || gaveClass(ing) {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("spec", "ingressClassName"),
		Fact:     fmt.Sprintf("IngressClass %s is the newest of several defaults", quote(chosen.Name)),
		Accepted: "there is also " + list(sortedQuoted(others)),
		Outcome:  fmt.Sprintf("if no class was given, %s took the Ingress", quote(chosen.Controller)),
		Subject:  Subject{Object: "IngressClass/" + chosen.Name},
		RestsOn:  []routing.Ref{{Kind: routing.IngressClasses}},
	}}
}

// gaveClass reports whether kubectl's record of what was applied holds a class.
func gaveClass(ing *networkingv1.Ingress) bool {
	var applied struct {
		Spec struct {
			IngressClassName *string `json:"ingressClassName"`
		} `json:"spec"`
	}
	err := json.Unmarshal([]byte(ing.Annotations[corev1.LastAppliedConfigAnnotation]), &applied)
	return err == nil && applied.Spec.IngressClassName != nil
}
