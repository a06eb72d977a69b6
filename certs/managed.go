// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Keeper keeps a webhook reachable: the certificate of its replicas in a Secret,
// and in its webhook configuration the CA bundle and the rules. All of it can be
// left to others. It is built by a struct literal.
//
// Every replica calls Run, and one of them at a time Lead.
type Keeper struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Log     logr.Logger

	// Secret is where the certificate authority and the certificate are kept; when
	// it is empty, the certificate and the CA bundle are somebody else's.
	Secret types.NamespacedName
	// Hosts are the DNS names and IP addresses that the certificate is for.
	Hosts     []string
	Lifetimes Lifetimes

	// Configuration is the name of the ValidatingWebhookConfiguration.
	Configuration string
	// Webhook is the name of the webhook that Rules are for.
	Webhook string
	// Rules are what the API server is to ask that webhook about. When empty, they
	// are somebody else's. They are written only when for a while the bundle of the
	// webhook has verified the certificate that is served, and Ready agreed: a
	// webhook without rules is never called, and so refuses nothing before.
	Rules []admissionregistrationv1.RuleWithOperations
	// Serving returns the certificate that is served. It is not asked when Secret
	// is set.
	Serving func() (*tls.Certificate, error)
	// Ready returns why the replica cannot serve.
	Ready func() error

	once     sync.Once
	wake     chan struct{}
	secrets  cache.SharedIndexInformer
	configs  cache.SharedIndexInformer
	rotation rotation

	// step is held while a step is taken, so that a leader ends with it.
	step    sync.Mutex
	leading bool
	seen    seen
	// said is the last error, and waited why there were no rules yet, as logged.
	said, waited string

	// mu guards what is served.
	mu          sync.Mutex
	current     *tls.Certificate
	authorities []byte
	problem     error
}

// seen is what a Keeper remembers.
type seen struct {
	leaf, bundles           [sha256.Size]byte
	leafSince, bundlesSince time.Time
	// readySince is when this replica was first seen to be callable; zero while it
	// is not.
	readySince time.Time
	remembered map[string][]byte
}

const (
	// retryTime is after how long what failed is tried again.
	retryTime = 2 * time.Second
	// knownTime is how long a replica must be callable before rules are written:
	// until its kubelet has probed it and nodes send connections to it.
	knownTime = 15 * time.Second
	// readyTime is after how long Ready is asked again.
	readyTime = time.Second
	// minimalWait bounds how often it looks.
	minimalWait = 10 * time.Millisecond
)

// Validate reports what is missing.
func (k *Keeper) Validate() error {
	var errs []error
	missing := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	missing(k.Client == nil, "Client must be set")
	missing(k.Dynamic == nil, "Dynamic must be set")
	missing(k.Configuration == "", "Configuration must be set")
	missing(k.Ready == nil, "Ready must be set")
	missing(len(k.Rules) > 0 && k.Webhook == "", "Webhook must be set, as Rules are for it")
	if k.Secret.Name == "" {
		missing(k.Serving == nil, "Secret or Serving must be set")
		return errors.Join(errs...)
	}
	missing(k.Secret.Namespace == "", "namespace of Secret must be set")
	missing(len(k.Hosts) == 0, "Hosts must be set")
	return errors.Join(append(errs, k.Lifetimes.Validate())...)
}

// GetCertificate is for a tls.Config. It fails until the Secret has been read
// with a certificate, and gives the newest valid one from then on.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if k.Secret.Name == "" {
		return k.Serving()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil {
		return k.current, nil
	}
	if k.problem != nil {
		return nil, fmt.Errorf("certificate in Secret %s: %w", k.Secret, k.problem)
	}
	return nil, fmt.Errorf("certificate in Secret %s: not read yet", k.Secret)
}

// Authorities returns, in PEM, the certificates of the authorities of which what
// GetCertificate gives may be.
func (k *Keeper) Authorities() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.authorities, nil
}

