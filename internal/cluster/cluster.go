// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// required are the kinds without which nothing can be judged. The others may be
// forbidden or absent for ever; then what needs them is undecided.
var required = []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.Namespaces}

// stored are the kinds that have a place in a store. SecretData has none: it is
// part of what is stored of a Secret.
var stored = []routing.Kind{
	routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices, routing.Secrets, routing.Namespaces, routing.ConfigMaps,
	routing.Pods, routing.NetworkPolicies,
}

// SecretAccess is how Secrets are read.
type SecretAccess string

// The ways to read Secrets, and the rights that each needs.
const (
	SecretsOff      SecretAccess = "off"      // not at all; needs no right
	SecretsGet      SecretAccess = "get"      // one by one when an Ingress names them; needs get
	SecretsMetadata SecretAccess = "metadata" // whether they exist, kept in a cache; needs get, list and watch
	SecretsFull     SecretAccess = "full"     // facts about what they hold, kept in a cache; needs get, list and watch
)

// SecretAccesses lists the ways to read Secrets.
func SecretAccesses() []SecretAccess {
	return []SecretAccess{SecretsOff, SecretsGet, SecretsMetadata, SecretsFull}
}

// Config is what a Cluster is made of.
type Config struct {
	// Client talks to the API server. Its own rate limit should be off: LiveReads
	// bounds what is asked at once.
	Client kubernetes.Interface
	// Metadata talks to the API server where SecretAccess is metadata.
	Metadata metadata.Interface
	// SecretAccess is how Secrets are read.
	SecretAccess SecretAccess
	// Namespaces are those whose objects are read; where there is none, those of the
	// whole cluster. IngressClasses belong to no namespace and are always read.
	Namespaces []string
	// IngressLabels are the keys of the labels of Ingresses that a policy selects by.
	// No other label is kept, but for those that checks read.
	IngressLabels []string
	// ReadPods lets Pods be read where they explain a message.
	ReadPods bool
	// Settings are copied into every Snapshot, with those of the Workloads' controllers.
	Settings routing.Settings
	// Workloads run the controllers of which the settings are read; settings.Workload
	// says which rights that needs. It is never waited for.
	Workloads []settings.Workload
	// Followed keeps what Follow needs, and Users what UsersOf does.
	Followed, Users bool
	// LiveReads is the number of live reads at a time, over all requests.
	LiveReads int
	// Log receives one line for each kind that cannot be read, and one when it
	// can be read again.
	Log logr.Logger
	// Metrics is where the package's metrics are registered.
	Metrics prometheus.Registerer
}

// Validate reports what is missing.
func (c Config) Validate() error {
	var errs []error
	if c.Client == nil {
		errs = append(errs, errors.New("the field Client must be set"))
	}
	if !slices.Contains(SecretAccesses(), c.SecretAccess) {
		errs = append(errs, fmt.Errorf("secret access %q: must be one of off, get, metadata, full", c.SecretAccess))
	}
	if err := ValidateNamespaces(c.Namespaces); err != nil {
		errs = append(errs, err)
	}
	if c.Metadata == nil && c.SecretAccess == SecretsMetadata {
		errs = append(errs, errors.New("the field Metadata must be set"))
	}
	if c.LiveReads < 1 {
		errs = append(errs, fmt.Errorf("the field LiveReads is %d; must be at least 1", c.LiveReads))
	}
	if c.Metrics == nil {
		errs = append(errs, errors.New("the field Metrics must be set"))
	}
	return errors.Join(errs...)
}

// Cluster is a live cluster, kept up to date by informers.
type Cluster struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	secrets  SecretAccess
	scope    scope
	slimmer  slimmer
	readPods bool
	log      logr.Logger

	kinds       map[routing.Kind][]*watched
	store       store
	frozen      *frozen
	controllers *controllers
	follower    *follower

	slots     chan struct{}
	liveReads *prometheus.CounterVec
}

