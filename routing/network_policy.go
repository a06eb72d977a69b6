// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ControllerPods is where Pods of a controller run.
type ControllerPods struct {
	Namespace string
	// Labels are some that all these Pods have; they may have more.
	Labels map[string]string
}

// NetworkPolicy is the part of a networking.k8s.io/v1 NetworkPolicy that is read
// here: what it says of requests that come in.
type NetworkPolicy struct {
	metav1.ObjectMeta
	PodSelector metav1.LabelSelector
	// Isolates is true where nothing comes in but what a rule of a NetworkPolicy admits.
	Isolates bool
	Ingress  []networkingv1.NetworkPolicyIngressRule
}

// NetworkPolicyOf returns what is kept of a NetworkPolicy.
func NetworkPolicyOf(p *networkingv1.NetworkPolicy) *NetworkPolicy {
	kept := &NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, ResourceVersion: p.ResourceVersion, UID: p.UID}}
	// The API server fills the types in where they are left out, Ingress always.
	if len(p.Spec.PolicyTypes) == 0 || slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
		kept.Isolates, kept.PodSelector, kept.Ingress = true, p.Spec.PodSelector, p.Spec.Ingress
	}
	return kept
}

// NetworkPoliciesIn returns the NetworkPolicies of a namespace. It is Unread, or
// Present even when there are none.
func (s *Snapshot) NetworkPoliciesIn(namespace string) ([]*NetworkPolicy, Known) {
	return s.NetworkPolicies[namespace], s.known(true, Ref{Kind: NetworkPolicies, Namespace: namespace})
}

// KeepingOut returns the names of the NetworkPolicies that select the Pods behind the
// port of a Service while none admits the controllers of Settings.ControllerPods to
// them, sorted, and the ports of the Pods. It returns none where that is not certain:
// of the Pods no more is known than the labels that the Service selects by, a rule with
// an address may be meant for controllers in the network of their nodes, and the name
// of a port may stand for any number (semantics row M01).
func (s *Snapshot) KeepingOut(svc *Service, port *corev1.ServicePort) (names []string, ports []int32) {
	selected := svc.SelectedLabels()
	if len(s.Settings.ControllerPods) == 0 || len(selected) == 0 {
		return nil, nil
	}
	policies, known := s.NetworkPoliciesIn(svc.Namespace)
	if known != Present || len(policies) == 0 {
		return nil, nil
	}
	if ports = s.readyPorts(svc, port); len(ports) == 0 {
		return nil, nil
	}
	for _, policy := range policies {
		selects := no
		if policy.Isolates {
			selects = matches(&policy.PodSelector, selected, false)
		}
		if selects == yes {
			names = append(names, policy.Name)
		}
		if selects != no && s.mayAdmit(policy, ports) {
			return nil, nil
		}
	}
	slices.Sort(names)
	return names, ports
}

// readyPorts are the numbers of the ports of the ready Pods behind a port of a
// Service, sorted.
func (s *Snapshot) readyPorts(svc *Service, port *corev1.ServicePort) []int32 {
	eps, _ := s.SlicesOf(svc.Namespace, svc.Name)
	var numbers []int32
	for _, slice := range eps {
		if NamedAfter(slice.Name, svc.Name) && slices.ContainsFunc(slice.Endpoints, func(e Endpoint) bool { return e.Ready }) {
			numbers = append(numbers, slicePorts(port, slice)...)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// mayAdmit reports whether a rule of the policy may let a controller come to one of
// the ports.
func (s *Snapshot) mayAdmit(policy *NetworkPolicy, ports []int32) bool {
	return slices.ContainsFunc(policy.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		if !opens(rule.Ports, ports) {
			return false
		}
		return len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
			return slices.ContainsFunc(s.Settings.ControllerPods, func(pods ControllerPods) bool {
				return s.mayBe(&peer, pods, policy.Namespace)
			})
		})
	})
}

// opens reports whether the ports of a rule may be one of the numbers.
func opens(ports []networkingv1.NetworkPolicyPort, numbers []int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			return false
		}
		if p.Port == nil || p.Port.Type == intstr.String {
			return true
		}
		first, last := p.Port.IntVal, p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return slices.ContainsFunc(numbers, func(n int32) bool { return first <= n && n <= last })
	})
}

// mayBe reports whether the peer of a rule of a policy in that namespace may mean the
// Pods of a controller.
func (s *Snapshot) mayBe(peer *networkingv1.NetworkPolicyPeer, pods ControllerPods, namespace string) bool {
	if peer.IPBlock != nil {
		return true
	}
	if peer.NamespaceSelector == nil && pods.Namespace != namespace {
		return false
	}
	if peer.NamespaceSelector != nil {
		ns, known := s.Namespace(pods.Namespace)
		if known == Present && matches(peer.NamespaceSelector, ns.Labels, true) == no {
			return false
		}
	}
	return peer.PodSelector == nil || matches(peer.PodSelector, pods.Labels, false) != no
}

// certainty is an answer about something of which not everything is known.
type certainty int

const (
	no certainty = iota
	perhaps
	yes
)

// matches reports whether a selector matches an object that has these labels, and no
// others where that is all.
func matches(selector *metav1.LabelSelector, has map[string]string, all bool) certainty {
	unknown := func(answer certainty) certainty {
		if all {
			return answer
		}
		return perhaps
	}
	decided := func(is bool) certainty {
		if is {
			return yes
		}
		return no
	}
	answer := yes
	for key, want := range selector.MatchLabels {
		value, ok := has[key]
		if ok {
			answer = min(answer, decided(value == want))
		} else {
			answer = min(answer, unknown(no))
		}
	}
	for _, r := range selector.MatchExpressions {
		value, ok := has[r.Key]
		in := slices.Contains(r.Values, value)
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			if ok {
				answer = min(answer, decided(in))
			} else {
				answer = min(answer, unknown(no))
			}
		case metav1.LabelSelectorOpNotIn:
			if ok {
				answer = min(answer, decided(!in))
			} else {
				answer = min(answer, unknown(yes))
			}
		case metav1.LabelSelectorOpExists:
			if !ok {
				answer = min(answer, unknown(no))
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				answer = no
			} else {
				answer = min(answer, unknown(yes))
			}
		default:
			answer = min(answer, perhaps)
		}
	}
	return answer
}
