// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"reflect"
	"testing"
)

// A Snapshot that was changed is another one: that which it was made of is shared.
func TestChangedSnapshotsLeaveTheFirstAsItIs(t *testing.T) {
	web, other := Key{"app", "web"}, Key{"app", "other"}
	make := func() *Snapshot {
		return &Snapshot{
			Classes:  map[string]*IngressClass{"nginx": {}, "other": {}},
			Services: map[Key]*Service{web: {}, other: {}},
			Slices:   map[Key][]*EndpointSlice{web: {{}}, other: {{}}},
			Secrets:  map[Key]*SecretFacts{web: {}, other: {}},
			Pods:     map[Key]*ServicePods{other: {}},
			Coverage: map[Ref]Coverage{
				{Kind: IngressClasses}: {Read: true}, {Kind: Services}: {Read: true}, {Kind: EndpointSlices}: {Read: true},
				{Kind: Secrets}: {Read: true}, {Kind: SecretData}: {Read: true}, {Kind: Pods}: notRead,
			},
		}
	}
	service := func(s *Snapshot, key Key) Known { _, known := s.Service(key.Namespace, key.Name); return known }
	slices := func(s *Snapshot, key Key) Known { _, known := s.SlicesOf(key.Namespace, key.Name); return known }
	secret := func(s *Snapshot, key Key) Known { _, known := s.Secret(key.Namespace, key.Name); return known }
	pods := func(s *Snapshot, key Key) Known { _, known := s.PodsOf(key.Namespace, key.Name); return known }
	class := func(name string) func(*Snapshot, Key) Known {
		return func(s *Snapshot, _ Key) Known { _, known := s.Class(name); return known }
	}
	for name, tc := range map[string]struct {
		change func(*Snapshot) *Snapshot
		look   func(*Snapshot, Key) Known
		want   Known
	}{
		"a Service is gone":              {func(s *Snapshot) *Snapshot { return s.WithService(web, nil) }, service, Absent},
		"its slices are gone":            {func(s *Snapshot) *Snapshot { return s.WithService(web, nil) }, slices, Absent},
		"a Service is another":           {func(s *Snapshot) *Snapshot { return s.WithService(web, &Service{}) }, service, Present},
		"its slices stay":                {func(s *Snapshot) *Snapshot { return s.WithService(web, &Service{}) }, slices, Present},
		"slices are gone":                {func(s *Snapshot) *Snapshot { return s.WithoutSlices(web) }, slices, Absent},
		"slices are not known":           {func(s *Snapshot) *Snapshot { return s.WithSlicesUnknown(web) }, slices, Unread},
		"Pods are known":                 {func(s *Snapshot) *Snapshot { return s.WithPods(web, &ServicePods{}) }, pods, Present},
		"a Secret is gone":               {func(s *Snapshot) *Snapshot { return s.WithSecret(web, nil) }, secret, Absent},
		"a class is gone":                {func(s *Snapshot) *Snapshot { return s.WithoutClass("nginx") }, class("nginx"), Absent},
		"another class stays":            {func(s *Snapshot) *Snapshot { return s.WithoutClass("nginx") }, class("other"), Present},
		"a Secret where there were none": {func(s *Snapshot) *Snapshot { s.Secrets = nil; return s.WithSecret(web, &SecretFacts{}) }, secret, Present},
	} {
		t.Run(name, func(t *testing.T) {
			first := make()
			changed := tc.change(first)
			if got := tc.look(changed, web); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if before := make(); first.Secrets != nil && !reflect.DeepEqual(first, before) {
				t.Errorf("the first Snapshot has changed: %+v", first)
			}
			for what, look := range map[string]func(*Snapshot, Key) Known{"Service": service, "slices": slices} {
				if got := look(changed, other); got != Present {
					t.Errorf("the other %s: got %v", what, got)
				}
			}
		})
	}
}

var notRead = Coverage{Chosen: true}

// What a change makes unknown is no reason for no verdict.
func TestUnknownSlicesAreNotMissed(t *testing.T) {
	s := (&Snapshot{Coverage: map[Ref]Coverage{{Kind: EndpointSlices}: {Read: true}}}).WithSlicesUnknown(Key{"app", "web"})
	s = s.Observe(func(ref Ref) { t.Errorf("missed %v", ref) })
	if _, known := s.SlicesOf("app", "web"); known != Unread {
		t.Errorf("got %v", known)
	}
}
