// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// unseenNamespace is a namespace that is not read.
const unseenNamespace = "unseen"

// unseen returns Ingresses like the one under test but of another namespace: older and
// newer ones with the same paths, with those of the other type, with a wider path and
// with none, each with the annotations that reach beyond their own paths.
func unseen(ing *networkingv1.Ingress) []*networkingv1.Ingress {
	annotations := []map[string]string{
		nil,
		{"use-regex": "true"},
		{"rewrite-target": "/"},
		{"server-alias": "alias.example.com"},
		{"ssl-passthrough": "true"},
		{"from-to-www-redirect": "true"},
		{"canary": "true", "canary-weight": "10"},
	}
	shapes := []func(*networkingv1.Ingress){
		func(*networkingv1.Ingress) {},
		eachPath(func(p *networkingv1.HTTPIngressPath) {
			other := networkingv1.PathTypeExact
			if p.PathType != nil && *p.PathType == other {
				other = networkingv1.PathTypePrefix
			}
			p.PathType = &other
		}),
		eachPath(func(p *networkingv1.HTTPIngressPath) {
			prefix := networkingv1.PathTypePrefix
			p.Path, p.PathType = "/", &prefix
		}),
		func(other *networkingv1.Ingress) {
			for i := range other.Spec.Rules {
				other.Spec.Rules[i].HTTP = nil
			}
		},
	}
	var all []*networkingv1.Ingress
	for _, age := range []time.Duration{-10000 * time.Hour, time.Hour} {
		for _, shape := range shapes {
			for _, given := range annotations {
				other := ing.DeepCopy()
				other.Namespace, other.Name = unseenNamespace, "other"
				other.CreationTimestamp = metav1.NewTime(now.Add(age))
				other.Annotations = map[string]string{}
				if class, ok := ing.Annotations["kubernetes.io/ingress.class"]; ok {
					other.Annotations["kubernetes.io/ingress.class"] = class
				}
				for name, value := range given {
					other.Annotations[routing.NginxPrefix+name] = value
				}
				shape(other)
				all = append(all, other)
			}
		}
	}
	return all
}

func eachPath(change func(*networkingv1.HTTPIngressPath)) func(*networkingv1.Ingress) {
	return func(ing *networkingv1.Ingress) {
		for i := range ing.Spec.Rules {
			if http := ing.Spec.Rules[i].HTTP; http != nil {
				for j := range http.Paths {
					change(&http.Paths[j])
				}
			}
		}
	}
}

// servicesOf returns the Services that the paths of an Ingress name.
func servicesOf(ing *networkingv1.Ingress) []runtime.Object {
	var all []runtime.Object
	eachPath(func(p *networkingv1.HTTPIngressPath) {
		if svc := p.Backend.Service; svc != nil {
			all = append(all, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: ing.Namespace, Name: svc.Name},
				Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Name: svc.Port.Name, Port: svc.Port.Number}}},
			})
		}
	})(ing)
	return all
}

// mayDeny judges the fixture's Ingress with the checks, and returns what was found by
// those of them that may deny. The others are added to its objects; where there is
// none, those Ingresses are known to be but a part.
func (fx fixture) mayDeny(t *testing.T, list []checks.Check, others ...*networkingv1.Ingress) []checks.Finding {
	t.Helper()
	world := cluster.NewStatic()
	world.Now, world.Settings = now, fx.settings
	if inPart := len(others) == 0; inPart {
		world.Cover(routing.Ref{Kind: routing.Ingresses}, routing.Coverage{Read: true, InPart: true})
	}
	for _, obj := range fx.objects {
		if err := world.Apply(obj.(metav1.Object)); err != nil {
			t.Fatalf("%s: %v", fx.path, err)
		}
	}
	for _, other := range others {
		if err := world.Apply(other); err != nil {
			t.Fatalf("%s: %v", fx.path, err)
		}
	}
	snap, err := world.Snapshot(t.Context(), routing.ReferencesOf(fx.ingress), nil)
	if err != nil {
		t.Fatalf("%s: %v", fx.path, err)
	}
	return slices.DeleteFunc(checks.Run(list, fx.ingress, snap), func(f checks.Finding) bool {
		return f.Undecided
	})
}

func denies(c checks.Check) bool {
	return slices.Contains([]checks.Mode{c.Default, c.Confirmed, c.Strict}, checks.Deny)
}

// TestUnseenIngressesMakeNoDenialWrong judges every fixture as if there were a
// namespace that is not read. What may be denied all the same must be a fault also
// where an Ingress of that one is seen, whatever it is: the same, or one between the two.
func TestUnseenIngressesMakeNoDenialWrong(t *testing.T) {
	// What is said of the Ingresses that share a host alone, and that of a path of which
	// no request arrives.
	between := slices.DeleteFunc(checks.All(), func(c checks.Check) bool {
		return c.Name != "dead-path" && !slices.Equal(c.Reads, []routing.Kind{routing.Ingresses, routing.IngressClasses})
	})
	for _, check := range checks.All() {
		t.Run(check.Name, func(t *testing.T) {
			denied := false
			for _, fx := range fixturesOf(t, check.Name) {
				found := slices.DeleteFunc(fx.mayDeny(t, []checks.Check{check}), func(f checks.Finding) bool { return f.Tentative || f.InPart })
				if len(found) == 0 {
					continue
				}
				denied = true
				if !slices.Contains(check.Reads, routing.Services) {
					fx.objects = append(fx.objects, servicesOf(fx.ingress)...)
				}
				for _, other := range unseen(fx.ingress) {
					if len(fx.mayDeny(t, append([]checks.Check{check}, between...), other)) == 0 {
						t.Errorf("%s: it is denied:\n%v\nand nothing is amiss where this one of another namespace is seen:\n%v %v %+v",
							fx.path, found[0], other.CreationTimestamp, other.Annotations, other.Spec.Rules)
					}
				}
			}
			if reads := slices.Contains(check.Reads, routing.Ingresses); denies(check) && denied != (check.Regardless || !reads) {
				t.Errorf("a fixture is denied while Ingresses are not seen: %t; must be so only where Regardless is true, or no Ingresses are read", denied)
			}
		})
	}
}
