// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var rewriteMissingGroup = Check{
	Name:  "rewrite-missing-group",
	Title: "rewrite-target refers to a group that the path does not have",
	Text: `In the annotation rewrite-target, $1 to $9 stand for what the groups in parentheses of the path match. nginx
puts nothing in the place of a group that the path does not have. With the target "/$2" and a path without groups, the
backend is asked for "/" whatever the client wants.

Give the path its groups, such as a group for the slash and one for the rest, or move it to an Ingress without the annotation. The target holds for
every path of the Ingress.`,
	Example:     "no-groups",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"rewrite-target"},
	Run:         runRewriteMissingGroup,
}

func runRewriteMissingGroup(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, p := range rewrittenPaths(ing, snap) {
		for _, n := range groupsOf(p.target) {
			if n <= p.pattern.Groups() {
				continue
			}
			accepted := fmt.Sprintf("must have %d", n)
			if p.pattern.Groups() > 0 {
				accepted += fmt.Sprintf(", or rewrite-target must not go beyond $%d", p.pattern.Groups())
			}
			findings = append(findings, Finding{
				Field:     p.pathField.Child("path"),
				Fact:      fmt.Sprintf("rewrite-target %s refers to group $%d, and path %s has %s", quote(p.target), n, quote(p.subject.Path), groupCount(p.pattern.Groups())),
				Accepted:  accepted,
				Outcome:   "the backend is asked for a path in which that part is empty",
				Subject:   p.about("annotation/" + p.target),
				Tentative: true,
			})
			break
		}
	}
	return findings
}

func groupCount(n int) string {
	switch n {
	case 0:
		return "no groups"
	case 1:
		return "1 group"
	}
	return fmt.Sprintf("%d groups", n)
}
