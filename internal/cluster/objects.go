// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

// objects are the objects of one kind that are kept, with indexes. Most values of an
// index belong to one object or a few, so that a slice for each takes a fraction of
// what the sets of client-go's indexer do (docs/design/009). It is safe for concurrent
// use. The objects must not be modified.
type objects struct {
	mu      sync.RWMutex
	byKey   map[routing.Key]any
	indexes map[string]index
}

// kept is an object as it is kept.
type kept interface {
	GetNamespace() string
	GetName() string
}

// index holds the objects under each of their values.
type index struct {
	of     indexFunc
	values map[string][]any
}

// indexFunc returns the values of an object, in a slice that is the caller's.
type indexFunc func(obj any) []string

func newObjects(indexes map[string]indexFunc) *objects {
	o := &objects{byKey: map[routing.Key]any{}, indexes: map[string]index{}}
	for name, of := range indexes {
		o.addIndex(name, of)
	}
	return o
}

// addIndex adds an index, of the objects that are there as well.
func (o *objects) addIndex(name string, of indexFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := index{of: of, values: map[string][]any{}}
	for _, obj := range o.byKey {
		i.replace(nil, obj)
	}
	o.indexes[name] = i
}

// replace puts after in the place of before; either may be nil.
func (i index) replace(before, after any) {
	for _, value := range i.valuesOf(after) {
		under := i.values[value]
		if at := slices.Index(under, before); at >= 0 {
			under[at] = after
		} else {
			i.values[value] = append(under, after)
		}
	}
	for _, value := range i.valuesOf(before) {
		under := i.values[value]
		at := slices.Index(under, before)
		switch {
		case at < 0:
		case len(under) == 1:
			delete(i.values, value)
		default:
			last := len(under) - 1
			under[at], under[last] = under[last], nil
			i.values[value] = under[:last]
		}
	}
}

// valuesOf returns the values of an object, none of nil, each once.
func (i index) valuesOf(obj any) []string {
	if obj == nil {
		return nil
	}
	values := i.of(obj)
	slices.Sort(values)
	return slices.Compact(values)
}

// put adds an object, or replaces the one of its name, which it returns.
func (o *objects) put(obj kept) (before any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := routing.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	before = o.byKey[at]
	o.byKey[at] = obj
	for _, i := range o.indexes {
		i.replace(before, obj)
	}
	return before
}

// remove removes the object of that name and returns it, nil where there is none.
func (o *objects) remove(at routing.Key) (before any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before = o.byKey[at]; before == nil {
		return nil
	}
	delete(o.byKey, at)
	for _, i := range o.indexes {
		i.replace(before, nil)
	}
	return before
}

// get returns the object of that name, nil where there is none.
func (o *objects) get(at routing.Key) any {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byKey[at]
}

// each calls do for the objects under a value of an index, in no order. Nothing may be
// put meanwhile.
func (o *objects) each(name, value string, do func(obj any)) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	i, ok := o.indexes[name]
	if !ok {
		panic("cluster: there is no index " + name)
	}
	for _, obj := range i.values[value] {
		do(obj)
	}
}

// valuesOf returns the values of an index, in no order.
func (o *objects) valuesOf(name string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	values := make([]string, 0, len(o.indexes[name].values))
	for value := range o.indexes[name].values {
		values = append(values, value)
	}
	return values
}

// all returns all objects, in no order.
func (o *objects) all() []any {
	o.mu.RLock()
	defer o.mu.RUnlock()
	all := make([]any, 0, len(o.byKey))
	for _, obj := range o.byKey {
		all = append(all, obj)
	}
	return all
}

// keys returns the names of all objects, in no order.
func (o *objects) keys() []routing.Key {
	o.mu.RLock()
	defer o.mu.RUnlock()
	keys := make([]routing.Key, 0, len(o.byKey))
	for key := range o.byKey {
		keys = append(keys, key)
	}
	return keys
}

// size is how many objects there are.
func (o *objects) size() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.byKey)
}

// known is which objects an informer has brought, from which it sees what is gone when
// it lists anew.
type known struct {
	*watched
}

var _ cache.KeyListerGetter = known{}

// ListKeys returns the keys of the objects of the informer's namespace or name.
func (k known) ListKeys() []string {
	var keys []string
	for _, at := range k.objects.keys() {
		within := at.Namespace
		if k.kind == routing.Namespaces {
			within = at.Name
		}
		if k.namespace == "" || k.namespace == within {
			keys = append(keys, cache.NewObjectName(at.Namespace, at.Name).String())
		}
	}
	return keys
}

// GetByKey returns the object of that key.
func (k known) GetByKey(key string) (any, bool, error) {
	namespace, name, found := strings.Cut(key, "/")
	if !found {
		namespace, name = "", key
	}
	obj := k.objects.get(routing.Key{Namespace: namespace, Name: name})
	return obj, obj != nil, nil
}
