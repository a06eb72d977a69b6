// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

// watched is one kind and the informer that keeps it: in one namespace, or in the
// whole cluster where that is empty. Of the kind Namespace, it is the one of that
// name.
type watched struct {
	kind      routing.Kind
	namespace string
	// objects are those of the kind, others' as well.
	objects  *objects
	informer cache.Controller

	mu      sync.Mutex
	reason  string // why the last list or watch failed; empty when it did not
	refused bool   // one has failed for want of a right
}

// source is where an informer gets its objects from.
type source struct {
	kind      routing.Kind
	namespace string
	example   runtime.Object
	lists     cache.ListerWatcher
}

// sourcesFor returns what is to be watched, each kind in the order of the namespaces.
func sourcesFor(c Config) []source {
	core, networking, discovery := c.Client.CoreV1(), c.Client.NetworkingV1(), c.Client.DiscoveryV1()
	var all []source
	add := func(kind routing.Kind, namespace string, example runtime.Object, lists cache.ListerWatcher) {
		all = append(all, source{kind: kind, namespace: namespace, example: example, lists: lists})
	}
	add(routing.IngressClasses, "", &networkingv1.IngressClass{}, listsOf(c.Client, networking.IngressClasses()))
	if len(c.Namespaces) == 0 {
		add(routing.Namespaces, "", &corev1.Namespace{}, listsOf(c.Client, core.Namespaces()))
	}
	for _, name := range namespacesByName(c.Namespaces, c.Settings.ControllerPods) {
		add(routing.Namespaces, name, &corev1.Namespace{}, listsOf(c.Client, core.Namespaces(), named(name)))
	}
	namespaces := c.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, ns := range namespaces {
		add(routing.Ingresses, ns, &networkingv1.Ingress{}, listsOf(c.Client, networking.Ingresses(ns)))
		add(routing.Services, ns, &corev1.Service{}, listsOf(c.Client, core.Services(ns)))
		add(routing.EndpointSlices, ns, &discoveryv1.EndpointSlice{}, listsOf(c.Client, discovery.EndpointSlices(ns)))
		if len(c.Settings.ControllerPods) > 0 {
			add(routing.NetworkPolicies, ns, &networkingv1.NetworkPolicy{}, listsOf(c.Client, networking.NetworkPolicies(ns)))
		}
		switch c.SecretAccess {
		case SecretsFull:
			add(routing.Secrets, ns, &corev1.Secret{}, listsOf(c.Client, core.Secrets(ns), notHelm))
		case SecretsMetadata:
			// A list of metadata has items of this type, whatever their kind.
			add(routing.Secrets, ns, &metav1.PartialObjectMetadata{}, listsOf(c.Metadata, c.Metadata.Resource(secretResource).Namespace(ns), notHelm))
		}
	}
	return all
}

var secretResource = corev1.SchemeGroupVersion.WithResource("secrets")

func notHelm(o *metav1.ListOptions) {
	o.FieldSelector = fields.OneTermNotEqualSelector("type", helmRelease).String()
}

// kindClient is a client of one kind, such as client-go generates.
type kindClient[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// listsOf lists and watches one kind. The client is what of was made by.
func listsOf[L runtime.Object](client any, of kindClient[L], tweaks ...func(*metav1.ListOptions)) cache.ListerWatcher {
	tweaked := func(opts metav1.ListOptions) metav1.ListOptions {
		for _, tweak := range tweaks {
			tweak(&opts)
		}
		return opts
	}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return of.List(ctx, tweaked(opts))
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return of.Watch(ctx, tweaked(opts))
		},
	}, client)
}

// watch returns what watches the source, which has not begun to. It slims each object
// before it keeps it, and tells the cluster of what changed.
func (c *Cluster) watch(s source) *watched {
	w := &watched{kind: s.kind, namespace: s.namespace, objects: c.store[s.kind]}
	w.informer = cache.New(&cache.Config{
		Queue: cache.NewDeltaFIFOWithOptions(cache.DeltaFIFOOptions{
			KnownObjects: known{w}, EmitDeltaTypeReplaced: true, Transformer: c.slimmer.slim,
		}),
		ListerWatcher:                s.lists,
		ObjectType:                   s.example,
		WatchErrorHandlerWithContext: c.watchFailed(w),
		Process: func(obj any, initial bool) error {
			deltas, ok := obj.(cache.Deltas)
			if !ok {
				return fmt.Errorf("cannot keep an event of type %T", obj)
			}
			for _, delta := range deltas {
				if err := c.keep(w, delta, initial); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return w
}

// keep puts or removes an object, and tells of it.
func (c *Cluster) keep(w *watched, delta cache.Delta, initial bool) error {
	if delta.Type == cache.Deleted {
		name, err := cache.DeletionHandlingObjectToName(delta.Object)
		if err != nil {
			return err
		}
		if before := w.objects.remove(routing.Key{Namespace: name.Namespace, Name: name.Name}); before != nil {
			c.changed(before, nil, initial)
		}
		return nil
	}
	obj, ok := delta.Object.(kept)
	if !ok {
		return fmt.Errorf("cannot keep an object of type %T", delta.Object)
	}
	c.changed(w.objects.put(obj), obj, initial)
	return nil
}

// changed tells of an object that was replaced, made (before is nil) or deleted (after
// is nil). The first list of a kind is initial: whoever follows is told of it as a whole.
func (c *Cluster) changed(before, after any, initial bool) {
	c.frozen.told(c.store, before, after)
	if !initial {
		c.follower.tell(c.store, c.controllers.settings, before, after)
	}
}

// watchFailed notes why a kind cannot be read. The informer tries again by
// itself, with growing pauses.
func (c *Cluster) watchFailed(w *watched) cache.WatchErrorHandlerWithContext {
	return func(_ context.Context, _ *cache.Reflector, err error) {
		reason := reasonOf(err)
		w.mu.Lock()
		changed := reason != w.reason
		w.reason, w.refused = reason, w.refused || apierrors.IsForbidden(err)
		w.mu.Unlock()
		if changed {
			c.log.Info("cannot read a kind; trying again", "kind", w.kind, "namespace", w.namespace, "reason", reason, "error", err.Error())
		}
	}
}

func (w *watched) describe(coverage routing.Coverage) string {
	if w.namespace == "" {
		return fmt.Sprintf("%s (%s)", w.kind, coverage.Reason)
	}
	return fmt.Sprintf("%s of namespace %q (%s)", w.kind, w.namespace, coverage.Reason)
}

func (w *watched) isRefused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

func (w *watched) coverage() routing.Coverage {
	if w.informer.HasSynced() {
		return routing.Coverage{Read: true}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == "" {
		return routing.Coverage{Reason: "not read yet"}
	}
	return routing.Coverage{Reason: w.reason}
}
