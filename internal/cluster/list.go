// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
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

// List reads a live cluster once. Where the user may not list a kind everywhere,
// it is listed in the namespace given instead; where that is forbidden too, or the
// kind is not served, the kind counts as unread, with the reason. Any other failure
// is an error, and so is a cluster of which no Ingresses may be read.
//
// Secrets are reduced to facts page by page: nothing of their values is kept.
func List(ctx context.Context, client kubernetes.Interface, namespace string) (*Static, error) {
	s := NewStatic()
	s.Now = time.Now()
	listers := listersFor(client)
	var mu sync.Mutex
	var reading sync.WaitGroup
	errs := map[routing.Kind]error{}
	for kind, list := range listers {
		reading.Go(func() {
			if err := s.list(ctx, &mu, kind, list, namespace); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[kind] = err
			}
		})
	}
	reading.Wait()
	for _, kind := range stored {
		if err := errs[kind]; err != nil {
			return nil, fmt.Errorf("cannot list the kind %s: %w", kind, err)
		}
	}
	if err := s.getConfigMaps(ctx, client); err != nil {
		return nil, err
	}
	return s, nil
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

// list reads one kind, under the lock mu where it changes s.
func (s *Static) list(ctx context.Context, mu *sync.Mutex, kind routing.Kind, list lister, namespace string) error {
	err := s.listIn(ctx, mu, list, metav1.NamespaceAll)
	if err == nil {
		return nil
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return err
	}
	unread := routing.Coverage{Reason: reasonOf(err)}
	if apierrors.IsForbidden(err) {
		unread.Reason = "you are not allowed to list it"
		namespaced := kind != routing.IngressClasses && kind != routing.Namespaces
		if namespaced && namespace != "" && s.listIn(ctx, mu, list, namespace) == nil {
			unread.Reason = "you are not allowed to list it outside the namespace " + namespace
			mu.Lock()
			defer mu.Unlock()
			s.Cover(routing.Ref{Kind: kind}, unread)
			s.Cover(routing.Ref{Kind: kind, Namespace: namespace}, routing.Coverage{Read: true})
			return nil
		}
	}
	if kind == routing.Ingresses {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	s.Cover(routing.Ref{Kind: kind}, unread)
	return nil
}

func (s *Static) listIn(ctx context.Context, mu *sync.Mutex, list lister, namespace string) error {
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
		if c := s.coverage[routing.Ref{Kind: kind}]; !c.Read && !c.Chosen {
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
