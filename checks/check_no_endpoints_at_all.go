// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var noEndpointsAtAll = Check{
	Name:  "no-endpoints-at-all",
	Title: "backend Service has no endpoints",
	Text: `The Service exists but nothing stands behind it: its selector matches no Pod, the workload is scaled to
zero, or it has no selector and nobody wrote an EndpointSlice for it with the label kubernetes.io/service-name.
ingress-nginx answers 503 on that path, or 502 where the annotation service-upstream sends requests to the cluster IP.

Compare the Service's selector with the labels of the Pods, and look whether the workload has replicas.`,
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Run: func(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
		return withoutEndpoints(ing, snap, func(e routing.Endpoints, name string) string {
			if e.Ready+e.NotReady > 0 {
				return ""
			}
			return fmt.Sprintf("Service %s has no endpoints", quote(name))
		})
	},
}

// withoutEndpoints reports the backends whose Service and port are in order but
// have no endpoint that gets requests, where fact has something to say of them.
func withoutEndpoints(ing *networkingv1.Ingress, snap *routing.Snapshot, fact func(routing.Endpoints, string) string) []Finding {
	var findings []Finding
	for _, b := range asked(ing, snap, snap.ClassOf(ing)) {
		name := b.Service.Name
		svc, known := snap.Service(ing.Namespace, name)
		if known != routing.Present || svc.External() || (b.path != nil && routing.IsSolverPath(b.path)) {
			continue
		}
		// Other faults of the port are port-missing's and port-not-tcp's to report.
		port := svc.MatchPort(b.Service.Port)
		if port == nil || !isTCP(port) {
			continue
		}
		slices, known := snap.SlicesOf(ing.Namespace, name)
		if known == routing.Unread {
			continue
		}
		e := routing.Resolve(svc, port, slices)
		text := fact(e, name)
		if e.Usable > 0 || text == "" {
			continue
		}
		if rescue(ing, snap) != routing.Absent {
			return nil
		}
		f := Finding{
			Field:   b.field.Child("service", "name"),
			Fact:    text,
			Outcome: "requests get 503 until it has ready endpoints",
			Subject: b.about("Service/" + name + ":" + routing.BackendPort(b.Service.Port)),
			RestsOn: append([]routing.Ref{
				serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name},
			}, rescueRefs(ing)...),
		}
		if usesClusterIP(ing, svc) {
			f.Outcome = "requests get 502 until it has ready endpoints"
		}
		findings = append(findings, f)
	}
	return findings
}
