// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	"github.com/routegate/routegate/e2e/stack"
)

// authority issues certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// pem is the certificate.
	pem []byte
}

func newAuthority() *authority {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "authority-of-clients"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	cert, err := x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	return &authority{cert: cert, key: key, pem: encode(der)}
}

// issue returns a client's certificate and its key in PEM.
func (a *authority) issue(name string) (certPEM, keyPEM []byte) {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	Expect(err).NotTo(HaveOccurred())
	keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key)
	Expect(err).NotTo(HaveOccurred())
	return encode(der), keyPEM
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// forwarder is what a Service does for connections: each goes to one of the
// processes, and stays with it.
type forwarder struct {
	url      string
	listener net.Listener

	mu      sync.Mutex
	targets []string
	next    int
}

func startForwarder(ctx SpecContext) *forwarder {
	GinkgoHelper()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	f := &forwarder{url: "https://" + listener.Addr().String() + "/validate-ingress", listener: listener}
	DeferCleanup(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.forward(conn)
		}
	}()
	return f
}

func hostOf(process *stack.Routegate) string {
	u, err := url.Parse(process.URL)
	Expect(err).NotTo(HaveOccurred())
	return u.Host
}

func (f *forwarder) add(process *stack.Routegate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.targets = append(f.targets, hostOf(process))
}

// remove sends no new connections to the process.
func (f *forwarder) remove(process *stack.Routegate) {
	host := hostOf(process)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.targets = slices.DeleteFunc(f.targets, func(t string) bool { return t == host })
}

func (f *forwarder) forward(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	f.mu.Lock()
	if len(f.targets) == 0 {
		f.mu.Unlock()
		return
	}
	f.next++
	target := f.targets[f.next%len(f.targets)]
	f.mu.Unlock()
	back, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = back.Close() }()
	go func() {
		_, _ = io.Copy(back, conn)
		_ = back.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, back)
}

// load is dry runs of Ingresses without their Service, at a steady rate, each of
// which the API server must answer with what routegate says of it.
type load struct {
	sent, failed atomic.Int64
	mu           sync.Mutex
	failures     []string
	stop         context.CancelFunc
	ended        chan struct{}
}

const loadRate = 50 // a second

func (r *release) startLoad(ctx SpecContext) *load {
	GinkgoHelper()
	l := &load{ended: make(chan struct{})}
	running, stop := context.WithCancel(ctx)
	l.stop = stop
	DeferCleanup(l.end)
	ing := r.ingress()
	// Warnings belong to a client, so each worker has its own.
	const workers = 2 * loadRate
	turns := make(chan struct{})
	var all sync.WaitGroup
	for range workers {
		said := &stack.Warnings{}
		config := rest.CopyConfig(controlPlane.Config)
		config.WarningHandler = said
		client, err := kubernetes.NewForConfig(config)
		Expect(err).NotTo(HaveOccurred())
		all.Go(func() {
			for range turns {
				said.Take()
				_, err := client.NetworkingV1().Ingresses(r.ingresses).Create(ctx, ing, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				warnings := said.Take()
				if err == nil && !strings.Contains(strings.Join(warnings, " "), "(service-missing)") {
					err = fmt.Errorf("routegate was not asked; warnings: %q", warnings)
				}
				l.sent.Add(1)
				if err != nil {
					l.failed.Add(1)
					l.mu.Lock()
					l.failures = append(l.failures, time.Now().Format(time.TimeOnly)+" "+err.Error())
					l.mu.Unlock()
				}
			}
		})
	}
	go func() {
		defer close(l.ended)
		defer all.Wait()
		defer close(turns)
		ticker := time.NewTicker(time.Second / loadRate)
		defer ticker.Stop()
		for {
			select {
			case <-running.Done():
				return
			case <-ticker.C:
			}
			select {
			case <-running.Done():
				return
			case turns <- struct{}{}:
			}
		}
	}()
	return l
}

// end stops the load and waits for the last answers.
func (l *load) end() {
	l.stop()
	<-l.ended
}

// latecomers connect to each process all the time, as API servers would that
// hear of bundles with a delay. An API server itself keeps its connections, and so
// would not notice.
type latecomers struct {
	stop     context.CancelFunc
	ended    chan struct{}
	tried    int
	failures []string
}

func (r *release) startLatecomers(ctx SpecContext, processes []*stack.Routegate, delay time.Duration) *latecomers {
	l := &latecomers{ended: make(chan struct{})}
	running, stop := context.WithCancel(ctx)
	l.stop = stop
	DeferCleanup(l.end)
	type heard struct {
		at     time.Time
		bundle string
	}
	try := func(history []heard) error {
		for _, process := range processes {
			text, err := served(running, process)
			if err != nil {
				return err
			}
			block, _ := pem.Decode([]byte(text))
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err
			}
			for _, h := range []heard{history[0], history[len(history)-1]} {
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM([]byte(h.bundle))
				l.tried++
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
					return fmt.Errorf("%s by bundle %s of %s ago: %w", leaf.Subject.CommonName, names(h.bundle), time.Since(h.at), err)
				}
			}
		}
		return nil
	}
	go func() {
		defer close(l.ended)
		var history []heard
		for running.Err() == nil {
			bundle, err := r.bundle(running)
			if err == nil {
				history = append(history, heard{time.Now(), bundle})
				// The first is what was true when the delay began.
				for len(history) > 1 && time.Since(history[1].at) >= delay {
					history = history[1:]
				}
				err = try(history)
			}
			if err != nil && running.Err() == nil {
				l.failures = append(l.failures, time.Now().Format(time.TimeOnly)+" "+err.Error())
			}
		}
	}()
	return l
}

func (l *latecomers) end() {
	l.stop()
	<-l.ended
}

// sentMore is whether n more were sent since it was made.
func (l *load) sentMore(n int64) func() error {
	since := l.sent.Load()
	return func() error {
		if sent := l.sent.Load() - since; sent < n {
			return errors.New("only " + fmt.Sprint(sent))
		}
		return nil
	}
}

func (l *load) expectNoFailure() {
	GinkgoHelper()
	l.end()
	Expect(l.failures).To(BeEmpty(), "%d of %d", l.failed.Load(), l.sent.Load())
	AddReportEntry("calls, none of which failed", l.sent.Load())
}

// ingress is one with a Service that does not exist, and a host that no other release has.
func (r *release) ingress() *networkingv1.Ingress {
	prefix := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "load-", Annotations: map[string]string{"kubernetes.io/ingress.class": "nginx"}},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: r.name + ".example.com",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "no-such-service", Port: networkingv1.ServiceBackendPort{Number: 80},
					}},
				}},
			}},
		}}},
	}
}