// New returns a Cluster that has read nothing yet; Start fills it. The metrics
// are registered at once.
func New(c Config) (*Cluster, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	cl := &Cluster{
		client:   c.Client,
		metadata: c.Metadata,
		secrets:  c.SecretAccess,
		scope:    slices.Clone(c.Namespaces),
		slimmer:  slices.Clone(c.IngressLabels),
		readPods: c.ReadPods,
		log:      c.Log,
		kinds:    map[routing.Kind][]*watched{},
		store:    store{},
		follower: &follower{},
		slots:    make(chan struct{}, c.LiveReads),
		liveReads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_live_reads_total",
			Help: "Objects read from the API server to confirm a denial or to explain a warning, by kind and result (present, absent, failed).",
		}, []string{"kind", "result"}),
	}
	for _, kind := range stored {
		cl.store[kind] = newObjects(indexesFor(kind))
	}
	if c.Followed {
		cl.store.index(followIndexes())
	}
	if c.Followed || c.Users {
		cl.store.index(usersIndex())
	}
	cl.frozen = newFrozen(cl.follower.tellAll)
	cl.controllers = newControllers(c.Settings, c.Workloads, c.Log, func() {
		cl.frozen.mark(cl.store[routing.Ingresses].valuesOf(byHost))
		cl.follower.tellAll()
	})
	for _, s := range sourcesFor(c) {
		cl.kinds[s.kind] = append(cl.kinds[s.kind], cl.watch(s))
	}
	collectors := []prometheus.Collector{cl.liveReads}
	for kind, all := range cl.kinds {
		collectors = append(collectors, gauges(kind, all)...)
	}
	for _, collector := range collectors {
		if err := c.Metrics.Register(collector); err != nil {
			return nil, fmt.Errorf("cluster: metrics: %w", err)
		}
	}
	return cl, nil
}

func gauges(kind routing.Kind, all []*watched) []prometheus.Collector {
	labels := prometheus.Labels{"kind": string(kind)}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "routegate_cache_synced",
			Help:        "1 when all objects of the kind have been read once, else 0.",
			ConstLabels: labels,
		}, func() float64 {
			for _, w := range all {
				if !w.informer.HasSynced() {
					return 0
				}
			}
			return 1
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "routegate_cache_objects",
			Help:        "Objects of the kind in the cache.",
			ConstLabels: labels,
		}, func() float64 {
			return float64(all[0].objects.size())
		}),
	}
}

// reasonOf says in a few words why a read failed, without repeating what the
// API server sent.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, errOutside):
		return notInScope
	case apierrors.IsForbidden(err):
		return "Routegate is not allowed to read it"
	case apierrors.IsNotFound(err):
		return "the API server does not serve it"
	case errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err):
		return "the API server did not answer in time"
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		return fmt.Sprintf("the API server answered %s", apierrors.ReasonForError(err))
	}
	return "the API server could not be asked"
}

// Start keeps the cluster up to date until ctx is done, and returns when
// everything that it started has stopped.
func (c *Cluster) Start(ctx context.Context) {
	var running sync.WaitGroup
	for _, all := range c.kinds {
		for _, w := range all {
			running.Go(func() { w.informer.RunWithContext(ctx) })
		}
	}
	running.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), c.classified) {
			c.frozen.keep(ctx, c.store, c.controllers.settings)
		}
	})
	running.Go(func() { c.controllers.keep(ctx, c.client) })
	running.Wait()
}

// classified reports whether all Ingresses and their classes were read once. Before
// that, nothing is concluded from them together.
func (c *Cluster) classified() bool {
	return missing(c.kinds[routing.Ingresses]) == "" && missing(c.kinds[routing.IngressClasses]) == ""
}

