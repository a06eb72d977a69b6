// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var appRootUnrouted = Check{
	Name:  "app-root-unrouted",
	Title: "app-root sends clients to a path that nobody serves",
	Text: `With the annotation app-root, ingress-nginx redirects requests for "/" of the host to that path. No path of any Ingress of
the host takes it, so that clients end at 404, or it is "/" itself, so that they are redirected for ever.

Add a path for it, or correct the annotation.

It only warns. Nothing is said where another Ingress with an app-root comes first for the host, and of a canary, whose
annotations do not count.`,
	Example:     "no-path",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"app-root"},
	Run:         runAppRootUnrouted,
}

func runAppRootUnrouted(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	root := table.ConfigOf(ing).AppRoot
	if root == "" {
		return nil
	}
	var findings []Finding
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		if server == nil || !firstAppRoot(server, ing) {
			continue
		}
		// The certificate is other checks' matter: none that is to be read is asked for.
		route := table.Answer(routing.Request{HTTPS: true, SNI: probedLabel + ".invalid", Host: probedHost(host), Path: root})
		f := Finding{
			Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, "app-root")),
			Fact:     fmt.Sprintf("no path of %s leads to %s", ofHost(host), quote(root)),
			Accepted: "must be a path that an Ingress routes",
			Outcome:  `requests for "/" are redirected there and get 404`,
			Subject:  Subject{Host: host, Object: "annotation/app-root/" + root},
		}
		switch {
		case route.Undecided != "":
			continue
		case route.At == nil && route.Status == 302:
			f.Fact = fmt.Sprintf(`%s is what "/" is redirected to, and is redirected again`, quote(root))
			f.Outcome = `requests for "/" are redirected for ever`
		case route.Status != 404 || len(route.Targets) > 0:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// firstAppRoot reports whether the app-root of the Ingress is the one that counts for
// the host (semantics row E08).
func firstAppRoot(server *routing.Server, ing *networkingv1.Ingress) bool {
	i := slices.IndexFunc(server.Locations, func(loc *routing.Location) bool { return loc.Config.AppRoot != "" })
	return i >= 0 && server.Locations[i].Ingress == ing
}
