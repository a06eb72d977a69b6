// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// The indexes.
const (
	byNamespace = "namespace"
	byService   = "service"  // EndpointSlices by namespace and Service
	byHost      = "host"     // Ingresses by the hosts of their rules, "" for a rule without one, their aliases, and CatchAllHost
	byUpstream  = "upstream" // Ingresses by the names of their backends' upstreams
	byClass     = "class"    // Ingresses by the IngressClass that they name
	byObject    = "object"   // Ingresses by the Services and Secrets that they name, as objectKey has it
)

// indexesFor are the indexes that a kind is always kept with.
func indexesFor(kind routing.Kind) map[string]indexFunc {
	switch kind {
	case routing.Ingresses:
		return map[string]indexFunc{byHost: ofIngress(namedHosts), byUpstream: ofIngress(func(ing *networkingv1.Ingress) []string {
			return routing.ReferencesOf(ing).Upstreams
		}), byClass: ofIngress(func(ing *networkingv1.Ingress) []string {
			if name := routing.ClassNameOf(ing); name != "" {
				return []string{name}
			}
			return nil
		})}
	case routing.EndpointSlices:
		return map[string]indexFunc{byService: func(obj any) []string {
			slice, ok := obj.(*routing.EndpointSlice)
			if !ok || slice.Service == "" {
				return nil
			}
			return []string{slice.Namespace + "/" + slice.Service}
		}}
	case routing.Services, routing.Secrets, routing.Pods, routing.NetworkPolicies:
		return map[string]indexFunc{byNamespace: func(obj any) []string {
			o, ok := obj.(kept)
			if !ok {
				return nil
			}
			return []string{o.GetNamespace()}
		}}
	}
	return nil
}

// usersIndex is the index of Ingresses that users needs.
func usersIndex() map[string]indexFunc {
	return map[string]indexFunc{byObject: ofIngress(namedObjects)}
}

func ofIngress(values func(*networkingv1.Ingress) []string) indexFunc {
	return func(obj any) []string {
		ing, ok := obj.(*networkingv1.Ingress)
		if !ok {
			return nil
		}
		return values(ing)
	}
}

// namedHosts are the hosts that an Ingress names, or CatchAllHost.
func namedHosts(ing *networkingv1.Ingress) []string {
	hosts := append(routing.ReferencesOf(ing).Hosts, routing.AliasesOf(ing)...)
	if routing.IsCatchAll(ing) {
		hosts = append(hosts, routing.CatchAllHost)
	}
	return hosts
}

// namedObjects are the keys of the Services and Secrets that an Ingress names.
func namedObjects(ing *networkingv1.Ingress) []string {
	refs := routing.ReferencesOf(ing)
	var keys []string
	for _, name := range refs.Services {
		keys = append(keys, objectKey(routing.Ref{Kind: routing.Services, Namespace: ing.Namespace, Name: name}))
	}
	for _, name := range refs.Secrets {
		keys = append(keys, objectKey(routing.Ref{Kind: routing.Secrets, Namespace: ing.Namespace, Name: name}))
	}
	return keys
}

func objectKey(ref routing.Ref) string {
	return string(ref.Kind) + "/" + ref.Namespace + "/" + ref.Name
}

