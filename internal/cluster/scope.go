// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/routegate/routegate/routing"
)

// ValidateNamespaces reports what is wrong with the names of the namespaces that are
// to be read.
func ValidateNamespaces(names []string) error {
	var errs []error
	for i, name := range names {
		if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
			errs = append(errs, fmt.Errorf("namespace %q: %s", name, strings.Join(faults, "; ")))
		} else if slices.Contains(names[:i], name) {
			errs = append(errs, fmt.Errorf("namespace %q: must be named once", name))
		}
	}
	return errors.Join(errs...)
}

// scope is the namespaces that are read; all where there is none.
type scope []string

func (s scope) whole() bool { return len(s) == 0 }

// excludes reports whether what belongs to the namespace is not read. Nothing excludes
// what belongs to none.
func (s scope) excludes(namespace string) bool {
	return !s.whole() && namespace != "" && !slices.Contains(s, namespace)
}

// notInScope is why nothing is known of what is outside the scope.
const notInScope = "Routegate does not read this namespace"

var errOutside = errors.New("outside the namespaces that are read")

// namespacesByName are the Namespaces that are read one by one where not all are:
// those of the scope, and those of controllers, which a NetworkPolicy may admit.
func namespacesByName(scope []string, controllers []routing.ControllerPods) []string {
	if len(scope) == 0 {
		return nil
	}
	names := slices.Clone(scope)
	for _, pods := range controllers {
		if !slices.Contains(names, pods.Namespace) {
			names = append(names, pods.Namespace)
		}
	}
	return names
}

// coverScope marks what is read for an Ingress of that namespace, and everything
// outside the scope as unread.
func (c *Cluster) coverScope(coverage map[routing.Ref]routing.Coverage, namespace string) {
	for kind := range c.kinds {
		if kind != routing.IngressClasses {
			coverage[routing.Ref{Kind: kind}] = routing.Coverage{Reason: notInScope}
		}
	}
	// Those that are read count together, since they decide about hosts together; that
	// there may be more is said with it.
	if w := c.watchedIn(routing.Ingresses, namespace); w != nil {
		ingresses := w.coverage()
		ingresses.InPart = true
		coverage[routing.Ref{Kind: routing.Ingresses}] = ingresses
	}
	c.coverNamespace(coverage, namespace)
	for _, w := range c.kinds[routing.Namespaces] {
		coverage[routing.Ref{Kind: routing.Namespaces, Name: w.namespace}] = w.coverage()
	}
}

// coverOthers marks what is read of the namespaces of the other Ingresses found.
func (c *Cluster) coverOthers(snap *routing.Snapshot) {
	if c.scope.whole() {
		return
	}
	for _, sharing := range snap.Sharing {
		for _, ing := range sharing {
			c.coverNamespace(snap.Coverage, ing.Namespace)
		}
	}
}

// coverNamespace marks what is read of the objects of a namespace within the scope.
func (c *Cluster) coverNamespace(coverage map[routing.Ref]routing.Coverage, namespace string) {
	for _, kind := range []routing.Kind{routing.Services, routing.EndpointSlices, routing.Secrets, routing.NetworkPolicies} {
		if w := c.watchedIn(kind, namespace); w != nil {
			coverage[routing.Ref{Kind: kind, Namespace: namespace}] = w.coverage()
		}
	}
	if c.secrets == SecretsFull {
		if of, ok := coverage[routing.Ref{Kind: routing.Secrets, Namespace: namespace}]; ok {
			coverage[routing.Ref{Kind: routing.SecretData, Namespace: namespace}] = of
		}
	}
}

// watchedIn is what watches a kind in one namespace, nil where nothing does.
func (c *Cluster) watchedIn(kind routing.Kind, namespace string) *watched {
	for _, w := range c.kinds[kind] {
		if w.namespace == namespace {
			return w
		}
	}
	return nil
}
