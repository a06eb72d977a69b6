// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Frozen is an Ingress because of which an installation of ingress-nginx applies no
// change at present, or crashes again and again (semantics section 1.L).
type Frozen struct {
	// Ingress is to blame.
	Ingress Key
	// Controller is the value of spec.controller of the installations concerned.
	Controller string
	// Host is the host by which it was found, "" for the default server.
	Host string
	// Reason is a clause for people.
	Reason string
}

// FrozenBy returns what freezes ingress-nginx at one host, sorted. Sharing are the
// Ingresses that name the host, in any order, of any class; those being deleted are
// left out. More than these may be given: only what concerns the host is returned.
// Of the Snapshot only the classes and settings are needed.
//
// It returns what is certain, as far as these Ingresses show: nothing that hangs on
// what cannot be seen, and nothing of a canary that is alone at its host.
func FrozenBy(s *Snapshot, host string, sharing []*networkingv1.Ingress) []Frozen {
	groups := map[string][]*networkingv1.Ingress{}
	for _, ing := range sharing {
		if class := s.classOf(ing); class.Controller.Name == Nginx && ing.DeletionTimestamp == nil {
			groups[class.SpecController] = append(groups[class.SpecController], ing)
		}
	}
	var all []Frozen
	for controller, group := range groups {
		t := NewTable(s.Observe(nil), s.Settings.Of(controller), group)
		for i := range t.Refusals {
			if r := &t.Refusals[i]; t.freezes(r, host) {
				all = append(all, Frozen{Key{r.Ingress.Namespace, r.Ingress.Name}, controller, host, r.Reason})
			}
		}
	}
	slices.SortFunc(all, Frozen.compare)
	return slices.CompactFunc(all, func(a, b Frozen) bool { return a.Controller == b.Controller && a.Ingress == b.Ingress })
}

// compare orders by controller, then by the name of the Ingress.
func (f Frozen) compare(other Frozen) int {
	return cmp.Or(
		strings.Compare(f.Controller, other.Controller),
		strings.Compare(f.Ingress.Namespace, other.Ingress.Namespace),
		strings.Compare(f.Ingress.Name, other.Ingress.Name),
		strings.Compare(f.Host, other.Host),
		strings.Compare(f.Reason, other.Reason),
	)
}

// SortFrozen sorts by controller, then by the name of the Ingress.
func SortFrozen(all []Frozen) {
	slices.SortFunc(all, Frozen.compare)
}

// freezes reports whether the refusal is certain and about the host, in a Table
// that knows all Ingresses of this host and only some of others.
func (t *Table) freezes(r *Refusal, host string) bool {
	if r.Uncertain || r.Ingress == nil {
		return false
	}
	if r.Kind == RefusalCanaryWithout {
		return r.Host == host
	}
	server := t.servers[host]
	if server == nil {
		return false
	}
	own := false
	for _, loc := range server.Locations {
		if loc.Ingress == nil || loc.Rule < 0 || loc.Path < 0 {
			continue
		}
		if loc.Ingress.Spec.Rules[loc.Rule].Host != host {
			// What leaks from a canary depends on who else names its host.
			return false
		}
		own = own || loc.Ingress == r.Ingress
	}
	switch {
	case r.Annotation == "":
		return r.Host == host
	case r.Kind == RefusalDirective && t.doubtful(r):
		return false
	case !own:
		// The annotations of paths that belong to an older Ingress are not written.
		return false
	case r.Kind == RefusalAlias:
		// Those of the first Ingress with aliases are.
		return slices.ContainsFunc(t.configs[r.Ingress].ServerAliases, func(alias string) bool {
			return slices.Contains(server.Aliases, alias)
		})
	case r.Kind == RefusalWWWWildcard:
		return strings.HasPrefix(host, "*.")
	}
	return true
}

// doubtful reports whether nginx may never see the value: what guards the path may be
// missing, which closes it, or the ConfigMap of the controller may make it good.
func (t *Table) doubtful(r *Refusal) bool {
	config := t.configs[r.Ingress]
	return config.Denied != "" || len(config.Secrets) > 0 || len(config.ConfigMaps) > 0 || r.DependsOnDefaults(config)
}

// FrozenNow returns which Ingresses keep the installations of ingress-nginx that
// serve ing from applying anything, once each, without ing itself. It is Unread, or
// Present even when there are none.
//
// Where the Snapshot holds the Ingresses of the host concerned, they are judged anew
// together with ing, which may be what mends the fault.
func (s *Snapshot) FrozenNow(ing *networkingv1.Ingress) ([]Frozen, Known) {
	known := s.known(true, Ref{Kind: Ingresses})
	if known == Unread || len(s.Frozen) == 0 {
		return nil, known
	}
	class := s.ClassOf(ing)
	if class.Controller.Name != Nginx {
		return nil, known
	}
	var all []Frozen
	again := map[string][]Frozen{}
	for _, f := range s.Frozen {
		same := func(other Frozen) bool { return other.Ingress == f.Ingress && other.Controller == f.Controller }
		if f.Controller != class.SpecController || f.Ingress == (Key{ing.Namespace, ing.Name}) || slices.ContainsFunc(all, same) {
			continue
		}
		if sharing, held := s.Sharing[f.Host]; held {
			if _, done := again[f.Host]; !done {
				again[f.Host] = FrozenBy(s, f.Host, instead(sharing, ing))
			}
			if !slices.ContainsFunc(again[f.Host], same) {
				continue
			}
		}
		all = append(all, f)
	}
	return all, known
}

// instead returns the Ingresses with ing in place of the one of its name.
func instead(sharing []*networkingv1.Ingress, ing *networkingv1.Ingress) []*networkingv1.Ingress {
	all := make([]*networkingv1.Ingress, 0, len(sharing)+1)
	for _, other := range sharing {
		if other.Namespace != ing.Namespace || other.Name != ing.Name {
			all = append(all, other)
		}
	}
	return append(all, ing)
}
