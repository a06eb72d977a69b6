// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var prefixTrailingSlash = Check{
	Name:  "prefix-trailing-slash",
	Title: "a Prefix path with a slash at the end does not match without it",
	Text: `By the specification the Prefix "/foo/" matches requests for "/foo" as well. ingress-nginx does not send these
to the backend: nginx answers with a redirect to "/foo/". Clients that do not follow it, or that lose the body of a
POST, fail.

Leave out the slash at the end; requests for "/foo/" still match.

Nothing is said where another path of the host has "/foo", where the paths of the host are regular expressions, or where
the annotation backend-protocol says GRPC or GRPCS: requests of gRPC have a method after the slash.`,
	Example:     "slash",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runPrefixTrailingSlash,
}

func runPrefixTrailingSlash(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if routing.AnswersItself(ing) || speaksGRPC(ing, snap) {
		return nil
	}
	return literalPaths(ing, snap, func(p located) *Finding {
		path := p.subject.Path
		plain := strings.TrimSuffix(path, "/")
		if plain == "" || plain == path || p.path.PathType == nil || *p.path.PathType != networkingv1.PathTypePrefix || has(p.server, plain) {
			return nil
		}
		// A path that no request has is another check's to report.
		if part, _ := unmatchable(path); part != "" || regexSigns.MatchString(path) || strings.Contains(path, "*") {
			return nil
		}
		return &Finding{
			Fact:      fmt.Sprintf("path %s does not match requests for %s", quote(path), quote(plain)),
			Accepted:  "must be " + quote(plain),
			Outcome:   "they get 301 to " + quote(path),
			Tentative: true,
		}
	})
}

func speaksGRPC(ing *networkingv1.Ingress, snap *routing.Snapshot) bool {
	config, _ := configOf(ing, snap)
	return strings.HasPrefix(strings.ToUpper(config.BackendProtocol), "GRPC")
}

// has reports whether the server has a path of that spelling.
func has(server *routing.Server, path string) bool {
	for _, loc := range server.Locations {
		if loc.Text == path {
			return true
		}
	}
	return false
}
