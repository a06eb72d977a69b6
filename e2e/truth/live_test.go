// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

const (
	// liveTime bounds the whole test, scenarioTime one scenario.
	liveTime     = 12 * time.Minute
	scenarioTime = time.Minute
	pollInterval = 5 * time.Millisecond
)

// TestLive plays the default folder in a real cluster and holds what is said
// there, at every write of the subject and at the end, to what is said offline.
func TestLive(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), liveTime)
	defer cancel()
	scenarios, err := load(filepath.Join("..", "..", defaultDir))
	if err != nil {
		t.Fatal(err)
	}
	l := startLive(ctx, t)

	same := 0
	for i, s := range scenarios {
		offline, err := l.play(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		live, err := l.playLive(ctx, s)
		if err != nil {
			t.Fatalf("%d of %d scenarios done: %s: %v; routegate's log:\n%s", i, len(scenarios), s.Name, err, l.Routegate.Log())
		}
		if offlineRow, liveRow := outline(offline), outline(live); offlineRow == liveRow {
			same++
		} else {
			t.Errorf("%s:\noffline %s\nlive    %s", s.Name, offlineRow, liveRow)
		}
	}
	t.Logf("truth live: scenarios=%d same=%d differ=%d", len(scenarios), same, len(scenarios)-same)
}

// outline is an opinion by the names of the checks, whose order means nothing.
func outline(o opinion) string {
	words := func(s said) string {
		return strings.Join(slices.Sorted(slices.Values(s.words())), ", ")
	}
	var lines []string
	for _, w := range o.writes {
		line := words(w.said)
		if w.settled == refused {
			line = refused
		}
		lines = append(lines, w.operation+": "+line)
	}
	end := "no subject"
	if o.end != nil {
		end = words(*o.end)
	}
	return strings.Join(append(lines, "end: "+end), " | ")
}

// live is a real cluster in which scenarios are played, one at a time.
type live struct {
	engine
	*stack.Stack
	objects  dynamic.Interface
	warnings *stack.Warnings
	// audit reads the cluster in this process, and auditURL serves its metrics.
	audit    *cluster.Cluster
	auditURL string

	// What was written in this scenario: everything by reference, the versions by
	// object, and when a kind was written last.
	written  []reference
	versions map[routing.Ref]string
	last     map[string]time.Time
}

