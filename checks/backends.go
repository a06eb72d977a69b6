// SPDX-License-Identifier: Apache-2.0

package checks

import (
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
func backends(ing *networkingv1.Ingress) []backend {
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
// an earlier path of the same Ingress takes, and a spec.defaultBackend whose
// hosts all define their own "/" (model line 5).
func asked(ing *networkingv1.Ingress, class routing.Class) []backend {
	nginx := class.Controller.Name == routing.Nginx
	if nginx && (routing.IsCanary(ing) || routing.AnswersItself(ing)) {
		return nil
	}
	var all []backend
	for _, b := range backends(ing) {
		switch {
		case b.Service == nil:
		case nginx && b.shadowed:
		case nginx && b.path == nil && !defaultBackendFillsRoot(ing):
		default:
			all = append(all, b)
		}
	}
	return all
}

// defaultBackendFillsRoot reports whether spec.defaultBackend can be asked at
// all: in an Ingress without rules, or for a named host without a "/" of its
// own.
func defaultBackendFillsRoot(ing *networkingv1.Ingress) bool {
	if len(ing.Spec.Rules) == 0 {
		return true
	}
	owned := map[string]bool{}
	for _, b := range backends(ing) {
		if b.subject.Path == "/" && b.subject.Type == networkingv1.PathTypePrefix && b.Service != nil {
			owned[b.subject.Host] = true
		}
	}
	for i := range ing.Spec.Rules {
		if host := ing.Spec.Rules[i].Host; host != "" && !owned[host] {
			return true
		}
	}
	return false
}

// onlyIfOldest reports whether other Ingresses of its hosts decide whether the
// backend is asked, as they do for a spec.defaultBackend next to rules
// (semantics row C12).
func (b backend) onlyIfOldest(ing *networkingv1.Ingress) bool {
	return b.path == nil && len(ing.Spec.Rules) > 0
}

// rescue says whether the annotation default-backend makes ingress-nginx answer
// for backends without endpoints: it does when its Service has live endpoints
// on its first port.
func rescue(ing *networkingv1.Ingress, snap *routing.Snapshot) routing.Known {
	name := routing.DefaultBackendAnnotation(ing)
	if name == "" {
		return routing.Absent
	}
	svc, known := snap.Service(ing.Namespace, name)
	if known != routing.Present || len(svc.Ports) == 0 {
		return min(known, routing.Absent)
	}
	if svc.External() {
		return routing.Present
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

// rescueRefs are the objects on which "nothing rescues the backend" rests.
func rescueRefs(ing *networkingv1.Ingress) []routing.Ref {
	name := routing.DefaultBackendAnnotation(ing)
	if name == "" {
		return nil
	}
	return []routing.Ref{serviceRef(ing, name), {Kind: routing.EndpointSlices, Namespace: ing.Namespace, Name: name}}
}
