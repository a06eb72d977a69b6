// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// Static is a cluster that consists of given objects. It is not safe for use by
// several goroutines while objects are applied.
type Static struct {
	// Settings and Now are copied into every Snapshot.
	Settings routing.Settings
	Now      time.Time
	// Known are the settings that were read of controllers, and Unknown says why those of
	// others are not known.
	Known   []settings.Known
	Unknown []error

	store    store
	frozen   *frozen
	follower *follower
	coverage map[routing.Ref]routing.Coverage
}

// NewStatic returns an empty cluster in which the given kinds count as read; all
// of them but the optional ones when none is given.
func NewStatic(kinds ...routing.Kind) *Static {
	if len(kinds) == 0 {
		kinds = slices.DeleteFunc(routing.Kinds(), func(kind routing.Kind) bool {
			return slices.Contains(routing.OptionalKinds(), kind)
		})
	}
	s := &Static{store: store{}, follower: &follower{}, coverage: map[routing.Ref]routing.Coverage{}}
	s.frozen = newFrozen(s.follower.tellAll)
	for _, kind := range stored {
		s.store[kind] = newObjects(indexesFor(kind))
	}
	s.store.index(usersIndex())
	for _, kind := range routing.OptionalKinds() {
		s.coverage[routing.Ref{Kind: kind}] = notWanted
	}
	for _, kind := range kinds {
		s.coverage[routing.Ref{Kind: kind}] = routing.Coverage{Read: true}
	}
	return s
}

// Apply adds the object or replaces the one of that name. A kind that is not
// read here, such as a Deployment, is accepted and has no effect. The object
// must not be modified afterwards.
func (s *Static) Apply(obj metav1.Object) error {
	kind, ok := kindOf(obj)
	if !ok || isHelmRelease(obj) {
		return nil
	}
	slim, err := slimmer(nil).slim(obj)
	if err != nil {
		return err
	}
	kept, ok := slim.(kept)
	if !ok {
		return fmt.Errorf("cannot keep an object of type %T", slim)
	}
	if ing, ok := kept.(*networkingv1.Ingress); ok {
		// Rules of a policy may select by any label.
		ing.Labels = obj.GetLabels()
	}
	before := s.store[kind].put(kept)
	s.frozen.told(s.store, before, kept)
	s.follower.tell(s.store, s.settings, before, kept)
	return nil
}

func (s *Static) settings() routing.Settings { return s.Settings }

// Get returns what is kept of the object of that kind, namespace and name, nil where
// there is none.
func (s *Static) Get(obj metav1.Object) any {
	kind, ok := kindOf(obj)
	if !ok {
		return nil
	}
	return s.store[kind].get(keyOf(obj.GetNamespace(), obj.GetName()))
}

// Cover says whether a kind was read: everywhere, or in one namespace where the
// Ref names it. What is said of Secrets holds for what they hold as well.
func (s *Static) Cover(ref routing.Ref, coverage routing.Coverage) {
	s.coverage[ref] = coverage
	if ref.Kind == routing.Secrets {
		ref.Kind = routing.SecretData
		s.coverage[ref] = coverage
	}
}

// Has reports whether there is any object of the kind.
func (s *Static) Has(kind routing.Kind) bool {
	return s.store[kind].size() > 0
}

// DefaultClass returns the IngressClass that the API server fills in, nil where
// there is none.
func (s *Static) DefaultClass() *routing.IngressClass {
	var chosen *routing.IngressClass
	each(s, routing.IngressClasses, func(class *routing.IngressClass) {
		if class.Default && (chosen == nil || class.DefaultsBefore(chosen)) {
			chosen = class
		}
	})
	return chosen
}

// Delete removes the object of that kind, namespace and name, if it is there.
func (s *Static) Delete(obj metav1.Object) error {
	kind, ok := kindOf(obj)
	if !ok {
		return nil
	}
	existing := s.store[kind].remove(keyOf(obj.GetNamespace(), obj.GetName()))
	if existing == nil {
		return nil
	}
	s.frozen.told(s.store, existing, nil)
	s.follower.tell(s.store, s.settings, existing, nil)
	return nil
}

// Snapshot returns the cluster around the references. The objects given are the
// truth, so there is nothing to confirm.
func (s *Static) Snapshot(_ context.Context, refs routing.References, _ []routing.Ref) (*routing.Snapshot, error) {
	return s.Around(refs), nil
}

// UsersOf returns the Ingresses that name the Service, Secret or IngressClass, sorted
// by namespace and name. The error is always nil.
func (s *Static) UsersOf(ref routing.Ref) ([]*networkingv1.Ingress, error) {
	return s.store.users(ref), nil
}

// Around returns the cluster around the references.
func (s *Static) Around(refs routing.References) *routing.Snapshot {
	snap := s.store.snapshot(refs, s.Settings, s.Now, maps.Clone(s.coverage))
	for s.frozen.judge(s.store, s.settings, maxJudged) {
	}
	snap.Frozen = s.frozen.all()
	return snap
}

// Ingresses returns the Ingresses of a namespace, in the order of their names.
func (s *Static) Ingresses(namespace string) []*networkingv1.Ingress {
	return s.store.ingressesOf(namespace)
}

