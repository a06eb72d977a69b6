// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/routing"
)

const defaultClassAnnotation = "ingressclass.kubernetes.io/is-default-class"

// slimmer reduces objects. It holds the keys of the labels of Ingresses that are kept
// beside those that routing reads.
type slimmer []string

// slim reduces an object of the API to what is kept of it. It is the transform
// of every informer, and is applied to live reads and manifests alike.
func (s slimmer) slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *networkingv1.Ingress:
		return s.ingress(o), nil
	case *networkingv1.IngressClass:
		return &routing.IngressClass{
			ObjectMeta: slimMeta(&o.ObjectMeta),
			Controller: o.Spec.Controller,
			Default:    o.Annotations[defaultClassAnnotation] == "true",
		}, nil
	case *corev1.Service:
		return routing.ServiceOf(o), nil
	case *discoveryv1.EndpointSlice:
		return slimSlice(o), nil
	case *corev1.Secret:
		return routing.FactsOf(o), nil
	case *metav1.PartialObjectMetadata:
		// Secrets are the only kind of which only the metadata are read.
		return routing.FactsOfMetadata(&o.ObjectMeta), nil
	case *corev1.ConfigMap:
		return &routing.ConfigMap{ObjectMeta: slimMeta(&o.ObjectMeta), Data: o.Data}, nil
	case *corev1.Namespace:
		n := &routing.Namespace{ObjectMeta: slimMeta(&o.ObjectMeta)}
		n.Labels = o.Labels
		return n, nil
	case *corev1.Pod:
		return routing.PodOf(o), nil
	case *networkingv1.NetworkPolicy:
		return routing.NetworkPolicyOf(o), nil
	case *routing.IngressClass, *routing.Service, *routing.EndpointSlice, *routing.SecretFacts, *routing.Namespace, *routing.ConfigMap,
		*routing.Pod, *routing.NetworkPolicy:
		// client-go may hand an object to the transform twice.
		return obj, nil
	case cache.DeletedFinalStateUnknown:
		return obj, nil
	}
	return nil, fmt.Errorf("cannot keep an object of type %T", obj)
}

func slimMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:         m.Namespace,
		Name:              m.Name,
		UID:               m.UID,
		ResourceVersion:   m.ResourceVersion,
		CreationTimestamp: m.CreationTimestamp,
		DeletionTimestamp: m.DeletionTimestamp,
	}
}

func (s slimmer) ingress(ing *networkingv1.Ingress) *networkingv1.Ingress {
	kept := &networkingv1.Ingress{ObjectMeta: slimMeta(&ing.ObjectMeta), Spec: ing.Spec}
	kept.Labels, kept.Annotations = routing.ReadLabels(ing.Labels), routing.ReadAnnotations(ing.Annotations)
	for _, key := range s {
		if value, ok := ing.Labels[key]; ok {
			if kept.Labels == nil {
				kept.Labels = map[string]string{}
			}
			kept.Labels[key] = value
		}
	}
	if written := routing.LastWritten(ing); written.After(ing.CreationTimestamp.Time) {
		// Of all that managed fields say, only when the last change was.
		kept.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: written}}}
	}
	return kept
}

func slimSlice(s *discoveryv1.EndpointSlice) *routing.EndpointSlice {
	kept := &routing.EndpointSlice{
		Meta:        routing.MetaOf(&s.ObjectMeta),
		Service:     s.Labels[discoveryv1.LabelServiceName],
		AddressType: s.AddressType,
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		port := routing.SlicePort{TCP: p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP}
		if p.Name != nil {
			port.Name = *p.Name
		}
		if p.Port != nil {
			port.Number = *p.Port
		}
		kept.Ports = append(kept.Ports, port)
	}
	for i := range s.Endpoints {
		ready := s.Endpoints[i].Conditions.Ready
		kept.Endpoints = append(kept.Endpoints, routing.Endpoint{
			Addresses: s.Endpoints[i].Addresses,
			Ready:     ready == nil || *ready,
		})
	}
	return kept
}
