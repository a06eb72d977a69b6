// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classAnnotationUnknown = Check{
	Name:  "class-annotation-unknown",
	Title: "the class annotation has a value that no known controller serves",
	Text: `The annotation kubernetes.io/ingress.class is older than IngressClasses. ingress-nginx compares it with its
flag --ingress-class, which is "nginx" unless set, and never with the names of IngressClasses. It ignores an Ingress
with another value, and requests get 404. An empty value is ignored as well, and it keeps the default IngressClass
from being filled in.

Remove the annotation and set spec.ingressClassName.

A controller that Routegate does not know may serve the value, so this only warns. It says nothing where the settings of
a controller give its flag that value.`,
	Example: "names-ingressclass",
	Since:   "0.1",
	Default: Warn,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runClassAnnotationUnknown,
}

func runClassAnnotationUnknown(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	if class.State != routing.ClassUnknown {
		return nil
	}
	f := Finding{
		Field:   field.NewPath("metadata", "annotations").Key(routing.ClassAnnotation),
		Fact:    fmt.Sprintf("no known controller serves the class %s by annotation", quote(class.Name)),
		Outcome: "requests get 404 unless a controller has the flag --ingress-class=" + quote(class.Name),
		Subject: Subject{Object: "annotation/" + class.Name},
		RestsOn: []routing.Ref{{Kind: routing.IngressClasses, Name: class.Name}},
	}
	var names []string
	for name := range snap.Classes {
		names = append(names, name)
	}
	slices.Sort(names)
	switch _, exists := snap.Classes[class.Name]; {
	case exists:
		f.Fact = fmt.Sprintf("ingress-nginx does not look up the IngressClass %s by annotation", quote(class.Name))
		f.Accepted = fmt.Sprintf("must be spec.ingressClassName: %s instead", quote(class.Name))
	case class.Name == "":
		f.Fact = "an empty class annotation names no class and keeps the default from being filled in"
		f.Accepted = "must be removed, with spec.ingressClassName set instead"
		f.Outcome = "no controller serves the Ingress and requests get 404"
	default:
		f.Accepted = didYouMean(class.Name, append(names, "nginx"))
	}
	return []Finding{f}
}

func sortedQuoted(values []string) []string {
	return quoteAll(slices.Sorted(slices.Values(values)))
}
