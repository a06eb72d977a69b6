// SPDX-License-Identifier: Apache-2.0

package routing

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind names a kind of object that a Snapshot can hold, spelled as in the
// Kubernetes API.
type Kind string

// The kinds that checks may declare in Reads.
const (
	Ingresses      Kind = "Ingress"
	IngressClasses Kind = "IngressClass"
	Services       Kind = "Service"
	EndpointSlices Kind = "EndpointSlice"
	Secrets        Kind = "Secret"     // whether a Secret exists, and its metadata
	SecretData     Kind = "SecretData" // what a Secret holds, as facts
	Namespaces     Kind = "Namespace"
	ConfigMaps     Kind = "ConfigMap"

	// These are read only where the operator wants them to be.
	Pods            Kind = "Pod"
	NetworkPolicies Kind = "NetworkPolicy"
)

// Kinds lists every Kind, in the order in which they are shown to users.
func Kinds() []Kind {
	return []Kind{Ingresses, IngressClasses, Services, EndpointSlices, Secrets, SecretData, ConfigMaps, Namespaces, Pods, NetworkPolicies}
}

// OptionalKinds lists the Kinds that are read only where the operator wants them to
// be: they make messages better, or belong to a check that needs settings.
func OptionalKinds() []Kind {
	return []Kind{Pods, NetworkPolicies}
}

// Ref names one object. Namespace is empty for a cluster-scoped kind. For
// EndpointSlices and Pods, Name is the name of the Service that they belong to.
type Ref struct {
	Kind      Kind
	Namespace string
	Name      string
}

// Meta is what is kept of the metadata of a kind of which there are many objects: a
// fifth of metav1.ObjectMeta.
type Meta struct {
	Namespace       string
	Name            string
	ResourceVersion string
}

// MetaOf returns what is kept of the metadata.
func MetaOf(m *metav1.ObjectMeta) Meta {
	return Meta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.ResourceVersion}
}

// GetNamespace returns the namespace.
func (m *Meta) GetNamespace() string { return m.Namespace }

// GetName returns the name.
func (m *Meta) GetName() string { return m.Name }

// GetResourceVersion returns the resourceVersion of the last write that is seen.
func (m *Meta) GetResourceVersion() string { return m.ResourceVersion }

// SetResourceVersion sets the resourceVersion.
func (m *Meta) SetResourceVersion(version string) { m.ResourceVersion = version }

// GetObjectMeta makes metadata from which client-go takes the key of the object.
func (m *Meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.ResourceVersion}
}

// IngressClass is the part of a networking.k8s.io/v1 IngressClass that is read
// here.
type IngressClass struct {
	metav1.ObjectMeta
	// Controller is spec.controller, for example "k8s.io/ingress-nginx".
	Controller string
	// Default is true when the class is marked as the cluster's default.
	Default bool
}

// DefaultsBefore reports whether the API server fills in c rather than other
// where both are the default: the newer one, of equally old ones the first by
// name (semantics row A07).
func (c *IngressClass) DefaultsBefore(other *IngressClass) bool {
	if c.CreationTimestamp.Equal(&other.CreationTimestamp) {
		return c.Name < other.Name
	}
	return other.CreationTimestamp.Before(&c.CreationTimestamp)
}

// Service is the part of a core/v1 Service that is read here.
type Service struct {
	Meta
	Type         corev1.ServiceType
	ClusterIP    string
	ExternalName string
	// Selector is spec.selector as kubectl writes it, "app=web,tier=front", so that it
	// is small. It is empty where there is none.
	Selector string
	Ports    []corev1.ServicePort
}

// Selecting reports whether the Service has a selector, so that its EndpointSlices
// are written by Kubernetes and not by hand.
func (s *Service) Selecting() bool {
	return s.Selector != ""
}

// EndpointSlice is the part of a discovery.k8s.io/v1 EndpointSlice that is
// read here.
type EndpointSlice struct {
	Meta
	// Service is the value of the label kubernetes.io/service-name.
	Service     string
	AddressType discoveryv1.AddressType
	Ports       []SlicePort
	Endpoints   []Endpoint
}

// SlicePort is one port of an EndpointSlice. Number is 0 where the API object
// has none, which it means as all ports. TCP is true where the protocol is TCP
// or not given.
type SlicePort struct {
	Name   string
	Number int32
	TCP    bool
}

// Endpoint is one endpoint of an EndpointSlice. Ready follows the API's rule
// that a condition which is not set counts as ready. The conditions serving and
// terminating are left out: ingress-nginx ignores them.
type Endpoint struct {
	Addresses []string
	Ready     bool
}

// Namespace is the part of a core/v1 Namespace that is read here: its
// metadata.
type Namespace struct {
	metav1.ObjectMeta
}

// ConfigMap is the part of a core/v1 ConfigMap that is read here: its metadata and
// its entries.
type ConfigMap struct {
	metav1.ObjectMeta
	Data map[string]string
}
