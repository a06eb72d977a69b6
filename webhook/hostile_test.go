// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// hostile is a kind of Ingress that somebody may write to make Routegate slow, big or
// wrong.
type hostile struct {
	name string
	// most is the size of the largest that a review can hold, or that is of interest.
	most int
	make func(n int) *networkingv1.Ingress
}

// hostiles are Ingresses that become large in one way each. Most of them are valid for
// the API server.
func hostiles() []hostile {
	rule := func(host string, paths ...networkingv1.HTTPIngressPath) networkingv1.IngressRule {
		r := networkingv1.IngressRule{Host: host}
		r.HTTP = &networkingv1.HTTPIngressRuleValue{Paths: paths}
		return r
	}
	path := func(text string, kind networkingv1.PathType, service string) networkingv1.HTTPIngressPath {
		p := networkingv1.HTTPIngressPath{Path: text, PathType: &kind}
		p.Backend.Service = &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}
		return p
	}
	// of returns an Ingress of the rules, with the annotations of ingress-nginx given as
	// name, value, name, value.
	of := func(rules []networkingv1.IngressRule, annotations ...string) *networkingv1.Ingress {
		ing := ingress()
		ing.Spec.Rules = rules
		ing.Annotations = map[string]string{}
		for i := 0; i < len(annotations); i += 2 {
			ing.Annotations[routing.NginxPrefix+annotations[i]] = annotations[i+1]
		}
		return ing
	}
	const exact, prefix, regex = networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific
	manyPaths := func(n int, kind networkingv1.PathType, text func(i int) string, service func(i int) string) []networkingv1.IngressRule {
		paths := make([]networkingv1.HTTPIngressPath, n)
		for i := range paths {
			paths[i] = path(text(i), kind, service(i))
		}
		return []networkingv1.IngressRule{rule("a.example", paths...)}
	}
	manyHosts := func(n int, host func(i int) string, service string) []networkingv1.IngressRule {
		rules := make([]networkingv1.IngressRule, n)
		for i := range rules {
			rules[i] = rule(host(i), path("/", prefix, service))
		}
		return rules
	}
	oneRegex := func(text string) *networkingv1.Ingress {
		return of([]networkingv1.IngressRule{rule("a.example", path(text, regex, "web"))}, "use-regex", "true")
	}
	numbered := func(format string) func(int) string { return func(i int) string { return fmt.Sprintf(format, i) } }
	always := func(text string) func(int) string { return func(int) string { return text } }

	return []hostile{
		{"paths of a Service", 50_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, exact, numbered("/p%d"), always("web")))
		}},
		{"paths of no Service", 50_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, exact, numbered("/p%d"), always("gone")))
		}},
		{"paths, each of a Service that is missing", 40_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, prefix, numbered("/p%d"), numbered("gone-%d")))
		}},
		{"the same path again and again", 50_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, prefix, always("/same"), always("web")))
		}},
		{"paths within each other", 1_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, prefix, func(i int) string { return strings.Repeat("/a", i+1) }, always("web")))
		}},
		{"rules of one host", 20_000, func(n int) *networkingv1.Ingress {
			return of(manyHosts(n, always("a.example"), "web"))
		}},
		{"hosts", 10_000, func(n int) *networkingv1.Ingress {
			return of(manyHosts(n, numbered("h%d.example"), "web"))
		}},
		{"wildcard hosts and hosts below them", 10_000, func(n int) *networkingv1.Ingress {
			return of(append(manyHosts(n/2, numbered("*.h%d.example"), "web"), manyHosts(n/2, numbered("x.h%d.example"), "web")...))
		}},
		{"hosts and www hosts with a redirect between them", 10_000, func(n int) *networkingv1.Ingress {
			return of(append(manyHosts(n/2, numbered("h%d.example"), "web"), manyHosts(n/2, numbered("www.h%d.example"), "web")...),
				"from-to-www-redirect", "true")
		}},
		{"TLS entries", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(1, always("a.example"), "web"))
			for i := range n {
				ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{Hosts: []string{fmt.Sprintf("h%d.example", i)}, SecretName: fmt.Sprintf("s%d", i)})
			}
			return ing
		}},
		{"TLS entries, one for each host", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(n, numbered("h%d.example"), "web"))
			for i := range n {
				ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{Hosts: []string{fmt.Sprintf("h%d.example", n-1-i)}, SecretName: fmt.Sprintf("s%d", i)})
			}
			return ing
		}},
		{"hosts of one TLS entry", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(n, numbered("h%d.example"), "web"))
			tls := networkingv1.IngressTLS{SecretName: "cert"}
			for i := range n {
				tls.Hosts = append(tls.Hosts, fmt.Sprintf("other%d.example", i))
			}
			ing.Spec.TLS = []networkingv1.IngressTLS{tls}
			return ing
		}},
		{"hosts, and TLS entries without hosts", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(n, numbered("h%d.example"), "web"))
			for i := range n {
				ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{SecretName: fmt.Sprintf("s%d", i)})
			}
			return ing
		}},
		{"hosts, and TLS entries of one Secret", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(n, numbered("h%d.example"), "web"))
			for range n {
				ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{SecretName: "cert"})
			}
			return ing
		}},
		{"regular expressions of one host", 10_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, regex, numbered("/p%d(/|$)(.*)"), always("web")), "use-regex", "true", "rewrite-target", "/$2")
		}},
		{"regular expressions that meet", 10_000, func(n int) *networkingv1.Ingress {
			return of(manyPaths(n, regex, numbered("/.*[a-z]+/%d.*"), always("web")), "use-regex", "true")
		}},
		{"regular expressions that take many steps, and paths for them", 64, func(n int) *networkingv1.Ingress {
			rules := manyPaths(n, regex, func(i int) string {
				if i%2 == 0 {
					// The longest come first in nginx's order.
					return fmt.Sprintf("/(a+|a+a)+[%s]%d$", strings.Repeat("b-z", 20), i)
				}
				return fmt.Sprintf("/%s/%d", strings.Repeat("a", 40), i)
			}, always("web"))
			return of(rules, "use-regex", "true")
		}},
		{"an alternation", 10_000, func(n int) *networkingv1.Ingress {
			words := make([]string, n)
			for i := range words {
				words[i] = fmt.Sprintf("w%d", i)
			}
			return oneRegex("/(" + strings.Join(words, "|") + ")")
		}},
		{"a pattern of stars", 10_000, func(n int) *networkingv1.Ingress { return oneRegex("/" + strings.Repeat(".*a", n/3)) }},
		{"nested quantifiers", 10_000, func(n int) *networkingv1.Ingress { return oneRegex("/" + strings.Repeat("(a+)+", n/5) + "$") }},
		{"optional parts before as many fixed ones", 10_000, func(n int) *networkingv1.Ingress {
			return oneRegex("/" + strings.Repeat("a?", n/3) + strings.Repeat("a", n/3))
		}},
		{"groups within each other", 10_000, func(n int) *networkingv1.Ingress {
			return oneRegex("/" + strings.Repeat("(", n/2) + "a" + strings.Repeat(")*", n/2))
		}},
		{"groups that do not end", 10_000, func(n int) *networkingv1.Ingress { return oneRegex("/" + strings.Repeat("(", n)) }},
		{"repetitions of repetitions", 10_000, func(n int) *networkingv1.Ingress {
			return oneRegex("/" + strings.Repeat("(", n/8) + "a" + strings.Repeat("){1,9}", n/8))
		}},
		{"a long repetition", 10_000, func(n int) *networkingv1.Ingress {
			return oneRegex("/" + strings.Repeat("(a{1,999}b{2,1000}){500}", n/24))
		}},
		{"back references", 10_000, func(n int) *networkingv1.Ingress { return oneRegex("/" + strings.Repeat(`(a|ab)\1`, n/8)) }},
		{"look-arounds", 10_000, func(n int) *networkingv1.Ingress { return oneRegex("/" + strings.Repeat(`(?=a.*b)(?!c)(?<=d)`, n/19)) }},
		{"a long path", 1 << 20, func(n int) *networkingv1.Ingress {
			return of(manyPaths(1, prefix, always("/"+strings.Repeat("a", n)), always("web")))
		}},
		{"a long value of an annotation", 1_500_000, func(n int) *networkingv1.Ingress {
			return of(manyHosts(1, always("a.example"), "web"), "proxy-body-size", strings.Repeat("8", n), "auth-url", "http://"+strings.Repeat("a.", n/4))
		}},
		{"aliases", 10_000, func(n int) *networkingv1.Ingress {
			aliases := make([]string, n)
			for i := range aliases {
				aliases[i] = fmt.Sprintf("alias%d.example", i)
			}
			return of(manyHosts(1, always("a.example"), "web"), "server-alias", strings.Join(aliases, ","))
		}},
		{"aliases that are regular expressions", 10_000, func(n int) *networkingv1.Ingress {
			aliases := make([]string, n)
			for i := range aliases {
				aliases[i] = fmt.Sprintf(`~^a.*%d\.example$`, i)
			}
			return of(manyHosts(10, numbered("h%d.example"), "web"), "server-alias", strings.Join(aliases, ","))
		}},
		{"addresses that may call", 10_000, func(n int) *networkingv1.Ingress {
			ranges := make([]string, n)
			for i := range ranges {
				ranges[i] = fmt.Sprintf("10.%d.%d.0/33", i/256%256, i%256)
			}
			return of(manyHosts(1, always("a.example"), "web"), "whitelist-source-range", strings.Join(ranges, ","))
		}},
		{"annotations that are not known", 10_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(1, always("a.example"), "web"))
			for i := range n {
				ing.Annotations[fmt.Sprintf("%sproxy-body-siz%d", routing.NginxPrefix, i)] = "x"
			}
			return ing
		}},
		{"a long snippet", 500_000, func(n int) *networkingv1.Ingress {
			return of(manyHosts(1, always("a.example"), "web"), "configuration-snippet", strings.Repeat("set $a \"$b{\";\n", n/14), "server-snippet", strings.Repeat("{", n))
		}},
		{"a long list to ignore", 100_000, func(n int) *networkingv1.Ingress {
			ing := of(manyHosts(1, always("a.example"), "gone"))
			ing.Annotations["routegate.dev/ignore"] = strings.Repeat("service-missin,", n/15)
			return ing
		}},
	}
}

