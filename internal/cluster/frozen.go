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
// A change of the settings of a controller marks all hosts, one of an IngressClass
// those that concern an Ingress which names it. Where something is amiss at a host, an
// Ingress that shares an upstream with one of its Ingresses concerns it too.
type frozen struct {
	// judging is held from the choice of a host until its result is noted, so that an
	// older result never replaces a newer one. It is taken before mu.
	judging sync.Mutex

	mu     sync.Mutex
	dirty  map[string]struct{}
	byHost map[string][]routing.Frozen
	// upstreams are those that count for a host, where something is amiss there, and
	// byUpstream are these hosts by upstream.
	upstreams  map[string][]string
	byUpstream map[string]map[string]struct{}
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

// told marks what a change of an Ingress or of an IngressClass is about. Before is nil for
// a new one, after for one that is gone.
func (f *frozen) told(s store, before, after any) {
	wasIngress, _ := before.(*networkingv1.Ingress)
	isIngress, _ := after.(*networkingv1.Ingress)
	if wasIngress != nil || isIngress != nil {
		f.changed(wasIngress, isIngress)
	}
	wasClass, _ := before.(*routing.IngressClass)
	isClass, _ := after.(*routing.IngressClass)
	if wasClass != nil || isClass != nil {
		f.classChanged(s, wasClass, isClass)
	}
}

// classChanged marks the hosts of the Ingresses that name the class; either may be nil.
func (f *frozen) classChanged(s store, before, after *routing.IngressClass) {
	if before != nil && after != nil && before.Controller == after.Controller {
		return
	}
	var hosts []string
	for _, class := range []*routing.IngressClass{before, after} {
		if class == nil {
			continue
		}
		for _, ing := range s.naming(routing.Ref{Kind: routing.IngressClasses, Name: class.Name}) {
			hosts = append(hosts, f.hostsOf(ing)...)
		}
	}
	f.mark(hosts)
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
			hosts = append(hosts, f.hostsOf(ing)...)
		}
	}
	f.mark(hosts)
}

// hostsOf are the hosts that an Ingress names, and those where something is amiss and one
// of its upstreams counts.
func (f *frozen) hostsOf(ing *networkingv1.Ingress) []string {
	hosts := namedHosts(ing)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.byUpstream) == 0 {
		return hosts
	}
	for _, upstream := range routing.ReferencesOf(ing).Upstreams {
		hosts = slices.AppendSeq(hosts, maps.Keys(f.byUpstream[upstream]))
	}
	return hosts
}

// rest notes which upstreams count for a host.
func (f *frozen) rest(host string, upstreams []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, upstream := range f.upstreams[host] {
		if delete(f.byUpstream[upstream], host); len(f.byUpstream[upstream]) == 0 {
			delete(f.byUpstream, upstream)
		}
	}
	if len(upstreams) == 0 {
		if delete(f.upstreams, host); len(f.upstreams) == 0 {
			// A map never shrinks.
			f.upstreams, f.byUpstream = nil, nil
		}
		return
	}
	if f.upstreams == nil {
		f.upstreams, f.byUpstream = map[string][]string{}, map[string]map[string]struct{}{}
	}
	f.upstreams[host] = upstreams
	for _, upstream := range upstreams {
		if f.byUpstream[upstream] == nil {
			f.byUpstream[upstream] = map[string]struct{}{}
		}
		f.byUpstream[upstream][host] = struct{}{}
	}
}

// mark marks hosts, which are judged later.
func (f *frozen) mark(hosts []string) {
	if len(hosts) == 0 {
		return
	}
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
		f.note(host, s.frozenBy(snap, host, f.rest))
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
	for _, obj := range s[routing.IngressClasses].all() {
		if class, ok := obj.(*routing.IngressClass); ok {
			snap.Classes[class.Name] = class
		}
	}
	return snap
}

// frozenBy judges one host. Where something is amiss, it is judged again with the
// Ingresses that share an upstream, which may decide whether there is a location. Which
// upstreams these are is told to rest before, so that no change is missed. A panic,
// which in the background would end the process, is logged and counts as nothing found.
func (s store) frozenBy(snap *routing.Snapshot, host string, rest func(host string, upstreams []string)) (found []routing.Frozen) {
	defer func() {
		if p := recover(); p != nil {
			utilruntime.HandleError(fmt.Errorf("judging host %q for what freezes the controller: panic: %v", host, p))
			found = nil
		}
	}()
	sharing := indexed[networkingv1.Ingress](s, routing.Ingresses, byHost, host)
	if len(sharing) > 0 {
		found = routing.FrozenBy(snap, host, sharing)
	}
	if len(found) == 0 {
		rest(host, nil)
		return nil
	}
	taken, all := map[*networkingv1.Ingress]bool{}, sharing
	var upstreams []string
	for _, ing := range sharing {
		taken[ing] = true
		upstreams = append(upstreams, routing.ReferencesOf(ing).Upstreams...)
	}
	slices.Sort(upstreams)
	upstreams = slices.Compact(upstreams)
	rest(host, upstreams)
	for _, name := range upstreams {
		for _, other := range indexed[networkingv1.Ingress](s, routing.Ingresses, byUpstream, name) {
			if !taken[other] {
				taken[other] = true
				all = append(all, other)
			}
		}
	}
	return routing.FrozenBy(snap, host, all)
}
