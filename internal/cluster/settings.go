// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// controllers holds the settings of the controllers that run in the cluster, as their
// Deployments, DaemonSets and ConfigMaps say now. Nothing waits for them: as long as
// those of a controller were not read, they are its defaults, unconfirmed.
type controllers struct {
	given routing.Settings
	// changed is called after the settings did.
	changed func()
	log     logr.Logger

	current atomic.Pointer[routing.Settings]

	mu        sync.Mutex
	workloads []settings.Workload
	// known holds what is known of each workload, nil where nothing is.
	known []*settings.Known
}

func newControllers(given routing.Settings, workloads []settings.Workload, log logr.Logger, changed func()) *controllers {
	c := &controllers{given: given, changed: changed, log: log, workloads: workloads, known: make([]*settings.Known, len(workloads))}
	c.current.Store(&given)
	return c
}

// settings returns the settings of now. They are never modified.
func (c *controllers) settings() routing.Settings { return *c.current.Load() }

// keep follows all workloads until ctx is done.
func (c *controllers) keep(ctx context.Context, client kubernetes.Interface) {
	var running sync.WaitGroup
	for i, w := range c.workloads {
		running.Go(func() {
			keepController(ctx, client, w, c.log, func(k *settings.Known) { c.publish(i, k) })
		})
	}
	running.Wait()
}

// publish replaces what is known of one workload.
func (c *controllers) publish(i int, k *settings.Known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reflect.DeepEqual(c.known[i], k) {
		return
	}
	c.known[i] = k
	var read []settings.Known
	for _, k := range c.known {
		if k != nil {
			read = append(read, *k)
		}
	}
	merged := c.given
	merged.Controllers = settings.Merge(c.given.Controllers, read)
	c.current.Store(&merged)
	if k != nil {
		now := merged.Controllers[k.Class]
		c.log.Info("read the settings of a controller", "controller", c.workloads[i].String(), "class", k.Class, "version", now.Version, "confirmed", now.Confirmed)
	}
	c.changed()
}

// keepController publishes the settings of one controller whenever they change, nil
// where they are not known, until ctx is done.
func keepController(ctx context.Context, client kubernetes.Interface, w settings.Workload, log logr.Logger, publish func(*settings.Known)) {
	changed := make(chan struct{}, 1)
	workload := follow(ctx, workloadInformer(client, w), w.Key, log.WithValues("object", w.String()), changed)
	defer workload.end()
	var configMap *followed // nil where the controller reads none
	defer func() { configMap.end() }()
	var key routing.Key
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		obj, read := workload.object()
		if !read {
			continue
		}
		controller, err := settings.FromObject(obj)
		if err != nil {
			controller = &settings.Controller{}
			if last != err.Error() {
				last = err.Error()
				log.Info("the flags of a controller are not known; its settings are not confirmed", "reason", last)
			}
		}
		if key != controller.ConfigMap {
			configMap.end()
			configMap, key = nil, controller.ConfigMap
			if key != (routing.Key{}) {
				name := "ConfigMap " + key.Namespace + "/" + key.Name
				informer := coreinformers.NewFilteredConfigMapInformer(client, key.Namespace, 0, cache.Indexers{}, named(key.Name))
				configMap = follow(ctx, informer, key, log.WithValues("object", name), changed)
			}
		}
		if err != nil {
			publish(nil)
			continue
		}
		last = ""
		if config, read := configMap.object(); read {
			var data map[string]string
			if found, ok := config.(*corev1.ConfigMap); ok {
				data = found.Data
			}
			publish(&settings.Known{Class: controller.Class, Settings: controller.Settings(data)})
		} else {
			publish(nil)
		}
	}
}

func workloadInformer(client kubernetes.Interface, w settings.Workload) cache.SharedIndexInformer {
	if w.DaemonSet {
		return appsinformers.NewFilteredDaemonSetInformer(client, w.Namespace, 0, cache.Indexers{}, named(w.Name))
	}
	return appsinformers.NewFilteredDeploymentInformer(client, w.Namespace, 0, cache.Indexers{}, named(w.Name))
}

// named selects the one object of that name, which a right for that name alone allows.
func named(name string) internalinterfaces.TweakListOptionsFunc {
	return func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

// followed is one object, kept by an informer. Nil stands for no object at all.
type followed struct {
	key      routing.Key
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// follow starts the informer. The channel gets an element when there is something new
// to read, be it that the object does not exist.
func follow(ctx context.Context, informer cache.SharedIndexInformer, key routing.Key, log logr.Logger, changed chan<- struct{}) *followed {
	ctx, stop := context.WithCancel(ctx)
	f := &followed{key: key, informer: informer, stop: stop}
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	// These fail only for an informer that runs already.
	var last string
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if reason := reasonOf(err); reason != last {
			last = reason
			log.Info("cannot read the settings of a controller; they are not confirmed unless they were read before; trying again",
				"reason", reason, "error", err.Error())
		}
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	})
	f.running.Go(func() { informer.RunWithContext(ctx) })
	f.running.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			tell()
		}
	})
	return f
}

// object returns the object, nil where it does not exist, and whether that is known.
func (f *followed) object() (any, bool) {
	if f == nil {
		return nil, true
	}
	if !f.informer.HasSynced() {
		return nil, false
	}
	// The error of a thread-safe store is always nil, and so is an object not found.
	obj, _, _ := f.informer.GetStore().GetByKey(f.key.Namespace + "/" + f.key.Name)
	return obj, true
}

// end stops the informer and returns when it has stopped.
func (f *followed) end() {
	if f != nil {
		f.stop()
		f.running.Wait()
	}
}
