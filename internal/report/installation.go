// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// Installation is the installations of ingress-nginx that share a value of
// spec.controller, and so see the same Ingresses.
type Installation struct {
	// Controller is that value.
	Controller string
	// Classes are the names of its IngressClasses, sorted.
	Classes []string
	// Ingresses are those that it sees, oldest first.
	Ingresses []*networkingv1.Ingress
	// Table is what it makes of them.
	Table *routing.Table
}

// Installations returns the installations of ingress-nginx that IngressClasses or
// Ingresses tell of, sorted by Controller. The Ingresses must be all there are,
// oldest first.
func Installations(snap *routing.Snapshot, ingresses []*networkingv1.Ingress) []*Installation {
	found := map[string]*Installation{}
	at := func(controller string) *Installation {
		if found[controller] == nil {
			found[controller] = &Installation{Controller: controller}
		}
		return found[controller]
	}
	for _, name := range slices.Sorted(maps.Keys(snap.Classes)) {
		if class := snap.Classes[name]; snap.Settings.ControllerOf(class.Controller).Name == routing.Nginx {
			in := at(class.Controller)
			in.Classes = append(in.Classes, name)
		}
	}
	for _, ing := range ingresses {
		if class := snap.ClassOf(ing); class.Controller.Name == routing.Nginx {
			in := at(class.SpecController)
			in.Ingresses = append(in.Ingresses, ing)
		}
	}
	installations := make([]*Installation, 0, len(found))
	for _, controller := range slices.Sorted(maps.Keys(found)) {
		in := found[controller]
		in.Table = routing.NewTable(snap, snap.Settings.Of(controller), in.Ingresses)
		installations = append(installations, in)
	}
	return installations
}

// Unserved is an Ingress that an installation of ingress-nginx serves nothing of.
type Unserved struct {
	// Ingress is "namespace/name".
	Ingress string `json:"ingress"`
	// Reason is a clause about it.
	Reason string `json:"reason"`
	// Foreign is true where another controller serves the Ingress.
	Foreign bool `json:"foreign,omitempty"`
}

// unserved says why the installation serves nothing of an Ingress. It is false where
// it does.
func (in *Installation) unserved(snap *routing.Snapshot, ing *networkingv1.Ingress) (Unserved, bool) {
	u := Unserved{Ingress: nameOf(ing)}
	class := snap.ClassOf(ing)
	switch class.State {
	case routing.ClassNone:
		u.Reason = "names no class"
	case routing.ClassMissing:
		u.Reason = fmt.Sprintf("names the IngressClass %q, which does not exist", class.Name)
	case routing.ClassUnknown:
		u.Reason = fmt.Sprintf("has the class annotation %q, which no known controller serves", class.Name)
	case routing.ClassUnread:
		u.Reason = "may be of any class, because IngressClasses were not read"
	case routing.ClassServed:
		if class.Controller.Name == routing.Nginx && class.SpecController == in.Controller {
			reason, dropped := in.Table.Dropped[ing]
			u.Reason = "is dropped by the controller: " + reason
			return u, dropped
		}
		u.Foreign = true
		by := cmp.Or(class.SpecController, class.Controller.Name, "more than one installation")
		if u.Reason = fmt.Sprintf("is of class %q, which %s serves", class.Name, by); class.Name == "" {
			u.Reason = fmt.Sprintf("names no class, and %s serves such Ingresses", by)
		}
	}
	return u, true
}

// Frozen is a reason why nginx refuses the configuration, so that the former one
// keeps serving for everybody.
type Frozen struct {
	// Ingress is to blame, as "namespace/name".
	Ingress string `json:"ingress"`
	// Host is the host concerned.
	Host string `json:"host,omitempty"`
	// Reason is a clause.
	Reason string `json:"reason"`
	// Certain is false where it depends on what cannot be seen.
	Certain bool `json:"certain"`
	// Crashes is true where the controller cannot even start.
	Crashes bool `json:"crashes,omitempty"`
}

// frozen lists what makes nginx refuse the configuration, and says whether that is
// certain.
func (in *Installation) frozen() (list []Frozen, certain bool) {
	for i := range in.Table.Refusals {
		r := &in.Table.Refusals[i]
		list = append(list, Frozen{Ingress: nameOf(r.Ingress), Host: r.Host, Reason: r.Reason, Certain: !r.Uncertain, Crashes: r.Crashes})
		certain = certain || !r.Uncertain
	}
	return list, certain
}

// frozenText says in one line what a Frozen means.
func frozenText(list []Frozen, certain bool) string {
	var text string
	crashes := slices.ContainsFunc(list, func(f Frozen) bool { return f.Crashes && f.Certain })
	switch {
	case crashes:
		text = "the controller crashes on this configuration: nothing is applied"
	case certain:
		text = "nginx refuses this configuration: nothing is applied, the previous configuration keeps serving"
	default:
		text = "nginx may refuse this configuration: then nothing is applied, the previous configuration keeps serving"
	}
	const shown = 5
	for i, f := range list {
		if i == shown {
			return fmt.Sprintf("%s; and %d more", text, len(list)-shown)
		}
		blame := "; to blame: "
		if i > 0 {
			blame = "; "
		}
		text += fmt.Sprintf("%sIngress %s (%s)", blame, f.Ingress, f.Reason)
	}
	return text
}

func nameOf(ing *networkingv1.Ingress) string {
	if ing == nil {
		return ""
	}
	return ing.Namespace + "/" + ing.Name
}
