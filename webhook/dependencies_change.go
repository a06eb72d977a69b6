// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// change is what a request does to one object.
type change struct {
	ref     routing.Ref
	deleted bool
	// One of them is set, for a Service or a Secret.
	service *serviceChange
	secret  *secretChange
}

// serviceChange is a Service as it is and as it would be; nil when deleted.
type serviceChange struct {
	old, new *routing.Service
	// pods are those around the new Service, nil where they are not known.
	pods *routing.ServicePods
}

// secretChange is a Secret as it is and as it would be, as facts; nil when deleted.
type secretChange struct {
	old, new *routing.SecretFacts
}

// readChange returns nil where the request changes nothing that an Ingress could miss,
// or is about an object that is being deleted, of which was told before, or that solves
// an ACME challenge, which comes and goes.
func readChange(request *admissionv1.AdmissionRequest) (*change, error) {
	deleted := request.Operation == admissionv1.Delete
	if !deleted && request.Operation != admissionv1.Update {
		return nil, nil
	}
	c := &change{
		ref:     routing.Ref{Kind: routing.Kind(request.Kind.Kind), Namespace: request.Namespace, Name: request.Name},
		deleted: deleted,
	}
	var meta *metav1.ObjectMeta
	same := false
	switch c.ref.Kind {
	case routing.Services:
		old, after, err := bothOf[corev1.Service](request)
		if err != nil {
			return nil, err
		}
		meta, c.service = &old.ObjectMeta, &serviceChange{old: routing.ServiceOf(old)}
		if after != nil {
			c.service.new = routing.ServiceOf(after)
			same = sameBut(*c.service.old, *c.service.new, func(s *routing.Service) { s.Meta = routing.Meta{} })
		}
	case routing.Secrets:
		old, after, err := bothOf[corev1.Secret](request)
		if err != nil {
			return nil, err
		}
		meta, c.secret = &old.ObjectMeta, &secretChange{old: factsOf(old)}
		if after != nil {
			c.secret.new = factsOf(after)
			same = sameBut(*c.secret.old, *c.secret.new, func(f *routing.SecretFacts) { f.Meta = routing.Meta{} })
		}
	default:
		// spec.controller of an IngressClass cannot be changed.
		old, _, err := bothOf[networkingv1.IngressClass](request)
		if err != nil {
			return nil, err
		}
		meta, same = &old.ObjectMeta, !deleted
	}
	if same || meta.DeletionTimestamp != nil || routing.IsSolverObject(meta.Labels) {
		return nil, nil
	}
	return c, nil
}

// bothOf decodes the object as it is and, in an update, as it would be. The review
// does not keep them.
func bothOf[T any](request *admissionv1.AdmissionRequest) (old, after *T, err error) {
	defer clear(request.OldObject.Raw)
	defer clear(request.Object.Raw)
	if old, err = decode[T](request.OldObject.Raw); err != nil {
		return nil, nil, fmt.Errorf("request.oldObject: %w", err)
	}
	if request.Operation == admissionv1.Update {
		if after, err = decode[T](request.Object.Raw); err != nil {
			return nil, nil, fmt.Errorf("request.object: %w", err)
		}
	}
	return old, after, nil
}

// decode does not pass on the error of the decoder, which may quote a Secret.
func decode[T any](raw []byte) (*T, error) {
	obj := new(T)
	if err := json.Unmarshal(raw, obj); err != nil {
		return nil, fmt.Errorf("not a %T", *obj)
	}
	return obj, nil
}

// factsOf takes the facts of a Secret and wipes what it holds.
func factsOf(secret *corev1.Secret) *routing.SecretFacts {
	facts := routing.FactsOf(secret)
	for _, value := range secret.Data {
		clear(value)
	}
	return facts
}

// sameBut compares without what strip removes.
func sameBut[T any](a, b T, strip func(*T)) bool {
	strip(&a)
	strip(&b)
	return reflect.DeepEqual(a, b)
}

// key is how a Snapshot names the object.
func (c *change) key() routing.Key {
	return routing.Key{Namespace: c.ref.Namespace, Name: c.ref.Name}
}

// before returns the Snapshot with the object as the request found it.
func (c *change) before(snap *routing.Snapshot) *routing.Snapshot {
	if c.secret != nil {
		return snap.WithSecret(c.key(), c.secret.old)
	}
	return snap.WithService(c.key(), c.service.old)
}

// after returns the Snapshot with the object as the request leaves it.
func (c *change) after(snap *routing.Snapshot) *routing.Snapshot {
	if c.secret != nil {
		return snap.WithSecret(c.key(), c.secret.new)
	}
	return c.service.after(snap, c.key())
}

// after says of the EndpointSlices only what is certain: Kubernetes writes them after
// the Service, of Pods that are not looked at here.
func (s *serviceChange) after(snap *routing.Snapshot, key routing.Key) *routing.Snapshot {
	snap = snap.WithService(key, s.new)
	switch {
	case s.new == nil || s.new.External():
		return snap
	case s.orphans():
		// They stay, and are never written again. To see what depends on them, they are
		// taken away; words tells the truth.
		return snap.WithoutSlices(key)
	case s.reselects() && s.pods != nil && len(s.pods.Selected) == 0:
		return snap.WithoutSlices(key).WithPods(key, s.pods)
	case s.reselects() || s.old.External() || !reflect.DeepEqual(s.old.Ports, s.new.Ports):
		return snap.WithSlicesUnknown(key)
	}
	return snap
}

// reselects reports whether other Pods are selected than before.
func (s *serviceChange) reselects() bool {
	return s.new != nil && s.new.Selecting() && s.new.Selector != s.old.Selector
}

// orphans reports whether the Service loses its selector, so that nobody writes its
// EndpointSlices any longer.
func (s *serviceChange) orphans() bool {
	return s.new != nil && s.old.Selecting() && !s.new.Selecting() && !s.new.External()
}

// sameLoss reports whether requests had the fault before: the same one, or another that
// let the same requests down in the same way.
func sameLoss(before, after checks.Finding) bool {
	if before.Fingerprint() == after.Fingerprint() {
		return true
	}
	a, b := before.Subject, after.Subject
	samePath := a.Path != "" && a.Host == b.Host && a.Path == b.Path && a.Type == b.Type
	return (a == b || samePath) && after.Outcome != "" && strings.HasPrefix(before.Outcome, after.Outcome)
}
