// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var duplicatePathInOneIngress = Check{
	Name:  "duplicate-path-in-one-ingress",
	Title: "the same host, path and path type stand twice in one Ingress",
	Text: `The API server accepts the same path twice. ingress-nginx keeps the first and ignores the second, so that
the second backend gets no requests. Other controllers keep the first or the last. For ingress-nginx the path types
ImplementationSpecific and Prefix are the same.

Remove one of the two. To share requests between two Services, use a canary Ingress.

Twice the same backend is not reported, because no request is lost. For controllers other than ingress-nginx this
never denies. Nothing is said for the AWS Load Balancer Controller, where annotations tell such paths apart: a redirect
to HTTPS comes before the Service, and conditions ask for headers.`,
	Example: "two-services",
	Since:   "0.1",
	Default: Warn,
	Strict:  Deny,
	Reads:   []routing.Kind{routing.IngressClasses},
	Run:     runDuplicatePathInOneIngress,
}

func runDuplicatePathInOneIngress(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	class := snap.ClassOf(ing)
	nginx := class.Controller.Name == routing.Nginx
	if class.State == routing.ClassUnread || (nginx && routing.IsCanary(ing)) || class.Controller.Name == routing.AWSLoadBalancerController {
		return nil
	}
	type place struct{ host, path string }
	first := map[Subject]backend{}
	firstType := map[place]networkingv1.PathType{}
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if b.path == nil || b.Service == nil {
			continue
		}
		key := b.subject
		if !nginx && b.path.PathType != nil {
			key.Type = *b.path.PathType
		}
		at := place{key.Host, key.Path}
		if _, ok := firstType[at]; !ok {
			firstType[at] = key.Type
		}
		earlier, again := first[key]
		if !again {
			first[key] = b
			continue
		}
		// A repetition whose first path of that spelling has the other type, and an
		// Exact "/", are not ignored by ingress-nginx: it writes both, which nginx
		// refuses (semantics rows L02, L03).
		if nginx && (firstType[at] != key.Type || (key.Path == "/" && key.Type == networkingv1.PathTypeExact)) {
			continue
		}
		if *earlier.Service == *b.Service {
			continue
		}
		winner, loser := "Service "+quote(earlier.Service.Name), "Service "+quote(b.Service.Name)
		if winner == loser {
			winner = fmt.Sprintf("port %s of %s", portText(earlier.Service.Port), winner)
			loser = fmt.Sprintf("port %s of %s", portText(b.Service.Port), loser)
		}
		findings = append(findings, Finding{
			Field: b.pathField,
			Fact: fmt.Sprintf("host %s and path %s of type %s already go to %s at %s",
				quote(b.subject.Host), quote(b.subject.Path), key.Type, winner, earlier.pathField),
			Accepted:  "must be listed once",
			Outcome:   loser + " gets no requests from this path",
			Subject:   b.about("Service/" + b.Service.Name + ":" + routing.BackendPort(b.Service.Port)),
			Tentative: !nginx,
		})
	}
	return findings
}
