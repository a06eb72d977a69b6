// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/webhook"
)

// BenchmarkDependencies asks about the deletion of a Service that one Ingress routes
// to, in clusters of several sizes: as many Ingresses, Services and EndpointSlices, in
// namespaces of 100.
func BenchmarkDependencies(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("cluster=%d", size), func(b *testing.B) {
			world := &dependents{Static: cluster.NewStatic()}
			apply := func(obj metav1.Object) {
				if err := world.Apply(obj); err != nil {
					b.Fatal(err)
				}
			}
			apply(class("nginx", "k8s.io/ingress-nginx"))
			var svc *corev1.Service
			for i := range size {
				at := metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%d", i/100), Name: fmt.Sprintf("web-%d", i)}
				apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: at.Namespace}})
				svc = &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: at}
				svc.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}
				svc.Spec.Ports[0].TargetPort.IntVal = 8080
				apply(svc)
				port := int32(8080)
				slice := &discoveryv1.EndpointSlice{ObjectMeta: at, Ports: []discoveryv1.EndpointPort{{Port: &port}},
					Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
				slice.Labels = map[string]string{discoveryv1.LabelServiceName: at.Name}
				apply(slice)
				ing := ingress(at.Name)
				ing.ObjectMeta, ing.Spec.Rules[0].Host = at, fmt.Sprintf("h%d.example", i)
				apply(ing)
				world.last = ing
			}
			metrics, err := webhook.NewDependencyMetrics(prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			rules, err := policy.File{}.Compile(checks.All())
			if err != nil {
				b.Fatal(err)
			}
			handler := &webhook.Dependencies{
				Cluster: world, Kinds: webhook.DependencyKinds(), Rules: func() *policy.Rules { return rules },
				Metrics: metrics, Log: logr.Discard(),
			}
			r, err := reviewOf(svc, nil)
			if err != nil {
				b.Fatal(err)
			}
			body, err := json.Marshal(r)
			if err != nil {
				b.Fatal(err)
			}
			ask := func() string {
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/?timeout=10s", bytes.NewReader(body))
				request.Header.Set("Content-Type", "application/json")
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				return answer.Body.String()
			}
			// The first one judges what freezes ingress-nginx, of all hosts.
			if answer := ask(); !bytes.Contains([]byte(answer), []byte("is still routed to by Ingress")) {
				b.Fatal(answer)
			}
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
