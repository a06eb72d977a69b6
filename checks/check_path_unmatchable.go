// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var pathUnmatchable = Check{
	Name:  "path-unmatchable",
	Title: "the path has something that paths of requests never have",
	Text: `nginx compares the path of a request after it has taken off the query, decoded percent escapes, merged slashes
and resolved dots. A path with a query, a fragment, two slashes in a row or an escape is therefore never met: requests
get 404 or another path.

Write the path as the backend sees it: decoded, without query and fragment. A query cannot be routed by.

It only warns of percent escapes, question marks and number signs, which a client can send escaped. Nothing is said where an Ingress of the host makes all its paths regular expressions.`,
	Example:     "double-slash",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runPathUnmatchable,
}

func runPathUnmatchable(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return literalPaths(ing, snap, func(p located) *Finding {
		path := p.subject.Path
		part, why := unmatchable(path)
		// What is a regular expression or a glob is another check's to report.
		if part == "" || regexSigns.MatchString(path) || strings.Contains(path, "*") {
			return nil
		}
		f := &Finding{
			Fact:    fmt.Sprintf("no request has %s in its path, as %s has: %s", quote(part), quote(path), why),
			Outcome: "requests get 404 or another path",
			// A client can send these escaped, and another Ingress may be about to make
			// paths regular expressions.
			Tentative: strings.ContainsAny(part, "%?#"),
		}
		switch part {
		case "?":
			before, _, _ := strings.Cut(path, "?")
			f.Accepted = fmt.Sprintf("must end before it: %s", quote(before))
		case "#":
			before, _, _ := strings.Cut(path, "#")
			f.Accepted = fmt.Sprintf("must end before it: %s", quote(before))
		default:
			f.Accepted = "must be the path without it"
			if part[0] == '%' {
				f.Accepted = "must be written decoded"
			}
		}
		return f
	})
}
