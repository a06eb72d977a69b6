// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/routegate/routegate/routing"
)

// pageSize is the number of objects that the API server is asked for at a time.
const pageSize = 500

// lister lists a page of a kind in a namespace, or in all of them where it is
// empty.
type lister func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error)

// Listing is how a live cluster is read once.
type Listing struct {
	// Namespace is where a kind is listed that the user may not list everywhere.
	Namespace string
	// Each has such a kind listed in each namespace instead: Ingresses in all, or in
	// Namespace alone where the user may not list Namespaces; the others in those with
	// Ingresses. That can be very many requests.
	Each bool
	// InPart has Ingresses that were read in some namespaces only count as read in part.
	// Otherwise they count as unread elsewhere, so that nothing is said of any.
	InPart bool
	// Progress is called for each object, never twice at a time. It may be nil.
	Progress func()
}

// List reads a live cluster once. A kind that the user may not list at all, or that is
// not served, counts as unread, with the reason. Any other failure is an error, and so
// is a cluster of which no Ingresses may be read.
//
// Secrets are reduced to facts page by page: nothing of their values is kept.
func List(ctx context.Context, client kubernetes.Interface, how Listing) (*Static, error) {
	s := NewStatic()
	s.Now = time.Now()
	listers := listersFor(client)
	stages := [][]routing.Kind{stored}
	if how.Each {
		rest := slices.DeleteFunc(slices.Clone(stored), func(kind routing.Kind) bool { return kind == routing.Namespaces || kind == routing.Ingresses })
		stages = [][]routing.Kind{{routing.Namespaces}, {routing.Ingresses}, rest}
	}
	var mu sync.Mutex
	for _, stage := range stages {
		var reading sync.WaitGroup
		errs := map[routing.Kind]error{}
		for _, kind := range stage {
			list, ok := listers[kind]
			if !ok {
				continue
			}
			in := s.fallback(kind, how)
			reading.Go(func() {
				if err := s.list(ctx, &mu, kind, list, in, how); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs[kind] = err
				}
			})
		}
		reading.Wait()
		for _, kind := range stage {
			if err := errs[kind]; err != nil {
				return nil, fmt.Errorf("cannot list the kind %s: %w", kind, err)
			}
		}
	}
	if err := s.getConfigMaps(ctx, client); err != nil {
		return nil, err
	}
	return s, nil
}

// fallback are the namespaces in which a kind is listed that may not be listed
// everywhere.
func (s *Static) fallback(kind routing.Kind, how Listing) []string {
	var names []string
	switch {
	case kind == routing.IngressClasses || kind == routing.Namespaces:
		return nil
	case how.Each && kind != routing.Ingresses:
		each(s, routing.Ingresses, func(ing *networkingv1.Ingress) { names = append(names, ing.Namespace) })
		slices.Sort(names)
		return slices.Compact(names)
	case how.Each && s.coverage[routing.Ref{Kind: routing.Namespaces}].Read:
		each(s, routing.Namespaces, func(ns *routing.Namespace) { names = append(names, ns.Name) })
		return names
	case how.Namespace == "":
		return nil
	}
	return []string{how.Namespace}
}

// getConfigMaps reads those that annotations of Ingresses name, one by one: most
// ConfigMaps have no part in routing.
func (s *Static) getConfigMaps(ctx context.Context, client kubernetes.Interface) error {
	named := map[routing.Ref]bool{}
	each(s, routing.Ingresses, func(ing *networkingv1.Ingress) {
		refs := routing.ReferencesOf(ing)
		for _, name := range refs.ConfigMaps {
			named[routing.Ref{Kind: routing.ConfigMaps, Namespace: refs.Namespace, Name: name}] = true
		}
	})
	for ref := range named {
		configMap, err := client.CoreV1().ConfigMaps(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			if err := s.Apply(configMap); err != nil {
				return err
			}
		case apierrors.IsForbidden(err):
			s.Cover(ref, routing.Coverage{Reason: "you are not allowed to get it"})
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("cannot get the ConfigMap %s/%s: %w", ref.Namespace, ref.Name, err)
		}
	}
	return nil
}

// list reads one kind, under the lock mu where it changes s: everywhere, or else in
// those of the namespaces in which that is allowed.
func (s *Static) list(ctx context.Context, mu *sync.Mutex, kind routing.Kind, list lister, namespaces []string, how Listing) error {
	err := s.listIn(ctx, mu, list, metav1.NamespaceAll, how.Progress)
	if err == nil {
		return nil
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return err
	}
	unread := routing.Coverage{Reason: reasonOf(err)}
	var read []string
	if apierrors.IsForbidden(err) {
		unread.Reason = "you are not allowed to list it"
		for _, namespace := range namespaces {
			switch err := s.listIn(ctx, mu, list, namespace, how.Progress); {
			case err == nil:
				read = append(read, namespace)
			case !apierrors.IsForbidden(err):
				return err
			}
		}
	}
	switch {
	case len(read) == 1:
		unread.Reason += " outside the namespace " + read[0]
	case len(read) > 1:
		unread.Reason += fmt.Sprintf(" outside %d namespaces", len(read))
	case kind == routing.Ingresses:
		return err
	}
	if kind == routing.Ingresses && how.InPart {
		unread.Read, unread.InPart = true, true
	}
	mu.Lock()
	defer mu.Unlock()
	s.Cover(routing.Ref{Kind: kind}, unread)
	for _, namespace := range read {
		s.Cover(routing.Ref{Kind: kind, Namespace: namespace}, routing.Coverage{Read: true})
	}
	return nil
}

func (s *Static) listIn(ctx context.Context, mu *sync.Mutex, list lister, namespace string, progress func()) error {
	pages := pager.New(func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return list(ctx, namespace, opts)
	})
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	return pages.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		obj, ok := item.(metav1.Object)
		if !ok {
			return fmt.Errorf("an object of type %T has no metadata", item)
		}
		mu.Lock()
		defer mu.Unlock()
		if progress != nil {
			progress()
		}
		return s.Apply(obj)
	})
}

func listersFor(client kubernetes.Interface) map[routing.Kind]lister {
	return map[routing.Kind]lister{
		routing.Ingresses: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			return client.NetworkingV1().Ingresses(namespace).List(ctx, opts)
		},
		routing.IngressClasses: func(ctx context.Context, _ string, opts metav1.ListOptions) (runtime.Object, error) {
			return client.NetworkingV1().IngressClasses().List(ctx, opts)
		},
		routing.Services: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			return client.CoreV1().Services(namespace).List(ctx, opts)
		},
		routing.EndpointSlices: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			return client.DiscoveryV1().EndpointSlices(namespace).List(ctx, opts)
		},
		routing.Secrets: func(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
			opts.FieldSelector = fields.OneTermNotEqualSelector("type", helmRelease).String()
			return client.CoreV1().Secrets(namespace).List(ctx, opts)
		},
		routing.Namespaces: func(ctx context.Context, _ string, opts metav1.ListOptions) (runtime.Object, error) {
			return client.CoreV1().Namespaces().List(ctx, opts)
		},
	}
}

// Unread lists the kinds that were not read everywhere, in the order in which they
// are shown to users.
func (s *Static) Unread() []Unread {
	var unread []Unread
	for _, kind := range stored {
		if c := s.coverage[routing.Ref{Kind: kind}]; (!c.Read || c.InPart) && !c.Chosen {
			unread = append(unread, Unread{Kind: kind, Reason: c.Reason})
		}
	}
	return unread
}

// Unread is a kind that was not read, and why.
type Unread struct {
	Kind   routing.Kind
	Reason string
}