// plainHandler has all checks, and a cluster with a class, a namespace and a Service.
func plainHandler() (*webhook.Handler, error) {
	world := cluster.NewStatic()
	for _, obj := range []metav1.Object{
		class("nginx", "k8s.io/ingress-nginx"), service("web"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}},
	} {
		if err := world.Apply(obj); err != nil {
			return nil, err
		}
	}
	metrics, err := webhook.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	rules, err := policy.File{}.Compile(checks.All())
	if err != nil {
		return nil, err
	}
	return &webhook.Handler{
		Cluster: world, Rules: func() *policy.Rules { return rules }, Authorizer: &fakeRights{}, Metrics: metrics, Log: logr.Discard(),
	}, nil
}

// What bounds an answer, whatever was asked. The API server has bounds of its own for
// warnings: 256 runes each, once all together exceed 4096.
const (
	mostAnswer      = 64 << 10
	mostWarnings    = 10
	mostWarning     = 256
	mostAllWarnings = 4096
	mostAnnotation  = 1024
)

// obeyed are the characters that a terminal would obey, or that would make text look like
// other text.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// tame reports what of an answer is long, or for a terminal to obey.
func tame(body []byte) error {
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	resp := answer.Response
	if resp == nil {
		return errors.New("there is no response")
	}
	var faults []error
	atMost := func(what string, got, most int) {
		if got > most {
			faults = append(faults, fmt.Errorf("%s: %d, must be at most %d", what, got, most))
		}
	}
	atMost("bytes", len(body), mostAnswer)
	atMost("warnings", len(resp.Warnings), mostWarnings)
	texts := slices.Clone(resp.Warnings)
	total := 0
	for _, warning := range texts {
		runes := utf8.RuneCountInString(warning)
		atMost("runes of a warning", runes, mostWarning)
		total += runes
	}
	atMost("runes of all warnings", total, mostAllWarnings)
	for key, value := range resp.AuditAnnotations {
		atMost("bytes of "+key, len(value), mostAnnotation)
		texts = append(texts, key, value)
	}
	if resp.Result != nil {
		// Its lines are ours.
		texts = append(texts, strings.Split(resp.Result.Message, "\n")...)
		for _, cause := range resp.Result.Details.Causes {
			texts = append(texts, string(cause.Type), cause.Field, cause.Message)
		}
	}
	for _, text := range texts {
		if strings.ContainsFunc(text, obeyed) || !utf8.ValidString(text) {
			faults = append(faults, fmt.Errorf("not tame: %q", text))
		}
	}
	return errors.Join(faults...)
}

