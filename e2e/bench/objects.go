// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/routegate/routegate/certs"
)

// perNamespace is how many of each kind share a namespace.
const perNamespace = 100

// metaOf is the metadata of the i-th object of a kind, as a cluster has them:
// with labels, what kubectl applied, and managed fields.
func metaOf(kind string, i int) metav1.ObjectMeta {
	name := fmt.Sprintf("app-%06d", i)
	at := metav1.NewTime(time.Date(2026, time.January, 1, 0, 0, i, 0, time.UTC))
	return metav1.ObjectMeta{
		Namespace:         fmt.Sprintf("team-%04d", i/perNamespace),
		Name:              name,
		UID:               types.UID(fmt.Sprintf("%s-%032d", kind[:3], i)),
		ResourceVersion:   fmt.Sprint(1000 + i),
		Generation:        1,
		CreationTimestamp: at,
		Labels: map[string]string{
			"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name,
			"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "app-1.2.3",
		},
		Annotations: map[string]string{
			"meta.helm.sh/release-name": name,
			corev1.LastAppliedConfigAnnotation: `{"apiVersion":"v1","kind":"` + kind + `","metadata":{"annotations":{},"labels":` +
				`{"app.kubernetes.io/instance":"` + name + `","app.kubernetes.io/managed-by":"Helm"},"name":"` + name + `"},"spec":{}}`,
		},
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: "helm", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{".":{},"f:meta.helm.sh/release-name":{}},"f:labels":` +
				`{".":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},` +
				`"f:helm.sh/chart":{}}},"f:spec":{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},` +
				`"f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}`),
		}},
	}
}

func hostOf(i int) string {
	return fmt.Sprintf("app-%06d.example.com", i)
}

func ingressOf(i int) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	ing := &networkingv1.Ingress{ObjectMeta: metaOf("Ingress", i)}
	ing.Annotations["nginx.ingress.kubernetes.io/proxy-body-size"] = "8m"
	path := networkingv1.HTTPIngressPath{Path: "/", PathType: &prefix}
	path.Backend.Service = &networkingv1.IngressServiceBackend{Name: ing.Name, Port: networkingv1.ServiceBackendPort{Number: 80}}
	ing.Spec.IngressClassName = &class
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{hostOf(i)}, SecretName: ing.Name}}
	ing.Spec.Rules = []networkingv1.IngressRule{{Host: hostOf(i)}}
	ing.Spec.Rules[0].HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{path}}
	ing.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
	return ing
}

func serviceOf(i int) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metaOf("Service", i)}
	svc.Spec.Type, svc.Spec.ClusterIP = corev1.ServiceTypeClusterIP, "10.96.0.10"
	svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	svc.Spec.Selector = map[string]string{"app.kubernetes.io/name": svc.Name}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}
	svc.Spec.Ports[0].TargetPort.IntVal = 8080
	return svc
}

func sliceOf(i int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metaOf("EndpointSlice", i), AddressType: discoveryv1.AddressTypeIPv4}
	s.Labels[discoveryv1.LabelServiceName] = s.Name
	name, port, tcp, yes, no, node := "http", int32(8080), corev1.ProtocolTCP, true, false, "node-1"
	s.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}}
	for n := range 2 {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.0.%d.%d", i%256, n+1)},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no},
			NodeName:   &node,
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", s.Name, n), UID: "00000000-0000-0000-0000-000000000000"},
		})
	}
	return s
}

// keyPair is one certificate for all hosts of the benchmark, with its key: to
// make 10 000 would measure the making.
func keyPair() (crt, key []byte, err error) {
	return certs.PEM([]string{"*.example.com"})
}

func secretOf(i int, crt, key []byte) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metaOf("Secret", i), Type: corev1.SecretTypeTLS}
	s.Data = map[string][]byte{corev1.TLSCertKey: crt, corev1.TLSPrivateKeyKey: key}
	return s
}

func classes() []*networkingv1.IngressClass {
	return []*networkingv1.IngressClass{{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx", UID: "class"},
		Spec:       networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
	}}
}

func namespaces(size int) []*corev1.Namespace {
	var all []*corev1.Namespace
	for i := 0; i < size; i += perNamespace {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: metaOf("Namespace", i).Namespace, Labels: map[string]string{"kubernetes.io/metadata.name": metaOf("Namespace", i).Namespace},
		}})
	}
	return all
}
