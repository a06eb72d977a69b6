// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// BenchmarkVerdict takes a Snapshot and runs all checks on a sound Ingress with
// one rule, in clusters of several sizes: as many Ingresses, Services and
// EndpointSlices, in namespaces of 100.
func BenchmarkVerdict(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("cluster=%d", size), func(b *testing.B) {
			world := cluster.NewStatic()
			apply := func(obj metav1.Object) {
				if err := world.Apply(obj); err != nil {
					b.Fatal(err)
				}
			}
			apply(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}})
			var ing *networkingv1.Ingress
			for i := range size {
				at := metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%d", i/100), Name: fmt.Sprintf("web-%d", i)}
				svc := &corev1.Service{ObjectMeta: at}
				svc.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}
				svc.Spec.Ports[0].TargetPort.IntVal = 8080
				apply(svc)
				port := int32(8080)
				slice := &discoveryv1.EndpointSlice{ObjectMeta: at, Ports: []discoveryv1.EndpointPort{{Port: &port}},
					Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
				slice.Labels = map[string]string{discoveryv1.LabelServiceName: at.Name}
				apply(slice)
				ing = oneRule(at, fmt.Sprintf("h%d.example", i))
				apply(ing)
			}
			// The first one judges what freezes ingress-nginx, of all hosts.
			if _, err := world.Snapshot(b.Context(), routing.ReferencesOf(ing), nil); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				snap, err := world.Snapshot(b.Context(), routing.ReferencesOf(ing), nil)
				if err != nil {
					b.Fatal(err)
				}
				if findings := checks.Run(checks.All(), ing, snap); len(findings) > 0 {
					b.Fatal(findings)
				}
			}
		})
	}
}

func oneRule(at metav1.ObjectMeta, host string) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	ing := &networkingv1.Ingress{ObjectMeta: at, Spec: networkingv1.IngressSpec{IngressClassName: &class}}
	path := networkingv1.HTTPIngressPath{Path: "/", PathType: &prefix}
	path.Backend.Service = &networkingv1.IngressServiceBackend{Name: at.Name, Port: networkingv1.ServiceBackendPort{Number: 80}}
	ing.Spec.Rules = []networkingv1.IngressRule{{Host: host}}
	ing.Spec.Rules[0].HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{path}}
	return ing
}