// startLive starts a cluster in which namespaces opt out of the webhook, and
// stops it when the test ends.
func startLive(ctx context.Context, t *testing.T) *live {
	t.Helper()
	dir := t.TempDir()
	binary, err := stack.Binary(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{engine: newEngine(), warnings: &stack.Warnings{}}
	// A check that cannot judge must not pass for one that has nothing to say.
	l.Stack, err = stack.Start(ctx, stack.Options{
		Binary: binary, Dir: dir, Args: []string{"--on-undecided=fail"},
		Webhook: stack.Webhook{FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})

	config := rest.CopyConfig(l.Config)
	config.WarningHandler = l.warnings
	if l.objects, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	l.audit, err = cluster.New(cluster.Config{
		Client: l.Client, SecretAccess: cluster.SecretsFull, LiveReads: 1, Log: logr.Discard(), Metrics: metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	l.auditURL = server.URL
	reading, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { l.audit.Start(reading) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		server.Close()
	})

	for _, name := range []string{"app", "other"} {
		_, err := l.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{stack.OptOutLabel: stack.OptOutValue},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// playLive does what play does, and deletes afterwards what it has written.
func (l *live) playLive(ctx context.Context, s *scenario) (o opinion, err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioTime)
	defer cancel()
	l.written, l.versions, l.last = nil, map[routing.Ref]string{}, map[string]time.Time{}
	for i := range s.Objects {
		if err := l.step(ctx, s, i, &o); err != nil {
			return o, fmt.Errorf("objects[%d]: %w", i, err)
		}
	}
	for _, ref := range s.Delete {
		if err := l.delete(ctx, ref); err != nil {
			return o, err
		}
	}
	subject, err := l.Client.NetworkingV1().Ingresses(s.Subject.Namespace).Get(ctx, s.Subject.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return o, err
	}
	if err == nil {
		end, err := l.judgeEnd(ctx, subject)
		if err != nil {
			return o, err
		}
		o.end = &end
	}

	for _, ref := range l.written {
		if err := l.delete(ctx, ref); err != nil && !apierrors.IsNotFound(err) {
			return o, err
		}
	}
	// Else the next scenario could find as many objects in a cache as it wrote.
	return o, errors.Join(l.catchUp(ctx, l.Routegate.MetricsURL), l.catchUp(ctx, l.auditURL))
}

// step writes the i-th object and, where it is the subject, notes what the API
// server answers. The answer of a namespace that opts out counts for the others.
func (l *live) step(ctx context.Context, s *scenario, i int, o *opinion) error {
	ref, err := head(s.Objects[i])
	if err != nil {
		return err
	}
	if err := l.grow(ctx, ref); err != nil {
		return err
	}
	asked := ref == s.Subject && !s.rejected(i)
	made := write{operation: "create"}
	if slices.Contains(l.written, ref) {
		made.operation = "update"
	}
	if asked {
		if made.said, err = l.ask(ctx, ref, s.Objects[i]); err != nil {
			return err
		}
	}
	// What was denied is written all the same, so that the scenario goes on.
	if !asked || len(made.denied) > 0 {
		err = l.force(ctx, ref, s.Objects[i])
	}
	switch isRefused := apierrors.IsInvalid(err) || apierrors.IsBadRequest(err); {
	case err == nil && s.rejected(i):
		return fmt.Errorf("%s: was accepted, but refused when it was recorded", ref)
	case isRefused && s.rejected(i):
		made.settled = refused
	case err != nil:
		return fmt.Errorf("%s: %w", ref, err)
	}
	if ref == s.Subject {
		o.writes = append(o.writes, made)
	}
	return nil
}

// grow waits, where an object is to be younger than another, for the next second:
// creation times are whole seconds.
func (l *live) grow(ctx context.Context, ref reference) error {
	var older time.Time
	switch ref.Kind {
	case "Ingress":
		// A class of the same second is not younger than the Ingress.
		older = l.last["Ingress"]
	case "IngressClass":
		older = l.last["IngressClass"]
		if ingress := l.last["Ingress"]; ingress.After(older) {
			older = ingress
		}
	}
	if older.IsZero() {
		return nil
	}
	select {
	case <-time.After(time.Until(older.Truncate(time.Second).Add(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask writes an object with enforcement on, once, and returns the answer.
func (l *live) ask(ctx context.Context, ref reference, manifest json.RawMessage) (said, error) {
	if err := l.catchUp(ctx, l.Routegate.MetricsURL); err != nil {
		return said{}, err
	}
	if err := l.label(ctx, ref.Namespace, "null"); err != nil {
		return said{}, err
	}
	if err := stack.Wait(ctx, l.Config, ref.Namespace); err != nil {
		return said{}, err
	}
	l.warnings.Take()
	err := l.write(ctx, ref, manifest)
	answer := l.warned()
	if isDenial(err) {
		answer.denied = causes(err)
		err = nil
	}
	return answer, errors.Join(err, l.label(ctx, ref.Namespace, `"`+stack.OptOutValue+`"`))
}

// label sets the label by which a namespace opts out, or removes it with null.
func (l *live) label(ctx context.Context, namespace, value string) error {
	patch := fmt.Sprintf(`{"metadata": {"labels": {%q: %s}}}`, stack.OptOutLabel, value)
	_, err := l.Client.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// force writes an object into a namespace that opts out. The API server learns
// of labels with a delay, and asks until then.
func (l *live) force(ctx context.Context, ref reference, manifest json.RawMessage) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := l.write(ctx, ref, manifest)
		if isDenial(err) {
			return false, nil
		}
		return err == nil, err
	})
}

var resources = map[string]schema.GroupVersionResource{
	"Ingress":       networkingv1.SchemeGroupVersion.WithResource("ingresses"),
	"IngressClass":  networkingv1.SchemeGroupVersion.WithResource("ingressclasses"),
	"Service":       corev1.SchemeGroupVersion.WithResource("services"),
	"EndpointSlice": discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
	"Secret":        corev1.SchemeGroupVersion.WithResource("secrets"),
}

func (l *live) resource(ref reference) (dynamic.ResourceInterface, error) {
	resource, known := resources[ref.Kind]
	if !known {
		return nil, fmt.Errorf("%s is of a kind that is not written here", ref)
	}
	return l.objects.Resource(resource).Namespace(ref.Namespace), nil
}

// write creates an object or, where there is one of that name, replaces it.
func (l *live) write(ctx context.Context, ref reference, manifest json.RawMessage) error {
	resource, err := l.resource(ref)
	if err != nil {
		return err
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(manifest); err != nil {
		return err
	}
	if slices.Contains(l.written, ref) {
		old, err := resource.Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		obj.SetResourceVersion(old.GetResourceVersion())
		obj, err = resource.Update(ctx, obj, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
	} else if obj, err = resource.Create(ctx, obj, metav1.CreateOptions{}); err != nil {
		return err
	} else {
		l.written = append(l.written, ref)
	}
	l.versions[routing.Ref{Kind: routing.Kind(obj.GetKind()), Namespace: obj.GetNamespace(), Name: obj.GetName()}] = obj.GetResourceVersion()
	l.last[ref.Kind] = time.Now()
	return nil
}

func (l *live) delete(ctx context.Context, ref reference) error {
	resource, err := l.resource(ref)
	if err != nil {
		return err
	}
	return resource.Delete(ctx, ref.Name, metav1.DeleteOptions{})
}

// isDenial reports whether routegate has denied a write.
func isDenial(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), stack.WebhookName)
}

// causes are the findings that a denial names.
func causes(err error) (findings []checks.Finding) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	for _, cause := range status.Status().Details.Causes {
		findings = append(findings, checks.Finding{Check: string(cause.Type)})
	}
	return findings
}

// inParentheses finds what may be the name of a check.
var inParentheses = regexp.MustCompile(`\(([a-z0-9-]+)\)`)

// warned are the findings in the warnings of the last write. The API server has
// warnings of its own, which name no check. Of what routegate says without a
// single check, the text stands for the name, so that the rows differ.
func (l *live) warned() (s said) {
	for _, text := range l.warnings.Take() {
		finding := checks.Finding{}
		for _, match := range inParentheses.FindAllStringSubmatch(text, -1) {
			if finding.Check == "" && l.built(match[1]) {
				finding.Check = match[1]
			}
		}
		switch {
		case strings.HasPrefix(text, "no verdict on parts of this Ingress: "):
			s.undecided = append(s.undecided, checks.Finding{Check: text})
		case finding.Check != "":
			s.warned = append(s.warned, finding)
		case strings.HasSuffix(text, "…") || strings.HasSuffix(text, " more"):
			s.warned = append(s.warned, checks.Finding{Check: text})
		}
	}
	return s
}

// catchUp waits until the cache with its metrics at url has as many objects as
// there are.
func (l *live) catchUp(ctx context.Context, url string) error {
	return stack.CatchUp(ctx, l.Client, url)
}

// judgeEnd judges the stored subject as an audit would, once the cache holds
// every version that was written last.
func (l *live) judgeEnd(ctx context.Context, subject *networkingv1.Ingress) (said, error) {
	if err := l.catchUp(ctx, l.auditURL); err != nil {
		return said{}, err
	}
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		snap, err := l.audit.Snapshot(ctx, routing.ReferencesOf(subject), nil)
		if err != nil {
			return false, err
		}
		for ref, version := range versionsIn(snap) {
			if latest, ours := l.versions[ref]; ours && latest != version {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return said{}, fmt.Errorf("the cache does not hold what was written last: %w", err)
	}
	return l.judge(ctx, l.audit, subject, nil)
}

// versionsIn returns the versions of the objects of a Snapshot.
func versionsIn(snap *routing.Snapshot) map[routing.Ref]string {
	versions := map[routing.Ref]string{}
	add := func(kind routing.Kind, obj interface {
		GetNamespace() string
		GetName() string
		GetResourceVersion() string
	},
	) {
		versions[routing.Ref{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}] = obj.GetResourceVersion()
	}
	for _, class := range snap.Classes {
		add(routing.IngressClasses, class)
	}
	for _, service := range snap.Services {
		add(routing.Services, service)
	}
	for _, slicesOfService := range snap.Slices {
		for _, slice := range slicesOfService {
			add(routing.EndpointSlices, slice)
		}
	}
	for _, secret := range snap.Secrets {
		add(routing.Secrets, secret)
	}
	for _, sharing := range snap.Sharing {
		for _, ing := range sharing {
			add(routing.Ingresses, ing)
		}
	}
	return versions
}
