// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var regexOrderShadow = Check{
	Name:  "regex-order-shadow",
	Title: "a longer regular expression comes before the path and takes its requests",
	Text: `Where the paths of a host are regular expressions, nginx takes the first that matches, and ingress-nginx puts the
longest text first. A long expression that matches much, such as "/shop/.+/?$", therefore takes the requests of a shorter,
more precise path.

Make the longer expression more precise, or the path longer in a way that changes nothing: "/foo" can be written "/(foo)".

Routegate tries a few requests that the path matches, and only speaks where another path takes all of them. It only warns,
since others may get there.`,
	Example:     "own-pattern",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runRegexOrderShadow,
}

func runRegexOrderShadow(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, o := range overtakenPaths(ing, snap) {
		// A plain path that only another Ingress makes an expression is another check's.
		if (!asksForRegex(o.loc.Config) && isPlain(o.loc.Text)) || !isOrdinary(o.winner) {
			continue
		}
		f := o.finding(ing, o.winner.Ingress)
		f.Field = pathField(o.loc.Rule, o.loc.Path).Child("path")
		f.Fact = fmt.Sprintf("path %s comes before path %s of %s and takes its requests", quote(o.winner.Text), quote(o.loc.Text), ofHost(o.server.Host))
		f.Accepted = "must not be matched by a longer path"
		findings = append(findings, f)
	}
	for _, o := range overtakenByIngress(ing, snap, false) {
		f := o.finding(ing, o.loc.Ingress)
		f.Field = pathField(o.winner.Rule, o.winner.Path).Child("path")
		f.Fact = fmt.Sprintf("path %s comes before path %s of Ingress %s on %s and takes its requests",
			quote(o.winner.Text), quote(o.loc.Text), quote(ingressName(o.loc.Ingress)), ofHost(o.server.Host))
		f.Accepted = "must not match them"
		findings = append(findings, f)
	}
	return findings
}
