// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

// controller is what ingress-nginx makes of a cluster event by event: the part of
// it that depends on the order of writes, which a routing.Table knows nothing of.
// It runs with its defaults.
type controller struct {
	settings routing.ControllerSettings
	// newTable and follow are those of the model; tests put others in.
	newTable func(*routing.Snapshot, routing.ControllerSettings, []*networkingv1.Ingress) *routing.Table
	follow   func(t, previous *routing.Table) *routing.Table

	// taken are the Ingresses that were taken up, in the version that was accepted
	// last.
	taken map[routing.Key]accepted
	// loaded are the certificates in memory: each Secret as it last could be used
	// while a taken Ingress referred to it.
	loaded map[routing.Key]*routing.SecretFacts
	// installed is what serves.
	installed *routing.Table
}

// accepted is an Ingress as it was written and as it is remembered, with the
// ConfigMaps that its annotations name as they were read with it, nil for one that
// was missing.
type accepted struct {
	written, parsed *networkingv1.Ingress
	configMaps      map[routing.Key]*routing.ConfigMap
}

func newController(w *world) *controller {
	c := &controller{
		newTable: routing.NewTable,
		follow:   (*routing.Table).Follow,
		taken:    map[routing.Key]accepted{},
		loaded:   map[routing.Key]*routing.SecretFacts{},
	}
	c.sync(w)
	return c
}

// see takes notice of a write: old is nil for a creation, cur for a deletion. The
// cluster is as it is after the write. IngressClasses, Services and their
// endpoints are looked up when they are needed, so their events only lead to a new
// configuration.
func (c *controller) see(w *world, old, cur metav1.Object) {
	changed := old
	if cur != nil {
		changed = cur
	}
	switch changed.(type) {
	case *networkingv1.Ingress:
		oldIng, _ := old.(*networkingv1.Ingress)
		curIng, _ := cur.(*networkingv1.Ingress)
		c.seeIngress(w, oldIng, curIng)
	case *corev1.Secret:
		c.seeSecret(w, keyOf(changed), cur == nil)
	}
	c.sync(w)
}

// seeIngress judges the class at this moment: an IngressClass that appears later
// is not noticed, and one that disappears changes nothing, so that a deletion
// after that is ignored (semantics rows A01 and A02).
func (c *controller) seeIngress(w *world, old, cur *networkingv1.Ingress) {
	was, is := old != nil && w.serves(old), cur != nil && w.serves(cur)
	switch {
	case is && was && sameIngress(old, cur):
		// The API server tells nobody of a write that changes nothing.
	case is:
		c.take(w, cur)
	case was:
		delete(c.taken, keyOf(old))
	}
}

// serves reports whether the class of an Ingress is the controller's, the way it
// looks itself: by the field or else by the annotation, which is compared with its
// own flag (semantics rows A05, A06).
func (w *world) serves(ing *networkingv1.Ingress) bool {
	if name := ing.Spec.IngressClassName; name != nil {
		class, ok := w.objects[reference{Kind: string(routing.IngressClasses), Name: *name}].(*networkingv1.IngressClass)
		return ok && w.Settings.ControllerOf(class.Spec.Controller).Name == routing.Nginx
	}
	return ing.Annotations[routing.ClassAnnotation] == "nginx"
}

