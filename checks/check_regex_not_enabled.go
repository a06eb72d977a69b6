// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var regexNotEnabled = Check{
	Name:  "regex-not-enabled",
	Title: "the path is a regular expression, but the host takes paths literally",
	Text: `ingress-nginx takes paths for regular expressions only where the annotation use-regex or rewrite-target of an
Ingress of the host says so. Without, it compares this path literally: only a request with those very characters gets
there, and all others get 404 or another path.

Set nginx.ingress.kubernetes.io/use-regex: "true", which then holds for all paths of the host, or write a plain prefix.

It only warns, because a URL may have any character. Nothing is said of characters that URLs often have, such as a dot,
a plus or a dollar sign.`,
	Example:     "class-and-star",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runRegexNotEnabled,
}

func runRegexNotEnabled(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return literalPaths(ing, snap, func(p located) *Finding {
		if !regexSigns.MatchString(p.subject.Path) {
			return nil
		}
		return &Finding{
			Fact: fmt.Sprintf("path %s is compared literally, since no Ingress of host %s enables regular expressions",
				quote(p.subject.Path), quote(p.subject.Host)),
			Accepted:  `must be a plain path, or have the annotation nginx.ingress.kubernetes.io/use-regex: "true"`,
			Outcome:   "requests that it should match get 404 or another path",
			Tentative: true,
		}
	})
}
