// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// What bounds the judgement of a made-up Ingress. It takes milliseconds; the rest is
// for a machine that does other things.
const (
	maxMessage = 4096
	maxTime    = 10 * time.Second
)

// FuzzRun judges Ingresses of made-up clusters by all checks. The choices say what
// there is, the words, one a line, what it says. Whatever they are, no check panics,
// the answer is the same each time, and nothing is modified. What a check says of its
// Annotations is true: it finds nothing in an Ingress without them.
func FuzzRun(f *testing.F) {
	secrets, annotations := fixtureSecrets(f), fixtureAnnotations(f)
	for i, words := range fixtureWords(f) {
		choices := make([]byte, 192)
		for j := range choices {
			choices[j] = byte((i + 3) * (j + 1) * (j + 7) >> (j % 5))
		}
		f.Add(choices, words)
	}
	f.Fuzz(func(t *testing.T, choices []byte, words string) {
		start := time.Now()
		m := maker{choices: choices, words: strings.Split(words, "\n"), secrets: secrets, annotations: annotations}
		same := m
		ing, snap := m.make(t)
		sameIng, sameSnap := same.make(t)
		findings := checks.Run(checks.All(), ing, snap)
		if took := time.Since(start); took > maxTime {
			t.Errorf("it took %v", took)
		}
		if !reflect.DeepEqual(ing, sameIng) {
			t.Error("the Ingress was modified")
		}
		if !reflect.DeepEqual(snap, sameSnap) {
			t.Error("the Snapshot was modified")
		}
		order(sameSnap, +1)
		if again := checks.Run(checks.All(), sameIng, sameSnap); !reflect.DeepEqual(findings, again) {
			t.Errorf("not the same twice:\n%v\n%v", findings, again)
		}
		for _, finding := range findings {
			examine(t, finding)
		}
		if every := decided(checks.Run(withoutAnnotations(), ing, snap)); !reflect.DeepEqual(decided(findings), every) {
			t.Errorf("found, where Annotations is not looked at:\n%v\nand otherwise:\n%v", every, decided(findings))
		}
	})
}

// withoutAnnotations are all checks, each for every Ingress of its Controllers.
func withoutAnnotations() []checks.Check {
	all := checks.All()
	for i := range all {
		all[i].Annotations = nil
	}
	return all
}

func decided(findings []checks.Finding) []checks.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f checks.Finding) bool { return f.Undecided })
}

// examine holds a finding to what every finding promises.
func examine(t *testing.T, f checks.Finding) {
	t.Helper()
	text := f.String()
	if _, err := checks.Find(f.Check); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	switch {
	case strings.HasPrefix(f.Fact, "the check failed"):
		t.Errorf("a check panicked: %s", text)
	case f.Fact == "":
		t.Errorf("%s: says nothing", text)
	case f.Undecided != (f.Field == nil):
		t.Errorf("%s: must have a field, or be undecided", text)
	}
	if len(text) > maxMessage {
		t.Errorf("a message of %d bytes: %s", len(text), text)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("not text: %q", text)
	}
}

// maker makes a cluster of choices and words. Where the choices end, all others are 0.
type maker struct {
	choices []byte
	words   []string
	// secrets and annotations are those of fixtures.
	secrets     []*corev1.Secret
	annotations [][2]string
}

func (m *maker) choose(n int) int {
	if len(m.choices) == 0 {
		return 0
	}
	c := int(m.choices[0])
	m.choices = m.choices[1:]
	return c % n
}

// maybe is true once in n times.
func (m *maker) maybe(n int) bool { return m.choose(n) == n-1 }

// many chooses among more than a byte reaches.
func (m *maker) many(n int) int { return (m.choose(256)<<8 | m.choose(256)) % n }

// word is one of the usual words or, at times, of those given.
func (m *maker) word(usual ...string) string {
	if m.maybe(4) {
		return m.words[m.choose(len(m.words))]
	}
	return usual[m.choose(len(usual))]
}

// What names are drawn from, so that objects meet.
var (
	someNamespaces = []string{"app", "app", "other"}
	someServices   = []string{"web", "api", "gone"}
	someSecrets    = []string{"cert", "users", "gone"}
	someHosts      = []string{"a.example", "b.example", "*.example", "b.a.example", "www.a.example", ""}
	somePaths      = []string{"/", "/foo", "/foo/", "/foo(/|$)(.*)", ""}
	somePorts      = []string{"http", "https"}
)

