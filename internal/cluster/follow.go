// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"reflect"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

// byLookup is the index of Ingresses by the hosts whose Ingresses their Snapshot
// holds. It is kept only for those who follow.
const byLookup = "lookup"

// followIndexes are the indexes of Ingresses that follow needs on top.
func followIndexes() map[string]indexFunc {
	return map[string]indexFunc{
		byLookup: ofIngress(func(ing *networkingv1.Ingress) []string {
			refs := routing.ReferencesOf(ing)
			return append(refs.Hosts, refs.Near...)
		}),
		byNamespace: ofIngress(func(ing *networkingv1.Ingress) []string { return []string{ing.Namespace} }),
	}
}

// follower is who wants to know of what changes. The zero value wants nothing.
type follower struct {
	mu sync.Mutex
	// changed is told of an Ingress whose Snapshot is another now, all that those of
	// any Ingress may be. Neither may block.
	changed func(routing.Key)
	all     func()
}

func (f *follower) set(changed func(routing.Key), all func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed, f.all = changed, all
}

func (f *follower) tellAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all != nil {
		f.all()
	}
}

// tell tells of an object that was replaced, made (before is nil) or deleted (after is
// nil).
func (f *follower) tell(s store, settings func() routing.Settings, before, after any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil || sameObject(before, after) {
		return
	}
	keys, all := s.affected(settings(), before, after)
	if all {
		f.all()
		return
	}
	for key := range keys {
		f.changed(key)
	}
}

// sameObject reports whether two versions of a kept object differ in nothing that is
// read.
func sameObject(before, after any) bool {
	if before == nil || after == nil {
		return false
	}
	return reflect.DeepEqual(withoutVersion(before), withoutVersion(after))
}

// withoutVersion is a copy without what changes with every write.
func withoutVersion(obj any) any {
	v := reflect.ValueOf(obj)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return obj
	}
	c := reflect.New(v.Elem().Type())
	c.Elem().Set(v.Elem())
	if o, ok := c.Interface().(interface{ SetResourceVersion(string) }); ok {
		o.SetResourceVersion("")
	}
	return c.Interface()
}

// affected returns the Ingresses whose Snapshot holds the object, as it was or as it
// is, or that all may.
func (s store) affected(settings routing.Settings, before, after any) (map[routing.Key]struct{}, bool) {
	keys := map[routing.Key]struct{}{}
	add := func(ingresses []*networkingv1.Ingress) {
		for _, ing := range ingresses {
			keys[keyOfIngress(ing)] = struct{}{}
		}
	}
	for _, obj := range []any{before, after} {
		switch o := obj.(type) {
		case *networkingv1.Ingress:
			keys[keyOfIngress(o)] = struct{}{}
			add(s.around([]*networkingv1.Ingress{o}))
		case *routing.IngressClass:
			// Whom a class concerns is not seen by its name alone.
			return nil, true
		case *routing.Service:
			add(s.naming(routing.Ref{Kind: routing.Services, Namespace: o.Namespace, Name: o.Name}))
		case *routing.EndpointSlice:
			add(s.naming(routing.Ref{Kind: routing.Services, Namespace: o.Namespace, Name: o.Service}))
		case *routing.SecretFacts:
			// The certificate of one Ingress may be that of a host of another.
			users := s.naming(routing.Ref{Kind: routing.Secrets, Namespace: o.Namespace, Name: o.Name})
			add(users)
			add(s.around(users))
		case *routing.Namespace:
			if slices.ContainsFunc(settings.ControllerPods, func(p routing.ControllerPods) bool { return p.Namespace == o.Name }) {
				return nil, true
			}
			add(indexed[networkingv1.Ingress](s, routing.Ingresses, byNamespace, o.Name))
		case *routing.NetworkPolicy:
			add(indexed[networkingv1.Ingress](s, routing.Ingresses, byNamespace, o.Namespace))
		}
	}
	return keys, false
}

// naming returns the Ingresses that name the object, those being deleted as well.
func (s store) naming(ref routing.Ref) []*networkingv1.Ingress {
	if ref.Kind == routing.IngressClasses {
		return indexed[networkingv1.Ingress](s, routing.Ingresses, byClass, ref.Name)
	}
	return indexed[networkingv1.Ingress](s, routing.Ingresses, byObject, objectKey(ref))
}

// around returns the Ingresses whose Snapshot holds one of those given because of a
// host or an upstream.
func (s store) around(ingresses []*networkingv1.Ingress) []*networkingv1.Ingress {
	var found []*networkingv1.Ingress
	asked := map[string]map[string]bool{byLookup: {}, byUpstream: {}}
	ask := func(index string, values []string) {
		for _, value := range values {
			if !asked[index][value] {
				asked[index][value] = true
				found = append(found, indexed[networkingv1.Ingress](s, routing.Ingresses, index, value)...)
			}
		}
	}
	for _, ing := range ingresses {
		ask(byLookup, namedHosts(ing))
		ask(byUpstream, routing.ReferencesOf(ing).Upstreams)
	}
	return found
}

// Ingress returns the Ingress of that name from the cache, nil where there is none.
func (c *Cluster) Ingress(key routing.Key) *networkingv1.Ingress {
	return c.store.ingress(key)
}

// IngressKeys names all Ingresses in the cache, in no order.
func (c *Cluster) IngressKeys() []routing.Key {
	return c.store[routing.Ingresses].keys()
}

func (s store) ingress(key routing.Key) *networkingv1.Ingress {
	return get[networkingv1.Ingress](s, routing.Ingresses, key)
}

// Follow waits until everything without which nothing can be judged has been read.
// Then it calls everything once, and until ctx is done it calls changed for each Ingress
// whose Snapshot is another than before, and everything when those of any may be:
// when an IngressClass, the settings of a controller or what keeps a controller from
// applying anything changed, or a kind could be read at last. It tells nothing of
// what is read live. Neither function may block, and there is one follower at a
// time. The Cluster must have been made with Config.Followed.
func (c *Cluster) Follow(ctx context.Context, changed func(routing.Key), everything func()) {
	if !cache.WaitForCacheSync(ctx.Done(), func() bool { return c.Ready() == nil }) {
		return
	}
	c.follower.set(changed, everything)
	defer c.follower.set(nil, nil)
	var all []*watched
	for _, of := range c.kinds {
		all = append(all, of...)
	}
	everything()
	var late sync.WaitGroup
	defer late.Wait()
	for _, w := range all {
		if !w.informer.HasSynced() {
			late.Go(func() {
				if cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
					everything()
				}
			})
		}
	}
	<-ctx.Done()
}

// Ingress returns the Ingress of that name, nil where there is none.
func (s *Static) Ingress(key routing.Key) *networkingv1.Ingress {
	return s.store.ingress(key)
}

// IngressKeys names all Ingresses, in no order.
func (s *Static) IngressKeys() []routing.Key {
	return s.store[routing.Ingresses].keys()
}

// Follow is what it is of a Cluster, for objects that are applied and deleted by the
// same goroutine. It returns at once, having called all, and is for one follower, for
// good.
func (s *Static) Follow(_ context.Context, changed func(routing.Key), all func()) {
	s.store.index(followIndexes())
	s.follower.set(changed, all)
	all()
}
