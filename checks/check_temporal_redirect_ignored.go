// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var temporalRedirectIgnored = Check{
	Name:  "temporal-redirect-ignored",
	Title: "temporal-redirect is no URL with a scheme, so nothing is redirected",
	Text: `ingress-nginx takes the annotation temporal-redirect only if it starts with http:// or https://. Of an Ingress with
another value it makes no redirect at all, not even that of permanent-redirect: requests go to the backends of the paths.

Write the whole URL, such as https://www.example.com/new. Only permanent-redirect takes a path alone.

It only warns where TLS may be passed through. Nothing is said of a canary, whose annotations do not count, and where
older Ingresses have all the paths.`,
	Example:     "path",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"temporal-redirect"},
	Regardless:  true,
	Run:         runTemporalRedirectIgnored,
}

func runTemporalRedirectIgnored(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	i := slices.IndexFunc(config.Faults, temporalIgnored)
	// For spec.defaultBackend no redirect is made in any case (row C13).
	if _, owns := ownsLocation(table, ing); i < 0 || !owns || config.Denied != "" {
		return nil
	}
	fault := config.Faults[i]
	return []Finding{{
		Field:     field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, fault.Name)),
		Fact:      fmt.Sprintf("ingress-nginx ignores the value %s, and every redirect of this Ingress with it", quote(fault.Value)),
		Accepted:  fault.Accepted,
		Outcome:   "requests are not redirected and go to the backends",
		Subject:   Subject{Object: "annotation/" + fault.Name + "/" + fault.Value},
		Tentative: routing.PassesTLSThrough(ing),
	}}
}

// temporalIgnored reports whether the fault loses the redirects (semantics row K03).
func temporalIgnored(f routing.AnnotationFault) bool {
	return f.Name == "temporal-redirect" && f.Outcome == routing.AnnotationIgnored
}