func sameIngress(a, b *networkingv1.Ingress) bool {
	return equality.Semantic.DeepEqual(a.Spec, b.Spec) && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

// take accepts an Ingress, unless the Table drops it: then its former version, if
// there is one, stays. Its Secrets are read in either case.
func (c *controller) take(w *world, ing *networkingv1.Ingress) {
	parsed := w.parse(ing)
	snap, _ := w.Everything()
	c.load(snap, ing)
	if _, dropped := c.newTable(snap, c.settings, []*networkingv1.Ingress{parsed}).Dropped[parsed]; !dropped {
		a := accepted{ing, parsed, map[routing.Key]*routing.ConfigMap{}}
		for _, ref := range routing.ConfigOf(ing, c.settings).ConfigMaps {
			a.configMaps[ref.Key] = snap.ConfigMaps[ref.Key]
		}
		c.taken[keyOf(ing)] = a
	}
}

// parse returns an Ingress as it is remembered: an annotation that names a missing
// Service as the default backend is ignored, even when the Service appears later
// (semantics row F15).
func (w *world) parse(ing *networkingv1.Ingress) *networkingv1.Ingress {
	name := routing.DefaultBackendAnnotation(ing)
	if _, exists := w.objects[reference{string(routing.Services), ing.Namespace, name}]; name == "" || exists {
		return ing
	}
	parsed := ing.DeepCopy()
	delete(parsed.Annotations, defaultBackendAnnotation)
	return parsed
}

const defaultBackendAnnotation = routing.NginxPrefix + "default-backend"

// seeSecret loads a Secret that is referred to and reads the Ingresses again that
// do so. A deleted one is gone at once, referred to or not.
func (c *controller) seeSecret(w *world, secret routing.Key, deleted bool) {
	if deleted {
		delete(c.loaded, secret)
	}
	for _, key := range c.sorted() {
		// The version that was accepted is read again, not that of the API.
		if ing := c.taken[key].written; slices.Contains(secretsOf(ing), secret) {
			c.take(w, ing)
		}
	}
}

// load remembers the Secrets of an Ingress that can be used. What was loaded stays
// where they cannot (semantics row J13).
func (c *controller) load(snap *routing.Snapshot, ing *networkingv1.Ingress) {
	for _, key := range secretsOf(ing) {
		if facts, ok := snap.Secrets[key]; ok && loadable(facts) {
			c.loaded[key] = facts
		}
	}
}

// loadable reports whether the controller can make something of a Secret: a pair,
// or certificates of an authority alone (semantics row J02).
func loadable(f *routing.SecretFacts) bool {
	has := func(key string) bool { return slices.Contains(f.Keys, key) }
	pair := has(corev1.TLSCertKey) && has(corev1.TLSPrivateKeyKey)
	return f.Unusable == "" || (!pair && has(corev1.ServiceAccountRootCAKey))
}

// secretsOf lists the Secrets that an Ingress refers to, in TLS sections and in
// annotations.
func secretsOf(ing *networkingv1.Ingress) []routing.Key {
	var keys []routing.Key
	for _, tls := range ing.Spec.TLS {
		if tls.SecretName != "" {
			keys = append(keys, routing.Key{Namespace: ing.Namespace, Name: tls.SecretName})
		}
	}
	for _, name := range []string{"auth-secret", "auth-tls-secret", "proxy-ssl-secret"} {
		if value := annotation(ing, name); value != "" {
			keys = append(keys, keyIn(ing.Namespace, value))
		}
	}
	return keys
}

// keyIn reads "namespace/name", or a name in the given namespace.
func keyIn(namespace, value string) routing.Key {
	if ns, name, ok := strings.Cut(value, "/"); ok {
		return routing.Key{Namespace: ns, Name: name}
	}
	return routing.Key{Namespace: namespace, Name: value}
}

// annotation returns the value of an annotation of ingress-nginx.
func annotation(ing *networkingv1.Ingress, name string) string {
	if ing == nil {
		return ""
	}
	return strings.TrimSpace(ing.Annotations[routing.NginxPrefix+name])
}

func keyOf(obj metav1.Object) routing.Key {
	return routing.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// sync makes a new configuration and installs it, if nginx takes it.
func (c *controller) sync(w *world) {
	snap, _ := w.Everything()
	for key, facts := range snap.Secrets {
		if kept, ok := c.loaded[key]; ok && !loadable(facts) {
			snap.Secrets[key] = inMemory(kept, facts)
		}
	}
	ingresses := make([]*networkingv1.Ingress, 0, len(c.taken))
	for _, key := range c.sorted() {
		a := c.taken[key]
		ingresses = append(ingresses, a.parsed)
		// Their events do not make the controller read Ingresses again (row K15).
		for name, configMap := range a.configMaps {
			if delete(snap.ConfigMaps, name); configMap != nil {
				snap.ConfigMaps[name] = configMap
			}
		}
	}
	c.installed = c.follow(c.newTable(snap, c.settings, ingresses), c.installed)
}

// inMemory is a Secret whose certificate is another than the API's. Everything
// else is looked up there.
func inMemory(kept, now *routing.SecretFacts) *routing.SecretFacts {
	facts := *now
	facts.Certificate, facts.Unusable = kept.Certificate, kept.Unusable
	facts.Keys = slices.Concat(kept.Keys, now.Keys)
	slices.Sort(facts.Keys)
	facts.Keys = slices.Compact(facts.Keys)
	return &facts
}

// sorted lists the Ingresses that were taken up.
func (c *controller) sorted() []routing.Key {
	return slices.SortedFunc(maps.Keys(c.taken), func(a, b routing.Key) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}
