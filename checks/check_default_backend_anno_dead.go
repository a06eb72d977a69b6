// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var defaultBackendAnnoDead = Check{
	Name:  "default-backend-anno-dead",
	Title: "the annotation default-backend names no Service that can answer",
	Text: `The Service of the annotation default-backend answers where a backend has no endpoints. ingress-nginx looks it up when it
reads the Ingress, and ignores the annotation if the Service does not exist. It does not look again when the Service is
created, but only when the Ingress changes. A Service without ports is ignored too.

Correct the name, or create the Service before the Ingress.

It only warns, because the backends may never need it. Nothing is said of a canary, whose annotations do not count.`,
	Example:     "missing",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"default-backend"},
	Run:         runDefaultBackendAnnoDead,
}

func runDefaultBackendAnnoDead(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	at, name := annotationOf(ing, "default-backend")
	if name == "" || len(locatedPaths(ing, snap)) == 0 || routing.AnswersItself(ing) {
		return nil
	}
	f := Finding{
		Field:     at,
		Outcome:   "requests get 503 where a backend has no endpoints",
		Subject:   Subject{Object: "Service/" + name},
		RestsOn:   []routing.Ref{serviceRef(ing, name)},
		Tentative: true,
	}
	svc, known := snap.Service(ing.Namespace, name)
	switch {
	case known == routing.Absent:
		f.Fact = fmt.Sprintf("Service %s does not exist in namespace %s, and is not looked for again when it does", quote(name), quote(ing.Namespace))
		f.Accepted = acceptedServices(ing, snap, name)
	case known == routing.Present && len(svc.Ports) == 0:
		f.Fact = fmt.Sprintf("Service %s has no ports", quote(name))
	default:
		return nil
	}
	return []Finding{f}
}
