// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classForeignController = Check{
	Name:  "class-foreign-controller",
	Title: "no controller of this cluster serves the IngressClass",
	Text: `The IngressClass exists, but its spec.controller is that of no controller that runs here. Nobody looks at
the Ingress: there is no event and no address in its status, and requests get 404.

Name an IngressClass whose controller runs here.

A controller may run outside the cluster, so the operator has to say which ones run (--running-controllers). Without
that flag this check says nothing.`,
	Example: "other-controller",
	Since:   "0.1",
	Default: Warn,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runClassForeignController,
}

func runClassForeignController(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	object, known := snap.Class(class.Name)
	running := snap.Settings.RunningControllers
	if known != routing.Present || len(running) == 0 || slices.Contains(running, object.Controller) {
		return nil
	}
	var served []string
	for name, c := range snap.Classes {
		if slices.Contains(running, c.Controller) {
			served = append(served, name)
		}
	}
	at := field.NewPath("spec", "ingressClassName")
	if ing.Spec.IngressClassName == nil {
		at = field.NewPath("metadata", "annotations").Key(routing.ClassAnnotation)
	}
	return []Finding{{
		Field:    at,
		Fact:     fmt.Sprintf("IngressClass %s is for the controller %s, which does not run here", quote(class.Name), quote(object.Controller)),
		Accepted: oneOf(sortedQuoted(served)),
		Outcome:  "no controller serves the Ingress and requests get 404",
		Subject:  Subject{Object: "IngressClass/" + class.Name},
		RestsOn:  []routing.Ref{{Kind: routing.IngressClasses, Name: class.Name}},
	}}
}
