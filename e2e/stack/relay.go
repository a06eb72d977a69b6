// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"

	"k8s.io/client-go/tools/clientcmd"
)

// Relay passes TCP connections on to the API server, and knows nothing of what they
// carry: TLS is between the two ends.
type Relay struct {
	// Kubeconfig is the path of a kubeconfig file that leads to the relay, with an
	// administrator's rights.
	Kubeconfig string

	target   string
	listener net.Listener

	mu    sync.Mutex
	conns map[*relayed]bool
}

// StartRelay starts a relay and writes a kubeconfig file that leads to it to dir.
func (cp *ControlPlane) StartRelay(ctx context.Context, dir, name string) (*Relay, error) {
	target, err := url.Parse(cp.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{Kubeconfig: filepath.Join(dir, "kubeconfig-"+name), target: target.Host, conns: map[*relayed]bool{}}
	if r.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort(0)); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	config, err := clientcmd.LoadFromFile(cp.Kubeconfig)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("relay: %w", err), r.listener.Close())
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + r.listener.Addr().String()
	}
	if err := clientcmd.WriteToFile(*config, r.Kubeconfig); err != nil {
		return nil, errors.Join(fmt.Errorf("relay: %w", err), r.listener.Close())
	}
	// It outlives ctx, which bounds only the start; Stop ends it.
	go r.accept(context.WithoutCancel(ctx))
	return r, nil
}

// accept ends when Stop closes the listener.
func (r *Relay) accept(ctx context.Context) {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c := &relayed{near: near, far: far}
		r.mu.Lock()
		r.conns[c] = true
		r.mu.Unlock()
		for _, way := range []struct{ from, to net.Conn }{{near, far}, {far, near}} {
			go func() {
				_, _ = io.Copy(swallower{c, way.to}, way.from)
				c.close()
				r.mu.Lock()
				delete(r.conns, c)
				r.mu.Unlock()
			}()
		}
	}
}

// Swallow makes the connections that there are half open: neither end hears of the other
// any more, nor that it is so. New connections are passed on. It returns how many there
// are.
func (r *Relay) Swallow() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.swallow()
	}
	return len(r.conns)
}

// Stop closes everything.
func (r *Relay) Stop() error {
	err := r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.close()
	}
	return err
}

// relayed is one connection, in two parts.
type relayed struct {
	near, far net.Conn

	mu         sync.Mutex
	swallowing bool
}

func (c *relayed) swallow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swallowing = true
}

func (c *relayed) swallows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.swallowing
}

func (c *relayed) close() {
	_ = c.near.Close()
	_ = c.far.Close()
}

// swallower writes to one part of a connection, or only says so.
type swallower struct {
	*relayed
	to net.Conn
}

func (s swallower) Write(p []byte) (int, error) {
	if s.swallows() {
		return len(p), nil
	}
	return s.to.Write(p)
}
