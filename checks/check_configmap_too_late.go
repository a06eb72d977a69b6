// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var configMapTooLate = Check{
	Name:  "configmap-too-late",
	Title: "a ConfigMap that an annotation names is younger than the Ingress",
	Text: `ingress-nginx reads the ConfigMaps of custom-headers, auth-proxy-set-headers and fastcgi-params-configmap when the Ingress
changes, and does not notice one that is created later. The paths of an Ingress that came first answer 503, and go on to,
until the Ingress is written again.

Write the Ingress again with any change, for example to an annotation.

It only warns: whether the controller was restarted since, or knew a former ConfigMap of that name, cannot be seen. It is
never said of an Ingress that is being written, because that is the cure.`,
	Example:     "later",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.ConfigMaps},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-proxy-set-headers", "custom-headers", "fastcgi-params-configmap"},
	Run:         runConfigMapTooLate,
}

func runConfigMapTooLate(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil || ing.CreationTimestamp.IsZero() {
		return nil
	}
	if owns, _ := ownsLocation(table, ing); !owns {
		return nil
	}
	var findings []Finding
	for _, ref := range table.ConfigOf(ing).ConfigMaps {
		if ref.Key.Namespace != ing.Namespace {
			continue
		}
		configMap, known := snap.ConfigMap(ref.Key.Namespace, ref.Key.Name)
		if known != routing.Present || !configMap.CreationTimestamp.After(routing.LastWritten(ing)) {
			continue
		}
		findings = append(findings, Finding{
			Field:     field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, ref.Annotation)),
			Fact:      fmt.Sprintf("ConfigMap %s was created after the Ingress was last written", quote(ref.Key.Name)),
			Accepted:  "the Ingress must be written again",
			Outcome:   "a running ingress-nginx does not notice the ConfigMap and requests get 503",
			Subject:   Subject{Object: "ConfigMap/" + ref.Key.Name},
			RestsOn:   []routing.Ref{{Kind: routing.ConfigMaps, Namespace: ing.Namespace, Name: ref.Key.Name}},
			Tentative: true,
		})
	}
	return findings
}
