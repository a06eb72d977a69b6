// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// backend is one backend of an Ingress and the requests that reach it.
type backend struct {
	*networkingv1.IngressBackend
	// pathField is the field of the path, or of spec.defaultBackend; field that
	// of the backend itself.
	pathField, field *field.Path
	// subject has host, path and type; they are empty for spec.defaultBackend.
	subject Subject
	// path is nil for spec.defaultBackend.
	path *networkingv1.HTTPIngressPath
	// shadowed is true when an earlier path of the same Ingress takes all
	// requests of this one.
	shadowed bool
}

// backends returns all backends of the Ingress in the order of its fields.
func backends(ing *networkingv1.Ingress, snap *routing.Snapshot) []backend {
	return routing.Once(snap, backendsKey{ing}, func(*routing.Snapshot) []backend { return findBackends(ing) })
}

type backendsKey struct{ *networkingv1.Ingress }

func findBackends(ing *networkingv1.Ingress) []backend {
	var all []backend
	spec := field.NewPath("spec")
	if b := ing.Spec.DefaultBackend; b != nil {
		all = append(all, backend{IngressBackend: b, pathField: spec.Child("defaultBackend"), field: spec.Child("defaultBackend")})
	}
	seen := map[Subject]bool{}
	for i := range ing.Spec.Rules {
		rule := &ing.Spec.Rules[i]
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			p := &rule.HTTP.Paths[j]
			at := spec.Child("rules").Index(i).Child("http", "paths").Index(j)
			b := backend{
				IngressBackend: &p.Backend,
				pathField:      at,
				field:          at.Child("backend"),
				subject: Subject{
					Host: rule.Host,
					Path: routing.EffectivePath(p.Path),
					Type: routing.EffectiveType(p.PathType),
				},
				path: p,
			}
			b.shadowed = seen[b.subject]
			if p.Backend.Service != nil {
				seen[b.subject] = true
			}
			all = append(all, b)
		}
	}
	return all
}

// about returns the backend's subject with the object it concerns.
func (b backend) about(object string) Subject {
	s := b.subject
	s.Object = object
	return s
}

// asked returns the backends with a Service that requests can depend on, so
// that it matters whether they have endpoints. For ingress-nginx it leaves out
// those of semantics section 1.F, F-exceptions: canaries, redirects, paths that
// an earlier path of the Ingress or an older Ingress takes, and a
// spec.defaultBackend that is never asked. It returns none where the other
// Ingresses of the hosts were not read.
func asked(ing *networkingv1.Ingress, snap *routing.Snapshot) []backend {
	return routing.Once(snap, askedKey{}, func(snap *routing.Snapshot) []backend { return findAsked(ing, snap) })
}

type askedKey struct{}

func findAsked(ing *networkingv1.Ingress, snap *routing.Snapshot) []backend {
	nginx := snap.ClassOf(ing).Controller.Name == routing.Nginx
	var taken taken
	if nginx {
		if routing.IsCanary(ing) || routing.AnswersItself(ing) {
			return nil
		}
		var known routing.Known
		if taken, known = takenByOthers(ing, snap); known == routing.Unread {
			return nil
		}
	}
	var all []backend
	for _, b := range backends(ing, snap) {
		switch {
		case b.Service == nil:
		case nginx && (b.shadowed || taken.paths[b.subject]):
		case nginx && b.path == nil && !defaultBackendAsked(ing, snap, taken):
		case nginx && isExactRoot(b.subject) && rootRedirected(ing, snap, b.subject.Host):
		default:
			all = append(all, b)
		}
	}
	return all
}

// taken is what other Ingresses have of the hosts of one Ingress.
type taken struct {
	// paths has those of the Ingress, true where an older Ingress has it too, so that
	// this one's is ignored (semantics row E01).
	paths map[Subject]bool
	// withPaths are the hosts for which another Ingress has a path.
	withPaths map[string]bool
	// hosts are those that an older Ingress names, roots those whose "/" any
	// Ingress has; there a spec.defaultBackend is not asked (row C12).
	hosts, roots map[string]bool
}

func takenByOthers(ing *networkingv1.Ingress, snap *routing.Snapshot) (taken, routing.Known) {
	t := routing.Once(snap, takenKey{}, func(snap *routing.Snapshot) *taken { return findTaken(ing, snap) })
	if t == nil {
		return taken{}, routing.Unread
	}
	return *t, routing.Present
}

type takenKey struct{}

// findTaken returns nil where the other Ingresses were not read.
func findTaken(ing *networkingv1.Ingress, snap *routing.Snapshot) *taken {
	var t taken
	for _, host := range routing.HostsOf(ing) {
		others, known := snap.NginxSharing(ing, host)
		if known == routing.Unread {
			return nil
		}
		if len(others) > 0 && t.paths == nil {
			t = newTaken(backends(ing, snap))
		}
		for _, other := range others {
			older := routing.Older(other, ing)
			t.hosts[host] = t.hosts[host] || older
			for i := range other.Spec.Rules {
				if http := other.Spec.Rules[i].HTTP; http != nil && other.Spec.Rules[i].Host == host {
					t.add(host, http.Paths, older)
				}
			}
		}
	}
	return &t
}

