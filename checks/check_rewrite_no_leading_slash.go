// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var rewriteNoLeadingSlash = Check{
	Name:  "rewrite-no-leading-slash",
	Title: "rewrite-target yields a path that does not begin with a slash",
	Text: `With the annotation rewrite-target, nginx asks the backend for what the target yields. If that does not begin
with a slash it is no path: the backend gets a malformed request and answers 400. If it is empty, nginx answers 500.

Begin the target with a slash, as in "/$2".

Whether a group begins with a slash is tried with a few requests, so this only warns. Nothing is said where one of
them works.`,
	Example:     "group-alone",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"rewrite-target"},
	Run:         runRewriteNoLeadingSlash,
}

func runRewriteNoLeadingSlash(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	at, _ := annotationOf(ing, "rewrite-target")
	for _, p := range rewrittenPaths(ing, snap) {
		if !neverStartsWithSlash(p) {
			continue
		}
		accepted := "must begin with a slash"
		if p.target[0] == '$' {
			accepted += ": " + quote("/"+p.target)
		}
		findings = append(findings, Finding{
			Field:     at,
			Fact:      fmt.Sprintf("rewrite-target %s makes of path %s something without a slash at the beginning", quote(p.target), quote(p.subject.Path)),
			Accepted:  accepted,
			Outcome:   "requests get 400",
			Subject:   p.about("annotation/" + p.target),
			Tentative: true,
		})
	}
	return findings
}

// neverStartsWithSlash tries the target with requests that the path may match.
func neverStartsWithSlash(p rewrittenPath) bool {
	if p.target[0] == '/' {
		return false
	}
	if p.target[0] != '$' {
		return true
	}
	bad := false
	start := literalStart(p.subject.Path)
	for _, end := range sampleEnds {
		request := start + end
		if strings.Contains(request, "//") {
			continue
		}
		groups, ok, err := p.pattern.Match(request)
		switch {
		case err != nil:
			return false
		case !ok:
		case startsWithSlash(p.target, groups):
			return false
		default:
			bad = true
		}
	}
	return bad
}
