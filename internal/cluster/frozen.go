// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

// maxJudged is how many hosts are judged at a time: before a Snapshot is made, or by
// the goroutine that judges the rest.
const maxJudged = 100

// frozen knows which Ingresses keep ingress-nginx from applying anything, by host.
// An Ingress that changes marks its hosts; they are judged when a Snapshot is made,
// or in the background. The work is proportional to the Ingresses of these hosts,
// and where nothing is frozen nothing is kept.
//
// A change of the settings of a controller marks all hosts. One of an IngressClass
// marks nothing: the next change of an Ingress of the host shows it. Nor does a change
// of an Ingress that shares but a Service.
type frozen struct {
	// judging is held from the choice of a host until its result is noted, so that an
	// older result never replaces a newer one. It is taken before mu.
	judging sync.Mutex

	mu     sync.Mutex
	dirty  map[string]struct{}
	byHost map[string][]routing.Frozen
	// list is all of byHost, nil where that changed since. It is never modified, as
	// Snapshots share it.
	list []routing.Frozen
	// marked has an element when there are dirty hosts.
	marked chan struct{}
	// onChange is called under mu when what is known changed.
	onChange func()
}

func newFrozen(onChange func()) *frozen {
	return &frozen{marked: make(chan struct{}, 1), onChange: onChange}
}

// handler marks what events are about.
func (f *frozen) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f.changed(nil, ingressOf(obj)) },
		UpdateFunc: func(before, after any) { f.changed(ingressOf(before), ingressOf(after)) },
		DeleteFunc: func(obj any) { f.changed(ingressOf(obj), nil) },
	}
}

func ingressOf(obj any) *networkingv1.Ingress {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	ing, _ := obj.(*networkingv1.Ingress)
	return ing
}

// changed marks the hosts of an Ingress that changed; either may be nil.
func (f *frozen) changed(before, after *networkingv1.Ingress) {
	if before != nil && after != nil && equality.Semantic.DeepEqual(before.Spec, after.Spec) &&
		maps.Equal(before.Annotations, after.Annotations) && before.UID == after.UID &&
		(before.DeletionTimestamp == nil) == (after.DeletionTimestamp == nil) && before.CreationTimestamp.Equal(&after.CreationTimestamp) {
		// Most updates are of the status.
		return
	}
	var hosts []string
	for _, ing := range []*networkingv1.Ingress{before, after} {
		if ing != nil {
			hosts = append(hosts, namedHosts(ing)...)
		}
	}
	f.mark(hosts)
}

// mark marks hosts, which are judged later.
func (f *frozen) mark(hosts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirty == nil {
		f.dirty = make(map[string]struct{}, len(hosts))
	}
	for _, host := range hosts {
		f.dirty[host] = struct{}{}
	}
	f.wake()
}

func (f *frozen) wake() {
	select {
	case f.marked <- struct{}{}:
	default:
	}
}

// next takes at most so many dirty hosts.
func (f *frozen) next(most int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.dirty) == 0 {
		return nil
	}
	hosts := make([]string, 0, min(most, len(f.dirty)))
	for host := range f.dirty {
		if len(hosts) == most {
			break
		}
		hosts = append(hosts, host)
		delete(f.dirty, host)
	}
	if len(f.dirty) == 0 {
		// A map never shrinks.
		f.dirty = nil
	}
	return hosts
}

func (f *frozen) isDirty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dirty) > 0
}

// judge judges at most so many dirty hosts and reports whether there are more. It asks
// for the settings after it has chosen the hosts, as a change of them marks hosts.
func (f *frozen) judge(s store, settings func() routing.Settings, most int) bool {
	if !f.isDirty() {
		return false
	}
	f.judging.Lock()
	defer f.judging.Unlock()
	hosts := f.next(most)
	if len(hosts) == 0 {
		return false
	}
	snap := s.classes(settings())
	for _, host := range hosts {
		f.note(host, s.frozenBy(snap, host))
	}
	return f.isDirty()
}

// note replaces what is known of a host.
func (f *frozen) note(host string, found []routing.Frozen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(found, f.byHost[host]) {
		return
	}
	f.onChange()
	f.list = nil
	if len(found) == 0 {
		delete(f.byHost, host)
		return
	}
	if f.byHost == nil {
		f.byHost = map[string][]routing.Frozen{}
	}
	f.byHost[host] = found
}

// all returns what is known. It must not be modified.
func (f *frozen) all() []routing.Frozen {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list == nil && len(f.byHost) > 0 {
		for _, found := range f.byHost {
			f.list = append(f.list, found...)
		}
		routing.SortFrozen(f.list)
	}
	return f.list
}

// keep judges dirty hosts until ctx is done.
func (f *frozen) keep(ctx context.Context, s store, settings func() routing.Settings) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.marked:
		}
		// One at a time, as a Snapshot waits for it.
		for ctx.Err() == nil && f.judge(s, settings, 1) {
		}
	}
}

// classes is a Snapshot of the IngressClasses alone.
func (s store) classes(settings routing.Settings) *routing.Snapshot {
	snap := &routing.Snapshot{
		Settings: settings,
		Classes:  map[string]*routing.IngressClass{},
		Coverage: map[routing.Ref]routing.Coverage{{Kind: routing.IngressClasses}: {Read: true}},
	}
	for _, obj := range s[routing.IngressClasses].List() {
		if class, ok := obj.(*routing.IngressClass); ok {
			snap.Classes[class.Name] = class
		}
	}
	return snap
}

// frozenBy judges one host. Where something is amiss, it is judged again with the
// Ingresses that share an upstream, which may decide whether there is a location. A
// panic, which in the background would end the process, is logged and counts as
// nothing found.
func (s store) frozenBy(snap *routing.Snapshot, host string) (found []routing.Frozen) {
	defer func() {
		if p := recover(); p != nil {
			utilruntime.HandleError(fmt.Errorf("judging host %q for what freezes the controller: panic: %v", host, p))
			found = nil
		}
	}()
	sharing := indexed[networkingv1.Ingress](s, routing.Ingresses, byHost, host)
	if len(sharing) == 0 {
		return nil
	}
	if found = routing.FrozenBy(snap, host, sharing); len(found) == 0 {
		return nil
	}
	taken, all := map[*networkingv1.Ingress]bool{}, sharing
	for _, ing := range sharing {
		taken[ing] = true
	}
	upstreams := map[string]bool{}
	for _, ing := range sharing {
		for _, name := range routing.ReferencesOf(ing).Upstreams {
			if upstreams[name] {
				continue
			}
			upstreams[name] = true
			for _, other := range indexed[networkingv1.Ingress](s, routing.Ingresses, byUpstream, name) {
				if !taken[other] {
					taken[other] = true
					all = append(all, other)
				}
			}
		}
	}
	return routing.FrozenBy(snap, host, all)
}