func newTaken(own []backend) taken {
	t := taken{paths: map[Subject]bool{}, hosts: map[string]bool{}, roots: map[string]bool{}, withPaths: map[string]bool{}}
	for _, b := range own {
		t.paths[b.subject] = false
	}
	return t
}

func (t *taken) add(host string, paths []networkingv1.HTTPIngressPath, older bool) {
	for i := range paths {
		if paths[i].Backend.Service == nil {
			continue
		}
		s := Subject{Host: host, Path: routing.EffectivePath(paths[i].Path), Type: routing.EffectiveType(paths[i].PathType)}
		t.withPaths[host] = true
		t.roots[host] = t.roots[host] || isRoot(s)
		if _, own := t.paths[s]; own && older {
			t.paths[s] = true
		}
	}
}

func isRoot(s Subject) bool {
	return s.Path == "/" && s.Type == networkingv1.PathTypePrefix
}

func isExactRoot(s Subject) bool {
	return s.Path == "/" && s.Type == networkingv1.PathTypeExact
}

// rootRedirected reports whether an app-root answers for "/" of the host, so that a path
// of type Exact there is never asked for (semantics row E08).
func rootRedirected(ing *networkingv1.Ingress, snap *routing.Snapshot, host string) bool {
	table, _ := snap.TableOf(ing)
	if table == nil {
		return false
	}
	server := table.ServerOf(host)
	return server != nil && !server.Regex && slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool { return loc.Config.AppRoot != "" })
}

// takenByPattern reports whether a path of the host is a regular expression that fits all
// paths of requests, such as /(.*), so that nothing is left for a spec.defaultBackend.
func takenByPattern(ing *networkingv1.Ingress, snap *routing.Snapshot, host string) bool {
	table, _ := snap.TableOf(ing)
	if table == nil {
		return false
	}
	server := table.ServerOf(host)
	return server != nil && server.Regex && slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool {
		// What fits "/" fits whatever begins with it, unless it looks at what follows.
		if loc.Placeholder || loc.Text == "/" || strings.ContainsAny(loc.Text, `$\`) || strings.Contains(loc.Text, "(?") {
			return false
		}
		pattern, err := routing.CompilePattern("^"+loc.Text, true)
		if err != nil {
			return false
		}
		_, fits, err := pattern.Match("/")
		return fits && err == nil
	})
}

// defaultBackendAsked reports whether spec.defaultBackend is asked for any
// request: in an Ingress without rules, or for a named host of which this
// Ingress is the oldest and nobody has the "/" (model line 5), as such or by a regular
// expression.
func defaultBackendAsked(ing *networkingv1.Ingress, snap *routing.Snapshot, t taken) bool {
	if len(ing.Spec.Rules) == 0 {
		return true
	}
	owned := ownRoots(ing)
	for i := range ing.Spec.Rules {
		if host := ing.Spec.Rules[i].Host; host != "" && !owned[host] && !t.hosts[host] && !t.roots[host] && !takenByPattern(ing, snap, host) {
			return true
		}
	}
	return false
}

// ownRoots are the hosts of which the Ingress has the path "/", so that nothing is left for
// its spec.defaultBackend.
func ownRoots(ing *networkingv1.Ingress) map[string]bool {
	owned := map[string]bool{}
	for _, b := range findBackends(ing) {
		if isRoot(b.subject) && b.Service != nil {
			owned[b.subject.Host] = true
		}
	}
	return owned
}

// rescue says whether the annotation default-backend makes ingress-nginx answer
// for a backend without endpoints: it does when its Service has live endpoints
// on its first port. Whether these are looked up as names is decided by the type of the
// Service that has none, which is nil where it does not exist.
func rescue(ing *networkingv1.Ingress, snap *routing.Snapshot, dead *routing.Service) routing.Known {
	name := routing.DefaultBackendAnnotation(ing)
	if name == "" {
		return routing.Absent
	}
	svc, known := snap.Service(ing.Namespace, name)
	if known != routing.Present || len(svc.Ports) == 0 {
		return min(known, routing.Absent)
	}
	if named := dead != nil && dead.External(); named || svc.External() {
		// A name must be looked up, and an address must not.
		if svc.External() && named != isAddress(svc.ExternalName) && !isLocalhost(svc.ExternalName) {
			return routing.Present
		}
		return routing.Absent
	}
	slices, known := snap.SlicesOf(ing.Namespace, name)
	if known == routing.Present && routing.Resolve(svc, &svc.Ports[0], slices).Usable == 0 {
		return routing.Absent
	}
	return known
}

// serviceRef names a Service in the namespace of the Ingress.
func serviceRef(ing *networkingv1.Ingress, name string) routing.Ref {
	return routing.Ref{Kind: routing.Services, Namespace: ing.Namespace, Name: name}
}

// endpointRefs names a Service in the namespace of the Ingress, and then its endpoints.
func endpointRefs(ing *networkingv1.Ingress, name string) []routing.Ref {
	return []routing.Ref{serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name}}
}

// rescueRefs are the objects on which "nothing rescues the backend" rests.
func rescueRefs(ing *networkingv1.Ingress) []routing.Ref {
	name := routing.DefaultBackendAnnotation(ing)
	if name == "" {
		return nil
	}
	return endpointRefs(ing, name)
}