// Ready returns nil once every kind without which nothing can be judged has been
// read, and otherwise an error that names those which have not. Of several namespaces,
// one that Routegate has no right to read, as when it does not exist, does not keep
// the others waiting.
func (c *Cluster) Ready() error {
	var unread []string
	for _, kind := range required {
		if text := missing(c.kinds[kind]); text != "" {
			unread = append(unread, text)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	return fmt.Errorf("not read yet: %s", strings.Join(unread, ", "))
}

// missing says what is not read of a kind, or nothing once it was read wherever
// Routegate has the right to, but somewhere.
func missing(all []*watched) string {
	read, refused := false, ""
	for _, w := range all {
		coverage := w.coverage()
		switch {
		case coverage.Read:
			read = true
		case w.isRefused():
			refused = w.describe(coverage)
		default:
			return w.describe(coverage)
		}
	}
	if read {
		return ""
	}
	return refused
}

// Synced reports whether every kind, required or not, has been read.
func (c *Cluster) Synced() bool {
	for _, all := range c.kinds {
		for _, w := range all {
			if !w.informer.HasSynced() {
				return false
			}
		}
	}
	return true
}

// Snapshot returns the cluster around the references, from the cache. The
// objects in confirm are read from the API server instead, at the same time; one
// that cannot be read before ctx is done is marked as unread. The error is
// always nil: it is there for other sources of Snapshots.
func (c *Cluster) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	snap := c.store.snapshot(refs, c.controllers.settings(), time.Now(), c.coverage(refs.Namespace))
	c.coverOthers(snap)
	if c.classified() {
		c.frozen.judge(c.store, c.controllers.settings, maxJudged)
		snap.Frozen = c.frozen.all()
	}
	if c.secrets == SecretsGet {
		confirm = with(confirm, routing.Secrets, refs.Namespace, refs.Secrets)
	}
	// Few Ingresses name a ConfigMap, and a cache would hold all of them.
	confirm = with(confirm, routing.ConfigMaps, refs.Namespace, refs.ConfigMaps)
	if len(confirm) > 0 {
		c.confirm(ctx, snap, confirm)
	}
	return snap, nil
}

// UsersOf returns the Ingresses that name the Service, Secret or IngressClass and are
// not being deleted, from the cache, sorted by namespace and name. It is an error that
// the Ingresses have not been read, those of all namespaces for an IngressClass. The
// Cluster must have been made with Config.Users.
func (c *Cluster) UsersOf(ref routing.Ref) ([]*networkingv1.Ingress, error) {
	w := c.kinds[routing.Ingresses][0]
	if !c.scope.whole() {
		if w = c.watchedIn(routing.Ingresses, ref.Namespace); w == nil {
			return nil, fmt.Errorf("the Ingresses were not read: %s", notInScope)
		}
	}
	if coverage := w.coverage(); !coverage.Read {
		return nil, fmt.Errorf("the Ingresses were not read: %s", coverage.Reason)
	}
	return c.store.users(ref), nil
}

// ReadIngress reads the Ingress from the API server; nil where it does not exist.
func (c *Cluster) ReadIngress(ctx context.Context, namespace, name string) (*networkingv1.Ingress, error) {
	obj, err := c.read(ctx, routing.Ref{Kind: routing.Ingresses, Namespace: namespace, Name: name})
	ing, _ := obj.(*networkingv1.Ingress)
	return ing, err
}

// ReadPods reads Pods around a Service that need not be the one in the cluster. It
// returns nil where Pods may not be read, and for a Service without a selector.
func (c *Cluster) ReadPods(ctx context.Context, svc *routing.Service) (*routing.ServicePods, error) {
	if !c.readPods {
		return nil, nil
	}
	obj, err := c.limited(ctx, routing.Pods, func(ctx context.Context) (any, error) { return ReadPods(ctx, c.client, svc) })
	pods, _ := obj.(*routing.ServicePods)
	return pods, err
}

// Ingresses returns the Ingresses of a namespace that the cache holds, in the order of
// their names. It looks through all of them, which is rarely asked for: an index would
// cost memory for each.
func (c *Cluster) Ingresses(namespace string) []*networkingv1.Ingress {
	return c.store.ingressesOf(namespace)
}

// coverage says what the cache has read, for an Ingress of that namespace.
func (c *Cluster) coverage(namespace string) map[routing.Ref]routing.Coverage {
	coverage := make(map[routing.Ref]routing.Coverage, len(c.kinds)+2)
	for kind, all := range c.kinds {
		if c.scope.whole() || kind == routing.IngressClasses {
			coverage[routing.Ref{Kind: kind}] = all[0].coverage()
		}
	}
	if !c.scope.whole() {
		c.coverScope(coverage, namespace)
	}
	c.coverOptional(coverage)
	secrets, data := routing.Ref{Kind: routing.Secrets}, routing.Ref{Kind: routing.SecretData}
	switch c.secrets {
	case SecretsOff:
		coverage[secrets] = routing.Coverage{Chosen: true, Reason: "Secrets are not read here"}
		coverage[data] = coverage[secrets]
	case SecretsMetadata:
		coverage[data] = routing.Coverage{Chosen: true, Reason: "what Secrets hold is not read here"}
	case SecretsFull:
		coverage[data] = coverage[secrets]
	}
	return coverage
}

// with adds objects that no cache holds to what is read live.
func with(confirm []routing.Ref, kind routing.Kind, namespace string, names []string) []routing.Ref {
	if len(names) == 0 {
		return confirm
	}
	all := slices.Clone(confirm)
	for _, name := range names {
		if ref := (routing.Ref{Kind: kind, Namespace: namespace, Name: name}); !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	return all
}

func (c *Cluster) confirm(ctx context.Context, snap *routing.Snapshot, refs []routing.Ref) {
	objs, errs := make([]any, len(refs)), make([]error, len(refs))
	var reading sync.WaitGroup
	for i, ref := range refs {
		reading.Go(func() { objs[i], errs[i] = c.read(ctx, ref) })
	}
	reading.Wait()
	for i, ref := range refs {
		if errs[i] != nil {
			c.cover(snap, ref, routing.Coverage{Reason: reasonOf(errs[i])})
			c.log.V(1).Info("live read failed", "kind", ref.Kind, "namespace", ref.Namespace, "name", ref.Name, "error", errs[i].Error())
			continue
		}
		c.cover(snap, ref, routing.Coverage{Read: true})
		put(snap, ref, objs[i])
	}
}

// cover notes how the live read of an object went. A Secret is read with what it
// holds, unless only metadata are.
func (c *Cluster) cover(snap *routing.Snapshot, ref routing.Ref, coverage routing.Coverage) {
	snap.Coverage[ref] = coverage
	if ref.Kind == routing.Secrets && c.secrets != SecretsMetadata {
		snap.Coverage[routing.Ref{Kind: routing.SecretData, Namespace: ref.Namespace, Name: ref.Name}] = coverage
	}
}

// read returns the object as it is kept, or nil when it does not exist.
func (c *Cluster) read(ctx context.Context, ref routing.Ref) (any, error) {
	if c.scope.excludes(ref.Namespace) {
		return nil, errOutside
	}
	return c.limited(ctx, ref.Kind, func(ctx context.Context) (any, error) { return c.readLive(ctx, ref) })
}

// limited does a live read when there are not too many, and counts it. What does not
// exist is nil.
func (c *Cluster) limited(ctx context.Context, kind routing.Kind, readLive func(context.Context) (any, error)) (any, error) {
	if kind == routing.Pods {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, explainTime)
		defer cancel()
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		c.liveReads.WithLabelValues(string(kind), "failed").Inc()
		return nil, ctx.Err()
	}
	obj, err := readLive(ctx)
	result := "present"
	switch {
	case apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err):
		// A 404 in words of somebody else, such as a proxy, says nothing of the
		// object.
		obj, err, result = nil, nil, "absent"
	case err != nil:
		result = "failed"
	}
	c.liveReads.WithLabelValues(string(kind), result).Inc()
	return obj, err
}