func (k *Keeper) setUp() {
	k.wake = make(chan struct{}, 1)
	k.rotation = rotation{hosts: k.Hosts, Lifetimes: k.Lifetimes}
	one := func(name string) informers.SharedInformerOption {
		return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		})
	}
	k.configs = informers.NewSharedInformerFactoryWithOptions(k.Client, 0, one(k.Configuration)).
		Admissionregistration().V1().ValidatingWebhookConfigurations().Informer()
	if k.Secret.Name != "" {
		k.secrets = informers.NewSharedInformerFactoryWithOptions(k.Client, 0, informers.WithNamespace(k.Secret.Namespace), one(k.Secret.Name)).
			Core().V1().Secrets().Informer()
	}
}

// Run keeps the certificate up to date, and makes the first one, until ctx is
// done. What was read last is served further.
func (k *Keeper) Run(ctx context.Context) error {
	k.once.Do(k.setUp)
	var running sync.WaitGroup
	defer running.Wait()
	for _, informer := range []cache.SharedIndexInformer{k.configs, k.secrets} {
		if informer == nil {
			continue
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { k.look() },
			UpdateFunc: func(any, any) { k.look() },
			DeleteFunc: func(any) { k.look() },
		}); err != nil {
			return err
		}
		if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			cache.DefaultWatchErrorHandler(ctx, r, err)
			if informer == k.secrets {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.problem = err
			}
		}); err != nil {
			return err
		}
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	// The webhook configuration is for the leader: who cannot read it can serve.
	if k.secrets != nil && !cache.WaitForCacheSync(ctx.Done(), k.secrets.HasSynced) {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-timer.C:
		}
		timer.Reset(k.turn(ctx))
	}
}

// Lead lets this replica do what one alone must do, until ctx is done.
func (k *Keeper) Lead(ctx context.Context) {
	k.once.Do(k.setUp)
	lead := func(is bool) {
		k.step.Lock()
		defer k.step.Unlock()
		k.leading = is
		k.look()
	}
	lead(true)
	<-ctx.Done()
	lead(false)
}

// look makes Run look soon.
func (k *Keeper) look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// turn takes at most one step, and returns when to look again if nothing
// changes.
func (k *Keeper) turn(ctx context.Context) time.Duration {
	k.step.Lock()
	defer k.step.Unlock()
	wait, err := k.act(ctx, time.Now())
	switch {
	case err == nil:
		k.said = ""
	case ctx.Err() != nil:
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || errors.Is(err, errLate):
		// Another replica, or somebody else, was faster; what they wrote is on its way.
		k.Log.V(1).Info("somebody else was faster", "reason", err.Error())
		wait = retryTime
	default:
		// Once, not at every try.
		if k.said != err.Error() {
			k.said = err.Error()
			k.Log.Error(err, "not in order; trying again", "interval", retryTime.String())
		}
		wait = retryTime
	}
	return wait
}

func (k *Keeper) act(ctx context.Context, now time.Time) (time.Duration, error) {
	const longest = time.Hour
	wait := longest
	config := k.configuration()
	leading := k.leading && k.configs.HasSynced()
	if k.secrets != nil {
		secret := k.secret()
		v := k.view(now, secret, config)
		s, err := k.rotation.next(v)
		switch {
		case err != nil:
			return 0, fmt.Errorf("secret %s: %w", k.Secret, err)
		case s.secret != nil && s.first:
			return retryTime, k.write(ctx, secret, s)
		case s.secret != nil && leading:
			// What the step rests on must be so, not only have been so.
			if _, err := k.confirm(ctx, config); err != nil {
				return 0, err
			}
			return retryTime, k.write(ctx, secret, s)
		case s.bundle != nil && leading:
			return retryTime, k.change(ctx, config, s.why, func(hook map[string]any) error {
				return unstructured.SetNestedField(hook, base64.StdEncoding.EncodeToString(s.bundle), "clientConfig", "caBundle")
			})
		case !s.again.IsZero():
			wait = min(wait, max(s.again.Sub(now), minimalWait))
		}
	}
	if len(k.Rules) > 0 && leading && config != nil {
		return k.setRules(ctx, now, config, wait)
	}
	return wait, nil
}