func (m *maker) make(t *testing.T) (*networkingv1.Ingress, *routing.Snapshot) {
	kinds := routing.Kinds()
	if m.maybe(4) {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(routing.Kind) bool { return m.maybe(3) })
		// Of none, all would be read.
		kinds = append(kinds, routing.Namespaces)
	}
	world := cluster.NewStatic(kinds...)
	world.Now = now
	world.Settings = m.settings()
	apply := func(obj metav1.Object) {
		if err := world.Apply(obj); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"nginx", "other"} {
		class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: m.time()}}
		class.Spec.Controller = "k8s.io/ingress-nginx"
		if m.maybe(4) {
			class.Spec.Controller = m.word("example.com/other")
		}
		if m.maybe(4) {
			class.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
		}
		apply(class)
	}
	for range m.choose(4) {
		m.service(apply)
	}
	for _, name := range someSecrets[:m.choose(3)] {
		secret := m.secrets[m.choose(len(m.secrets))].DeepCopy()
		secret.Namespace, secret.Name = someNamespaces[m.choose(3)], name
		apply(secret)
	}
	if m.maybe(2) {
		apply(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "map"}, Data: map[string]string{m.word("a"): m.word("b")}})
	}
	ing := m.ingress("web")
	for i := range m.choose(4) {
		apply(m.ingress(fmt.Sprint("other-", i)))
	}
	if m.maybe(3) {
		former := m.ingress("web")
		former.Namespace, former.CreationTimestamp = ing.Namespace, ing.CreationTimestamp
		apply(former)
	}
	snap, err := world.Snapshot(t.Context(), routing.ReferencesOf(ing), nil)
	if err != nil {
		t.Fatal(err)
	}
	order(snap, -1)
	return ing, snap
}

// order sorts the lists of a Snapshot, whose order means nothing: up, or down.
func order(snap *routing.Snapshot, up int) {
	for _, names := range snap.Names {
		slices.SortFunc(names, func(a, b string) int { return up * strings.Compare(a, b) })
	}
	orderObjects(snap.Slices, up)
	orderObjects(snap.Sharing, up)
	orderObjects(snap.SharingUpstream, up)
}

func orderObjects[K comparable, T interface {
	GetNamespace() string
	GetName() string
}](lists map[K][]T, up int) {
	for _, list := range lists {
		slices.SortFunc(list, func(a, b T) int {
			return up * cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
		})
	}
}

func (m *maker) settings() routing.Settings {
	if !m.maybe(3) {
		return routing.Settings{}
	}
	critical := routing.RiskCritical
	return routing.Settings{Controllers: map[string]routing.ControllerSettings{"k8s.io/ingress-nginx": {
		DisableAnnotationValidation: m.maybe(2),
		AllowSnippets:               m.maybe(2),
		AnnotationsRiskLevel:        &critical,
		EnableSSLPassthrough:        m.maybe(2),
		WatchWithoutClass:           m.maybe(2),
		PreserveTrailingSlash:       m.maybe(2),
		DefaultSSLCertificate:       "app/cert",
		DefaultBackendService:       "app/web",
	}}}
}

// time is one of few, so that some are the same, or none.
func (m *maker) time() metav1.Time {
	if n := m.choose(4); n > 0 {
		return metav1.NewTime(now.Add(-time.Duration(n) * time.Hour))
	}
	return metav1.Time{}
}

// service makes a Service and, mostly, a slice of it.
func (m *maker) service(apply func(metav1.Object)) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: someNamespaces[m.choose(3)], Name: someServices[m.choose(2)]}}
	svc.Spec.ClusterIP = []string{"10.0.0.1", corev1.ClusterIPNone, ""}[m.choose(3)]
	if m.maybe(2) {
		svc.Spec.Selector = map[string]string{"app": "web"}
	}
	if m.maybe(4) {
		svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, m.word("www.example.org", "10.0.0.1", "localhost")
	}
	protocols := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, ""}
	for range m.choose(4) {
		port := corev1.ServicePort{Name: m.word(somePorts...), Port: m.number(), Protocol: protocols[m.choose(4)]}
		port.TargetPort = []intstr.IntOrString{{}, intstr.FromInt32(m.number()), intstr.FromString(m.word(somePorts...))}[m.choose(3)]
		if m.maybe(3) {
			protocol := m.word("https", "kubernetes.io/h2c")
			port.AppProtocol = &protocol
		}
		svc.Spec.Ports = append(svc.Spec.Ports, port)
	}
	apply(svc)
	if m.maybe(4) {
		return
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: svc.Namespace, Name: m.word(svc.Name + "-a"), Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name},
	}}
	slice.AddressType = []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN}[m.choose(3)]
	for range m.choose(3) {
		name, number, protocol := m.word(somePorts...), m.number(), protocols[m.choose(3)]
		port := discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol}
		if m.maybe(4) {
			port.Port = nil
		}
		slice.Ports = append(slice.Ports, port)
	}
	for range m.choose(3) {
		ready := m.maybe(2)
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{m.word("10.0.0.1", "fd00::1")}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	apply(slice)
}

func (m *maker) number() int32 {
	return []int32{80, 443, 8080, 0, -1, 65536}[m.choose(6)]
}

