// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var catchAllAnnotationsPartial = Check{
	Name:  "catch-all-annotations-partial",
	Title: "an annotation is not applied to a default backend without rules",
	Text: `For an Ingress with a spec.defaultBackend and no rules, ingress-nginx applies only some annotations. It leaves out those
that rewrite or redirect: rewrite-target, app-root, permanent-redirect, temporal-redirect and force-ssl-redirect. Requests
go to the Service as they come.

Write a rule without host with a path / instead, to which all annotations are applied. It answers for all other hosts,
too.`,
	Example:     "rewrite-target",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"app-root", "force-ssl-redirect", "permanent-redirect", "rewrite-target", "temporal-redirect"},
	Run:         runCatchAllAnnotationsPartial,
}

func runCatchAllAnnotationsPartial(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if !routing.IsCatchAll(ing) {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil || catchAllOf(table) != ing {
		return nil
	}
	config := table.ConfigOf(ing)
	var findings []Finding
	for _, a := range []struct {
		name, outcome string
		set           bool
	}{
		{"app-root", "requests for / are not redirected", config.AppRoot != ""},
		{"force-ssl-redirect", "plain requests are not redirected", config.ForceSSLRedirect},
		{"permanent-redirect", "requests are not redirected", config.Redirect.URL != "" && config.Redirect.Permanent},
		{"rewrite-target", "the Service gets the path that was sent", config.RewriteTarget != ""},
		{"temporal-redirect", "requests are not redirected", config.Redirect.URL != "" && !config.Redirect.Permanent},
	} {
		if _, value := annotationOf(ing, a.name); value == "" || !a.set {
			continue
		}
		findings = append(findings, Finding{
			Field:    annotationField(a.name),
			Fact:     fmt.Sprintf("ingress-nginx does not apply %s to a spec.defaultBackend without rules", a.name),
			Accepted: "must be in an Ingress with a rule without host",
			Outcome:  a.outcome,
			Subject:  Subject{Object: "annotation/" + a.name},
		})
	}
	return findings
}
