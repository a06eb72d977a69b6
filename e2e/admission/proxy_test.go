// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// slowProxy stands between a routegate and the API server, with an
// administrator's rights. It passes everything on at once, except what flows
// through a valve that is shut: events of watches, and answers to other reads.
type slowProxy struct {
	kubeconfig     string
	watches, reads valve
}

func startProxy(name string) *slowProxy {
	GinkgoHelper()
	p := &slowProxy{kubeconfig: filepath.Join(dir, "kubeconfig-"+name)}
	target, err := url.Parse(controlPlane.Config.Host)
	Expect(err).NotTo(HaveOccurred())
	transport, err := rest.TransportFor(controlPlane.Config)
	Expect(err).NotTo(HaveOccurred())
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(resp *http.Response) error {
			ctx := resp.Request.Context()
			if resp.Request.URL.Query().Get("watch") == "true" {
				resp.Body = &heldBody{ReadCloser: resp.Body, valve: &p.watches, ctx: ctx}
				return nil
			}
			return p.reads.wait(ctx)
		},
	})
	DeferCleanup(func() {
		// Watches never end by themselves.
		server.CloseClientConnections()
		server.Close()
	})

	config := clientcmdapi.NewConfig()
	config.Clusters["proxy"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["proxy"] = &clientcmdapi.Context{Cluster: "proxy"}
	config.CurrentContext = "proxy"
	Expect(clientcmd.WriteToFile(*config, p.kubeconfig)).To(Succeed())
	return p
}

// heldBody is the body of a watch. What comes while the valve is shut is passed
// on when it opens.
type heldBody struct {
	io.ReadCloser
	valve *valve
	ctx   context.Context
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if waitErr := b.valve.wait(b.ctx); waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// valve is open at first.
type valve struct {
	mu sync.Mutex
	// opened is closed when the valve opens, and nil while it is open.
	opened chan struct{}
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened == nil {
		v.opened = make(chan struct{})
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened != nil {
		close(v.opened)
		v.opened = nil
	}
}

func (v *valve) wait(ctx context.Context) error {
	v.mu.Lock()
	opened := v.opened
	v.mu.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
