// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var canaryNotEnabled = Check{
	Name:  "canary-not-enabled",
	Title: "annotations of a canary do nothing without canary set to true",
	Text: `Without the annotation canary, or where its value is not "true", ingress-nginx takes the Ingress for an ordinary one:
it ignores the other annotations of a canary. The path then takes all requests, or none if an older Ingress has it. Values
such as "yes" and "on" are not understood.

Set the annotation canary to "true", or remove the others.

Nothing is said where the value is "false", which rollout tools write between two rollouts.`,
	Example:     "missing",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: canarySettings,
	Run:         runCanaryNotEnabled,
}

var canarySettings = []string{"canary-by-cookie", "canary-by-header", "canary-by-header-pattern", "canary-by-header-value", "canary-weight"}

func runCanaryNotEnabled(ing *networkingv1.Ingress, _ *routing.Snapshot) []Finding {
	i := slices.IndexFunc(canarySettings, func(name string) bool { return routing.NginxAnnotation(ing, name) != "" })
	value := routing.NginxAnnotation(ing, "canary")
	if _, err := strconv.ParseBool(value); i < 0 || err == nil {
		return nil
	}
	f := Finding{
		Field:    annotationField(canarySettings[i]),
		Fact:     "the annotation does nothing, because the Ingress is no canary",
		Accepted: `must have the annotation canary with the value "true"`,
		Outcome:  "the Ingress is taken for an ordinary one",
	}
	if value != "" {
		f.Field = annotationField("canary")
		f.Fact = fmt.Sprintf("the value %s is neither true nor false", quote(value))
		f.Accepted = `must be "true"`
	}
	return []Finding{f}
}
