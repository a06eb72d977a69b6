// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// twoViews is a cluster whose cache and live reads may differ.
type twoViews struct {
	cached, live *cluster.Static
	// failing are objects whose live read fails.
	failing map[routing.Ref]string
	// hang makes a live read wait for the end of its context.
	hang      bool
	err       error
	panics    bool
	confirmed atomic.Value // []routing.Ref
}

func (c *twoViews) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	if c.panics {
		panic("the cluster is on fire")
	}
	if c.err != nil {
		return nil, c.err
	}
	if len(confirm) == 0 {
		return c.cached.Snapshot(ctx, refs, nil)
	}
	c.confirmed.Store(confirm)
	if c.hang {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		c.failing = map[routing.Ref]string{}
		for _, ref := range confirm {
			c.failing[ref] = "the API server did not answer in time"
		}
	}
	snap, err := c.live.Snapshot(ctx, refs, nil)
	for ref, reason := range c.failing {
		snap.Coverage[ref] = routing.Coverage{Reason: reason}
	}
	return snap, err
}

// fakeRights is an Authorizer that knows which questions have the answer yes.
type fakeRights struct {
	allowed map[string]bool
	// all makes the answer yes to every question.
	all bool
	err error
	// hang makes an answer wait for the end of its context.
	hang bool

	mu        sync.Mutex
	questions []string
}

func (r *fakeRights) May(ctx context.Context, user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes) (bool, error) {
	question := fmt.Sprintf("%s: %s %s.%s %s/%s", user.Username, what.Verb, what.Resource, what.Group, what.Namespace, what.Name)
	r.mu.Lock()
	r.questions = append(r.questions, question)
	r.mu.Unlock()
	if r.hang {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return r.all || r.allowed[question], r.err
}

func (r *fakeRights) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.questions)
}

func class(name, controller string) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
}

func service(name string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: name}}
	svc.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}
	return svc
}

func ingress(services ...string) *networkingv1.Ingress {
	nginx, prefix := "nginx", networkingv1.PathTypePrefix
	ing := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web"},
		Spec:       networkingv1.IngressSpec{IngressClassName: &nginx},
	}
	for i, name := range services {
		ing.Spec.Rules = append(ing.Spec.Rules, networkingv1.IngressRule{
			Host: fmt.Sprintf("h%d.example", i),
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Number: 80}},
				}}},
			}},
		})
	}
	return ing
}

func review(operation admissionv1.Operation, ing, old *networkingv1.Ingress) *admissionv1.AdmissionReview {
	r, err := newReview(operation, ing, old)
	Expect(err).NotTo(HaveOccurred())
	return r
}

func newReview(operation admissionv1.Operation, ing, old *networkingv1.Ingress) (*admissionv1.AdmissionReview, error) {
	r := &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       "review-1",
			Kind:      metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
			Operation: operation,
			Namespace: "app",
			Name:      "web",
		},
	}
	raw := func(i *networkingv1.Ingress) (e runtime.RawExtension, err error) {
		if i != nil {
			e.Raw, err = json.Marshal(i)
		}
		return e, err
	}
	var newErr, oldErr error
	r.Request.Object, newErr = raw(ing)
	r.Request.OldObject, oldErr = raw(old)
	return r, errors.Join(newErr, oldErr)
}

