// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var annotationSoftIgnored = Check{
	Name:  "annotation-soft-ignored",
	Title: "ingress-nginx ignores a value and does what it does by default",
	Text: `ingress-nginx ignores a value that it cannot read, without a word, and does what it does when the annotation is absent:
paths are no regular expressions and not rewritten, a canary is an Ingress like any other, external authentication may be
lost altogether.

Correct the value as the message says. A boolean is true or false; yes, on and enabled are not.

It only warns, and only of annotations that decide where requests go or who may send them: use-regex, rewrite-target,
app-root, ssl-redirect, force-ssl-redirect, canary and its kin, and those whose value takes others with it. Times, sizes
and cookies are left out.`,
	Example:     "use-regex",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationSoftIgnored,
}

func runAnnotationSoftIgnored(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	config, settings := configOf(ing, snap)
	if config.Dropped != "" {
		return nil
	}
	var findings []Finding
	for _, fault := range config.Faults {
		if fault.Outcome != routing.AnnotationIgnored || !matters(fault, config) {
			continue
		}
		f := Finding{
			Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, settings, fault.Name)),
			Fact:     fmt.Sprintf("ingress-nginx ignores the value %s", quote(fault.Value)),
			Accepted: fault.Accepted,
			Outcome:  "requests are served as if the annotation were absent",
			Subject:  Subject{Object: "annotation/" + fault.Name + "/" + fault.Value},
		}
		if fault.Effect != "" {
			f.Outcome = fault.Effect
		}
		findings = append(findings, f)
	}
	return findings
}

// matters reports whether the lost value changes where requests go or who may send
// them. Those of a canary count only where they are about the canary.
func matters(fault routing.AnnotationFault, config *routing.Config) bool {
	canary := fault.Name == "canary" || strings.HasPrefix(fault.Name, "canary-")
	switch {
	case config.Canary.Enabled:
		return canary
	case temporalIgnored(fault):
		// That is a check of its own.
		return false
	case fault.Effect != "":
		return config.Denied == ""
	case fault.Name == "rewrite-target":
		return config.Redirect.URL == ""
	}
	return fault.Name == "canary" || slices.Contains([]string{"use-regex", "app-root", "ssl-redirect", "force-ssl-redirect"}, fault.Name)
}
