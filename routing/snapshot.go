// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// Known is what a Snapshot can say about an object.
type Known int

// Unread is the zero value on purpose: nothing may be concluded from an object
// that nobody looked for.
const (
	Unread  Known = iota // not read, or reading it failed: nothing may be concluded
	Absent               // read, and it does not exist
	Present              // read, and here it is
)

// Key names a namespaced object.
type Key struct {
	Namespace string
	Name      string
}

// Compare orders by namespace, then by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}

// Snapshot is the cluster around one Ingress, as data. It holds only the
// objects that [ReferencesOf] names, and Coverage says which of them were
// looked for: only there does a missing key mean that the object does not
// exist.
//
// A Snapshot is filled by its maker and is read-only afterwards. It may be read
// by several goroutines at once.
type Snapshot struct {
	// Now is the time at which the Ingress is judged.
	Now time.Time
	// Settings is what the operator says about the controllers.
	Settings Settings

	// Classes holds all IngressClasses of the cluster by name.
	Classes map[string]*IngressClass
	// Services holds the Services referred to.
	Services map[Key]*Service
	// Slices holds the EndpointSlices of those Services, by Service.
	Slices map[Key][]*EndpointSlice
	// Secrets holds facts about the Secrets referred to.
	Secrets map[Key]*SecretFacts
	// ConfigMaps holds the ConfigMaps referred to.
	ConfigMaps map[Key]*ConfigMap
	// Sharing holds all Ingresses with a rule or an alias for one of the hosts referred
	// to or near them, by host; the host of a rule without one is "".
	Sharing map[string][]*networkingv1.Ingress
	// SharingUpstream holds all Ingresses with a backend of one of the upstreams
	// referred to, by the upstream's name.
	SharingUpstream map[string][]*networkingv1.Ingress
	// Frozen says which Ingresses of the whole cluster keep ingress-nginx from applying
	// anything now, sorted; it may be incomplete for a moment. It is shared between
	// Snapshots.
	Frozen []Frozen
	// Namespaces holds the namespace of the Ingress, and those of
	// Settings.ControllerPods.
	Namespaces map[string]*Namespace
	// Pods holds the Pods around the Services with a selector, by Service.
	Pods map[Key]*ServicePods
	// NetworkPolicies holds those of the namespace of the Ingress, by namespace.
	NetworkPolicies map[string][]*NetworkPolicy

	// Names holds, for a kind and namespace of which a referenced object is
	// missing, the names of those that exist, so that a message can suggest
	// one. It is a help, never evidence: it may be incomplete.
	Names map[Ref][]string

	// Coverage says what was read. The most specific entry counts: the object
	// itself, then all of a kind in a namespace (Name empty), then all of a kind
	// (Namespace and Name empty). Without an entry nothing was read.
	Coverage map[Ref]Coverage

	// missed is called with every lookup that met something unread, nil where nobody is
	// told. Where recording is set, such a lookup is noted there instead.
	missed    func(Ref)
	recording *remembered
	// memo is what Once remembers, nil where it does not.
	memo *memo
	// kinds is Coverage where that has entries for whole kinds alone, nil where it is not
	// known to: there are few, so that looking through them is quicker.
	kinds []kindCoverage
}

type kindCoverage struct {
	kind Kind
	Coverage
}

// memo holds values by key. There are few for an Ingress of one rule or so, among which
// it is quicker to look through all than to hash a key of any type.
type memo struct {
	keys   [fewRemembered]any
	values [fewRemembered]*remembered
	used   int
	// more holds those beyond fewRemembered.
	more map[any]*remembered
}

const fewRemembered = 24

// get returns the value of a key, nil where there is none yet.
func (m *memo) get(key any) *remembered {
	for i := range m.used {
		if m.keys[i] == key {
			return m.values[i]
		}
	}
	return m.more[key]
}

func (m *memo) put(key any, r *remembered) {
	if m.used < fewRemembered {
		m.keys[m.used], m.values[m.used] = key, r
		m.used++
		return
	}
	if m.more == nil {
		m.more = make(map[any]*remembered)
	}
	m.more[key] = r
}

// remembered is a value and the lookups that were missed to compute it.
type remembered struct {
	value  any
	missed []Ref
}

// Coverage says whether something was read and, if not, why.
type Coverage struct {
	Read bool
	// Reason is why it was not read, for people: "forbidden", "not synced yet".
	Reason string
	// InPart is true where it was read only in some namespaces, so that there may be
	// more. It is said of Ingresses alone: what counts elsewhere is the object.
	InPart bool
	// Chosen is true where the operator chose that it is not read. Nothing may be
	// concluded then either, but nothing is amiss.
	Chosen bool
}

// Observe returns a copy of s that calls missed for every lookup which could
// not be answered because the object was not read, though it was meant to be.
// The copy shares all objects with s.
func (s *Snapshot) Observe(missed func(Ref)) *Snapshot {
	c := *s
	c.missed, c.recording = missed, nil
	return &c
}

