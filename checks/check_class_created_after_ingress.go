// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classCreatedAfterIngress = Check{
	Name:  "class-created-after-ingress",
	Title: "the IngressClass is younger than the Ingress that names it",
	Text: `ingress-nginx looks up the class of an Ingress when the Ingress changes. An Ingress that came before its
IngressClass was put aside, and the IngressClass that came later does not bring it back: requests get 404 until the
Ingress is written again or the controller restarts.

Write the Ingress again with any change, for example to an annotation.

Whether the controller was restarted since cannot be seen, so this only warns. It is never said of an Ingress that is
being written, because that is the cure.`,
	Example:     "later",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runClassCreatedAfterIngress,
}

func runClassCreatedAfterIngress(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if ing.Spec.IngressClassName == nil || ing.CreationTimestamp.IsZero() {
		return nil
	}
	name := *ing.Spec.IngressClassName
	class, known := snap.Class(name)
	if known != routing.Present || !class.CreationTimestamp.After(routing.LastWritten(ing)) {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("spec", "ingressClassName"),
		Fact:     fmt.Sprintf("IngressClass %s was created after the Ingress was last written", quote(name)),
		Accepted: "the Ingress must be written again",
		Outcome:  "a running ingress-nginx does not serve the Ingress and requests get 404",
		Subject:  Subject{Object: "IngressClass/" + name},
		RestsOn:  []routing.Ref{{Kind: routing.IngressClasses, Name: name}},
	}}
}
