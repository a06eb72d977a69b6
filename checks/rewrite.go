// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// rewrittenPath is a path of the Ingress that rewrite-target changes.
type rewrittenPath struct {
	located
	target  string
	pattern *routing.Pattern
}

// rewrittenPaths returns the paths that rewrite-target sends on as another path.
// Those that are no regular expression, and targets that are a redirect, are left
// out.
func rewrittenPaths(ing *networkingv1.Ingress, snap *routing.Snapshot) []rewrittenPath {
	if _, value := annotationOf(ing, "rewrite-target"); value == "" {
		return nil
	}
	paths := locatedPaths(ing, snap)
	var all []rewrittenPath
	for _, p := range paths {
		target := p.loc.Config.RewriteTarget
		if target == "" || target == p.loc.Text || p.loc.Config.Redirect.URL != "" ||
			strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "$scheme") {
			continue
		}
		if pattern, err := routing.CompilePattern(p.loc.Text, true); err == nil {
			all = append(all, rewrittenPath{p, target, pattern})
		}
	}
	return all
}

// groupsOf returns the numbers of the groups that a target refers to, as nginx reads
// it: one digit each.
func groupsOf(target string) []int {
	var numbers []int
	for i := 0; i+1 < len(target); i++ {
		if c := target[i+1]; target[i] == '$' && '0' <= c && c <= '9' {
			numbers = append(numbers, int(c-'0'))
			i++
		}
	}
	return numbers
}

// startsWithSlash reports whether the rewritten path begins with a slash.
func startsWithSlash(target string, groups []string) bool {
	for target != "" {
		if target[0] != '$' || len(target) < 2 || target[1] < '0' || target[1] > '9' {
			return target[0] == '/'
		}
		if n := int(target[1] - '0'); n < len(groups) && groups[n] != "" {
			return groups[n][0] == '/'
		}
		target = target[2:]
	}
	return false
}

// literalStart is what every match of a regular expression surely begins with, or
// nearly so.
func literalStart(expr string) string {
	expr = strings.TrimPrefix(expr, "^")
	if i := strings.IndexAny(expr, `\^$.[|()?*+{`); i >= 0 {
		if strings.IndexByte("?*{", expr[i]) >= 0 && i > 0 {
			i--
		}
		return expr[:i]
	}
	return expr
}
