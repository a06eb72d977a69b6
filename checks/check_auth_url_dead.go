// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var authURLDead = Check{
	Name:  "auth-url-dead",
	Title: "auth-url names a Service that does not exist, so every request fails",
	Text: `With the annotation auth-url, ingress-nginx asks that address about each request. Its host is that of a Service in the
namespace of the Ingress, and there is no such Service: nobody answers, and every request gets 500.

Correct the address, or create the Service.

It only warns, because the Service may come later. Nothing is said of hosts outside the cluster or in other namespaces,
which are not looked up, and of a canary, whose annotations do not count.`,
	Example:     "missing",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-url"},
	Run:         runAuthURLDead,
}

func runAuthURLDead(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	name := routing.ServiceOfHost(ing.Namespace, config.ExternalAuth.Host)
	owns, _ := ownsLocation(table, ing)
	// A redirect answers before anybody is asked.
	if name == "" || !owns || config.Denied != "" || config.Redirect.URL != "" {
		return nil
	}
	if _, known := snap.Service(ing.Namespace, name); known != routing.Absent {
		return nil
	}
	return []Finding{{
		Field:     field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, "auth-url")),
		Fact:      fmt.Sprintf("Service %s does not exist in namespace %s", quote(name), quote(ing.Namespace)),
		Accepted:  didYouMean(name, snap.Names[routing.Ref{Kind: routing.Services, Namespace: ing.Namespace}]),
		Outcome:   "requests get 500",
		Subject:   Subject{Object: "Service/" + name},
		RestsOn:   []routing.Ref{serviceRef(ing, name)},
		Tentative: true,
	}}
}
