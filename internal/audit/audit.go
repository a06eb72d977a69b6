// SPDX-License-Identifier: Apache-2.0

// Package audit keeps judging the Ingresses that are in the cluster already: one that
// was sound when it was written dies when its Service is deleted, its endpoints
// vanish, its certificate expires or a newer Ingress takes its host.
//
// An Auditor works while its replica leads. It judges every Ingress once, and from
// then on those whose Snapshot changed, and those for which time alone may have
// changed the Judgement. What it finds counts once it has lasted for the settle time,
// and until it has been gone for that long, so that a rolling restart shows nowhere.
// What the first look after a change of leaders finds counts at once and makes no
// Event, since it is not known to be new.
package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// Cluster is where the Ingresses and their Snapshots come from.
type Cluster interface {
	// Snapshot returns the cluster around the references; a Snapshot is the caller's.
	Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error)
	// Ingress returns the Ingress of that name, nil where there is none.
	Ingress(routing.Key) *networkingv1.Ingress
	// IngressKeys names all Ingresses.
	IngressKeys() []routing.Key
	// Follow calls all once the cluster has been read, then changed for each Ingress
	// whose Snapshot is another than before, and all when those of any may be.
	Follow(ctx context.Context, changed func(routing.Key), all func())
}

const (
	// pace is how many Ingresses are queued in a second where all are to be judged.
	pace = 1000
	// spell is for how long Ingresses are judged before a pause of the same length, so
	// that the webhook, which shares the processor, does not wait.
	spell = 10 * time.Millisecond
	// recheck is how long what no watch tells of is believed.
	recheck = 10 * time.Minute
	// retryFirst and retryMost bound the pauses after an Ingress could not be judged.
	retryFirst, retryMost = 100 * time.Millisecond, time.Minute
)

// Config is what an Auditor is made of.
type Config struct {
	Cluster Cluster
	// Rules returns the rules of now. It is asked once for each judgement.
	Rules func() *policy.Rules
	Clock clock.WithTicker
	// Settle is how long a finding lasts before it counts, and is gone before it
	// ceases to count.
	Settle time.Duration
	// MaxSeries bounds the series of each metric that grows with the cluster.
	MaxSeries int
	// Events is where Events are recorded; none are where it is nil. It needs the
	// rights create and patch.
	Events events.EventSink
	// Log receives, at V(1), one line for each finding that begins or ceases to count.
	Log logr.Logger
	// Metrics is where the package's metrics are registered.
	Metrics prometheus.Registerer
}

// Validate reports what is missing or wrong.
func (c Config) Validate() error {
	var errs []error
	for _, field := range []struct {
		name    string
		missing bool
	}{{"Cluster", c.Cluster == nil}, {"Rules", c.Rules == nil}, {"Clock", c.Clock == nil}, {"Metrics", c.Metrics == nil}} {
		if field.missing {
			errs = append(errs, fmt.Errorf("the field %s must be set", field.name))
		}
	}
	if c.Settle < 0 {
		errs = append(errs, fmt.Errorf("the field Settle is %s; must not be negative", c.Settle))
	}
	if c.MaxSeries < 1 {
		errs = append(errs, fmt.Errorf("the field MaxSeries is %d; must be at least 1", c.MaxSeries))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Auditor judges the Ingresses of a cluster while it leads.
type Auditor struct {
	Config
	metrics *metrics

	mu sync.Mutex
	// round is nil while this replica does not lead.
	round *round
}

// New returns an Auditor that does nothing before Lead. The metrics are registered at
// once.
func New(c Config) (*Auditor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &Auditor{Config: c}
	var err error
	if a.metrics, err = newMetrics(a, c.Metrics); err != nil {
		return nil, fmt.Errorf("audit: metrics: %w", err)
	}
	return a, nil
}

// Lead judges until ctx is done, and forgets everything then.
func (a *Auditor) Lead(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	r := a.newRound(ctx)
	a.setRound(r)
	defer a.setRound(nil)
	var running sync.WaitGroup
	defer running.Wait()
	defer r.queue.ShutDown()
	running.Go(func() { a.Cluster.Follow(ctx, r.queue.Add, r.markAll) })
	running.Go(func() { r.spread(ctx) })
	running.Go(func() {
		for r.work(ctx) {
		}
	})
	<-ctx.Done()
}

// Refresh asks for a judgement of every Ingress, as after a change of the Rules.
func (a *Auditor) Refresh() {
	if r := a.current(); r != nil {
		r.markAll()
	}
}

func (a *Auditor) setRound(r *round) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.round = r
}

// current returns the round of now, nil while this replica does not lead.
func (a *Auditor) current() *round {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.round
}

// round is the time from when this replica begins to lead until it ceases to.
type round struct {
	*Auditor
	queue    workqueue.TypedRateLimitingInterface[routing.Key]
	recorder *recorder
	// marked has an element when all Ingresses are to be judged.
	marked chan struct{}

	// worked is how long Ingresses have been judged since the last pause.
	worked time.Duration

	mu        sync.Mutex
	ingresses map[routing.Key]*entry
	// first are the Ingresses that were there when the round began and have not been
	// judged since; nil until that is known.
	first map[routing.Key]struct{}
}

func (a *Auditor) newRound(ctx context.Context) *round {
	return &round{
		Auditor: a,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[routing.Key](retryFirst, retryMost),
			workqueue.TypedRateLimitingQueueConfig[routing.Key]{Name: "audit", Clock: a.Clock, MetricsProvider: a.metrics},
		),
		recorder:  newRecorder(ctx, a.Events, a.metrics, a.Log),
		marked:    make(chan struct{}, 1),
		ingresses: map[routing.Key]*entry{},
	}
}

