// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Proxy stands between a routegate and the API server, with an administrator's
// rights. It passes everything on at once, except what a fault keeps from it and
// what flows through a valve that is shut.
type Proxy struct {
	// Kubeconfig is the path of a kubeconfig file that leads to the proxy.
	Kubeconfig string
	// Watches holds back the events of watches.
	Watches Valve
	// Reads holds back the answers to everything else.
	Reads Valve

	server *http.Server
	pass   *httputil.ReverseProxy

	mu    sync.Mutex
	fault Fault
	// passing ends when what is under way is to be cut.
	passing context.Context
	cut     context.CancelFunc
}

// Fault says what becomes of a request: it is passed on for 0, its connection is
// closed for Hangup, and any other number is the status that it gets.
type Fault func(r *http.Request) int

// Hangup is the outcome of a request whose connection is closed without an
// answer.
const Hangup = -1

// StartProxy starts a proxy and writes a kubeconfig file that leads to it to
// dir.
func (cp *ControlPlane) StartProxy(ctx context.Context, dir, name string) (*Proxy, error) {
	target, err := url.Parse(cp.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	transport, err := rest.TransportFor(cp.Config)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{Kubeconfig: filepath.Join(dir, "kubeconfig-"+name)}
	// It outlives ctx, which bounds only the start; Stop ends it.
	p.passing, p.cut = context.WithCancel(context.WithoutCancel(ctx))
	quiet := log.New(io.Discard, "", 0)
	p.pass = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1,
		ErrorLog:       quiet,
		ModifyResponse: p.hold,
	}
	p.server = &http.Server{Handler: p, ErrorLog: quiet}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort(0))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["proxy"] = &clientcmdapi.Cluster{Server: "http://" + listener.Addr().String()}
	config.Contexts["proxy"] = &clientcmdapi.Context{Cluster: "proxy"}
	config.CurrentContext = "proxy"
	if err := clientcmd.WriteToFile(*config, p.Kubeconfig); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	go func() {
		// It ends when Stop closes the server.
		_ = p.server.Serve(listener)
	}()
	return p, nil
}

// ServeHTTP passes a request on, or not.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	fault, passing := p.fault, p.passing
	p.mu.Unlock()
	if fault != nil {
		switch status := fault(r); status {
		case 0:
		case Hangup:
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "out of order", status)
			return
		}
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), passingKey{}, passing))
	defer cancel()
	defer context.AfterFunc(passing, cancel)()
	p.pass.ServeHTTP(w, r.WithContext(ctx))
}

// passingKey is the key of the context that ends when a request is to be cut. That of the
// request ends a little later.
type passingKey struct{}

// hold lets a response through the valve that it belongs to.
func (p *Proxy) hold(resp *http.Response) error {
	ctx := resp.Request.Context()
	if resp.Request.URL.Query().Get("watch") == "true" {
		passing, _ := ctx.Value(passingKey{}).(context.Context)
		resp.Body = &heldBody{ReadCloser: resp.Body, valve: &p.Watches, ctx: ctx, passing: passing}
		return nil
	}
	return p.Reads.wait(ctx)
}

// SetFault decides from now on what becomes of requests, and cuts those that are
// under way, watches among them. Nil passes all of them on.
func (p *Proxy) SetFault(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
	p.cut()
	p.passing, p.cut = context.WithCancel(context.WithoutCancel(p.passing))
}

// Stop closes all connections.
func (p *Proxy) Stop() error {
	p.SetFault(func(*http.Request) int { return Hangup })
	return p.server.Close()
}

// heldBody is the body of a watch. What comes while the valve is shut is passed
// on when it opens; what comes after the watch was cut is not.
type heldBody struct {
	io.ReadCloser
	valve        *Valve
	ctx, passing context.Context
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if waitErr := b.valve.wait(b.ctx); waitErr != nil {
		return 0, waitErr
	}
	if cutErr := b.passing.Err(); cutErr != nil {
		return 0, cutErr
	}
	return n, err
}

// Valve is open at first.
type Valve struct {
	mu sync.Mutex
	// opened is closed when the valve opens, and nil while it is open.
	opened chan struct{}
	held   int
}

// Shut holds back from now on.
func (v *Valve) Shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened == nil {
		v.opened = make(chan struct{})
	}
}

// Open lets go what was held back.
func (v *Valve) Open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened != nil {
		close(v.opened)
		v.opened = nil
	}
}

// Held is how many wait at the valve.
func (v *Valve) Held() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held
}

func (v *Valve) wait(ctx context.Context) error {
	v.mu.Lock()
	opened := v.opened
	if opened != nil {
		v.held++
	}
	v.mu.Unlock()
	if opened == nil {
		return nil
	}
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.held--
	}()
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
