// SPDX-License-Identifier: Apache-2.0

// Package leader lets one replica at a time do what one alone must do. Losing
// the lease stops that work and nothing else: a replica that does not lead goes
// on serving, and may lead again.
//
// It needs the rights get and update on the one Lease, and create where that
// does not exist.
package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of Kubernetes' own components. Who does not hear of a leader for
// leaseDuration takes over; a leader that cannot renew for renewDeadline stops
// before that.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Election is a Lease for which replicas compete. It is built by a struct
// literal.
type Election struct {
	Client coordinationv1.LeasesGetter
	Lease  types.NamespacedName
	// Identity is unlike that of any other replica, or of the same after a
	// restart.
	Identity string
	// Lead is run while this replica leads, and returns soon after its context is
	// done.
	Lead func(ctx context.Context)
	Log  logr.Logger

	leads atomic.Bool
}

// Metric returns a gauge that is 1 while this replica leads, and 0 else.
func (e *Election) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "routegate_leader",
		Help: "1 for the replica that renews certificates and changes the webhook configuration, 0 for the others.",
	}, func() float64 {
		if e.leads.Load() {
			return 1
		}
		return 0
	})
}

// Validate reports what is missing.
func (e *Election) Validate() error {
	var errs []error
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"Client", e.Client == nil}, {"Lease.Namespace", e.Lease.Namespace == ""}, {"Lease.Name", e.Lease.Name == ""},
		{"Identity", e.Identity == ""}, {"Lead", e.Lead == nil},
	} {
		if field.missing {
			errs = append(errs, fmt.Errorf("election: %s must be set", field.name))
		}
	}
	return errors.Join(errs...)
}

// Run takes part until ctx is done. A lease that it holds then is given up once
// Lead has returned, so that another replica can take it at once.
func (e *Election) Run(ctx context.Context) error {
	if err := e.Validate(); err != nil {
		return err
	}
	for {
		if err := e.round(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.Jitter(retryPeriod, leaderelection.JitterFactor)):
		}
	}
}

// round waits for the lease and leads until it is lost or ctx is done.
func (e *Election) round(ctx context.Context) error {
	// The election outlives ctx, so that the lease is held while Lead ends.
	electing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// work is held by Lead. Whoever starts it late finds its context done.
	var work sync.Mutex
	defer func() {
		work.Lock()
		defer work.Unlock()
	}()
	defer context.AfterFunc(ctx, func() {
		work.Lock()
		defer work.Unlock()
		stop()
	})()

	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.Lease.Namespace, Name: e.Lease.Name},
			Client:     e.Client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
		},
		Name:            e.Lease.String(),
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				work.Lock()
				defer work.Unlock()
				leading, end := context.WithCancel(leading)
				defer end()
				defer context.AfterFunc(ctx, end)()
				if leading.Err() != nil {
					return
				}
				e.Log.Info("leading", "lease", e.Lease.String(), "identity", e.Identity)
				e.leads.Store(true)
				e.Lead(leading)
				e.leads.Store(false)
				e.Log.Info("not leading any more", "lease", e.Lease.String(), "identity", e.Identity)
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				e.Log.V(1).Info("leader seen", "lease", e.Lease.String(), "leader", identity)
			},
		},
	})
	if err != nil {
		return fmt.Errorf("election: %w", err)
	}
	elector.Run(electing)
	return nil
}

// Together returns what a leader does that has several tasks: all of them at the same
// time, until the last returns.
func Together(tasks ...func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		var running sync.WaitGroup
		for _, task := range tasks {
			running.Go(func() { task(ctx) })
		}
		running.Wait()
	}
}