// markAll asks for a judgement of every Ingress. Calls before it is begun with count
// as one.
func (r *round) markAll() {
	select {
	case r.marked <- struct{}{}:
	default:
	}
}

// spread queues all Ingresses when they are marked, in any order and not all at once,
// so that what changes meanwhile does not wait behind them.
func (r *round) spread(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.marked:
		}
		keys := r.all()
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for len(keys) > 0 {
			batch := keys[:min(len(keys), pace/10)]
			keys = keys[len(batch):]
			for _, key := range batch {
				r.queue.Add(key)
			}
			if len(keys) == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-r.Clock.After(time.Second / 10):
			}
		}
	}
}

// all names the Ingresses of now, and notes those that are the first.
func (r *round) all() []routing.Key {
	keys := r.Cluster.IngressKeys()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = make(map[routing.Key]struct{}, len(keys))
		for _, key := range keys {
			if r.ingresses[key] == nil {
				r.first[key] = struct{}{}
			}
		}
	}
	return keys
}

// work judges the next Ingress of the queue, and reports whether there may be more.
func (r *round) work(ctx context.Context) bool {
	key, shutdown := r.queue.Get()
	if shutdown {
		return false
	}
	defer r.queue.Done(key)
	if !r.pause(ctx) {
		return false
	}
	due, err := r.judge(ctx, key)
	if err != nil {
		r.Log.V(1).Info("cannot judge an Ingress; trying again", "namespace", key.Namespace, "name", key.Name, "error", err.Error())
		r.queue.AddRateLimited(key)
		return true
	}
	r.queue.Forget(key)
	if !due.IsZero() {
		r.queue.AddAfter(key, max(0, due.Sub(r.Clock.Now())))
	}
	return true
}

// pause makes a pause where one is due, and reports whether ctx is not done.
func (r *round) pause(ctx context.Context) bool {
	if r.worked >= spell {
		select {
		case <-ctx.Done():
		case <-r.Clock.After(r.worked):
		}
		r.worked = 0
	}
	return ctx.Err() == nil
}

// judge judges one Ingress and returns when that is due again; the zero time where it
// is not.
func (r *round) judge(ctx context.Context, key routing.Key) (due time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			r.Log.Error(err, "cannot judge an Ingress", "namespace", key.Namespace, "name", key.Name, "stack", string(debug.Stack()))
		}
	}()
	ing := r.Cluster.Ingress(key)
	if ing == nil || ing.DeletionTimestamp != nil {
		r.forget(key)
		return time.Time{}, nil
	}
	start := time.Now()
	snap, err := r.Cluster.Snapshot(ctx, routing.ReferencesOf(ing), nil)
	if err != nil {
		return time.Time{}, err
	}
	snap.Now = r.Clock.Now()
	j := Judge(r.Rules(), ing, snap)
	took := time.Since(start)
	r.worked += took
	r.metrics.judged.Observe(took.Seconds())
	if again := snap.Now.Add(recheck); readLive(snap) && (j.Until.IsZero() || again.Before(j.Until)) {
		j.Until = again
	}
	c, first, due := r.note(ing, j, snap.Now)
	for _, f := range c.appeared {
		r.Log.V(1).Info("finding", "namespace", key.Namespace, "name", key.Name, "mode", f.mode, "check", f.Check, "finding", f.String())
	}
	for _, f := range c.vanished {
		r.Log.V(1).Info("finding is gone", "namespace", key.Namespace, "name", key.Name, "mode", f.mode, "check", f.Check)
	}
	if !first {
		r.recorder.record(ing, c)
	}
	return due, nil
}

// readLive reports whether a part of the Snapshot is not kept up to date by a watch.
func readLive(snap *routing.Snapshot) bool {
	for ref := range snap.Coverage {
		if ref.Name != "" && (ref.Kind == routing.ConfigMaps || ref.Kind == routing.Secrets) {
			return true
		}
	}
	return false
}

// note notes a Judgement. It reports what changed, whether this was the first look at
// an Ingress that had been there before, and when it is due again.
func (r *round) note(ing *networkingv1.Ingress, j Judgement, now time.Time) (changes, bool, time.Time) {
	key := routing.Key{Namespace: ing.Namespace, Name: ing.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, first := r.first[key]
	delete(r.first, key)
	e := r.ingresses[key]
	if e == nil || e.uid != ing.UID {
		e = &entry{uid: ing.UID}
		r.ingresses[key] = e
	}
	settle := r.Settle
	if first {
		settle = 0
	}
	c, due := e.update(j, now, settle)
	return c, first, due
}

func (r *round) forget(key routing.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.first, key)
	delete(r.ingresses, key)
}
