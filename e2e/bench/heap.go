// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/routegate/routegate/internal/cluster"
)

// heaps compares the live heap of both caches, filled with the same objects.
func heaps(ctx context.Context, t *table, size int) error {
	ours, plain, err := heapsOf(ctx, size, kinds()...)
	if err != nil {
		return err
	}
	t.rows = append(t.rows, row{
		what: "live heap per cached object, against controller-runtime's cache",
		ours: fmt.Sprintf("%d B", ours), against: fmt.Sprintf("%d B", plain), ratio: float64(ours) / float64(plain), budget: 0.25, gate: 0.28,
	})
	return nil
}

// heapsOf is the live heap that an object takes in each cache, in bytes, where there are
// so many of each of these kinds, and none of another.
func heapsOf(ctx context.Context, size int, of ...string) (ours, plain int, err error) {
	api, err := newLists(size, of)
	if err != nil {
		return 0, 0, err
	}
	server := httptest.NewServer(api)
	defer server.Close()
	config := &rest.Config{Host: server.URL, QPS: -1}
	if ours, err = grown(func() (any, func(), error) { return fillOurs(ctx, config) }); err != nil {
		return 0, 0, err
	}
	if plain, err = grown(func() (any, func(), error) { return fillPlain(ctx, config) }); err != nil {
		return 0, 0, err
	}
	return ours / (len(of) * size), plain / (len(of) * size), nil
}

// metadataHeap is the live heap that an object takes in a cache of controller-runtime
// that holds nothing but its metadata.
func metadataHeap(ctx context.Context, size int, kind string) (int, error) {
	api, err := newLists(size, []string{kind})
	if err != nil {
		return 0, err
	}
	server := httptest.NewServer(api)
	defer server.Close()
	bytes, err := grown(func() (any, func(), error) {
		return fillMetadata(ctx, &rest.Config{Host: server.URL, QPS: -1}, gvks()[kind])
	})
	return bytes / size, err
}

// The kinds of which there are many.
const (
	ingressKind = "Ingress"
	serviceKind = "Service"
	sliceKind   = "EndpointSlice"
	secretKind  = "Secret"
)

func kinds() []string {
	return []string{ingressKind, serviceKind, sliceKind, secretKind}
}

func gvks() map[string]schema.GroupVersionKind {
	return map[string]schema.GroupVersionKind{
		ingressKind: networkingv1.SchemeGroupVersion.WithKind(ingressKind),
		serviceKind: corev1.SchemeGroupVersion.WithKind(serviceKind),
		sliceKind:   discoveryv1.SchemeGroupVersion.WithKind(sliceKind),
		secretKind:  corev1.SchemeGroupVersion.WithKind(secretKind),
	}
}

// grown returns by how many bytes the live heap grows while what fill made is
// kept.
func grown(fill func() (kept any, stop func(), err error)) (int, error) {
	before := liveHeap()
	kept, stop, err := fill()
	if err != nil {
		return 0, err
	}
	after := liveHeap()
	runtime.KeepAlive(kept)
	stop()
	return int(after) - int(before), nil
}

func liveHeap() uint64 {
	var stats runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func fillOurs(ctx context.Context, config *rest.Config) (any, func(), error) {
	config = rest.CopyConfig(config)
	config.ContentType = "application/json"
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	cl, err := cluster.New(cluster.Config{
		Client: kube, SecretAccess: cluster.SecretsFull, Users: true, LiveReads: 1, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { cl.Start(ctx) })
	return cl, func() { cancel(); running.Wait() }, await(ctx, cl.Synced)
}

func fillPlain(ctx context.Context, config *rest.Config) (any, func(), error) {
	return fillCache(ctx, config, &networkingv1.Ingress{}, &networkingv1.IngressClass{}, &corev1.Service{}, &discoveryv1.EndpointSlice{},
		&corev1.Secret{}, &corev1.Namespace{})
}

func fillMetadata(ctx context.Context, config *rest.Config, gvk schema.GroupVersionKind) (any, func(), error) {
	obj := &metav1.PartialObjectMetadata{}
	obj.SetGroupVersionKind(gvk)
	return fillCache(ctx, config, obj)
}

// fillCache fills a cache of controller-runtime with the kinds of the objects.
func fillCache(ctx context.Context, config *rest.Config, kinds ...client.Object) (any, func(), error) {
	cache, err := ctrlcache.New(config, ctrlcache.Options{Scheme: scheme.Scheme, Mapper: mapper()})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = cache.Start(ctx) })
	for _, obj := range kinds {
		if _, err := cache.GetInformer(ctx, obj); err != nil {
			cancel()
			return nil, nil, err
		}
	}
	if !cache.WaitForCacheSync(ctx) {
		cancel()
		return nil, nil, errors.New("controller-runtime's cache was not filled")
	}
	return cache, func() { cancel(); running.Wait() }, nil
}

