// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ServiceOf returns what is kept of a Service.
func ServiceOf(s *corev1.Service) *Service {
	return &Service{
		Meta:         MetaOf(&s.ObjectMeta),
		Type:         s.Spec.Type,
		ClusterIP:    s.Spec.ClusterIP,
		ExternalName: s.Spec.ExternalName,
		Selector:     labels.Set(s.Spec.Selector).String(),
		Ports:        s.Spec.Ports,
	}
}

// WithService returns a copy of s in which the Service is the given one, or does not
// exist where that is nil. The EndpointSlices of a Service go with it.
func (s *Snapshot) WithService(key Key, svc *Service) *Snapshot {
	if svc == nil {
		s = s.WithoutSlices(key)
	}
	c := *s
	c.Services = replaced(s.Services, key, svc)
	return &c
}

// WithoutSlices returns a copy of s in which the Service has no EndpointSlices.
func (s *Snapshot) WithoutSlices(key Key) *Snapshot {
	c := *s
	c.Slices = maps.Clone(s.Slices)
	delete(c.Slices, key)
	return &c
}

// WithSlicesUnknown returns a copy of s in which nothing may be concluded from the
// EndpointSlices of the Service, since they are about to be written anew.
func (s *Snapshot) WithSlicesUnknown(key Key) *Snapshot {
	return s.covering(Ref{Kind: EndpointSlices, Namespace: key.Namespace, Name: key.Name},
		Coverage{Chosen: true, Reason: "they are about to be written anew"})
}

// WithPods returns a copy of s with Pods around the Service.
func (s *Snapshot) WithPods(key Key, pods *ServicePods) *Snapshot {
	c := s.covering(Ref{Kind: Pods, Namespace: key.Namespace, Name: key.Name}, Coverage{Read: true})
	c.Pods = replaced(s.Pods, key, pods)
	return c
}

// WithSecret returns a copy of s in which the Secret is the given one, or does not
// exist where that is nil. Whether Secrets were read stays as it is.
func (s *Snapshot) WithSecret(key Key, facts *SecretFacts) *Snapshot {
	c := *s
	c.Secrets = replaced(s.Secrets, key, facts)
	return &c
}

// WithoutClass returns a copy of s in which there is no IngressClass of that name.
func (s *Snapshot) WithoutClass(name string) *Snapshot {
	c := *s
	c.Classes = maps.Clone(s.Classes)
	delete(c.Classes, name)
	return &c
}

func (s *Snapshot) covering(ref Ref, coverage Coverage) *Snapshot {
	c := *s
	c.Coverage = maps.Clone(s.Coverage)
	c.Coverage[ref] = coverage
	return &c
}

func replaced[T any](all map[Key]*T, key Key, with *T) map[Key]*T {
	c := maps.Clone(all)
	if c == nil {
		c = map[Key]*T{}
	}
	if with == nil {
		delete(c, key)
	} else {
		c[key] = with
	}
	return c
}
