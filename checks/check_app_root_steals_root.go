// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var appRootStealsRoot = Check{
	Name:  "app-root-steals-root",
	Title: "app-root redirects the root of a host, which another Ingress has",
	Text: `The annotation app-root is about a whole host: ingress-nginx answers a request for "/" with a redirect before it looks
at any path, whichever Ingress the path "/" belongs to. Where several Ingresses of a host have the annotation, one counts
and the others are ignored.

Take the annotation off one of the Ingresses, or give the application a host of its own.

It only warns. Within one namespace nothing is said of a path "/" of type Prefix, which gets all other requests: there the
redirect is likely meant.`,
	Example:     "other-namespace",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAppRootStealsRoot,
}

func runAppRootStealsRoot(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	own := table.ConfigOf(ing).AppRoot
	var findings []Finding
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		if server == nil || !ownsPathOf(table, ing, host) {
			continue
		}
		redirecting := slices.IndexFunc(server.Locations, func(loc *routing.Location) bool { return loc.Config.AppRoot != "" })
		if redirecting < 0 {
			continue
		}
		winner, root := server.Locations[redirecting], ownedRoot(server)
		at, _ := annotationOf(ing, "app-root")
		f := Finding{Field: at, Subject: Subject{Host: host, Path: "/", Object: "annotation/app-root/" + winner.Config.AppRoot}, Tentative: true}
		switch {
		case winner.Ingress != ing && own != "":
			if own == winner.Config.AppRoot {
				continue
			}
			f.Fact = fmt.Sprintf("the app-root of Ingress %s comes first on %s", quote(ingressName(winner.Ingress)), ofHost(host))
			f.Accepted = "must be set in one Ingress of the host"
			f.Outcome = fmt.Sprintf(`requests for "/" get 302 to %s`, quote(winner.Config.AppRoot))
			f.RestsOn = []routing.Ref{ingressRef(winner.Ingress)}
		case root == nil || root.Ingress == winner.Ingress || !contradicts(root, winner):
			continue
		case winner.Ingress == ing:
			f.Fact = fmt.Sprintf(`it redirects requests for "/" of %s, which is a path of Ingress %s`, ofHost(host), quote(ingressName(root.Ingress)))
			f.Accepted = "must be left out, or be on another host"
			f.Outcome = "that Ingress does not get them"
			f.RestsOn = []routing.Ref{ingressRef(root.Ingress)}
		case root.Ingress == ing:
			f.Field = pathField(root.Rule, root.Path)
			f.Fact = fmt.Sprintf(`app-root of Ingress %s redirects requests for "/" of %s`, quote(ingressName(winner.Ingress)), ofHost(host))
			f.Outcome = fmt.Sprintf("they get 302 to %s", quote(winner.Config.AppRoot))
			f.Subject.Type = root.Type
			f.RestsOn = []routing.Ref{ingressRef(winner.Ingress)}
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// ownedRoot returns the path of the host that requests for "/" get to, nil if no Ingress
// has one. An Exact path comes first.
func ownedRoot(server *routing.Server) *routing.Location {
	var root *routing.Location
	for _, loc := range server.Locations {
		if loc.Text == "/" && !loc.Placeholder && loc.Rule >= 0 && loc.Upstream != nil && (root == nil || loc.Exact) {
			root = loc
		}
	}
	return root
}

// contradicts reports whether the owner of "/" surely did not mean the redirect of the
// other: it wants just those requests, or is of another namespace.
func contradicts(root, winner *routing.Location) bool {
	return root.Type == networkingv1.PathTypeExact || root.Ingress.Namespace != winner.Ingress.Namespace
}
