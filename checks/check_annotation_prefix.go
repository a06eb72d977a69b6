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

var annotationPrefix = Check{
	Name:  "annotation-prefix",
	Title: "annotations have a prefix that this controller does not read",
	Text: `This ingress-nginx was started with --annotations-prefix. It reads annotations with that prefix only, and ignores those that
begin with nginx.ingress.kubernetes.io/ as the documentation has them.

Write the annotations with the prefix of the controller.

It only warns, and says nothing of an annotation that stands there with both prefixes.`,
	Example:     "default-prefix",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAnnotationPrefix,
}

func runAnnotationPrefix(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	_, settings := configOf(ing, snap)
	prefix := settings.AnnotationsPrefix + "/"
	if prefix == "/" || prefix == routing.NginxPrefix {
		return nil
	}
	var ignored []string
	for key := range ing.Annotations {
		name, found := strings.CutPrefix(key, routing.NginxPrefix)
		_, known := routing.AnnotationNamed(name)
		_, twin := ing.Annotations[prefix+name]
		if found && known && !twin {
			ignored = append(ignored, name)
		}
	}
	if len(ignored) == 0 {
		return nil
	}
	slices.Sort(ignored)
	return []Finding{{
		Field:    field.NewPath("metadata", "annotations"),
		Fact:     fmt.Sprintf("this ingress-nginx ignores the prefix %s, here that of %s", quote(routing.NginxPrefix), list(ignored)),
		Accepted: fmt.Sprintf("must have the prefix %s", quote(prefix)),
		Outcome:  "requests are served as if they were absent",
		Subject:  Subject{Object: "annotation/" + strings.Join(ignored, ",")},
	}}
}