// secret is the Secret as the watch last told; nil when there is none.
func (k *Keeper) secret() *corev1.Secret {
	obj, ok, err := k.secrets.GetStore().GetByKey(k.Secret.String())
	if err != nil || !ok {
		return nil
	}
	return obj.(*corev1.Secret)
}

// configuration is the webhook configuration as the watch last told; nil when
// there is none.
func (k *Keeper) configuration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	obj, ok, err := k.configs.GetStore().GetByKey(k.Configuration)
	if err != nil || !ok {
		return nil
	}
	return obj.(*admissionregistrationv1.ValidatingWebhookConfiguration)
}

func bundlesOf(config *admissionregistrationv1.ValidatingWebhookConfiguration) [][]byte {
	if config == nil {
		return nil
	}
	var bundles [][]byte
	for _, hook := range config.Webhooks {
		bundles = append(bundles, hook.ClientConfig.CABundle)
	}
	return bundles
}

// view notes what is seen now, and serves it.
func (k *Keeper) view(now time.Time, secret *corev1.Secret, config *admissionregistrationv1.ValidatingWebhookConfiguration) view {
	v := view{now: now, bundles: bundlesOf(config)}
	if secret != nil {
		v.secret = secret.Data
		if v.secret == nil {
			v.secret = map[string][]byte{}
		}
	}
	k.serve(now, v.secret)

	if sum := digest(v.secret[CertName]); sum != k.seen.leaf || k.seen.leafSince.IsZero() {
		k.seen.leaf, k.seen.leafSince = sum, now
	}
	if sum := digest(v.bundles...); sum != k.seen.bundles || k.seen.bundlesSince.IsZero() {
		k.seen.bundles, k.seen.bundlesSince = sum, now
	}
	v.leafSince, v.bundlesSince, v.remembered = k.seen.leafSince, k.seen.bundlesSince, k.seen.remembered
	return v
}

func digest(texts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, text := range texts {
		sum := sha256.Sum256(text)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// serve takes over what the Secret holds, if it is in order.
func (k *Keeper) serve(now time.Time, data map[string][]byte) {
	served, err := k.rotation.serving(data, now)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problem = err
	if err != nil {
		return
	}
	k.authorities = slices.Concat(data[AuthorityCertName], []byte("\n"), data[OldCertName])
	k.seen.remembered = map[string][]byte{}
	for _, name := range managedNames() {
		if len(data[name]) > 0 {
			k.seen.remembered[name] = data[name]
		}
	}
	if k.current == nil || !k.current.Leaf.Equal(served.Leaf) {
		k.current = served
		k.Log.Info("serving certificate", "secret", k.Secret.String(), "name", served.Leaf.Subject.CommonName,
			"issuer", served.Leaf.Issuer.CommonName, "notAfter", served.Leaf.NotAfter.Format(time.RFC3339))
	}
}

// write stores the managed entries, and leaves all else in the Secret as it is.
func (k *Keeper) write(ctx context.Context, secret *corev1.Secret, s step) error {
	secrets := k.Client.CoreV1().Secrets(k.Secret.Namespace)
	var err error
	if secret == nil {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.Secret.Namespace, Name: k.Secret.Name},
			Type:       corev1.SecretTypeOpaque,
			Data:       s.secret,
		}, metav1.CreateOptions{})
	} else {
		secret = secret.DeepCopy()
		for _, name := range managedNames() {
			delete(secret.Data, name)
		}
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		maps.Copy(secret.Data, s.secret)
		// With its resource version, so that what somebody else wrote stays.
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("secret %s: %w", k.Secret, err)
	}
	k.Log.Info("wrote Secret", "secret", k.Secret.String(), "what", s.why)
	return nil
}

var configurations = admissionregistrationv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations")

// errLate says that the watch is behind. What it has not told yet makes Run look
// again.
var errLate = errors.New("the webhook configuration has changed meanwhile")