// users returns the Ingresses that name the object and are not being deleted, sorted
// by namespace and name.
func (s store) users(ref routing.Ref) []*networkingv1.Ingress {
	users := slices.DeleteFunc(s.naming(ref),
		func(ing *networkingv1.Ingress) bool { return ing.DeletionTimestamp != nil })
	slices.SortFunc(users, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return users
}

// store is the objects that Snapshots are made of, by kind.
type store map[routing.Kind]*objects

// index adds indexes of Ingresses.
func (s store) index(indexes map[string]indexFunc) {
	for name, of := range indexes {
		s[routing.Ingresses].addIndex(name, of)
	}
}

// get returns the object of that name, or nil.
func get[T any](s store, kind routing.Kind, at routing.Key) *T {
	t, _ := s[kind].get(at).(*T)
	return t
}

func keyOf(namespace, name string) routing.Key {
	return routing.Key{Namespace: namespace, Name: name}
}

func keyOfIngress(ing *networkingv1.Ingress) routing.Key {
	return keyOf(ing.Namespace, ing.Name)
}

// ingressesOf returns the Ingresses of a namespace, in the order of their names.
func (s store) ingressesOf(namespace string) []*networkingv1.Ingress {
	keys := slices.DeleteFunc(s[routing.Ingresses].keys(), func(at routing.Key) bool { return at.Namespace != namespace })
	slices.SortFunc(keys, routing.Key.Compare)
	found := make([]*networkingv1.Ingress, 0, len(keys))
	for _, at := range keys {
		if ing := s.ingress(at); ing != nil {
			found = append(found, ing)
		}
	}
	return found
}

// maxNames bounds the names that are looked through for a suggestion.
const maxNames = 1000

// snapshot fills a Snapshot with what the references name. The coverage becomes
// part of it.
func (s store) snapshot(refs routing.References, settings routing.Settings, now time.Time, coverage map[routing.Ref]routing.Coverage) *routing.Snapshot {
	snap := &routing.Snapshot{
		Now:             now,
		Settings:        settings,
		Classes:         make(map[string]*routing.IngressClass),
		Services:        make(map[routing.Key]*routing.Service, len(refs.Services)),
		Slices:          make(map[routing.Key][]*routing.EndpointSlice, len(refs.Services)),
		Secrets:         make(map[routing.Key]*routing.SecretFacts, len(refs.Secrets)),
		Sharing:         make(map[string][]*networkingv1.Ingress, len(refs.Hosts)),
		SharingUpstream: make(map[string][]*networkingv1.Ingress, len(refs.Upstreams)),
		Namespaces:      make(map[string]*routing.Namespace, 1),
		ConfigMaps:      make(map[routing.Key]*routing.ConfigMap, len(refs.ConfigMaps)),
		Pods:            make(map[routing.Key]*routing.ServicePods),
		Coverage:        coverage,
	}
	for _, obj := range s[routing.IngressClasses].all() {
		if class, ok := obj.(*routing.IngressClass); ok {
			snap.Classes[class.Name] = class
		}
	}
	for _, name := range refs.Services {
		key := routing.Key{Namespace: refs.Namespace, Name: name}
		if svc := get[routing.Service](s, routing.Services, keyOf(refs.Namespace, name)); svc != nil {
			snap.Services[key] = svc
		} else {
			s.addNames(snap, routing.Services, refs.Namespace)
		}
		if found := indexed[routing.EndpointSlice](s, routing.EndpointSlices, byService, refs.Namespace+"/"+name); len(found) > 0 {
			snap.Slices[key] = found
		}
	}
	for _, name := range refs.Secrets {
		key := routing.Key{Namespace: refs.Namespace, Name: name}
		if facts := get[routing.SecretFacts](s, routing.Secrets, keyOf(refs.Namespace, name)); facts != nil {
			snap.Secrets[key] = facts
		} else {
			s.addNames(snap, routing.Secrets, refs.Namespace)
		}
	}
	for _, name := range refs.ConfigMaps {
		if found := get[routing.ConfigMap](s, routing.ConfigMaps, keyOf(refs.Namespace, name)); found != nil {
			snap.ConfigMaps[routing.Key{Namespace: refs.Namespace, Name: name}] = found
		}
	}
	for _, host := range refs.Hosts {
		snap.Sharing[host] = indexed[networkingv1.Ingress](s, routing.Ingresses, byHost, host)
	}
	for _, host := range refs.Near {
		if found := indexed[networkingv1.Ingress](s, routing.Ingresses, byHost, host); len(found) > 0 {
			snap.Sharing[host] = found
		}
	}
	for _, name := range refs.Upstreams {
		snap.SharingUpstream[name] = indexed[networkingv1.Ingress](s, routing.Ingresses, byUpstream, name)
	}
	s.addCertificates(snap)
	if ns := get[routing.Namespace](s, routing.Namespaces, keyOf("", refs.Namespace)); ns != nil {
		snap.Namespaces[ns.Name] = ns
	}
	s.addPods(snap)
	s.addNetworkPolicies(snap, refs.Namespace)
	return snap
}

// addPods adds the Pods around the Services found, where the store holds Pods.
func (s store) addPods(snap *routing.Snapshot) {
	if !snap.Coverage[routing.Ref{Kind: routing.Pods}].Read {
		return
	}
	for key, svc := range snap.Services {
		if svc.Selecting() {
			snap.Pods[key] = routing.PodsAround(svc, indexed[routing.Pod](s, routing.Pods, byNamespace, key.Namespace))
		}
	}
}

// addNetworkPolicies adds those of the namespace, and the namespaces of the
// controllers that they may admit.
func (s store) addNetworkPolicies(snap *routing.Snapshot, namespace string) {
	if len(snap.Settings.ControllerPods) == 0 {
		return
	}
	snap.NetworkPolicies = map[string][]*routing.NetworkPolicy{
		namespace: indexed[routing.NetworkPolicy](s, routing.NetworkPolicies, byNamespace, namespace),
	}
	for _, pods := range snap.Settings.ControllerPods {
		if ns := get[routing.Namespace](s, routing.Namespaces, keyOf("", pods.Namespace)); ns != nil {
			snap.Namespaces[ns.Name] = ns
		}
	}
}

// addCertificates adds the Secrets of spec.tls of the Ingresses found, which may
// decide the certificate of a host.
func (s store) addCertificates(snap *routing.Snapshot) {
	for _, sharing := range snap.Sharing {
		for _, ing := range sharing {
			for i := range ing.Spec.TLS {
				key := routing.Key{Namespace: ing.Namespace, Name: ing.Spec.TLS[i].SecretName}
				if key.Name == "" || snap.Secrets[key] != nil {
					continue
				}
				if facts := get[routing.SecretFacts](s, routing.Secrets, key); facts != nil {
					snap.Secrets[key] = facts
				}
			}
		}
	}
}

// indexed returns the objects that an index holds under a value.
func indexed[T any](s store, kind routing.Kind, index, value string) []*T {
	var found []*T
	s[kind].each(index, value, func(obj any) {
		if t, ok := obj.(*T); ok {
			found = append(found, t)
		}
	})
	return found
}

// addNames adds the names of a kind in a namespace, once. It is called only
// where a referenced object is missing.
func (s store) addNames(snap *routing.Snapshot, kind routing.Kind, namespace string) {
	at := routing.Ref{Kind: kind, Namespace: namespace}
	if _, done := snap.Names[at]; done {
		return
	}
	var names []string
	s[kind].each(byNamespace, namespace, func(obj any) {
		if o, ok := obj.(kept); ok && len(names) < maxNames {
			names = append(names, o.GetName())
		}
	})
	if snap.Names == nil {
		snap.Names = make(map[routing.Ref][]string)
	}
	snap.Names[at] = names
}

// put sets what a live read found for one object in a Snapshot; obj is nil where
// it does not exist.
func put(snap *routing.Snapshot, ref routing.Ref, obj any) {
	key := routing.Key{Namespace: ref.Namespace, Name: ref.Name}
	switch ref.Kind {
	case routing.IngressClasses:
		set(snap.Classes, ref.Name, obj)
	case routing.Services:
		set(snap.Services, key, obj)
	case routing.Secrets:
		set(snap.Secrets, key, obj)
	case routing.Namespaces:
		set(snap.Namespaces, ref.Name, obj)
	case routing.ConfigMaps:
		set(snap.ConfigMaps, key, obj)
	case routing.Pods:
		set(snap.Pods, key, obj)
	case routing.Ingresses:
		putIngress(snap, ref, obj)
	case routing.EndpointSlices:
		found, _ := obj.([]*routing.EndpointSlice)
		if len(found) == 0 {
			delete(snap.Slices, key)
		} else {
			snap.Slices[key] = found
		}
	}
}

// putIngress replaces an Ingress under the hosts that the Snapshot is about.
func putIngress(snap *routing.Snapshot, ref routing.Ref, obj any) {
	ing, _ := obj.(*networkingv1.Ingress)
	replace := func(in map[string][]*networkingv1.Ingress, names []string) {
		for name, sharing := range in {
			others := slices.DeleteFunc(slices.Clone(sharing), func(other *networkingv1.Ingress) bool {
				return other.Namespace == ref.Namespace && other.Name == ref.Name
			})
			if slices.Contains(names, name) {
				others = append(others, ing)
			}
			in[name] = others
		}
	}
	var hosts, upstreams []string
	if ing != nil {
		hosts, upstreams = namedHosts(ing), routing.ReferencesOf(ing).Upstreams
	}
	replace(snap.Sharing, hosts)
	replace(snap.SharingUpstream, upstreams)
}

func set[K comparable, T any](m map[K]*T, key K, obj any) {
	if t, ok := obj.(*T); ok && t != nil {
		m[key] = t
	} else {
		delete(m, key)
	}
}