func await(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if condition() {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lists is an API server that knows only lists. Every list is encoded anew, so
// that nothing of it stays in memory; watches stay silent.
type lists struct {
	byPath map[string]func() k8sruntime.Object
}

func newLists(size int, of []string) (*lists, error) {
	many := func(kind string) int {
		if slices.Contains(of, kind) {
			return size
		}
		return 0
	}
	crt, key, err := keyPair()
	if err != nil {
		return nil, err
	}
	at := metav1.ListMeta{ResourceVersion: "1000000"}
	return &lists{byPath: map[string]func() k8sruntime.Object{
		"/apis/networking.k8s.io/v1/ingresses": func() k8sruntime.Object {
			l := &networkingv1.IngressList{ListMeta: at}
			for i := range many(ingressKind) {
				l.Items = append(l.Items, *ingressOf(i))
			}
			return l
		},
		"/apis/networking.k8s.io/v1/ingressclasses": func() k8sruntime.Object {
			l := &networkingv1.IngressClassList{ListMeta: at}
			for _, c := range classes() {
				l.Items = append(l.Items, *c)
			}
			return l
		},
		"/api/v1/services": func() k8sruntime.Object {
			l := &corev1.ServiceList{ListMeta: at}
			for i := range many(serviceKind) {
				l.Items = append(l.Items, *serviceOf(i))
			}
			return l
		},
		"/apis/discovery.k8s.io/v1/endpointslices": func() k8sruntime.Object {
			l := &discoveryv1.EndpointSliceList{ListMeta: at}
			for i := range many(sliceKind) {
				l.Items = append(l.Items, *sliceOf(i))
			}
			return l
		},
		"/api/v1/secrets": func() k8sruntime.Object {
			l := &corev1.SecretList{ListMeta: at}
			for i := range many(secretKind) {
				l.Items = append(l.Items, *secretOf(i, crt, key))
			}
			return l
		},
		"/api/v1/namespaces": func() k8sruntime.Object {
			l := &corev1.NamespaceList{ListMeta: at}
			for _, n := range namespaces(size) {
				l.Items = append(l.Items, *n)
			}
			return l
		},
	}}, nil
}

func (l *lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list, ok := l.byPath[strings.TrimSuffix(r.URL.Path, "/")]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.URL.Query().Get("sendInitialEvents") != "":
		// An API server without streamed lists; clients fall back to plain ones.
		http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`, http.StatusUnprocessableEntity)
	case r.URL.Query().Get("watch") != "":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			writeMetadata(w, list())
			return
		}
		codec := scheme.Codecs.LegacyCodec(networkingv1.SchemeGroupVersion, corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion)
		_ = codec.Encode(list(), w)
	}
}

// writeMetadata answers a client that asks for metadata alone.
func writeMetadata(w http.ResponseWriter, list k8sruntime.Object) {
	l := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "1000000"}}
	l.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
	err := meta.EachListItem(list, func(item k8sruntime.Object) error {
		o, err := meta.Accessor(item)
		if err != nil {
			return err
		}
		m := meta.AsPartialObjectMetadata(o)
		m.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
		l.Items = append(l.Items, *m)
		return nil
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(l)
}

// mapper maps the kinds of the benchmark without asking an API server.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, gvk := range gvks() {
		m.Add(gvk, meta.RESTScopeNamespace)
	}
	m.Add(networkingv1.SchemeGroupVersion.WithKind("IngressClass"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	return m
}