// Everything returns a Snapshot of all objects, and all Ingresses in the order in
// which ingress-nginx takes them up, oldest first.
func (s *Static) Everything() (*routing.Snapshot, []*networkingv1.Ingress) {
	snap := s.Around(routing.References{})
	each(s, routing.Services, func(svc *routing.Service) {
		snap.Services[routing.Key{Namespace: svc.Namespace, Name: svc.Name}] = svc
		at := routing.Ref{Kind: routing.Services, Namespace: svc.Namespace}
		if snap.Names == nil {
			snap.Names = map[routing.Ref][]string{}
		}
		snap.Names[at] = append(snap.Names[at], svc.Name)
	})
	each(s, routing.EndpointSlices, func(slice *routing.EndpointSlice) {
		if slice.Service != "" {
			key := routing.Key{Namespace: slice.Namespace, Name: slice.Service}
			snap.Slices[key] = append(snap.Slices[key], slice)
		}
	})
	each(s, routing.Secrets, func(facts *routing.SecretFacts) {
		snap.Secrets[routing.Key{Namespace: facts.Namespace, Name: facts.Name}] = facts
	})
	each(s, routing.ConfigMaps, func(configMap *routing.ConfigMap) {
		snap.ConfigMaps[routing.Key{Namespace: configMap.Namespace, Name: configMap.Name}] = configMap
	})
	each(s, routing.Namespaces, func(ns *routing.Namespace) { snap.Namespaces[ns.Name] = ns })
	var ingresses []*networkingv1.Ingress
	each(s, routing.Ingresses, func(ing *networkingv1.Ingress) { ingresses = append(ingresses, ing) })
	slices.SortFunc(ingresses, func(a, b *networkingv1.Ingress) int {
		if routing.Older(a, b) {
			return -1
		}
		return 1
	})
	for _, ing := range ingresses {
		for _, host := range routing.ReferencesOf(ing).Hosts {
			snap.Sharing[host] = append(snap.Sharing[host], ing)
		}
	}
	return snap, ingresses
}

// each calls do for every object of a kind, in the order of their names.
func each[T any](s *Static, kind routing.Kind, do func(*T)) {
	for _, key := range slices.SortedFunc(slices.Values(s.store[kind].keys()), routing.Key.Compare) {
		if obj := get[T](s.store, kind, key); obj != nil {
			do(obj)
		}
	}
}

func kindOf(obj metav1.Object) (routing.Kind, bool) {
	switch obj.(type) {
	case *networkingv1.Ingress:
		return routing.Ingresses, true
	case *networkingv1.IngressClass:
		return routing.IngressClasses, true
	case *corev1.Service:
		return routing.Services, true
	case *discoveryv1.EndpointSlice:
		return routing.EndpointSlices, true
	case *corev1.Secret:
		return routing.Secrets, true
	case *corev1.Namespace:
		return routing.Namespaces, true
	case *corev1.ConfigMap:
		return routing.ConfigMaps, true
	case *corev1.Pod:
		return routing.Pods, true
	case *networkingv1.NetworkPolicy:
		return routing.NetworkPolicies, true
	}
	return "", false
}

// helmRelease is the type of Secret that ingress-nginx does not see, and that no
// Ingress is meant to use.
const helmRelease = "helm.sh/release.v1"

func isHelmRelease(obj metav1.Object) bool {
	secret, ok := obj.(*corev1.Secret)
	return ok && secret.Type == helmRelease
}

// Decode reads Kubernetes objects from YAML or JSON documents, strictly: an
// unknown or duplicate field is an error. Empty documents are skipped. An error
// names the document by its number, from 1.
func Decode(r io.Reader) ([]runtime.Object, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	var objs []runtime.Object
	for n := 1; ; n++ {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if isBlank(doc) {
			continue
		}
		obj, err := DecodeDocument(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		objs = append(objs, obj)
	}
}

// DecodeDocument reads one object from one YAML or JSON document, strictly.
func DecodeDocument(doc []byte) (runtime.Object, error) {
	obj, _, err := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode(doc, nil, nil)
	if err != nil {
		return nil, err
	}
	complete(obj)
	return obj, nil
}

func isBlank(doc []byte) bool {
	data, err := utilyaml.ToJSON(doc)
	return err == nil && string(data) == "null"
}

// complete fills in what the API server defaults and what checks rely on: the
// targetPort and protocol of Service ports, stringData of Secrets.
func complete(obj runtime.Object) {
	switch o := obj.(type) {
	case *corev1.Service:
		for i := range o.Spec.Ports {
			p := &o.Spec.Ports[i]
			if p.Protocol == "" {
				p.Protocol = corev1.ProtocolTCP
			}
			if p.TargetPort.IntVal == 0 && p.TargetPort.StrVal == "" {
				p.TargetPort.IntVal = p.Port
			}
		}
	case *corev1.Secret:
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[k] = []byte(v)
		}
		o.StringData = nil
	case *discoveryv1.EndpointSlice:
		for i := range o.Ports {
			if o.Ports[i].Protocol == nil {
				tcp := corev1.ProtocolTCP
				o.Ports[i].Protocol = &tcp
			}
			if o.Ports[i].Name == nil {
				o.Ports[i].Name = new(string)
			}
		}
	}
}
