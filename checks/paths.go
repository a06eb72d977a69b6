// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"regexp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// regexSigns matches what no path means literally. Characters that URLs do have,
// such as . + $ ( ) ~ @ : and the comma, are left out where they stand alone.
var regexSigns = regexp.MustCompile(`[\[\]|\\^]|\.[*+]|\)[*+?]|\(\?`)

// literalPaths calls found for every path of the Ingress that nginx compares
// literally, because no Ingress of the host makes the paths of the host regular
// expressions.
func literalPaths(ing *networkingv1.Ingress, snap *routing.Snapshot, found func(located) *Finding) []Finding {
	paths := locatedPaths(ing, snap)
	var findings []Finding
	for _, p := range paths {
		if p.server.Regex {
			continue
		}
		if f := found(p); f != nil {
			f.Field, f.Subject = p.pathField.Child("path"), p.subject
			findings = append(findings, *f)
		}
	}
	return findings
}

// unmatchable returns the part of a literal path that no usual request has, and why,
// or nothing.
func unmatchable(path string) (part, why string) {
	switch {
	case strings.Contains(path, "?"):
		return "?", "nginx compares paths without the query"
	case strings.Contains(path, "#"):
		return "#", "clients do not send fragments"
	case strings.Contains(path, "//"):
		return "//", "nginx merges the slashes of requests"
	case strings.Contains(path+"/", "/./"):
		return "/./", "nginx resolves the dots of requests"
	case strings.Contains(path+"/", "/../"):
		return "/../", "nginx resolves the dots of requests"
	}
	if escape := escapes.FindString(path); escape != "" {
		return escape, "nginx decodes requests before it compares"
	}
	return "", ""
}

var escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
