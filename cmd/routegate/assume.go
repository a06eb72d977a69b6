// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// assumption is a value of --assume-existing: a pattern of objects that exist.
type assumption struct {
	kind            routing.Kind
	namespace, name string
}

// assumable are the kinds of which objects can be assumed, by the names of kubectl.
var assumable = map[string]routing.Kind{
	"ingressclass": routing.IngressClasses, "ingressclasses": routing.IngressClasses,
	"service": routing.Services, "services": routing.Services, "svc": routing.Services,
	"secret": routing.Secrets, "secrets": routing.Secrets,
	"configmap": routing.ConfigMaps, "configmaps": routing.ConfigMaps, "cm": routing.ConfigMaps,
}

func parseAssumptions(values []string) ([]assumption, error) {
	var all []assumption
	for _, value := range values {
		parts := strings.Split(value, "/")
		a := assumption{kind: assumable[strings.ToLower(parts[0])]}
		switch {
		case a.kind == routing.IngressClasses && len(parts) == 2:
			a.name = parts[1]
		case a.kind != "" && a.kind != routing.IngressClasses && len(parts) == 3:
			a.namespace, a.name = parts[1], parts[2]
		default:
			return nil, fmt.Errorf("--assume-existing %q: must be ingressclass/NAME, service/NAMESPACE/NAME, secret/NAMESPACE/NAME or configmap/NAMESPACE/NAME", value)
		}
		for _, pattern := range parts[1:] {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				return nil, fmt.Errorf("--assume-existing %q: %q is no name and no pattern", value, pattern)
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// covers reports whether the object is one that is assumed to exist.
func (a assumption) covers(ref routing.Ref) bool {
	matches := func(pattern, text string) bool {
		ok, err := path.Match(pattern, text)
		return ok && err == nil
	}
	return a.kind == ref.Kind && matches(a.namespace, ref.Namespace) && matches(a.name, ref.Name)
}

// suppose makes of what Ingresses refer to and what is missing, but assumed, something
// that is not judged. A class is taken to be one of ingress-nginx.
func (in *checked) suppose(assumed []assumption) error {
	supposed := func(ref routing.Ref) bool {
		return slices.ContainsFunc(assumed, func(a assumption) bool { return a.covers(ref) })
	}
	nginx := in.static.Settings.NginxControllers
	for _, ing := range in.ingresses {
		name := ing.Annotations[routing.ClassAnnotation]
		if ing.Spec.IngressClassName != nil {
			name = *ing.Spec.IngressClassName
		}
		class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if name == "" || len(nginx) == 0 || in.static.Get(class) != nil || !supposed(routing.Ref{Kind: routing.IngressClasses, Name: name}) {
			continue
		}
		class.Spec.Controller = nginx[0]
		if err := in.static.Apply(class); err != nil {
			return err
		}
	}
	for _, ing := range in.ingresses {
		refs := routing.ReferencesOf(ing)
		leave := func(kind routing.Kind, names []string, of func(metav1.ObjectMeta) metav1.Object) {
			for _, name := range names {
				ref := routing.Ref{Kind: kind, Namespace: refs.Namespace, Name: name}
				if supposed(ref) && in.static.Get(of(metav1.ObjectMeta{Namespace: refs.Namespace, Name: name})) == nil {
					in.static.Cover(ref, routing.Coverage{Chosen: true, Reason: "assumed to exist"})
				}
			}
		}
		leave(routing.Services, refs.Services, func(m metav1.ObjectMeta) metav1.Object { return &corev1.Service{ObjectMeta: m} })
		leave(routing.Secrets, refs.Secrets, func(m metav1.ObjectMeta) metav1.Object { return &corev1.Secret{ObjectMeta: m} })
		leave(routing.ConfigMaps, refs.ConfigMaps, func(m metav1.ObjectMeta) metav1.Object { return &corev1.ConfigMap{ObjectMeta: m} })
	}
	return nil
}

// leaveOutEndpoints has no endpoints asked for where none can be there yet: of all
// Services where the manifests are all there is and hold none, else of Services that
// they bring or change.
func (in *checked) leaveOutEndpoints(offline bool) {
	given := map[routing.Key]bool{}
	for _, obj := range in.manifests.Objects {
		if slice, ok := obj.(*discoveryv1.EndpointSlice); ok {
			given[routing.Key{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}] = true
		}
	}
	if offline {
		if len(given) == 0 {
			in.static.Cover(routing.Ref{Kind: routing.EndpointSlices}, routing.Coverage{Chosen: true, Reason: "the manifests hold none"})
		}
		return
	}
	for _, obj := range in.manifests.Objects {
		svc, ok := obj.(*corev1.Service)
		if !ok || given[routing.Key{Namespace: svc.Namespace, Name: svc.Name}] {
			continue
		}
		if stored, _ := in.static.Get(svc).(*routing.Service); stored == nil || !sameEndpoints(stored, svc) {
			in.static.Cover(routing.Ref{Kind: routing.EndpointSlices, Namespace: svc.Namespace, Name: svc.Name},
				routing.Coverage{Chosen: true, Reason: "the Service is new or changed"})
		}
	}
}

// sameEndpoints reports whether a Service goes on to have the endpoints that it has.
func sameEndpoints(stored *routing.Service, svc *corev1.Service) bool {
	if stored.Selector != labels.Set(svc.Spec.Selector).String() {
		return false
	}
	return slices.EqualFunc(stored.Ports, svc.Spec.Ports, func(a, b corev1.ServicePort) bool {
		return a.Name == b.Name && a.Port == b.Port && a.Protocol == b.Protocol && a.TargetPort == b.TargetPort
	})
}

// hintOf says how to tell that what a finding misses exists all the same.
func hintOf(f checks.Finding, snap *routing.Snapshot) string {
	var flags []string
	for _, ref := range f.RestsOn {
		known, kind := routing.Unread, strings.ToLower(string(ref.Kind))
		switch ref.Kind {
		case routing.IngressClasses:
			_, known = snap.Class(ref.Name)
		case routing.Services:
			_, known = snap.Service(ref.Namespace, ref.Name)
		case routing.Secrets, routing.SecretData:
			known, kind = snap.SecretExists(ref.Namespace, ref.Name), "secret"
		case routing.ConfigMaps:
			_, known = snap.ConfigMap(ref.Namespace, ref.Name)
		}
		if known != routing.Absent || ref.Name == "" {
			continue
		}
		flag := "--assume-existing " + kind + "/" + ref.Name
		if ref.Namespace != "" {
			flag = "--assume-existing " + kind + "/" + ref.Namespace + "/" + ref.Name
		}
		if !slices.Contains(flags, flag) {
			flags = append(flags, flag)
		}
	}
	if len(flags) == 0 {
		return ""
	}
	return "where it exists without being among the manifests, say " + strings.Join(flags, " ")
}

// readSnapshot reads the file of --snapshot.
func readSnapshot(name string) (*cluster.Static, error) {
	static, err := cluster.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--snapshot: %w", err)
	}
	return static, nil
}
