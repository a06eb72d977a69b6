// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var configFrozenByOther = Check{
	Name:  "config-frozen-by-other",
	Title: "another Ingress keeps ingress-nginx from applying any change",
	Text: `nginx refuses the configuration because of another Ingress, such as one with a path that is no regular expression, or the
controller crashes because of it. Until that is mended, ingress-nginx goes on with the last configuration that nginx
accepted: no change of any Ingress and of no certificate has any effect, and new hosts answer 404. The Ingress itself has
no part in it.

Mend or delete the Ingress that is named; what is wrong with it, its own checks say. This one then takes effect by
itself.

It never denies, since nothing is wrong with the Ingress. It names at most three Ingresses, and says nothing of what only
shows in EndpointSlices or cannot be judged for certain.`,
	Example:     "regex",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runConfigFrozenByOther,
}

// maxCulprits bounds the Ingresses that are named.
const maxCulprits = 3

func runConfigFrozenByOther(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	culprits, known := snap.FrozenNow(ing)
	if known != routing.Present || len(culprits) == 0 {
		return nil
	}
	var names []string
	var mentions []routing.Ref
	for _, c := range culprits[:min(len(culprits), maxCulprits)] {
		names = append(names, quote(c.Ingress.Namespace+"/"+c.Ingress.Name))
		mentions = append(mentions, routing.Ref{Kind: routing.Ingresses, Namespace: c.Ingress.Namespace, Name: c.Ingress.Name})
	}
	because := "Ingress " + names[0]
	if len(names) > 1 {
		because = "the Ingresses " + strings.Join(names, ", ")
	}
	if more := len(culprits) - len(names); more > 0 {
		because += fmt.Sprintf(" and %d more", more)
	}
	return []Finding{{
		Field:     field.NewPath("metadata", "name"),
		Fact:      "ingress-nginx applies no change at present, because of " + because,
		Outcome:   "this one takes effect when that is mended",
		Mentions:  mentions,
		Tentative: true,
	}}
}
