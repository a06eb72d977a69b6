// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/audit"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

const settle = 30 * time.Second

// world is a cluster of given objects with an Auditor, in the time of a synctest
// bubble.
type world struct {
	*cluster.Static
	t        *testing.T
	registry *prometheus.Registry
	events   *sink
	end      context.CancelFunc
	ended    chan struct{}
}

// newWorld starts an Auditor in a cluster that holds the objects.
func newWorld(t *testing.T, change func(*audit.Config), objs ...metav1.Object) *world {
	t.Helper()
	w := &world{Static: cluster.NewStatic(), t: t, registry: prometheus.NewRegistry(), events: &sink{}, ended: make(chan struct{})}
	w.Settings.NginxControllers = []string{"k8s.io/ingress-nginx"}
	w.apply(objs...)
	config := audit.Config{
		Cluster: w.Static, Rules: always(policy.File{}),
		Clock: clock.RealClock{}, Settle: settle, MaxSeries: 1000, Events: w.events, Log: logr.Discard(), Metrics: w.registry,
	}
	if change != nil {
		change(&config)
	}
	auditor, err := audit.New(config)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.end = context.WithCancel(t.Context())
	go func() {
		defer close(w.ended)
		auditor.Lead(ctx)
	}()
	return w
}

// always returns the rules of a file, always the same.
func always(file policy.File) func() *policy.Rules {
	rules, err := file.Compile(checks.All())
	if err != nil {
		panic(err)
	}
	return func() *policy.Rules { return rules }
}

// stop ends the Auditor, and what it started.
func (w *world) stop() {
	w.end()
	<-w.ended
	synctest.Wait()
}

func (w *world) apply(objs ...metav1.Object) {
	w.t.Helper()
	for _, obj := range objs {
		if err := w.Apply(obj); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) remove(objs ...metav1.Object) {
	w.t.Helper()
	for _, obj := range objs {
		if err := w.Delete(obj); err != nil {
			w.t.Fatal(err)
		}
	}
}

// after lets time pass, and what is due then happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// series returns the series of the metric as "label=value,...: value", sorted.
func (w *world) series(name string) []string {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	all := []string{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all = append(all, fmt.Sprintf("%s: %v", strings.Join(labels, ","), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	return all
}

func (w *world) want(when, metric string, want ...string) {
	w.t.Helper()
	if got := w.series(metric); !slices.Equal(got, append([]string{}, want...)) {
		w.t.Errorf("%s: %s is %q, must be %q", when, metric, got, want)
	}
}

func (w *world) wantEvents(when string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events.take(); !slices.Equal(got, want) {
		w.t.Errorf("%s: Events are %q, must be %q", when, got, want)
	}
}

// sink keeps Events as an API server does.
type sink struct {
	mu     sync.Mutex
	events []string
}

var _ events.EventSink = &sink{}

func (s *sink) Create(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf("%s %s %s %s/%s: %s", event.Type, event.Reason, event.Action, event.Regarding.Namespace, event.Regarding.Name, event.Note))
	return event, nil
}

func (s *sink) Update(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	return nil, errors.New("no Event is ever replaced")
}

func (s *sink) Patch(_ context.Context, event *eventsv1.Event, patch []byte) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, "again "+event.Reason)
	return event, nil
}

func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.events
	s.events = nil
	slices.Sort(taken)
	return taken
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), CreationTimestamp: metav1.NewTime(time.Now()),
	}
}

func ingress(namespace, name, host, path, service string) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: meta(namespace, name),
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &prefix, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}},
				}}},
			}}}},
		},
	}
}

func service(namespace, name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(namespace, name), Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1", Selector: map[string]string{"app": name},
		Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
	}}
}

func slice(namespace, name string, addresses ...string) *discoveryv1.EndpointSlice {
	port, protocol := int32(80), corev1.ProtocolTCP
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: meta(namespace, name+"-1"), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: new(string), Port: &port, Protocol: &protocol}},
	}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return s
}

