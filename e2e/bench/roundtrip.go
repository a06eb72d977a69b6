// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"
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

// routegateHandler judges in the cluster by the checks and the default policy.
func routegateHandler(world webhook.Cluster, all []checks.Check) (*webhook.Handler, error) {
	metrics, err := webhook.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	rules, err := policy.File{}.Compile(all)
	if err != nil {
		return nil, err
	}
	handler := &webhook.Handler{
		Cluster: world, Authorizer: noRights{}, Metrics: metrics, Log: logr.Discard(), Rules: func() *policy.Rules { return rules },
	}
	return handler, handler.Validate()
}

// plainHandler is what Routegate is compared with: controller-runtime's handler of
// reviews, which decodes each and allows everything.
func plainHandler() http.Handler {
	return &admission.Webhook{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed("")
	})}
}

// The paths of the two handlers.
const (
	routegatePath = "/routegate"
	plainPath     = "/plain"
)

// served is a server of both handlers, and a client of it.
type served struct {
	base   string
	client *http.Client
	stop   func() error
}

// serve serves both handlers over HTTPS, as one server that is controller-runtime's.
func serve(ctx context.Context, world webhook.Cluster, all []checks.Check) (*served, error) {
	handler, err := routegateHandler(world, all)
	if err != nil {
		return nil, err
	}
	pair, bundle, err := certs.SelfSigned([]string{"127.0.0.1"})
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	server := ctrlwebhook.NewServer(ctrlwebhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }
	}}})
	server.Register(routegatePath, handler)
	server.Register(plainPath, plainHandler())
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	s := &served{
		base:   fmt.Sprintf("https://127.0.0.1:%d", port),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}},
		stop:   func() error { cancel(); return <-stopped },
	}
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// await waits until the server listens.
func (s *served) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+routegatePath, nil)
		if err != nil {
			return err
		}
		resp, err := s.client.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// answer is what a review gets.
type answer string

const (
	allowed answer = "allow"
	warned  answer = "warn"
	denied  answer = "deny"
)

// post sends one review, expects that answer, and returns how long it took.
func (s *served) post(ctx context.Context, path string, body []byte, want answer) (time.Duration, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path+"?timeout=10s", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &review); err != nil {
		return 0, fmt.Errorf("%s answered %s: %w", path, resp.Status, err)
	}
	if review.Response == nil {
		return 0, fmt.Errorf("%s answered without a response: %s", path, text)
	}
	got := allowed
	switch {
	case !review.Response.Allowed:
		got = denied
	case len(review.Response.Warnings) > 0:
		got = warned
	}
	if got != want {
		return 0, fmt.Errorf("%s: %s, not %s: %s", path, got, want, text)
	}
	return took, nil
}

// latency is how long requests took, in order.
type latency []time.Duration

func (l latency) at(p float64) time.Duration {
	return l[min(len(l)-1, int(p*float64(len(l))))]
}

// compare times both handlers, one request of each in turn, over one HTTP/2 connection,
// as an API server keeps to a webhook at localhost. To a Service it keeps several of
// HTTP/1.1.
// The plain one allows whatever Routegate says.
func (s *served) compare(ctx context.Context, body []byte, want answer, requests int) (ours, plain latency, err error) {
	for i := range requests + requests/10 {
		a, err := s.post(ctx, routegatePath, body, want)
		if err != nil {
			return nil, nil, err
		}
		b, err := s.post(ctx, plainPath, body, allowed)
		if err != nil {
			return nil, nil, err
		}
		if i >= requests/10 { // the first tenth warms up
			ours, plain = append(ours, a), append(plain, b)
		}
	}
	slices.Sort(ours)
	slices.Sort(plain)
	return ours, plain, nil
}

// perSecond is how many requests a second are answered while so many clients send one
// after the other.
func (s *served) perSecond(ctx context.Context, path string, body []byte, clients int, during time.Duration) (float64, error) {
	var sent atomic.Int64
	var failed atomic.Pointer[error]
	var sending sync.WaitGroup
	start := time.Now()
	for range clients {
		sending.Go(func() {
			for time.Since(start) < during && failed.Load() == nil {
				if _, err := s.post(ctx, path, body, allowed); err != nil {
					failed.Store(&err)
					return
				}
				sent.Add(1)
			}
		})
	}
	sending.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(sent.Load()) / time.Since(start).Seconds(), nil
}

// roundTrips compares round trips among so many objects of each kind.
func roundTrips(ctx context.Context, t *table, size, requests int) error {
	world, err := staticWorld(size)
	if err != nil {
		return err
	}
	s, err := serve(ctx, world, checks.All())
	if err != nil {
		return err
	}
	body, err := changeOf(size - 1)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	ours, plain, err := s.compare(ctx, body, allowed, requests)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	for _, p := range []struct{ at, budget, gate float64 }{{0.5, 1.3, 1.6}, {0.99, 1.5, 2.5}} {
		t.ratio(fmt.Sprintf("HTTPS round trip, p%.0f, against a handler that allows everything", p.at*100),
			ours.at(p.at), plain.at(p.at), p.budget, p.gate)
	}
	return s.stop()
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

// changeOf is the review of a change to the i-th Ingress that its routing depends on.
func changeOf(i int) ([]byte, error) {
	old, ing := ingressOf(i), ingressOf(i)
	ing.Annotations["nginx.ingress.kubernetes.io/proxy-body-size"] = "16m"
	return reviewOf(old, ing)
}

// reviewOf is the review of an update, or of a create where old is nil.
func reviewOf(old, ing *networkingv1.Ingress) ([]byte, error) {
	r := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "bench", Operation: admissionv1.Create, Namespace: ing.Namespace, Name: ing.Name,
			Kind: metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
		},
	}
	var err error
	if r.Request.Object.Raw, err = json.Marshal(ing); err != nil {
		return nil, err
	}
	if old != nil {
		r.Request.Operation = admissionv1.Update
		if r.Request.OldObject.Raw, err = json.Marshal(old); err != nil {
			return nil, err
		}
	}
	return json.Marshal(r)
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
