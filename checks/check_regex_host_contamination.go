// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var regexHostContamination = Check{
	Name:  "regex-host-contamination",
	Title: "an Ingress makes the plain paths of another regular expressions",
	Text: `The annotation use-regex or rewrite-target of one Ingress makes ingress-nginx take all paths of the host for regular
expressions, those of other Ingresses and namespaces too. They then match without regard to case and to what follows, and
the longest comes first, whether or not it is Exact: requests for a plain path can go to another one.

Give the paths with the annotation a host of their own, or make the expression shorter or more precise.

Routegate tries the paths themselves and something below them, and only speaks where none of these gets to its backend any
more. It only warns, since that may be meant.`,
	Example:     "taken-by-pattern",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runRegexHostContamination,
}

func runRegexHostContamination(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	for _, o := range overtakenPaths(ing, snap) {
		cause := regexCauseOf(o.server, ing)
		if asksForRegex(o.loc.Config) || !isPlain(o.loc.Text) || cause == nil {
			continue
		}
		f := o.finding(ing, cause)
		f.Field = pathField(o.loc.Rule, o.loc.Path).Child("path")
		f.Fact = fmt.Sprintf("Ingress %s makes path %s of %s a regular expression, and another path comes before it",
			quote(ingressName(cause)), quote(o.loc.Text), ofHost(o.server.Host))
		f.Accepted = "must be on another host"
		findings = append(findings, f)
	}
	for _, o := range overtakenByIngress(ing, snap, true) {
		f := o.finding(ing, o.loc.Ingress)
		f.Field = annotationField("rewrite-target")
		if at, _ := annotationOf(ing, "use-regex"); at != nil {
			f.Field = at
		}
		f.Fact = fmt.Sprintf("it makes path %s of Ingress %s on %s a regular expression, and another path comes before that",
			quote(o.loc.Text), quote(ingressName(o.loc.Ingress)), ofHost(o.server.Host))
		f.Accepted = "must be on another host"
		findings = append(findings, f)
	}
	return findings
}

// regexCauseOf returns another Ingress that makes the paths of the host regular
// expressions, nil if there is none.
func regexCauseOf(server *routing.Server, ing *networkingv1.Ingress) *networkingv1.Ingress {
	for _, loc := range server.Locations {
		if loc.Ingress != ing && asksForRegex(loc.Config) {
			return loc.Ingress
		}
	}
	return nil
}
