// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

const deadService = `
kind: IngressClass
apiVersion: networking.k8s.io/v1
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: {name: web, namespace: app}
spec:
  ingressClassName: nginx
  rules:
  - host: a.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: app}
spec: {selector: {app: web, tier: front}, ports: [{port: 80}]}
`

func TestTraceReadsPodsOfADeadService(t *testing.T) {
	static := cluster.NewStatic()
	objects, err := cluster.Decode(strings.NewReader(deadService))
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objects {
		if err := static.Apply(obj.(metav1.Object)); err != nil {
			t.Fatal(err)
		}
	}
	near := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web-abc", Labels: map[string]string{"app": "web", "tier": "fornt"}}}
	w := &world{client: fake.NewClientset(near)}
	w.snap, w.ingresses = static.Everything()
	installation := report.Installations(w.snap, w.ingresses)[0]
	request := routing.Request{Method: "GET", Host: "a.example", Path: "/"}

	if err := w.readPods(t.Context(), installation.Table.Match(request)); err != nil {
		t.Fatal(err)
	}
	trace := report.NewTrace("http://a.example/", request, installation, w.snap, w.ingresses)
	want := []string{
		`Service "web" has no endpoints: its selector "app=web,tier=front" matches no Pod`,
		`Pod web-abc has "tier=fornt" instead of "tier=front"`,
	}
	if trace.Status != 503 || !slices.Equal(trace.Hints, want) {
		t.Errorf("got %d and %q, want 503 and %q", trace.Status, trace.Hints, want)
	}

	w.client = nil
	if err := w.readPods(t.Context(), installation.Table.Match(request)); err == nil {
		t.Error("Pods of manifests are looked for")
	}
}