// nasty is text that a terminal would obey, that hides, or that is no text.
const nasty = "\x1b[2J\x1b]0;owned\a\x00\n\r\t\v\x7f\u0085\u009b31m\u200e\u202e\u2066\u2028\ufeffweb"

// nastyIngress has the text wherever an Ingress may hold any.
func nastyIngress() *networkingv1.Ingress {
	ing := ingress(nasty, "web")
	text, kind := nasty, networkingv1.PathType(nasty)
	ing.Name, ing.GenerateName = nasty, nasty
	ing.Labels = map[string]string{nasty: nasty}
	ing.Annotations = map[string]string{nasty: nasty, "kubernetes.io/ingress.class": nasty, "routegate.dev/ignore": nasty, "routegate.dev/ignore-reason": nasty}
	for _, annotation := range routing.Annotations() {
		ing.Annotations[routing.NginxPrefix+annotation.Name] = nasty
	}
	ing.Annotations[routing.NginxPrefix+nasty] = nasty
	ing.Spec.DefaultBackend = &networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{APIGroup: &text, Kind: nasty, Name: nasty}}
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{nasty, "h1.example"}, SecretName: nasty}, {Hosts: []string{nasty}}}
	for i := range ing.Spec.Rules {
		rule := &ing.Spec.Rules[i]
		rule.HTTP.Paths[0].Path = "/" + nasty
		rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{Path: nasty, PathType: &kind, Backend: networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: nasty}},
		}})
	}
	ing.Spec.Rules[0].Host = nasty
	return ing
}

