// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var snippetSilentlyRemoved = Check{
	Name:  "snippet-silently-removed",
	Title: "ingress-nginx leaves out a snippet without a word",
	Text: `This controller takes up Ingresses with snippets, because its annotations-risk-level is Critical, but it does not allow
snippets: allow-snippet-annotations is not true. It routes the paths and leaves out the snippet, with all that it was to
set, forbid or redirect.

Do without the snippet, or have the operator set allow-snippet-annotations to true.

It only warns. Where the risk level is lower, the Ingress is not taken up at all, which annotation-risk-drop reports.`,
	Example:     "configuration-snippet",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-snippet", "configuration-snippet", "modsecurity-snippet", "server-snippet", "stream-snippet"},
	Run:         runSnippetSilentlyRemoved,
}

func runSnippetSilentlyRemoved(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	config, settings := configOf(ing, snap)
	if config.Dropped != "" || config.Canary.Enabled || settings.AllowSnippets {
		return nil
	}
	var findings []Finding
	for key, value := range ing.Annotations {
		name := key[strings.LastIndexByte(key, '/')+1:]
		// Without a prefix it is none of the controller's.
		if !strings.HasSuffix(name, "-snippet") || strings.TrimSpace(value) == "" || key == name || key != annotationKey(ing, settings, name) {
			continue
		}
		if _, known := routing.AnnotationNamed(name); !known {
			continue
		}
		findings = append(findings, Finding{
			Field:    field.NewPath("metadata", "annotations").Key(key),
			Fact:     "ingress-nginx leaves out the snippet, since allow-snippet-annotations is not true",
			Accepted: "must not be set",
			Outcome:  "requests are served as if it were absent",
			Subject:  Subject{Object: "annotation/" + name},
		})
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Subject.Object, b.Subject.Object) })
	return findings
}
