// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var serviceMissing = Check{
	Name:  "service-missing",
	Title: "the backend names a Service that does not exist",
	Text: `A backend names a Service in the namespace of its Ingress; it cannot name one of another namespace. If the
Service does not exist, the controller has nobody to send requests to. ingress-nginx answers 503 on exactly that path:
neither a shorter path nor spec.defaultBackend steps in. Other controllers answer 404 or 503.

Correct the name, or create the Service before the Ingress.

For controllers other than ingress-nginx this only warns, and says nothing of those that may do without the Service,
such as the AWS Load Balancer Controller.`,
	Example:    "misspelt",
	Since:      "0.1",
	Default:    Deny,
	Reads:      []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Regardless: true,
	Run:        runServiceMissing,
}

func runServiceMissing(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	nginx := class.Controller.Name == routing.Nginx
	if class.State == routing.ClassUnread || !class.Controller.NeedsService {
		return nil
	}
	var findings []Finding
	for _, b := range asked(ing, snap) {
		name := b.Service.Name
		if b.Service.Port.Name == useAnnotation {
			continue
		}
		if _, known := snap.Service(ing.Namespace, name); known != routing.Absent {
			continue
		}
		if nginx && rescue(ing, snap, nil) != routing.Absent {
			return nil
		}
		f := Finding{
			Field:     b.field.Child("service", "name"),
			Fact:      fmt.Sprintf("Service %s does not exist in namespace %s", quote(name), quote(ing.Namespace)),
			Accepted:  acceptedServices(ing, snap, name),
			Outcome:   "requests get 503",
			Subject:   b.about("Service/" + name),
			RestsOn:   []routing.Ref{serviceRef(ing, name)},
			Tentative: !nginx,
		}
		if nginx {
			f.RestsOn = append(f.RestsOn, rescueRefs(ing)...)
		} else {
			f.Outcome = "requests get 404 or 503"
		}
		findings = append(findings, f)
	}
	return findings
}

// acceptedServices suggests the Service that was probably meant, else tells the
// namespace's Services if they are few.
func acceptedServices(ing *networkingv1.Ingress, snap *routing.Snapshot, name string) string {
	names := snap.Names[routing.Ref{Kind: routing.Services, Namespace: ing.Namespace}]
	if near := didYouMean(name, names); near != "" || len(names) == 0 || len(names) > maxListed {
		return near
	}
	return "there is " + list(sortedQuoted(names))
}

// useAnnotation is the port name with which the AWS Load Balancer Controller
// marks a backend that is an action in an annotation and no Service at all.
const useAnnotation = "use-annotation"