var _ = Describe("A hostile Ingress", func() {
	var (
		handler *webhook.Handler
		file    policy.File
		logged  *bytes.Buffer
	)
	BeforeEach(func() {
		var err error
		handler, err = plainHandler()
		Expect(err).NotTo(HaveOccurred())
		file, logged = policy.File{}, &bytes.Buffer{}
		handler.Rules = func() *policy.Rules {
			rules, err := file.Compile(checks.All())
			Expect(err).NotTo(HaveOccurred())
			return rules
		}
		// As routegate serve logs, which escapes more.
		handler.Explain, handler.Log = true, logr.FromSlogHandler(slog.NewJSONHandler(logged, &slog.HandlerOptions{Level: slog.Level(-1)}))
	})
	ask := func(ctx SpecContext, r *admissionv1.AdmissionReview) *httptest.ResponseRecorder {
		GinkgoHelper()
		body, err := json.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/?timeout=10s", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		for line := range strings.Lines(logged.String()) {
			Expect(strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\x00\a\r\n")).To(BeFalse(), "%q", line)
			Expect(len(line)).To(BeNumerically("<=", mostAnswer))
		}
		return answer
	}

	for _, h := range hostiles() {
		It("gets a short answer for many "+h.name, func(ctx SpecContext) {
			n := max(1, h.most/16)
			for _, preset := range []policy.Preset{"", policy.Observe, policy.Strict} {
				file.Preset = preset
				answer := ask(ctx, review(admissionv1.Create, h.make(n), nil))
				Expect(answer.Code).To(Equal(http.StatusOK))
				Expect(tame(answer.Body.Bytes())).To(Succeed())
			}
			answer := ask(ctx, review(admissionv1.Update, h.make(n), h.make(n/2)))
			Expect(answer.Code).To(Equal(http.StatusOK))
			Expect(tame(answer.Body.Bytes())).To(Succeed())
		})
	}

	It("has nothing obeyed by a terminal, wherever it says so", func(ctx SpecContext) {
		for _, named := range []bool{false, true} {
			for _, preset := range []policy.Preset{"", policy.Observe, policy.Strict} {
				file.Preset = preset
				r := review(admissionv1.Create, nastyIngress(), nil)
				if named {
					ing := nastyIngress()
					delete(ing.Annotations, "kubernetes.io/ingress.class")
					nginx := "nginx"
					ing.Spec.IngressClassName = &nginx
					r = review(admissionv1.Update, ing, ingress("web"))
				}
				r.Request.Name, r.Request.UID = nasty, nasty
				r.Request.UserInfo = authenticationv1.UserInfo{Username: nasty, Groups: []string{nasty}}
				answer := ask(ctx, r)
				Expect(answer.Code).To(Equal(http.StatusOK))
				Expect(tame(answer.Body.Bytes())).To(Succeed())
				Expect(logged.Len()).NotTo(BeZero())
			}
		}
	})

	It("has nothing obeyed by a terminal in what it is refused with", func(ctx SpecContext) {
		r := review(admissionv1.Create, nastyIngress(), nil)
		r.Request.Kind.Kind = nasty
		answer := ask(ctx, r)
		Expect(answer.Code).To(Equal(http.StatusBadRequest))
		Expect(strings.ContainsFunc(strings.TrimSuffix(answer.Body.String(), "\n"), obeyed)).To(BeFalse(), "%q", answer.Body)
	})
})