func class(name string) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: meta("", name), Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: meta("", name)}
}

// certificate is a TLS Secret with a certificate for the hosts that is valid until then.
func certificate(t *testing.T, namespace, name string, until time.Time, hosts ...string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{ObjectMeta: meta(namespace, name), Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}}
}

// shop is an Ingress that routes, and all that it needs.
func shop() []metav1.Object {
	return []metav1.Object{
		class("nginx"), namespace("prod"), ingress("prod", "shop", "shop.example", "/", "web"), service("prod", "web"), slice("prod", "web", "10.1.0.1"),
	}
}

const (
	findings = "routegate_ingress_findings"
	routable = "routegate_ingress_routable"
	missing  = "check=service-missing,ingress_namespace=prod,mode=deny: 1"
)

func TestFindingAppearsAndIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, shop()...)
		defer w.stop()
		after(time.Minute)
		w.want("sound", findings)
		w.want("sound", routable, "ingress_namespace=prod,routable=true: 1")

		w.remove(service("prod", "web"), slice("prod", "web"))
		after(settle - time.Second)
		w.want("not settled", findings)
		w.wantEvents("not settled")
		after(2 * time.Second)
		w.want("settled", findings, missing)
		w.want("settled", routable, "ingress_namespace=prod,routable=false: 1")
		w.want("settled", "routegate_ingress_oldest_finding_age_seconds", fmt.Sprintf("mode=deny: %v", (settle+time.Second).Seconds()))
		w.wantEvents("settled", `Warning ServiceMissing FindingAppeared prod/shop: `+
			`spec.rules[0].http.paths[0].backend.service.name: Service "web" does not exist in namespace "prod" (service-missing): requests get 503`)

		w.apply(service("prod", "web"), slice("prod", "web", "10.1.0.1"))
		after(settle - time.Second)
		w.want("restored, not settled", findings, missing)
		after(2 * time.Second)
		w.want("restored", findings)
		w.want("restored", routable, "ingress_namespace=prod,routable=true: 1")
		w.wantEvents("restored", `Normal ServiceMissing FindingGone prod/shop: no longer: `+
			`spec.rules[0].http.paths[0].backend.service.name: Service "web" does not exist in namespace "prod" (service-missing): requests get 503`)

		// Once more within minutes: one Event with a count.
		w.remove(service("prod", "web"), slice("prod", "web"))
		after(settle + time.Second)
		w.wantEvents("again", "again ServiceMissing")
	})
}

func TestRollingRestartShowsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, shop()...)
		defer w.stop()
		for range 5 {
			after(time.Minute)
			w.apply(slice("prod", "web"))
			after(settle - time.Second)
			w.want("without endpoints for a moment", findings)
			w.apply(slice("prod", "web", "10.1.0.2"))
		}
		after(2 * settle)
		w.want("afterwards", findings)
		w.wantEvents("afterwards")

		// And the other way round: endpoints for a moment do not clear it.
		w.apply(slice("prod", "web"))
		after(time.Minute)
		none := "check=no-endpoints-at-all,ingress_namespace=prod,mode=warn: 1"
		w.want("without endpoints", findings, none)
		w.apply(slice("prod", "web", "10.1.0.2"))
		after(settle - time.Second)
		w.apply(slice("prod", "web"))
		after(2 * settle)
		w.want("after endpoints for a moment", findings, none)
	})
}

func TestFirstLookCountsAtOnceWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, shop()[:3]...)
		defer w.stop()
		after(time.Second)
		w.want("a second after the start", findings, missing)
		w.wantEvents("of what was there before")
		// A new one has to last.
		w.apply(ingress("prod", "other", "other.example", "/", "other"))
		after(time.Second)
		w.want("a new Ingress", findings, missing)
		after(settle)
		w.want("a new Ingress", findings, strings.Replace(missing, ": 1", ": 2", 1))
		if got := w.events.take(); len(got) != 1 || !strings.Contains(got[0], "prod/other") {
			t.Errorf("Events are %q, must be one of the new Ingress", got)
		}
	})
}

func TestCertificateExpiresByTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := time.Now().Add(10 * time.Minute)
		ing := ingress("prod", "shop", "shop.example", "/", "web")
		ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"shop.example"}, SecretName: "cert"}}
		w := newWorld(t, nil, append(shop(), ing, certificate(t, "prod", "cert", expiry, "shop.example"))...)
		defer w.stop()
		after(time.Until(expiry))
		w.want("at its end", findings)
		w.want("at its end", "routegate_ingress_certificate_expiry_timestamp_seconds",
			fmt.Sprintf("host=shop.example,ingress_namespace=prod,secret=cert: %v", float64(expiry.Unix())))
		after(settle + time.Second)
		w.want("afterwards", findings, "check=tls-expired,ingress_namespace=prod,mode=warn: 1")
		w.apply(certificate(t, "prod", "cert", time.Now().Add(time.Hour), "shop.example"))
		after(settle + time.Second)
		w.want("replaced", findings)
		w.apply(certificate(t, "prod", "cert", time.Now().Add(time.Hour), "another.example"))
		after(settle + time.Second)
		w.want("of another host", findings, "check=tls-san-mismatch,ingress_namespace=prod,mode=deny: 1")
	})
}

func TestGracePeriodEndsByTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *audit.Config) {
			c.Rules = always(policy.File{Terms: policy.Terms{GracePeriod: "10m"}})
		}, shop()[:3]...)
		defer w.stop()
		after(10*time.Minute - time.Second)
		w.want("a new namespace", findings, strings.Replace(missing, "deny", "warn", 1))
		after(2 * time.Second)
		w.want("later", findings, missing)
	})
}

// The expression of a newer Ingress takes all requests of an older one of the host.
func TestNewerIngressOfTheSameHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, append(shop(), ingress("prod", "shop", "shop.example", "/cart", "web"))...)
		defer w.stop()
		after(time.Minute)
		w.want("alone", findings)
		newer := ingress("edge", "newer", "shop.example", "/cart/?(.*)", "web")
		newer.Annotations = map[string]string{routing.NginxPrefix + "rewrite-target": "/$1"}
		*newer.Spec.Rules[0].HTTP.Paths[0].PathType = networkingv1.PathTypeImplementationSpecific
		w.apply(newer, service("edge", "web"), slice("edge", "web", "10.1.0.9"))
		after(settle + time.Second)
		w.want("with the newer one", findings,
			"check=regex-host-contamination,ingress_namespace=edge,mode=warn: 1", "check=regex-host-contamination,ingress_namespace=prod,mode=warn: 1")
		if got := w.series(routable); !slices.Contains(got, "ingress_namespace=prod,routable=false: 1") {
			t.Errorf("routable is %q, must say that the older one is not", got)
		}
		w.remove(newer)
		after(settle + time.Second)
		w.want("deleted", findings)
		w.want("deleted", routable, "ingress_namespace=prod,routable=true: 1")
	})
}

func TestSettingsOfAllAreJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objs := shop()[:1]
		for i := range 3000 {
			objs = append(objs, ingress("prod", fmt.Sprintf("i%d", i), fmt.Sprintf("h%d.example", i), "/", fmt.Sprintf("s%d", i)),
				service("prod", fmt.Sprintf("s%d", i)), slice("prod", fmt.Sprintf("s%d", i), "10.1.0.1"))
		}
		w := newWorld(t, nil, append(objs, shop()[1:]...)...)
		defer w.stop()
		after(time.Minute)
		w.want("sound", findings)
		w.remove(class("nginx"))
		after(settle + 10*time.Second)
		w.want("without a class", findings, "check=class-object-missing,ingress_namespace=prod,mode=deny: 3001")
		w.want("without a class", routable, "ingress_namespace=prod,routable=false: 3001")
		if got := len(w.events.take()); got < 200 || got > 300 {
			t.Errorf("%d Events, must be some hundreds", got)
		}
		dropped := w.series("routegate_audit_events_total")
		if len(dropped) != 2 || !strings.HasPrefix(dropped[0], "result=dropped: 2") {
			t.Errorf("counted %q, must be some thousands dropped", dropped)
		}
	})
}

func TestNothingOfAnotherLeadersRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, shop()[:3]...)
		after(time.Minute)
		w.want("leading", "routegate_audit_leading", ": 1")
		w.want("leading", findings, missing)
		w.stop()
		w.want("not leading", "routegate_audit_leading", ": 0")
		for _, name := range []string{findings, routable, "routegate_audit_queue_depth", "routegate_ingress_oldest_finding_age_seconds", "routegate_audit_series_dropped"} {
			w.want("not leading", name)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objs := []metav1.Object{class("nginx")}
		for i := range 5 {
			ing := ingress(fmt.Sprintf("ns%d", i), "shop", fmt.Sprintf("h%d.example", i), "/", "web")
			ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{ing.Spec.Rules[0].Host}, SecretName: "cert"}}
			expiry := time.Now().Add(time.Duration(10-i) * time.Hour)
			objs = append(objs, ing, certificate(t, ing.Namespace, "cert", expiry, ing.Spec.Rules[0].Host))
		}
		w := newWorld(t, func(c *audit.Config) { c.MaxSeries = 2 }, objs...)
		defer w.stop()
		after(time.Minute)
		w.want("bounded", findings, "check=service-missing,ingress_namespace=ns0,mode=deny: 1", "check=service-missing,ingress_namespace=ns1,mode=deny: 1")
		soonest := func(i, hours int) string {
			return fmt.Sprintf("host=h%d.example,ingress_namespace=ns%d,secret=cert: %v", i, i, float64(time.Now().Add(-time.Minute+time.Duration(hours)*time.Hour).Unix()))
		}
		w.want("the soonest", "routegate_ingress_certificate_expiry_timestamp_seconds", soonest(3, 7), soonest(4, 6))
		w.want("bounded", "routegate_audit_series_dropped",
			"metric=routegate_ingress_certificate_expiry_timestamp_seconds: 3", "metric=routegate_ingress_findings: 3", "metric=routegate_ingress_routable: 3")
	})
}

// moody is a cluster that fails at first.
type moody struct {
	*cluster.Static
	failures int
}

func (m *moody) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	switch m.failures--; {
	case m.failures > 3:
		return nil, errors.New("no snapshot")
	case m.failures >= 0:
		panic("no snapshot at all")
	}
	return m.Static.Snapshot(ctx, refs, confirm)
}

func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *audit.Config) { c.Cluster = &moody{c.Cluster.(*cluster.Static), 6} }, shop()[:3]...)
		defer w.stop()
		after(time.Second)
		w.want("failing", findings)
		after(time.Minute)
		w.want("at last", findings, missing)
	})
}

// Objects that were read live are believed for some time, since no watch tells of them.
func TestWhatIsReadLiveIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := routing.Ref{Kind: routing.ConfigMaps, Namespace: "prod", Name: "headers"}
		reads := 0
		w := newWorld(t, func(c *audit.Config) {
			c.Cluster = covering{c.Cluster.(*cluster.Static), ref, &reads}
		}, shop()...)
		defer w.stop()
		after(time.Hour)
		if reads < 6 || reads > 8 {
			t.Errorf("%d reads in an hour, must be one in ten minutes", reads)
		}
	})
}

type covering struct {
	*cluster.Static
	ref   routing.Ref
	reads *int
}

func (c covering) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	*c.reads++
	snap, err := c.Static.Snapshot(ctx, refs, confirm)
	snap.Coverage[c.ref] = routing.Coverage{Read: true}
	return snap, err
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	_, err := audit.New(audit.Config{Settle: -time.Second})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Cluster must be set", "Rules must be set", "Clock must be set", "Metrics must be set", "Settle is -1s", "MaxSeries is 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}
