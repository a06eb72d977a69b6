// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// tableOf returns what ingress-nginx makes of the Ingress and of those around it,
// for judging its paths: nil where the other Ingresses were not read, where the
// controller does not take the Ingress up, and for a canary, which has no paths of
// its own. Certificates are left to others: that a Secret was not read is not noted.
func tableOf(ing *networkingv1.Ingress, snap *routing.Snapshot) *routing.Table {
	return routing.Once(snap, judgedTableKey{ing}, func(snap *routing.Snapshot) *routing.Table { return findTable(ing, snap) })
}

type judgedTableKey struct{ *networkingv1.Ingress }

func findTable(ing *networkingv1.Ingress, snap *routing.Snapshot) *routing.Table {
	if _, known := snap.NginxSharing(ing, ""); known == routing.Unread {
		return nil
	}
	table, known := snap.Observe(nil).TableOf(ing)
	if known != routing.Present || table.ConfigOf(ing) == nil || table.ConfigOf(ing).Canary.Enabled {
		return nil
	}
	return table
}

// located is a path of the Ingress under test with its location.
type located struct {
	backend
	server *routing.Server
	loc    *routing.Location
	// first is true where no location before it in the server has its path.
	first bool
}

// locatedPaths returns the paths of the Ingress that have a location of their own,
// in the order of its fields: those that no other path took.
func locatedPaths(ing *networkingv1.Ingress, snap *routing.Snapshot) []located {
	return routing.Once(snap, locatedKey{}, func(snap *routing.Snapshot) []located { return locate(ing, snap) })
}

type locatedKey struct{}

func locate(ing *networkingv1.Ingress, snap *routing.Snapshot) []located {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var all []located
	seen := map[*routing.Server]bool{}
	own, first := map[*networkingv1.HTTPIngressPath]*routing.Location{}, map[*routing.Location]bool{}
	// note looks through the locations of a server once, however many paths there are.
	note := func(server *routing.Server) {
		seen[server] = true
		texts := make(map[string]bool, len(server.Locations))
		for _, loc := range server.Locations {
			if loc.Ingress == ing && loc.Rule >= 0 && loc.Path >= 0 {
				// A path may have two, of which the first counts.
				if path := &ing.Spec.Rules[loc.Rule].HTTP.Paths[loc.Path]; own[path] == nil {
					own[path], first[loc] = loc, !texts[loc.Text]
				}
			}
			texts[loc.Text] = true
		}
	}
	for _, b := range backends(ing, snap) {
		if b.path == nil || b.Service == nil || b.shadowed || routing.IsSolverPath(b.path) {
			continue
		}
		server := table.ServerOf(b.subject.Host)
		if server == nil {
			continue
		}
		if !seen[server] {
			note(server)
		}
		if loc := own[b.path]; loc != nil {
			all = append(all, located{b, server, loc, first[loc]})
		}
	}
	return all
}

// isPathOf reports whether the location is that of the path.
func isPathOf(loc *routing.Location, ing *networkingv1.Ingress, b backend) bool {
	return loc.Ingress == ing && loc.Rule >= 0 && loc.Path >= 0 && &ing.Spec.Rules[loc.Rule].HTTP.Paths[loc.Path] == b.path
}

// annotationOf returns the field and the value of an annotation of ingress-nginx, or
// nothing where it is empty, which to the controller is the same as absent.
func annotationOf(ing *networkingv1.Ingress, name string) (*field.Path, string) {
	value := routing.NginxAnnotation(ing, name)
	if value == "" {
		return nil, ""
	}
	return annotationField(name), value
}
