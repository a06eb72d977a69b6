// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var globPath = Check{
	Name:  "glob-path",
	Title: "the path has a star, which ingress-nginx compares literally",
	Text: `Other controllers take a star in a path for anything. ingress-nginx does not: only a request with a star in
its path gets there, and all others get 404 or another path.

Leave the star out and use the path type Prefix.

It only warns, because a URL may have a star. Nothing is said where an Ingress of the host makes all its paths regular
expressions.`,
	Example:     "star-at-the-end",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runGlobPath,
}

func runGlobPath(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return literalPaths(ing, snap, func(p located) *Finding {
		path := p.subject.Path
		if !strings.Contains(path, "*") || regexSigns.MatchString(path) {
			return nil
		}
		f := &Finding{
			Fact:      fmt.Sprintf("the star in path %s is compared literally", quote(path)),
			Outcome:   "requests that it should match get 404 or another path",
			Tentative: true,
		}
		if plain := strings.TrimRight(path, "*"); !strings.Contains(plain, "*") {
			if plain != "/" {
				plain = strings.TrimSuffix(plain, "/")
			}
			f.Accepted = fmt.Sprintf("must be %s with pathType: Prefix", quote(plain))
		} else {
			f.Accepted = `must be a path without star, or a regular expression with the annotation nginx.ingress.kubernetes.io/use-regex: "true"`
		}
		return f
	})
}