// confirm reads the webhook configuration from the API server and demands that
// its bundles are those that the watch told of. It is read with all its fields,
// those included that this program does not know.
func (k *Keeper) confirm(ctx context.Context, config *admissionregistrationv1.ValidatingWebhookConfiguration) (*unstructured.Unstructured, error) {
	live, err := k.Dynamic.Resource(configurations).Get(ctx, k.Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && config == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
	}
	known := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, known); err != nil {
		return nil, fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
	}
	if !slices.EqualFunc(bundlesOf(known), bundlesOf(config), bytes.Equal) {
		return nil, errLate
	}
	return live, nil
}

// change edits each webhook of the live configuration.
func (k *Keeper) change(ctx context.Context, config *admissionregistrationv1.ValidatingWebhookConfiguration, why string, edit func(hook map[string]any) error) error {
	live, err := k.confirm(ctx, config)
	if err != nil {
		return err
	}
	hooks, _, err := unstructured.NestedSlice(live.Object, "webhooks")
	if err != nil {
		return fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
	}
	for _, hook := range hooks {
		fields, ok := hook.(map[string]any)
		if !ok {
			continue
		}
		if err := edit(fields); err != nil {
			return fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
		}
	}
	if err := unstructured.SetNestedSlice(live.Object, hooks, "webhooks"); err != nil {
		return fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
	}
	if _, err := k.Dynamic.Resource(configurations).Update(ctx, live, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("webhook configuration %s: %w", k.Configuration, err)
	}
	k.Log.Info("changed webhook configuration", "configuration", k.Configuration, "what", why)
	return nil
}

// setRules writes the rules when they may be written.
func (k *Keeper) setRules(ctx context.Context, now time.Time, config *admissionregistrationv1.ValidatingWebhookConfiguration, wait time.Duration) (time.Duration, error) {
	at := slices.IndexFunc(config.Webhooks, func(h admissionregistrationv1.ValidatingWebhook) bool { return h.Name == k.Webhook })
	if at < 0 {
		return 0, fmt.Errorf("webhook configuration %s: has no webhook %q whose rules could be written", k.Configuration, k.Webhook)
	}
	hook := config.Webhooks[at]
	if equality.Semantic.DeepEqual(hook.Rules, k.Rules) {
		k.seen.readySince, k.waited = time.Time{}, ""
		return wait, nil
	}
	if err := k.callable(hook.ClientConfig.CABundle, now); err != nil {
		k.seen.readySince = time.Time{}
		// Once, not at every look.
		if k.waited != err.Error() {
			k.waited = err.Error()
			k.Log.Info("the webhook must wait for its rules", "configuration", k.Configuration, "webhook", k.Webhook, "reason", k.waited)
		}
		return min(wait, readyTime), nil
	}
	if k.seen.readySince.IsZero() {
		k.seen.readySince = now
	}
	if now.Before(k.seen.readySince.Add(knownTime)) {
		return min(wait, readyTime), nil
	}
	var rules []any
	for i := range k.Rules {
		rule, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&k.Rules[i])
		if err != nil {
			return 0, fmt.Errorf("rules of webhook %s: %w", k.Webhook, err)
		}
		rules = append(rules, rule)
	}
	return retryTime, k.change(ctx, config, "rules of webhook "+k.Webhook, func(fields map[string]any) error {
		if fields["name"] == k.Webhook {
			fields["rules"] = rules
		}
		return nil
	})
}

// callable returns why an API server that trusts the bundle could not call this
// replica.
func (k *Keeper) callable(text []byte, now time.Time) error {
	served, err := k.GetCertificate(nil)
	if err != nil {
		return err
	}
	if err := k.Ready(); err != nil {
		return err
	}
	if !trusts(text, served, now) {
		return errors.New("its caBundle does not verify the certificate that is served")
	}
	return nil
}

// trusts is whether a client with that bundle trusts what is served.
func trusts(text []byte, served *tls.Certificate, now time.Time) bool {
	var chain bundle
	for _, der := range served.Certificate {
		chain = append(chain, parseBundle(encodeCert(der))...)
	}
	return len(chain) > 0 && parseBundle(text).verifies(chain, now)
}