var _ = Describe("Handler", func() {
	var (
		world    *twoViews
		file     policy.File
		list     []checks.Check
		rights   *fakeRights
		handler  *webhook.Handler
		registry *prometheus.Registry
		logged   *atomic.Int32
		server   *httptest.Server
		client   = &http.Client{Timeout: time.Minute}
	)

	BeforeEach(func() {
		world = &twoViews{cached: cluster.NewStatic(), live: cluster.NewStatic()}
		for _, view := range []*cluster.Static{world.cached, world.live} {
			Expect(view.Apply(class("nginx", "k8s.io/ingress-nginx"))).To(Succeed())
			Expect(view.Apply(service("web"))).To(Succeed())
			Expect(view.Apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}})).To(Succeed())
		}
		file, list, rights = policy.File{}, onlyCertain(), &fakeRights{}
		registry = prometheus.NewRegistry()
		metrics, err := webhook.NewMetrics(registry)
		Expect(err).NotTo(HaveOccurred())
		logged = &atomic.Int32{}
		handler = &webhook.Handler{
			Cluster: world,
			Rules: func() *policy.Rules {
				rules, err := file.Compile(list)
				Expect(err).NotTo(HaveOccurred())
				return rules
			},
			Authorizer: rights,
			Metrics:    metrics,
			Log:        logr.New(countingSink{logged}),
		}
		Expect(handler.Validate()).To(Succeed())
		server = httptest.NewServer(handler)
		DeferCleanup(server.Close)
	})

	post := func(ctx context.Context, query, contentType string, body []byte) (int, string) {
		GinkgoHelper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+query, bytes.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		req.Header.Set("Content-Type", contentType)
		resp, err := client.Do(req)
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(resp.Body.Close()).To(Succeed()) }()
		text, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, string(text)
	}
	ask := func(ctx context.Context, r *admissionv1.AdmissionReview, query ...string) *admissionv1.AdmissionResponse {
		GinkgoHelper()
		body, err := json.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		status, text := post(ctx, "/"+strings.Join(query, ""), "application/json", body)
		Expect(status).To(Equal(http.StatusOK), text)
		answer := &admissionv1.AdmissionReview{}
		Expect(json.Unmarshal([]byte(text), answer)).To(Succeed())
		Expect(answer.TypeMeta).To(Equal(r.TypeMeta))
		Expect(answer.Response.UID).To(Equal(types.UID("review-1")))
		return answer.Response
	}
	counted := func(operation, outcome string) float64 {
		GinkgoHelper()
		families, err := registry.Gather()
		Expect(err).NotTo(HaveOccurred())
		for _, family := range families {
			if family.GetName() != "routegate_admission_requests_total" {
				continue
			}
			for _, m := range family.GetMetric() {
				if m.GetLabel()[0].GetValue() == operation && m.GetLabel()[1].GetValue() == outcome {
					return m.GetCounter().GetValue()
				}
			}
		}
		return 0
	}

	const missing = `spec.rules[0].http.paths[0].backend.service.name: Service "api" does not exist in namespace "app"; there is "web" (service-missing): requests get 503`

	It("allows an Ingress without a fault, silently", func(ctx SpecContext) {
		resp := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(BeEmpty())
		Expect(resp.Result).To(BeNil())
		Expect(counted("CREATE", "allowed")).To(Equal(1.0))
	})

	It("denies with the field, the fact and the cause, and logs one line", func(ctx SpecContext) {
		resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
		Expect(resp.Allowed).To(BeFalse())
		Expect(resp.Result.Code).To(BeEquivalentTo(http.StatusForbidden))
		Expect(resp.Result.Message).To(Equal(missing))
		Expect(resp.Result.Details.Causes).To(ConsistOf(metav1.StatusCause{
			Type: "service-missing", Field: "spec.rules[0].http.paths[0].backend.service.name", Message: missing,
		}))
		Expect(resp.AuditAnnotations).To(Equal(map[string]string{
			"checks": "service-missing", "denied": "service-missing", "mode": "deny", "confirmed": "true", "policy-rule": "preset standard",
		}))
		Expect(counted("CREATE", "denied")).To(Equal(1.0))
		Expect(logged.Load()).To(BeEquivalentTo(1))
		Expect(testutil.GatherAndCount(registry, "routegate_findings_total")).To(Equal(1))
	})

	It("explains each finding at V(1) where it is told to", func(ctx SpecContext) {
		said := &strings.Builder{}
		handler.Log = funcr.New(func(_, args string) { fmt.Fprintln(said, args) }, funcr.Options{Verbosity: 1})
		handler.Explain = true
		file.Rules = []policy.Rule{{Name: "later", Match: policy.Match{Users: []string{"mia"}}, Terms: policy.Terms{Preset: policy.Observe}}}
		ask(ctx, review(admissionv1.Create, ingress("api"), nil))
		Expect(said.String()).To(ContainSubstring("denied by preset standard: spec.rules[0]"))
		said.Reset()
		asMia := review(admissionv1.Create, ingress("api"), nil)
		asMia.Request.UserInfo.Username = "mia"
		ask(ctx, asMia)
		Expect(said.String()).To(ContainSubstring("warned by rule later: spec.rules[0]"))
	})

	It("shows at most ten reasons", func(ctx SpecContext) {
		var names []string
		for i := range 12 {
			names = append(names, fmt.Sprintf("gone-%d", i))
		}
		resp := ask(ctx, review(admissionv1.Create, ingress(names...), nil))
		Expect(resp.Allowed).To(BeFalse())
		Expect(resp.Result.Message).To(HavePrefix("12 reasons why this Ingress cannot route:\n- spec.rules[0]."))
		Expect(resp.Result.Message).To(HaveSuffix("\n- and 2 more"))
		Expect(resp.Result.Details.Causes).To(HaveLen(10))
	})

	It("cuts and cleans warnings", func(ctx SpecContext) {
		file.Preset = policy.Observe
		ing := ingress("api", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
		ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "evil\x1b[2J\u202e" + strings.Repeat("ü", 400)
		resp := ask(ctx, review(admissionv1.Create, ing, nil))
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(HaveLen(10))
		Expect(resp.Warnings[9]).To(Equal("and 2 more"))
		for _, warning := range resp.Warnings {
			Expect(utf8.ValidString(warning)).To(BeTrue())
			Expect(utf8.RuneCountInString(warning)).To(BeNumerically("<=", 256))
			Expect(strings.ContainsAny(warning, "\x1b\u202e\n")).To(BeFalse(), warning)
		}
	})

	Describe("by a policy file", func() {
		inNamespace := func(labels map[string]string, views ...*cluster.Static) {
			GinkgoHelper()
			for _, view := range views {
				Expect(view.Apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: labels}})).To(Succeed())
			}
		}
		warn := map[string]checks.Mode{"service-missing": checks.Warn}

		It("decides by the user, the groups, the class and the labels", func(ctx SpecContext) {
			file.Rules = []policy.Rule{{
				Name: "team", Terms: policy.Terms{Modes: warn},
				Match: policy.Match{
					Namespaces: []string{"app"}, Classes: []string{"nginx"}, Users: []string{"mia"}, Groups: []string{"team"},
					ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				},
			}}
			ing := ingress("api")
			ing.Labels = map[string]string{"app": "web"}
			r := review(admissionv1.Create, ing, nil)
			r.Request.UserInfo.Username, r.Request.UserInfo.Groups = "mia", []string{"all", "team"}
			resp := ask(ctx, r)
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(Equal([]string{missing}))
			Expect(resp.AuditAnnotations).To(Equal(map[string]string{
				"checks": "service-missing", "warned": "service-missing", "mode": "warn", "policy-rule": "rule team",
			}))

			r.Request.UserInfo.Groups = []string{"all"}
			Expect(ask(ctx, r).Allowed).To(BeFalse())
		})
		It("only records what is in mode audit", func(ctx SpecContext) {
			file.Modes = map[string]checks.Mode{"service-missing": policy.Audit}
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(BeEmpty())
			Expect(resp.AuditAnnotations).To(Equal(map[string]string{
				"checks": "service-missing", "audited": "service-missing", "mode": "audit", "policy-rule": "modes",
			}))
			Expect(counted("CREATE", "allowed")).To(Equal(1.0))
		})
		It("denies only by labels that a fresh read confirms", func(ctx SpecContext) {
			file.Preset = policy.Observe
			inNamespace(map[string]string{policy.EnforceLabel: "standard"}, world.cached)
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(Equal([]string{missing}))

			inNamespace(map[string]string{policy.EnforceLabel: "standard"}, world.live)
			Expect(ask(ctx, review(admissionv1.Create, ingress("api"), nil)).Allowed).To(BeFalse())
		})
		It("reads the labels of a namespace that is too new for the cache", func(ctx SpecContext) {
			Expect(world.cached.Delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}})).To(Succeed())
			inNamespace(map[string]string{policy.EnforceLabel: "off"}, world.live)
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(BeEmpty())
			Expect(world.confirmed.Load()).To(Equal([]routing.Ref{{Kind: routing.Namespaces, Name: "app"}}))
		})
		It("warns of labels that mean nothing", func(ctx SpecContext) {
			inNamespace(map[string]string{policy.WarnLabel: "yes"}, world.cached, world.live)
			resp := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
			Expect(resp.Warnings).To(Equal([]string{
				`Namespace label routegate.dev/warn="yes" means nothing and does not count; must be one of off, observe, standard, strict`,
			}))
		})
		It("shows as many findings as it says", func(ctx SpecContext) {
			file.MaxFindings = 2
			resp := ask(ctx, review(admissionv1.Create, ingress("a", "b", "c", "d"), nil))
			Expect(resp.Result.Details.Causes).To(HaveLen(2))
			Expect(resp.Result.Message).To(HaveSuffix("\n- and 2 more"))
		})
	})

	Describe("the annotation to ignore findings", func() {
		const moves = "service-missing; reason=moves on Monday"
		annotated := func(value string, services ...string) *networkingv1.Ingress {
			ing := ingress(services...)
			ing.Annotations = map[string]string{policy.IgnoreAnnotation: value}
			return ing
		}

		It("neither denies nor warns, and is recorded", func(ctx SpecContext) {
			resp := ask(ctx, review(admissionv1.Create, annotated(moves, "api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(BeEmpty())
			Expect(resp.AuditAnnotations).To(Equal(map[string]string{
				"checks": "service-missing", "ignored": "service-missing", "ignore-reason": "moves on Monday",
				"mode": "deny", "policy-rule": "preset standard",
			}))
			Expect(testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP routegate_findings_total Findings at admission by check, operation, mode of the check (deny, warn, audit) and what became of them (denied, warned, undecided, audited, ignored).
# TYPE routegate_findings_total counter
routegate_findings_total{check="service-missing",mode="deny",operation="CREATE",outcome="ignored"} 1
`), "routegate_findings_total")).To(Succeed())
			Expect(rights.asked()).To(BeEmpty())
		})
		It("still denies what it does not name", func(ctx SpecContext) {
			ing := annotated(moves, "api")
			ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service = &networkingv1.IngressServiceBackend{
				Name: "web", Port: networkingv1.ServiceBackendPort{Number: 9999},
			}
			resp := ask(ctx, review(admissionv1.Create, ing, nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(resp.Result.Message).To(ContainSubstring("(port-missing)"))
		})
		It("warns of a value that does not count, and denies", func(ctx SpecContext) {
			resp := ask(ctx, review(admissionv1.Create, annotated("service-missing; until=2020-01-31; reason=moves", "api"), nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(resp.Warnings).To(ConsistOf(`annotation routegate.dev/ignore="service-missing; until=2020-01-31; reason=moves" ` +
				`ignores nothing since the end of 2020-01-31; must have a later date after until=, or be left out`))
		})
		It("is no reason to deny what was there before, when it goes or has ended", func(ctx SpecContext) {
			for _, ing := range []*networkingv1.Ingress{ingress("api"), annotated("service-missing; until=2020-01-31; reason=moves", "api")} {
				resp := ask(ctx, review(admissionv1.Update, ing, annotated(moves, "api")))
				Expect(resp.Allowed).To(BeTrue())
				Expect(resp.Warnings).To(ContainElement(missing + " [not denied: the Ingress had this before]"))
			}
		})
		It("is looked at where nothing else changes", func(ctx SpecContext) {
			resp := ask(ctx, review(admissionv1.Update, annotated("service-misssing; reason=a", "web"), ingress("web")))
			Expect(resp.Warnings).To(ConsistOf(HaveSuffix(`did you mean "service-missing"?`)))
		})

		Describe("where the policy restricts it", func() {
			question := "lea: routegate-ignore ingresses.networking.k8s.io app/web"
			lea := func(operation admissionv1.Operation, ing, old *networkingv1.Ingress) *admissionv1.AdmissionReview {
				r := review(operation, ing, old)
				r.Request.UserInfo.Username = "lea"
				return r
			}
			BeforeEach(func() { file.Ignore.Restrict = true })

			It("counts for who may set it", func(ctx SpecContext) {
				rights.allowed = map[string]bool{question: true}
				resp := ask(ctx, lea(admissionv1.Create, annotated(moves, "api"), nil))
				Expect(resp.Allowed).To(BeTrue())
				Expect(resp.Warnings).To(BeEmpty())
				Expect(rights.asked()).To(ConsistOf(question))
			})
			It("denies that others add or change it, whatever the preset", func(ctx SpecContext) {
				file.Preset = policy.Observe
				for _, r := range []*admissionv1.AdmissionReview{
					lea(admissionv1.Create, annotated(moves, "web"), nil),
					lea(admissionv1.Update, annotated(moves, "web"), ingress("web")),
					lea(admissionv1.Update, annotated(moves, "web"), annotated("port-missing; reason=a", "web")),
				} {
					resp := ask(ctx, r)
					Expect(resp.Allowed).To(BeFalse())
					Expect(resp.Result.Message).To(Equal(`metadata.annotations[routegate.dev/ignore]: user "lea" may not add or change it in namespace "app"; ` +
						`must be left as it was, or be set by a user with the verb routegate-ignore for ingresses.networking.k8s.io there (ignore-annotation)`))
					Expect(resp.AuditAnnotations).To(And(HaveKeyWithValue("policy-rule", "ignore.restrict"), HaveKeyWithValue("confirmed", "true")))
				}
			})
			It("asks nobody where it stays as it is, or goes", func(ctx SpecContext) {
				resp := ask(ctx, lea(admissionv1.Update, annotated(moves, "web", "api"), annotated(moves, "web")))
				Expect(resp.Allowed).To(BeTrue())
				Expect(resp.Warnings).To(BeEmpty())
				Expect(ask(ctx, lea(admissionv1.Update, ingress("web"), annotated(moves, "web"))).Allowed).To(BeTrue())
				Expect(rights.asked()).To(BeEmpty())
			})
			It("does not count and does not deny where nobody knows who may", func(ctx SpecContext) {
				rights.err = errors.New("no answer")
				resp := ask(ctx, lea(admissionv1.Create, annotated(moves, "api"), nil))
				Expect(resp.Allowed).To(BeTrue())
				Expect(resp.Warnings).To(ConsistOf(
					"no verdict on parts of this Ingress: whether the user may add or change annotation routegate.dev/ignore could not be found out (ignore-annotation)",
					missing+" [not denied: whether the Ingress may ignore this could not be found out]",
				))
				Expect(counted("CREATE", "undecided")).To(Equal(1.0))
			})
			It("denies what it does not name while the answer is late", func(ctx SpecContext) {
				rights.hang = true
				resp := ask(ctx, lea(admissionv1.Create, annotated("port-missing; reason=a", "api"), nil), "?timeout=2s")
				Expect(resp.Allowed).To(BeFalse())
				Expect(resp.Result.Message).To(Equal(missing))
			})
			It("fails where nobody knows and the policy says so", func(ctx SpecContext) {
				file.OnUndecided, rights.err = policy.Fail, errors.New("no answer")
				body, err := json.Marshal(lea(admissionv1.Create, annotated(moves, "web"), nil))
				Expect(err).NotTo(HaveOccurred())
				status, text := post(ctx, "/", "application/json", body)
				Expect(status).To(Equal(http.StatusInternalServerError))
				Expect(text).To(ContainSubstring("could not be found out"))
			})
		})
	})

	Describe("names of other namespaces", func() {
		const (
			question = "lea: get ingresses.networking.k8s.io other/shop"
			named    = `spec.rules[0].http.paths[0]: host "h0.example" and path "/" of type Prefix belong to the older Ingress "other/shop"; ` +
				`must be another host or path (duplicate-path-older-wins): requests go there, not to Service "web"`
		)
		withheld := strings.Replace(named, `Ingress "other/shop"`, "Ingress of another namespace", 1)
		theirs := func(name, host string) *networkingv1.Ingress {
			ing := ingress("web")
			ing.Namespace, ing.Name, ing.CreationTimestamp = "other", name, metav1.Unix(1e9, 0)
			ing.Spec.Rules[0].Host = host
			return ing
		}
		taken := func() *admissionv1.AdmissionReview {
			r := review(admissionv1.Create, ingress("web"), nil)
			r.Request.UserInfo.Username = "lea"
			return r
		}
		BeforeEach(func() {
			for _, view := range []*cluster.Static{world.cached, world.live} {
				Expect(view.Apply(theirs("shop", "h0.example"))).To(Succeed())
			}
		})

		It("are shown to who may get the object", func(ctx SpecContext) {
			rights.allowed = map[string]bool{question: true}
			Expect(ask(ctx, taken()).Result.Message).To(Equal(named))
			Expect(rights.asked()).To(ConsistOf(question))
		})
		It("are withheld from others, in all that they read", func(ctx SpecContext) {
			resp := ask(ctx, taken())
			Expect(resp.Result.Message).To(Equal(withheld))
			Expect(resp.Result.Details.Causes).To(HaveLen(1))
			text, err := json.Marshal(resp)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(text)).NotTo(ContainSubstring("shop"))
		})
		It("are withheld in warnings", func(ctx SpecContext) {
			file.Preset = policy.Observe
			Expect(ask(ctx, taken()).Warnings).To(ConsistOf(withheld))
		})
		It("are withheld where nobody knows who may", func(ctx SpecContext) {
			rights.err = errors.New("no answer")
			Expect(ask(ctx, taken()).Result.Message).To(Equal(withheld))
		})
		It("are withheld where the answer is late", func(ctx SpecContext) {
			rights.hang = true
			Expect(ask(ctx, taken(), "?timeout=2s").Result.Message).To(Equal(withheld))
		})
		It("are shown to nobody, unasked, where the policy says never", func(ctx SpecContext) {
			file.Disclosure, rights.allowed = policy.DiscloseNever, map[string]bool{question: true}
			Expect(ask(ctx, taken()).Result.Message).To(Equal(withheld))
			Expect(rights.asked()).To(BeEmpty())
		})
		It("are shown to everybody, unasked, where the policy says always", func(ctx SpecContext) {
			file.Disclosure = policy.DiscloseAlways
			Expect(ask(ctx, taken()).Result.Message).To(Equal(named))
			Expect(rights.asked()).To(BeEmpty())
		})
		It("are asked about once for each object, and of ten objects", func(ctx SpecContext) {
			file.MaxFindings = 20
			var services []string
			for i := range 12 {
				services = append(services, "web")
				for _, view := range []*cluster.Static{world.cached, world.live} {
					Expect(view.Apply(theirs(fmt.Sprintf("shop-%d", i), fmt.Sprintf("h%d.example", i)))).To(Succeed())
				}
			}
			rights.all = true
			r := taken()
			r.Request.Object = review(admissionv1.Create, ingress(services...), nil).Request.Object
			resp := ask(ctx, r)
			Expect(resp.Result.Details.Causes).To(HaveLen(12))
			Expect(rights.asked()).To(HaveLen(10))
			Expect(strings.Count(resp.Result.Message, `Ingress "other/shop`)).To(Equal(10))
			Expect(strings.Count(resp.Result.Message, "Ingress of another namespace")).To(Equal(2))
		})
		It("need no question where nothing is named", func(ctx SpecContext) {
			ing := ingress("api")
			ing.Spec.Rules[0].Host = "mine.example"
			Expect(ask(ctx, review(admissionv1.Create, ing, nil)).Allowed).To(BeFalse())
			Expect(rights.asked()).To(BeEmpty())
		})
	})

	Describe("what is let through unexamined", func() {
		BeforeEach(func() { world.panics = true }) // the cluster must not be asked

		It("is a deletion", func(ctx SpecContext) {
			Expect(ask(ctx, review(admissionv1.Delete, nil, ingress("api"))).Allowed).To(BeTrue())
		})
		It("is an Ingress that is being deleted", func(ctx SpecContext) {
			ing := ingress("api")
			ing.DeletionTimestamp = &metav1.Time{Time: time.Now()}
			Expect(ask(ctx, review(admissionv1.Update, ing, ingress("web"))).Warnings).To(BeEmpty())
		})
		It("is an update that changes nothing about routing", func(ctx SpecContext) {
			ing := ingress("api")
			ing.Finalizers = []string{"example.com/done"}
			ing.Labels = map[string]string{"team": "shop"}
			ing.Annotations = map[string]string{"example.com/note": "hello"}
			Expect(ask(ctx, review(admissionv1.Update, ing, ingress("api"))).Warnings).To(BeEmpty())
		})
	})

	It("judges an update of a label by which the policy selects", func(ctx SpecContext) {
		no := false
		file.Rules = []policy.Rule{
			{Name: "all", Terms: policy.Terms{Ratchet: &no}},
			{Name: "spared", Match: policy.Match{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"spare": "yes"}}}, Exempt: true},
		}
		old := ingress("api")
		old.Labels = map[string]string{"spare": "yes"}
		Expect(ask(ctx, review(admissionv1.Update, ingress("api"), old)).Allowed).To(BeFalse())
		Expect(ask(ctx, review(admissionv1.Update, old, ingress("api"))).Allowed).To(BeTrue())
		By("what was there before does not deny, where the rule that spared it no longer matches")
		file.Rules = file.Rules[1:]
		resp := ask(ctx, review(admissionv1.Update, ingress("api"), old))
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(ConsistOf(missing + " [not denied: the Ingress had this before]"))
	})

	It("warns of what an Ingress had before, and denies what it did not", func(ctx SpecContext) {
		old, ing := ingress("api"), ingress("api")
		ing.Annotations = map[string]string{"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}
		resp := ask(ctx, review(admissionv1.Update, ing, old))
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(ConsistOf(missing + " [not denied: the Ingress had this before]"))

		resp = ask(ctx, review(admissionv1.Update, ingress("api", "gone"), old))
		Expect(resp.Allowed).To(BeFalse())
		Expect(resp.Result.Message).To(ContainSubstring(`Service "gone"`))
		Expect(resp.Result.Message).NotTo(ContainSubstring(`Service "api"`))
	})

	It("only warns on a dry run", func(ctx SpecContext) {
		r := review(admissionv1.Create, ingress("api"), nil)
		yes := true
		r.Request.DryRun = &yes
		resp := ask(ctx, r)
		Expect(resp.Allowed).To(BeTrue())
		Expect(resp.Warnings).To(ConsistOf(missing + " [dry run: a real write would be denied]"))
	})

	Describe("confirmation", func() {
		It("reads what the denial rests on, the class and the namespace", func(ctx SpecContext) {
			ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(world.confirmed.Load()).To(ConsistOf(
				routing.Ref{Kind: routing.Namespaces, Name: "app"},
				routing.Ref{Kind: routing.IngressClasses, Name: "nginx"},
				routing.Ref{Kind: routing.Services, Namespace: "app", Name: "api"},
			))
		})
		It("allows what the cache has not seen yet", func(ctx SpecContext) {
			Expect(world.live.Apply(service("api"))).To(Succeed())
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(BeEmpty())
		})
		It("does not deny what only the fresh reads find", func(ctx SpecContext) {
			Expect(world.live.Delete(service("web"))).To(Succeed())
			resp := ask(ctx, review(admissionv1.Create, ingress("api", "web"), nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(resp.Result.Details.Causes).To(HaveLen(1))
			Expect(resp.Warnings).To(ConsistOf(HaveSuffix("[not confirmed]")))
		})
		It("reads no more than it shows of a thousand faults, unless they turn out to be none", func(ctx SpecContext) {
			var names []string
			for i := range 1000 {
				names = append(names, fmt.Sprintf("svc-%03d", i))
			}
			resp := ask(ctx, review(admissionv1.Create, ingress(names...), nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(len(world.confirmed.Load().([]routing.Ref))).To(BeNumerically("<=", 25))

			for _, name := range names[:990] {
				Expect(world.live.Apply(service(name))).To(Succeed())
			}
			world.cached = world.live
			resp = ask(ctx, review(admissionv1.Create, ingress(names...), nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(resp.Result.Message).To(HavePrefix("10 reasons"))
		})
		It("goes on to the next faults where the first are none", func(ctx SpecContext) {
			var names []string
			for i := range 50 {
				names = append(names, fmt.Sprintf("svc-%02d", i))
			}
			for _, name := range names[:49] {
				Expect(world.live.Apply(service(name))).To(Succeed())
			}
			resp := ask(ctx, review(admissionv1.Create, ingress(names...), nil))
			Expect(resp.Allowed).To(BeFalse())
			Expect(resp.Result.Message).To(ContainSubstring(`Service "svc-49" does not exist`))
		})
		It("is undecided where an object cannot be read", func(ctx SpecContext) {
			world.failing = map[routing.Ref]string{{Kind: routing.Services, Namespace: "app", Name: "api"}: "Routegate is not allowed to read it"}
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(ConsistOf(`no verdict on parts of this Ingress: Service "api": Routegate is not allowed to read it (11 checks)`))
			Expect(counted("CREATE", "undecided")).To(Equal(1.0))
		})
		It("is undecided where the namespace cannot be read", func(ctx SpecContext) {
			world.failing = map[routing.Ref]string{{Kind: routing.Namespaces, Name: "app"}: "the API server could not be asked"}
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(ConsistOf(ContainSubstring(`Namespace "app": the API server could not be asked`)))
		})
		It("ends within half of what the API server waits", func(ctx SpecContext) {
			world.hang = true
			for _, query := range []string{"?timeout=1s", "?timeout=2s"} {
				resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil), query)
				Expect(resp.Allowed).To(BeTrue())
				Expect(resp.Warnings).To(ConsistOf(ContainSubstring("did not answer in time")))
			}
		}, NodeTimeout(20*time.Second))
	})

	Describe("without a verdict", func() {
		verdicts := func(ctx context.Context, reason string) {
			GinkgoHelper()
			resp := ask(ctx, review(admissionv1.Create, ingress("api"), nil))
			Expect(resp.Allowed).To(BeTrue())
			Expect(resp.Warnings).To(ConsistOf(ContainSubstring(reason)))

			file.OnUndecided = policy.Fail
			body, err := json.Marshal(review(admissionv1.Create, ingress("api"), nil))
			Expect(err).NotTo(HaveOccurred())
			status, text := post(ctx, "/", "application/json", body)
			Expect(status).To(Equal(http.StatusInternalServerError))
			Expect(text).To(ContainSubstring(reason))
			Expect(counted("CREATE", "failed")).To(Equal(1.0))
		}
		It("answers as the policy says when there is no Snapshot", func(ctx SpecContext) {
			world.err = errors.New("no cluster")
			verdicts(ctx, "the cluster could not be read")
		})
		It("answers as the policy says when something panics", func(ctx SpecContext) {
			world.panics = true
			verdicts(ctx, "Routegate failed on this request")
		})
		It("answers as the policy says when a check panics", func(ctx SpecContext) {
			list = []checks.Check{{Name: "broken", Title: "broken", Text: "broken", Since: "0", Default: checks.Deny,
				Run: func(*networkingv1.Ingress, *routing.Snapshot) []checks.Finding { panic("oops") }}}
			verdicts(ctx, "the check failed")
		})
		It("answers as the policy says when nothing was read", func(ctx SpecContext) {
			world.cached = cluster.NewStatic(routing.Namespaces)
			Expect(world.cached.Apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "app"}})).To(Succeed())
			verdicts(ctx, "IngressClass: not read")
		})
		It("answers as the policy says when the Ingress does not decode", func(ctx SpecContext) {
			r := review(admissionv1.Create, ingress("api"), nil)
			r.Request.Object.Raw = []byte(`{"spec": 5}`)
			Expect(ask(ctx, r).Warnings).To(ConsistOf(ContainSubstring("request.object: not an Ingress")))
		})
	})

	Describe("what explains a warning", func() {
		const plain = `Service "web" has no endpoints (no-endpoints-at-all)`
		pods := routing.Ref{Kind: routing.Pods, Namespace: "app", Name: "web"}
		BeforeEach(func() {
			list = checks.All()
			svc := service("web")
			svc.Spec.Selector = map[string]string{"app": "web"}
			for _, view := range []*cluster.Static{world.cached, world.live} {
				Expect(view.Apply(svc)).To(Succeed())
			}
			world.cached.Cover(routing.Ref{Kind: routing.Pods}, routing.Coverage{})
			world.live.Cover(routing.Ref{Kind: routing.Pods}, routing.Coverage{Read: true})
			Expect(world.live.Apply(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web-abc", Labels: map[string]string{"app": "web"}},
				Status:     corev1.PodStatus{Reason: "Evicted"},
			})).To(Succeed())
		})
		It("is read where nothing is denied, and alone", func(ctx SpecContext) {
			answer := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
			Expect(answer.Allowed).To(BeTrue())
			Expect(answer.Warnings).To(ConsistOf(ContainSubstring(`Service "web" selects 1 Pod, not Ready: web-abc Evicted`)))
			Expect(world.confirmed.Load()).To(ConsistOf(pods))
		})
		It("is read beside what confirms a denial", func(ctx SpecContext) {
			answer := ask(ctx, review(admissionv1.Create, ingress("web", "gone"), nil))
			Expect(answer.Allowed).To(BeFalse())
			Expect(answer.Warnings).To(ConsistOf(ContainSubstring("web-abc Evicted")))
			Expect(world.confirmed.Load()).To(ContainElements(pods, routing.Ref{Kind: routing.Services, Namespace: "app", Name: "gone"}))
		})
		It("changes nothing where it cannot be read", func(ctx SpecContext) {
			world.failing = map[routing.Ref]string{pods: "forbidden"}
			answer := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
			Expect(answer.Allowed).To(BeTrue())
			Expect(answer.Warnings).To(ConsistOf(ContainSubstring(plain)))
		})
		It("changes nothing where it does not come in time", func(ctx SpecContext) {
			world.hang = true
			answer := ask(ctx, review(admissionv1.Create, ingress("web"), nil), "?timeout=1s")
			Expect(answer.Allowed).To(BeTrue())
			Expect(answer.Warnings).To(ConsistOf(ContainSubstring(plain)))
		})
		It("is no reason to deny what was not denied before", func(ctx SpecContext) {
			Expect(world.live.Delete(service("web"))).To(Succeed())
			answer := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
			Expect(answer.Allowed).To(BeTrue())
			Expect(answer.Warnings).To(ConsistOf(HaveSuffix("[not confirmed]")))
		})
		It("is not read where that was not chosen", func(ctx SpecContext) {
			world.cached.Cover(routing.Ref{Kind: routing.Pods}, routing.Coverage{Chosen: true})
			answer := ask(ctx, review(admissionv1.Create, ingress("web"), nil))
			Expect(answer.Warnings).To(ConsistOf(ContainSubstring(plain)))
			Expect(world.confirmed.Load()).To(BeNil())
		})
	})

	DescribeTable("refuses what is not a review of an Ingress",
		func(ctx SpecContext, contentType string, body func() []byte, status int, text string) {
			got, answer := post(ctx, "/", contentType, body())
			Expect(got).To(Equal(status))
			Expect(answer).To(ContainSubstring(text))
			Expect(counted("OTHER", "invalid")).To(Equal(1.0))
		},
		Entry("an empty body", "application/json", func() []byte { return nil }, 400, "body: must be an AdmissionReview, is empty"),
		Entry("truncated JSON", "application/json", func() []byte { return []byte(`{"kind": "Admi`) }, 400, "body: not an AdmissionReview"),
		Entry("another content type", "text/plain", func() []byte { return []byte(`{}`) }, 415, `content type "text/plain": must be application/json`),
		Entry("a body of 7 MB", "application/json", func() []byte { return bytes.Repeat([]byte{' '}, 7_000_000) }, 413, "body: must be at most"),
		Entry("another version", "application/json", func() []byte {
			return []byte(`{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}`)
		}, 400, "must be AdmissionReview of admission.k8s.io/v1"),
		Entry("no request", "application/json", func() []byte {
			return []byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`)
		}, 400, "request: must be set"),
		Entry("another kind", "application/json", func() []byte {
			r := review(admissionv1.Create, ingress("web"), nil)
			r.Request.Kind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
			body, err := json.Marshal(r)
			Expect(err).NotTo(HaveOccurred())
			return body
		}, 400, "must be Ingress of networking.k8s.io/v1"),
	)

	It("refuses other methods", func(ctx SpecContext) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := client.Do(req)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
		Expect(resp.StatusCode).To(Equal(http.StatusMethodNotAllowed))
		Expect(resp.Header.Get("Allow")).To(Equal("POST"))
	})

	It("names what is missing when it is built incompletely", func() {
		err := (&webhook.Handler{}).Validate()
		Expect(err).To(MatchError(And(ContainSubstring("Cluster must be set"), ContainSubstring("Rules must be set"),
			ContainSubstring("Authorizer must be set"), ContainSubstring("Metrics must be set"))))
	})
})

// onlyCertain are the checks that deny, so that specs need no endpoints.
func onlyCertain() []checks.Check {
	var list []checks.Check
	for _, c := range checks.All() {
		if c.Default == checks.Deny {
			list = append(list, c)
		}
	}
	return list
}

// countingSink counts lines at V(0).
type countingSink struct{ lines *atomic.Int32 }

func (countingSink) Init(logr.RuntimeInfo)            {}
func (countingSink) Enabled(level int) bool           { return level == 0 }
func (s countingSink) Info(int, string, ...any)       { s.lines.Add(1) }
func (s countingSink) Error(error, string, ...any)    { s.lines.Add(1) }
func (s countingSink) WithValues(...any) logr.LogSink { return s }
func (s countingSink) WithName(string) logr.LogSink   { return s }
