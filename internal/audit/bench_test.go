// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
)

// crowd is how many Ingresses are audited, each with a Service, of which every tenth
// is missing, and an EndpointSlice.
const crowd = 10_000

func crowded(b *testing.B) *cluster.Static {
	b.Helper()
	static := cluster.NewStatic()
	class, prefix := "nginx", networkingv1.PathTypePrefix
	objs := []metav1.Object{&networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
	}}
	for i := range crowd {
		meta := metav1.ObjectMeta{Namespace: fmt.Sprintf("ns%d", i/100), Name: fmt.Sprintf("shop%d", i)}
		objs = append(objs, &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: fmt.Sprintf("shop%d.example", i), IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: meta.Name, Port: networkingv1.ServiceBackendPort{Number: 80}},
				}}}},
			}}},
		}}, endpoints(meta, 0))
		if i%10 > 0 {
			objs = append(objs, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
				ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "x"}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
			}})
		}
	}
	for _, obj := range objs {
		if err := static.Apply(obj); err != nil {
			b.Fatal(err)
		}
	}
	return static
}

// endpoints is an EndpointSlice with an address that is another for each n.
func endpoints(meta metav1.ObjectMeta, n int) *discoveryv1.EndpointSlice {
	port, protocol := int32(80), corev1.ProtocolTCP
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
		Ports:     []discoveryv1.EndpointPort{{Name: new(string), Port: &port, Protocol: &protocol}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{fmt.Sprintf("10.1.%d.%d", n/256%256, n%256)}}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: meta.Name}
	return slice
}

// inspected is a round that is worked off by hand, without its pauses.
func inspected(b *testing.B, static *cluster.Static) *round {
	b.Helper()
	rules, err := policy.File{}.Compile(checks.All())
	if err != nil {
		b.Fatal(err)
	}
	a, err := New(Config{
		Cluster: static, Rules: func() *policy.Rules { return rules },
		Clock: clock.RealClock{}, MaxSeries: 2000, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	r := a.newRound(b.Context())
	b.Cleanup(r.queue.ShutDown)
	static.Follow(b.Context(), r.queue.Add, r.markAll)
	return r
}

func (r *round) finish(b *testing.B) {
	for r.queue.Len() > 0 {
		r.worked = 0
		r.work(b.Context())
	}
}

// BenchmarkFullAudit judges all Ingresses once, as a new leader does.
func BenchmarkFullAudit(b *testing.B) {
	static := crowded(b)
	for b.Loop() {
		r := inspected(b, static)
		for _, key := range r.all() {
			r.queue.Add(key)
		}
		r.finish(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/crowd, "ns/Ingress")
}

// BenchmarkSteadyState changes the endpoints of one Service after the other. It reports
// the live heap that the audit needs for each Ingress, and that of all, with the objects.
func BenchmarkSteadyState(b *testing.B) {
	empty := heap()
	static := crowded(b)
	before := heap()
	r := inspected(b, static)
	for _, key := range r.all() {
		r.queue.Add(key)
	}
	r.finish(b)
	after := heap()
	n := 0
	for b.Loop() {
		n++
		i := n % crowd
		meta := metav1.ObjectMeta{Namespace: fmt.Sprintf("ns%d", i/100), Name: fmt.Sprintf("shop%d", i)}
		if err := static.Apply(endpoints(meta, n)); err != nil {
			b.Fatal(err)
		}
		r.finish(b)
	}
	b.ReportMetric(float64(after-before)/crowd, "heap-B/Ingress")
	b.ReportMetric(float64(heap()-empty)/(1<<20), "heap-MiB")
	runtime.KeepAlive(r)
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
