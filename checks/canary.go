// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// canaryOf returns the Table and what the annotations of the Ingress say of a
// canary. It is false where the Ingress is no canary, is not taken up, or the other
// Ingresses were not read.
func canaryOf(ing *networkingv1.Ingress, snap *routing.Snapshot) (*routing.Table, routing.CanaryConfig, bool) {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil, routing.CanaryConfig{}, false
	}
	config := table.ConfigOf(ing)
	if config == nil || !config.Canary.Enabled {
		return nil, routing.CanaryConfig{}, false
	}
	return table, config.Canary, true
}

// standsBy reports whether the Ingress says of itself that it is no canary at present,
// as rollout tools have it between two rollouts. ingress-nginx takes it for an ordinary
// one.
func standsBy(ing *networkingv1.Ingress) bool {
	on, err := strconv.ParseBool(routing.NginxAnnotation(ing, "canary"))
	return err == nil && !on
}

// canaryPath is a path of a canary Ingress and what the Table holds in its place.
type canaryPath struct {
	backend
	// upstream is that of the path, made by whichever Ingress named it first.
	upstream *routing.Upstream
	// primary is the location that the canary stands in for, twin one of the same path
	// and the other type; nil if there is none.
	primary, twin *routing.Location
}

// canaryPaths returns the paths of a canary Ingress with a Service, each host, path
// and type once.
func canaryPaths(ing *networkingv1.Ingress, table *routing.Table) []canaryPath {
	var all []canaryPath
	for _, b := range findBackends(ing) {
		if b.path == nil || b.Service == nil || b.shadowed {
			continue
		}
		p := canaryPath{backend: b, upstream: table.UpstreamOf(ing.Namespace, b.Service)}
		if server := table.ServerOf(b.subject.Host); server != nil {
			p.find(server)
		}
		all = append(all, p)
	}
	return all
}

func (p *canaryPath) find(server *routing.Server) {
	for _, loc := range server.Locations {
		switch {
		case loc.Text != p.subject.Path || loc.Upstream == nil || loc.Upstream.Serverless:
		case loc.Type == p.subject.Type:
			p.primary = loc
		case !loc.Placeholder:
			p.twin = loc
		}
	}
}

// othersNaming returns the other Ingresses of the Table with a path to the upstream,
// canaries or not, sorted by name.
func othersNaming(ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table, up *routing.Upstream, canary bool) []*networkingv1.Ingress {
	around, known := snap.Around(ing)
	if known != routing.Present {
		return nil
	}
	var found []*networkingv1.Ingress
	for _, other := range around {
		config := table.ConfigOf(other)
		if config != nil && config.Canary.Enabled == canary && hasPathTo(other, table, up) {
			found = append(found, other)
		}
	}
	slices.SortFunc(found, func(a, b *networkingv1.Ingress) int { return strings.Compare(ingressName(a), ingressName(b)) })
	return found
}

func hasPathTo(ing *networkingv1.Ingress, table *routing.Table, up *routing.Upstream) bool {
	return slices.ContainsFunc(findBackends(ing), func(b backend) bool {
		return b.path != nil && b.Service != nil && table.UpstreamOf(ing.Namespace, b.Service) == up
	})
}

// serviceAndPort names the backend as an object of a Subject.
func serviceAndPort(b *networkingv1.IngressBackend) string {
	return "Service/" + b.Service.Name + ":" + routing.BackendPort(b.Service.Port)
}
