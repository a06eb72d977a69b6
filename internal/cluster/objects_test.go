// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

// TestObjectsAgainstIndexer does the same to objects and to client-go's indexer, and
// holds that they answer alike.
func TestObjectsAgainstIndexer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := func(ing *networkingv1.Ingress) []string {
		var hosts []string
		for _, rule := range ing.Spec.Rules {
			hosts = append(hosts, rule.Host)
		}
		return hosts
	}
	ours := newObjects(map[string]indexFunc{byHost: ofIngress(values)})
	theirs := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{byHost: func(obj any) ([]string, error) {
		return values(obj.(*networkingv1.Ingress)), nil
	}})
	late := false
	for step := range 20_000 {
		ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("ns-%d", random.IntN(3)), Name: fmt.Sprintf("ing-%d", random.IntN(20)), ResourceVersion: fmt.Sprint(step),
		}}
		for range random.IntN(4) {
			// Few hosts, so that some are shared, and one is named twice by one Ingress.
			ing.Spec.Rules = append(ing.Spec.Rules, networkingv1.IngressRule{Host: fmt.Sprintf("%d.example.com", random.IntN(8))})
		}
		before, existed, err := theirs.Get(ing)
		if err != nil {
			t.Fatal(err)
		}
		var returned any
		if random.IntN(3) == 0 {
			returned, err = ours.remove(keyOfIngress(ing)), theirs.Delete(ing)
		} else {
			returned, err = ours.put(ing), theirs.Update(ing)
		}
		if err != nil {
			t.Fatal(err)
		}
		if existed && returned != before || !existed && returned != nil {
			t.Fatalf("step %d: returned %v, want %v", step, returned, before)
		}
		if step == 10_000 {
			ours.addIndex(byNamespace, ofIngress(func(ing *networkingv1.Ingress) []string { return []string{ing.Namespace} }))
			if err := theirs.AddIndexers(cache.Indexers{byNamespace: cache.MetaNamespaceIndexFunc}); err != nil {
				t.Fatal(err)
			}
			late = true
		}
		if step%50 != 0 {
			continue
		}
		same(t, step, "objects", ours.all(), theirs.List())
		if ours.size() != len(theirs.ListKeys()) {
			t.Fatalf("step %d: %d objects, want %d", step, ours.size(), len(theirs.ListKeys()))
		}
		for _, index := range []string{byHost, byNamespace} {
			if index == byNamespace && !late {
				continue
			}
			got, want := slices.Sorted(slices.Values(ours.valuesOf(index))), slices.Sorted(slices.Values(theirs.ListIndexFuncValues(index)))
			if !slices.Equal(got, want) {
				t.Fatalf("step %d: values of %s are %v, want %v", step, index, got, want)
			}
			for _, value := range append(want, "none") {
				var got []any
				ours.each(index, value, func(obj any) { got = append(got, obj) })
				want, err := theirs.ByIndex(index, value)
				if err != nil {
					t.Fatal(err)
				}
				same(t, step, index+" "+value, got, want)
			}
		}
	}
}

// same holds that both have the same objects, not just equal ones, in any order.
func same(t *testing.T, step int, what string, got, want []any) {
	t.Helper()
	count := map[any]int{}
	for _, obj := range got {
		count[obj]++
	}
	for _, obj := range want {
		count[obj]--
	}
	for obj, n := range count {
		if n != 0 {
			t.Fatalf("step %d: %s: %v is there %d times more than it should be", step, what, obj, n)
		}
	}
}

func TestKnown(t *testing.T) {
	ingresses := newObjects(nil)
	for _, name := range []string{"a/one", "a/two", "b/one"} {
		namespace, name, _ := cache.SplitMetaNamespaceKey(name)
		ingresses.put(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
	namespaces := newObjects(nil)
	for _, name := range []string{"a", "b"} {
		namespaces.put(&routing.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for _, test := range []struct {
		of   *watched
		want []string
	}{
		{&watched{kind: routing.Ingresses, objects: ingresses}, []string{"a/one", "a/two", "b/one"}},
		{&watched{kind: routing.Ingresses, namespace: "a", objects: ingresses}, []string{"a/one", "a/two"}},
		{&watched{kind: routing.Namespaces, objects: namespaces}, []string{"a", "b"}},
		{&watched{kind: routing.Namespaces, namespace: "b", objects: namespaces}, []string{"b"}},
	} {
		k := known{test.of}
		keys := slices.Sorted(slices.Values(k.ListKeys()))
		if !slices.Equal(keys, test.want) {
			t.Errorf("%s of %q: known are %v, want %v", test.of.kind, test.of.namespace, keys, test.want)
		}
		for _, key := range keys {
			obj, exists, err := k.GetByKey(key)
			if err != nil || !exists {
				t.Errorf("%s is not there: %v", key, err)
			} else if got, _ := cache.MetaNamespaceKeyFunc(obj); got != key {
				t.Errorf("%s is %s", key, got)
			}
		}
	}
}
