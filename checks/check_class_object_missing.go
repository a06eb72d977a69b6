// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classObjectMissing = Check{
	Name:  "class-object-missing",
	Title: "spec.ingressClassName names an IngressClass that does not exist",
	Text: `A controller finds its Ingresses through the IngressClass that they name. Where it does not exist, no
controller looks at the Ingress: there is no event and no address in its status, and requests get the 404 of whoever
else answers for the host.

Name an IngressClass that exists, or create it before the Ingress. If it is created later, an ingress-nginx that is
running does not notice: it looks again only when the Ingress changes.

Cilium, Contour and Kong serve their class by its name alone. Nothing is said of those names.`,
	Example: "misspelt",
	Since:   "0.1",
	Default: Deny,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runClassObjectMissing,
}

func runClassObjectMissing(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	if class.State != routing.ClassMissing {
		return nil
	}
	names := slices.Sorted(maps.Keys(snap.Classes))
	accepted := didYouMean(class.Name, names)
	if accepted == "" {
		accepted = oneOf(quoteAll(names))
	}
	return []Finding{{
		Field:    field.NewPath("spec", "ingressClassName"),
		Fact:     fmt.Sprintf("IngressClass %s does not exist", quote(class.Name)),
		Accepted: accepted,
		Outcome:  "no controller serves the Ingress and requests get 404",
		Subject:  Subject{Object: "IngressClass/" + class.Name},
		RestsOn:  []routing.Ref{{Kind: routing.IngressClasses, Name: class.Name}},
	}}
}

func quoteAll(values []string) []string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return quoted
}