// Remembering returns a copy of s in which Once computes each value once, and that calls
// missed, if it is not nil, as one by Observe does. It is for judging one Ingress and not
// safe for use by several goroutines.
func (s *Snapshot) Remembering(missed func(Ref)) *Snapshot {
	c := *s
	c.missed, c.recording = missed, nil
	c.memo = &memo{}
	c.kinds = make([]kindCoverage, 0, len(s.Coverage))
	for ref, coverage := range s.Coverage {
		if ref != (Ref{Kind: ref.Kind}) {
			c.kinds = nil
			break
		}
		c.kinds = append(c.kinds, kindCoverage{kind: ref.Kind, Coverage: coverage})
	}
	return &c
}

// Once returns what compute makes of s. In a copy by Remembering, it computes
// the value of a key once; lookups that were missed to compute it are told to
// every observer that asks for it. The value must not be modified.
func Once[T any](s *Snapshot, key any, compute func(*Snapshot) T) T {
	if s.memo == nil {
		return compute(s)
	}
	r := s.memo.get(key)
	if r == nil {
		r = remember(s, key, compute)
	}
	for _, ref := range r.missed {
		s.miss(ref)
	}
	value, _ := r.value.(T)
	return value
}

// remember computes a value that is not in the memo and puts it there.
func remember[T any](s *Snapshot, key any, compute func(*Snapshot) T) *remembered {
	r := &remembered{}
	// What was missed is told by Once, to this observer and to later ones.
	outer := s.recording
	defer func() { s.recording = outer }()
	s.recording = r
	r.value = compute(s)
	s.memo.put(key, r)
	return r
}

// miss notes a lookup that met something unread.
func (s *Snapshot) miss(ref Ref) {
	switch {
	case s.recording != nil:
		s.recording.missed = append(s.recording.missed, ref)
	case s.missed != nil:
		s.missed(ref)
	}
}

// CoverageOf says whether the object was looked for.
func (s *Snapshot) CoverageOf(r Ref) Coverage {
	for i := range s.kinds {
		if s.kinds[i].kind == r.Kind {
			return s.kinds[i].Coverage
		}
	}
	if s.kinds != nil {
		return Coverage{}
	}
	if c, ok := s.Coverage[r]; ok {
		return c
	}
	if c, ok := s.Coverage[Ref{Kind: r.Kind, Namespace: r.Namespace}]; ok {
		return c
	}
	return s.Coverage[Ref{Kind: r.Kind}]
}

// known answers a lookup that found the object or not.
func (s *Snapshot) known(found bool, r Ref) Known {
	if c := s.CoverageOf(r); !c.Read {
		if !c.Chosen {
			s.miss(r)
		}
		return Unread
	}
	if found {
		return Present
	}
	return Absent
}

// Class returns the IngressClass of that name.
func (s *Snapshot) Class(name string) (*IngressClass, Known) {
	c, ok := s.Classes[name]
	return c, s.known(ok, Ref{Kind: IngressClasses, Name: name})
}

// AllClasses returns all IngressClasses by name. It is Unread, or Present even
// when there are none.
func (s *Snapshot) AllClasses() (map[string]*IngressClass, Known) {
	return s.Classes, s.known(true, Ref{Kind: IngressClasses})
}

// Service returns the Service of that name.
func (s *Snapshot) Service(namespace, name string) (*Service, Known) {
	svc, ok := s.Services[Key{namespace, name}]
	return svc, s.known(ok, Ref{Kind: Services, Namespace: namespace, Name: name})
}

// SlicesOf returns the EndpointSlices labelled with that Service's name. It is
// Absent when there are none.
func (s *Snapshot) SlicesOf(namespace, service string) ([]*EndpointSlice, Known) {
	slices := s.Slices[Key{namespace, service}]
	return slices, s.known(len(slices) > 0, Ref{Kind: EndpointSlices, Namespace: namespace, Name: service})
}

// SecretExists says whether there is a Secret of that name.
func (s *Snapshot) SecretExists(namespace, name string) Known {
	_, ok := s.Secrets[Key{namespace, name}]
	return s.known(ok, Ref{Kind: Secrets, Namespace: namespace, Name: name})
}

// Secret returns the facts about what the Secret of that name holds.
func (s *Snapshot) Secret(namespace, name string) (*SecretFacts, Known) {
	f, ok := s.Secrets[Key{namespace, name}]
	return f, s.known(ok, Ref{Kind: SecretData, Namespace: namespace, Name: name})
}

// ConfigMap returns the ConfigMap of that name.
func (s *Snapshot) ConfigMap(namespace, name string) (*ConfigMap, Known) {
	c, ok := s.ConfigMaps[Key{namespace, name}]
	return c, s.known(ok, Ref{Kind: ConfigMaps, Namespace: namespace, Name: name})
}

