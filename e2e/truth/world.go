// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// start is when the first object of a scenario is written, and step what lies
// between two writes: enough to tell older from newer by timestamps of whole
// seconds. Certificates are judged at that date, as when they were recorded.
var start = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)

const step = 2 * time.Second

// namespaceAge is how old namespaces are at the start: never new to any policy.
const namespaceAge = 365 * 24 * time.Hour

// world is a cluster in which the objects of one scenario are written one after
// the other. It does the part of the API server that a verdict depends on.
type world struct {
	*cluster.Static
	objects map[reference]metav1.Object
	// controller watches it.
	controller *controller
}

func newWorld() *world {
	w := &world{Static: cluster.NewStatic(), objects: map[reference]metav1.Object{}}
	w.Now = start
	w.controller = newController(w)
	return w
}

// admit makes of a manifest what webhooks get to see: it has a UID and an age,
// its namespace exists, and an Ingress that names no class has the default one.
// It returns the former version, or nil when the object is created.
func (w *world) admit(ctx context.Context, ref reference, obj metav1.Object) (metav1.Object, error) {
	if err := w.addNamespace(ref); err != nil {
		return nil, err
	}
	obj.SetManagedFields([]metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: w.Now}}})
	if old, ok := w.objects[ref]; ok {
		obj.SetUID(old.GetUID())
		obj.SetCreationTimestamp(old.GetCreationTimestamp())
		return old, nil
	}
	obj.SetUID(types.UID(ref.String()))
	obj.SetCreationTimestamp(metav1.NewTime(w.Now))
	if ing, ok := obj.(*networkingv1.Ingress); ok {
		return nil, w.setDefaultClass(ctx, ing)
	}
	return nil, nil
}

func (w *world) addNamespace(of reference) error {
	ref := reference{Kind: string(routing.Namespaces), Name: of.Namespace}
	if _, exists := w.objects[ref]; exists || of.Namespace == "" {
		return nil
	}
	return w.put(ref, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: of.Namespace, UID: types.UID(ref.String()), CreationTimestamp: metav1.NewTime(start.Add(-namespaceAge)),
	}})
}

// setDefaultClass does what the API server's plugin DefaultIngressClass does
// when an Ingress is created: where neither field nor annotation is present, the
// newest default IngressClass is filled in, of equally old ones the first by
// name (semantics rows A04, A07).
func (w *world) setDefaultClass(ctx context.Context, ing *networkingv1.Ingress) error {
	if _, named := ing.Annotations[routing.ClassAnnotation]; named || ing.Spec.IngressClassName != nil {
		return nil
	}
	snap, err := w.Snapshot(ctx, routing.References{Namespace: ing.Namespace}, nil)
	if err != nil {
		return err
	}
	var chosen *routing.IngressClass
	for _, class := range snap.Classes {
		if class.Default && (chosen == nil || preferred(class, chosen)) {
			chosen = class
		}
	}
	if chosen != nil {
		ing.Spec.IngressClassName = &chosen.Name
	}
	return nil
}

func preferred(a, b *routing.IngressClass) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// put stores an object that was admitted.
func (w *world) put(ref reference, obj metav1.Object) error {
	old := w.objects[ref]
	w.objects[ref] = obj
	if err := w.Apply(obj); err != nil {
		return err
	}
	w.controller.see(w, old, obj)
	return nil
}

// remove deletes an object.
func (w *world) remove(ref reference) error {
	obj, ok := w.objects[ref]
	if !ok {
		return fmt.Errorf("cannot delete %s, which does not exist", ref)
	}
	delete(w.objects, ref)
	if err := w.Delete(obj); err != nil {
		return err
	}
	w.controller.see(w, obj, nil)
	return nil
}
