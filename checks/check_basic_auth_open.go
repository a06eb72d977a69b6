// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var basicAuthOpen = Check{
	Name:  "basic-auth-open",
	Title: "auth-secret without auth-type protects nothing",
	Text: `ingress-nginx looks at the annotation auth-secret only where auth-type is set too. Without it nobody is asked for a name and
password: every request goes to the backend.

Add the annotation auth-type with the value basic, or remove auth-secret.

Nothing is said where auth-url asks another server about each request, of a canary, whose annotations do not count, and
where older Ingresses have all the paths.`,
	Example:     "no-type",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-secret"},
	Run:         runBasicAuthOpen,
}

func runBasicAuthOpen(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	key := annotationKey(ing, table.Settings, "auth-secret")
	owns, _ := ownsLocation(table, ing)
	if ing.Annotations[key] == "" || config.BasicAuth.Configured || config.ExternalAuth.URL != "" || !owns {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("metadata", "annotations").Key(key),
		Fact:     "without the annotation auth-type, ingress-nginx does not look at this one",
		Accepted: "auth-type must be basic or digest",
		Outcome:  "requests are served without a password",
		Subject:  Subject{Object: "annotation/auth-secret"},
	}}
}
