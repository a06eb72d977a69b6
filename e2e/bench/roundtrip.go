// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/webhook"
)

// noRights is an Authorizer to whom nobody may do anything.
type noRights struct{}

func (noRights) May(context.Context, authenticationv1.UserInfo, authorizationv1.ResourceAttributes) (bool, error) {
	return false, nil
}

// roundTrips times both handlers, one request of each in turn, over one HTTP/2
// connection as the API server keeps it.
func roundTrips(ctx context.Context, out io.Writer, size, requests int) error {
	handler, err := routegateHandler(size)
	if err != nil {
		return err
	}
	pair, bundle, err := certs.SelfSigned([]string{"127.0.0.1"})
	if err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	server := ctrlwebhook.NewServer(ctrlwebhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }
	}}})
	server.Register("/routegate", handler)
	server.Register("/plain", &admission.Webhook{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed("")
	})})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()

	body, err := reviewOf(size - 1)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	times := map[string][]time.Duration{}
	for i := range requests + requests/10 {
		for _, path := range []string{"/routegate", "/plain"} {
			took, err := post(ctx, client, fmt.Sprintf("https://127.0.0.1:%d%s?timeout=10s", port, path), body)
			if err != nil {
				if i == 0 && ctx.Err() == nil {
					// The server may not listen yet.
					took, err = awaitServer(ctx, client, fmt.Sprintf("https://127.0.0.1:%d%s", port, path), body)
				}
				if err != nil {
					return err
				}
			}
			if i >= requests/10 { // the first tenth warms up
				times[path] = append(times[path], took)
			}
		}
	}
	for _, p := range []struct{ at, budget float64 }{{0.5, 1.3}, {0.99, 1.5}} {
		a, b := percentile(times["/routegate"], p.at), percentile(times["/plain"], p.at)
		fmt.Fprintf(out, "HTTPS round trip, p%.0f, against a handler that allows everything\t%s\t%s\t%.2f\t%.1f\n",
			p.at*100, a.Round(time.Microsecond), b.Round(time.Microsecond), float64(a)/float64(b), p.budget)
	}
	stop()
	return <-stopped
}

// routegateHandler answers reviews among so many objects of each kind.
func routegateHandler(size int) (*webhook.Handler, error) {
	world, err := staticWorld(size)
	if err != nil {
		return nil, err
	}
	metrics, err := webhook.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	rules, err := policy.File{}.Compile(checks.All())
	if err != nil {
		return nil, err
	}
	handler := &webhook.Handler{
		Cluster: world, Authorizer: noRights{}, Metrics: metrics, Log: logr.Discard(), Rules: func() *policy.Rules { return rules },
	}
	return handler, handler.Validate()
}

func staticWorld(size int) (*cluster.Static, error) {
	crt, key, err := keyPair()
	if err != nil {
		return nil, err
	}
	world := cluster.NewStatic()
	world.Now = time.Now()
	var objs []metav1.Object
	for _, c := range classes() {
		objs = append(objs, c)
	}
	for _, n := range namespaces(size) {
		objs = append(objs, n)
	}
	for i := range size {
		objs = append(objs, serviceOf(i), sliceOf(i), secretOf(i, crt, key), ingressOf(i))
	}
	for _, obj := range objs {
		if err := world.Apply(obj); err != nil {
			return nil, err
		}
	}
	return world, nil
}

// reviewOf is the review of a change to the i-th Ingress that its routing
// depends on.
func reviewOf(i int) ([]byte, error) {
	old, ing := ingressOf(i), ingressOf(i)
	ing.Annotations["nginx.ingress.kubernetes.io/proxy-body-size"] = "16m"
	r := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "bench", Operation: admissionv1.Update, Namespace: ing.Namespace, Name: ing.Name,
			Kind: metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
		},
	}
	var err error
	if r.Request.Object.Raw, err = json.Marshal(ing); err != nil {
		return nil, err
	}
	if r.Request.OldObject.Raw, err = json.Marshal(old); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// post sends one review, expects it to be allowed without a warning, and
// returns how long that took.
func post(ctx context.Context, client *http.Client, url string, body []byte) (time.Duration, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, fmt.Errorf("%s answered %s: %w", url, resp.Status, err)
	}
	if answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Warnings) > 0 {
		return 0, fmt.Errorf("%s: not simply allowed: %s", url, text)
	}
	return took, nil
}

func awaitServer(ctx context.Context, client *http.Client, url string, body []byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		took, err := post(ctx, client, url, body)
		if err == nil {
			return took, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, err
		}
	}
}

func percentile(times []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
