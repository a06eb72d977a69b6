// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var annotationUnknown = Check{
	Name:  "annotation-unknown",
	Title: "an annotation is misspelt or no longer known to ingress-nginx",
	Text: `ingress-nginx ignores annotations with its prefix that it does not know. One that is misspelt has no effect, and neither has
one that former versions knew, such as secure-backends.

Write the name that the message suggests, or remove the annotation.

It only warns, and says nothing of a name that resembles none, which may be that of another tool.`,
	Example:     "misspelt",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationUnknown,
}

func runAnnotationUnknown(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	config, settings := configOf(ing, snap)
	if len(config.Unknown) == 0 {
		return nil
	}
	var findings []Finding
	removed := routing.RemovedAnnotations()
	for _, name := range config.Unknown {
		f := Finding{
			Field:   field.NewPath("metadata", "annotations").Key(annotationKey(ing, settings, name)),
			Fact:    "ingress-nginx does not know the annotation and ignores it",
			Outcome: "requests are served as if it were absent",
			Subject: Subject{Object: "annotation/" + name},
		}
		today, gone := removed[name]
		if today != "" {
			f.Fact = "ingress-nginx no longer knows the annotation and ignores it"
			f.Accepted = quote(today) + " took its place"
		} else if near := Nearest(name, knownAnnotations()); !gone && near != "" && distance(name, near) <= 2 {
			f.Accepted = fmt.Sprintf("did you mean %s?", quote(near))
		} else {
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// knownAnnotations are the names of the annotations of ingress-nginx, and their aliases.
func knownAnnotations() []string {
	var names []string
	for _, a := range routing.Annotations() {
		names = append(append(names, a.Name), a.Aliases...)
	}
	return names
}