func (m *maker) ingress(name string) *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
		Namespace: someNamespaces[m.choose(3)], Name: name, CreationTimestamp: m.time(), Annotations: map[string]string{},
	}}
	classes := []string{"nginx", "nginx", "nginx", "other", m.words[0]}
	if n := m.choose(6); n < len(classes) {
		ing.Spec.IngressClassName = &classes[n]
	}
	if m.maybe(8) {
		ing.Annotations[routing.ClassAnnotation] = classes[m.choose(5)]
	}
	if m.maybe(8) {
		ing.Labels = map[string]string{"acme.cert-manager.io/http01-solver": "true"}
	}
	known := routing.Annotations()
	for range m.choose(5) {
		switch m.choose(4) {
		case 0, 1:
			pair := m.annotations[m.many(len(m.annotations))]
			ing.Annotations[pair[0]] = pair[1]
		case 2:
			name := known[m.many(len(known))].Name
			ing.Annotations[routing.NginxPrefix+name] = m.word("true", "/$1", "cert", "app/cert", "-1", "0", "$host", "map")
		case 3:
			ing.Annotations[routing.NginxPrefix+m.word("canary", "use-regex", "service-upstream")] = m.word("true")
		}
	}
	if m.maybe(4) {
		b := m.backend()
		ing.Spec.DefaultBackend = &b
	}
	for range m.choose(4) {
		rule := networkingv1.IngressRule{Host: m.word(someHosts...)}
		if !m.maybe(8) {
			rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
			for range m.choose(4) {
				rule.HTTP.Paths = append(rule.HTTP.Paths, m.path())
			}
		}
		ing.Spec.Rules = append(ing.Spec.Rules, rule)
	}
	for range m.choose(3) {
		tls := networkingv1.IngressTLS{SecretName: m.word(someSecrets...)}
		for range m.choose(3) {
			tls.Hosts = append(tls.Hosts, m.word(someHosts...))
		}
		ing.Spec.TLS = append(ing.Spec.TLS, tls)
	}
	return ing
}

func (m *maker) path() networkingv1.HTTPIngressPath {
	p := networkingv1.HTTPIngressPath{Path: m.word(somePaths...), Backend: m.backend()}
	types := []networkingv1.PathType{networkingv1.PathTypePrefix, networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, "Other"}
	if n := m.choose(len(types) + 1); n < len(types) {
		p.PathType = &types[n]
	}
	return p
}

func (m *maker) backend() networkingv1.IngressBackend {
	switch m.choose(16) {
	case 14:
		return networkingv1.IngressBackend{}
	case 15:
		return networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{Kind: m.word("Bucket"), Name: m.word("b")}}
	}
	port := networkingv1.ServiceBackendPort{Number: m.number()}
	if m.maybe(3) {
		port = networkingv1.ServiceBackendPort{Name: m.word(somePorts...)}
	}
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: m.word(someServices...), Port: port}}
}

// fixtureSecrets are the Secrets of the fixtures about TLS, and an empty one.
func fixtureSecrets(f *testing.F) []*corev1.Secret {
	secrets := []*corev1.Secret{{}}
	eachFixture(f, "tls-*", func(fx fixture) {
		for _, obj := range fx.objects {
			if secret, ok := obj.(*corev1.Secret); ok {
				secrets = append(secrets, secret)
			}
		}
	})
	return secrets
}

// fixtureAnnotations are those of all bad fixtures.
func fixtureAnnotations(f *testing.F) [][2]string {
	var all [][2]string
	eachFixture(f, "*", func(fx fixture) {
		for _, key := range slices.Sorted(maps.Keys(fx.ingress.Annotations)) {
			all = append(all, [2]string{key, fx.ingress.Annotations[key]})
		}
	})
	return all
}

// fixtureWords are, for each check, what its bad fixtures say in places that anything
// may stand in.
func fixtureWords(f *testing.F) []string {
	var all []string
	for _, check := range checks.All() {
		words := []string{""}
		eachFixture(f, check.Name, func(fx fixture) {
			for _, key := range slices.Sorted(maps.Keys(fx.ingress.Annotations)) {
				words = append(words, fx.ingress.Annotations[key])
			}
			for _, rule := range fx.ingress.Spec.Rules {
				words = append(words, rule.Host)
				for i := 0; rule.HTTP != nil && i < len(rule.HTTP.Paths); i++ {
					words = append(words, rule.HTTP.Paths[i].Path)
				}
			}
		})
		all = append(all, strings.Join(words, "\n"))
	}
	return all
}

// eachFixture reads the bad fixtures of the checks.
func eachFixture(f *testing.F, names string, do func(fixture)) {
	paths, err := filepath.Glob(filepath.Join("testdata", names, "*"+badSuffix))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		do(readFixture(f, path))
	}
}