// IngressesInPart reports whether the Ingresses of some namespaces were not read: one
// of them may have to do with the hosts of any other.
func (s *Snapshot) IngressesInPart() bool {
	return s.Coverage[Ref{Kind: Ingresses}].InPart
}

// NginxSharing returns the other Ingresses with a rule for the host that the same
// installations of ingress-nginx serve as primaries: not canaries, and not being
// deleted. It is Unread, or Present even when there are none. Whether the
// controller accepted each of them cannot be known, so a rule of theirs may be
// without effect; see MayBeRefused.
func (s *Snapshot) NginxSharing(ing *networkingv1.Ingress, host string) ([]*networkingv1.Ingress, Known) {
	known := s.known(true, Ref{Kind: Ingresses})
	if known == Unread {
		return nil, Unread
	}
	if len(s.Sharing[host]) <= 1 {
		return s.nginxSharing(ing, host), known
	}
	return Once(s, sharingKey{ing, host}, func(s *Snapshot) []*networkingv1.Ingress { return s.nginxSharing(ing, host) }), known
}

type sharingKey struct {
	*networkingv1.Ingress
	host string
}

func (s *Snapshot) nginxSharing(ing *networkingv1.Ingress, host string) []*networkingv1.Ingress {
	own := s.ClassOf(ing).SpecController
	var others []*networkingv1.Ingress
	for _, other := range s.Sharing[host] {
		if !IsCanary(other) && hasRule(other, host) && s.sameInstallation(ing, other, own) {
			others = append(others, other)
		}
	}
	return others
}

// sameInstallation reports whether other is not ing itself, not being deleted, and
// served by the installations whose value of spec.controller is own.
func (s *Snapshot) sameInstallation(ing, other *networkingv1.Ingress, own string) bool {
	if other.DeletionTimestamp != nil || (other.Namespace == ing.Namespace && other.Name == ing.Name) {
		return false
	}
	class := s.classOf(other)
	return class.Controller.Name == Nginx && class.SpecController == own
}

func hasRule(ing *networkingv1.Ingress, host string) bool {
	for i := range ing.Spec.Rules {
		if ing.Spec.Rules[i].Host == host {
			return true
		}
	}
	return false
}

// Around returns the other Ingresses that the same installations of ingress-nginx
// serve and that share a host or an upstream with ing, or are near its hosts; in no
// order, each once. It is Unread, or Present even when there are none.
func (s *Snapshot) Around(ing *networkingv1.Ingress) ([]*networkingv1.Ingress, Known) {
	known := s.known(true, Ref{Kind: Ingresses})
	if known == Unread {
		return nil, Unread
	}
	own := s.ClassOf(ing).SpecController
	var others []*networkingv1.Ingress
	taken := map[*networkingv1.Ingress]bool{}
	add := func(from []*networkingv1.Ingress) {
		for _, other := range from {
			if !taken[other] {
				taken[other] = true
				if s.sameInstallation(ing, other, own) {
					others = append(others, other)
				}
			}
		}
	}
	for _, sharing := range s.Sharing {
		add(sharing)
	}
	for _, sharing := range s.SharingUpstream {
		add(sharing)
	}
	return others, known
}

// TableOf returns the Table of the installation that serves ing, built of ing and of
// the Ingresses around it. It knows the hosts of ing, and of others only what they
// have to do with these. It is Unread where the other Ingresses were not read, and
// Absent where ingress-nginx does not serve ing.
func (s *Snapshot) TableOf(ing *networkingv1.Ingress) (*Table, Known) {
	return s.tableOf(ing, tableKey{ing}, true)
}

// TableWithout is TableOf if ing did not exist.
func (s *Snapshot) TableWithout(ing *networkingv1.Ingress) (*Table, Known) {
	return s.tableOf(ing, tableWithoutKey{ing}, false)
}

type (
	tableKey        struct{ *networkingv1.Ingress }
	tableWithoutKey struct{ *networkingv1.Ingress }
)

func (s *Snapshot) tableOf(ing *networkingv1.Ingress, key any, with bool) (*Table, Known) {
	class := s.ClassOf(ing)
	if class.Controller.Name != Nginx {
		return nil, Absent
	}
	t := Once(s, key, func(s *Snapshot) *Table {
		all, known := s.Around(ing)
		if known == Unread {
			return nil
		}
		if with {
			all = append(all, ing)
		}
		// What a Table could not read is said where it is asked for, as many a Secret of
		// others does not matter.
		return NewTable(s.Observe(nil), s.Settings.Of(class.SpecController), all)
	})
	if t == nil {
		return nil, Unread
	}
	return t, Present
}

// Namespace returns the Namespace of that name.
func (s *Snapshot) Namespace(name string) (*Namespace, Known) {
	n, ok := s.Namespaces[name]
	return n, s.known(ok, Ref{Kind: Namespaces, Name: name})
}