func (c *Cluster) readLive(ctx context.Context, ref routing.Ref) (any, error) {
	var opts metav1.GetOptions
	switch ref.Kind {
	case routing.IngressClasses:
		return c.slimmed(c.client.NetworkingV1().IngressClasses().Get(ctx, ref.Name, opts))
	case routing.Ingresses:
		return c.slimmed(c.client.NetworkingV1().Ingresses(ref.Namespace).Get(ctx, ref.Name, opts))
	case routing.Services:
		return c.slimmed(c.client.CoreV1().Services(ref.Namespace).Get(ctx, ref.Name, opts))
	case routing.Secrets:
		if c.secrets == SecretsMetadata {
			return c.slimmed(c.metadata.Resource(secretResource).Namespace(ref.Namespace).Get(ctx, ref.Name, opts))
		}
		return c.slimmed(c.client.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, opts))
	case routing.ConfigMaps:
		return c.slimmed(c.client.CoreV1().ConfigMaps(ref.Namespace).Get(ctx, ref.Name, opts))
	case routing.Namespaces:
		return c.slimmed(c.client.CoreV1().Namespaces().Get(ctx, ref.Name, opts))
	case routing.EndpointSlices:
		return c.readSlices(ctx, ref)
	case routing.Pods:
		svc := get[routing.Service](c.store, routing.Services, keyOf(ref.Namespace, ref.Name))
		if svc == nil || !c.readPods {
			return nil, nil
		}
		return ReadPods(ctx, c.client, svc)
	}
	return nil, fmt.Errorf("no live read for kind %q", ref.Kind)
}

func (c *Cluster) slimmed(obj runtime.Object, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return c.slimmer.slim(obj)
}

func (c *Cluster) readSlices(ctx context.Context, ref routing.Ref) (any, error) {
	list, err := c.client.DiscoveryV1().EndpointSlices(ref.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + ref.Name,
	})
	if err != nil {
		return nil, err
	}
	found := make([]*routing.EndpointSlice, 0, len(list.Items))
	for i := range list.Items {
		found = append(found, slimSlice(&list.Items[i]))
	}
	return found, nil
}
