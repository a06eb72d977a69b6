// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var classNone = Check{
	Name:  "class-none",
	Title: "the Ingress names no class, and no default class was filled in",
	Text: `An Ingress without spec.ingressClassName gets the default IngressClass, if there is one, at the moment it
is created; never later, and never on an update. ingress-nginx does not serve an Ingress without a class unless it was
started with --watch-ingress-without-class, so requests get 404.

Set spec.ingressClassName.

The check says nothing where the cluster has no IngressClass at all, or has one of a controller that by default serves
Ingresses without a class, and where the settings of a controller say that it has that flag.`,
	Example: "no-default",
	Since:   "0.1",
	Default: Warn,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runClassNone,
}

func runClassNone(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if snap.ClassOf(ing).State != routing.ClassNone || len(snap.Classes) == 0 || snap.ServesClassless() {
		return nil
	}
	var names, defaults []string
	for name, class := range snap.Classes {
		names = append(names, name)
		if class.Default {
			defaults = append(defaults, name)
		}
	}
	f := Finding{
		Field:    field.NewPath("spec", "ingressClassName"),
		Fact:     "the Ingress names no class, and there is no default IngressClass",
		Accepted: oneOf(sortedQuoted(names)),
		Outcome:  "no controller serves the Ingress and requests get 404",
		Subject:  Subject{Object: "IngressClass/"},
		RestsOn:  []routing.Ref{{Kind: routing.IngressClasses}},
	}
	if len(defaults) > 0 {
		f.Fact = "the Ingress names no class, and the default IngressClass is filled in only when an Ingress is created"
		f.Accepted = oneOf(sortedQuoted(defaults))
	}
	return []Finding{f}
}
