// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// dependents is a cluster that may have lost Ingresses of which its cache still knows.
type dependents struct {
	*cluster.Static
	gone map[string]bool
	// pods are what ReadPods finds; where there are none, Pods are not read.
	pods []*routing.Pod

	// last is what ReadIngress finds where the cluster is too large to be looked through.
	last *networkingv1.Ingress

	readError, usersError error
	panics                bool
	reads, snapshots      int
	confirmed             []routing.Ref
}

func (d *dependents) UsersOf(ref routing.Ref) ([]*networkingv1.Ingress, error) {
	if d.panics {
		panic("the cluster is on fire")
	}
	if d.usersError != nil {
		return nil, d.usersError
	}
	return d.Static.UsersOf(ref)
}

func (d *dependents) Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error) {
	d.snapshots++
	d.confirmed = append(d.confirmed, confirm...)
	return d.Static.Snapshot(ctx, refs, confirm)
}

func (d *dependents) ReadIngress(_ context.Context, namespace, name string) (*networkingv1.Ingress, error) {
	d.reads++
	if d.readError != nil || d.gone[name] {
		return nil, d.readError
	}
	if d.last != nil {
		return d.last, nil
	}
	_, ingresses := d.Everything()
	for _, ing := range ingresses {
		if ing.Namespace == namespace && ing.Name == name {
			return ing, nil
		}
	}
	return nil, nil
}

func (d *dependents) ReadPods(_ context.Context, svc *routing.Service) (*routing.ServicePods, error) {
	if len(d.pods) == 0 {
		return nil, nil
	}
	return routing.PodsAround(svc, d.pods), nil
}

// apply adds the objects of a file.
func (d *dependents) apply(path string) {
	GinkgoHelper()
	for _, obj := range decoded(path) {
		if p, ok := obj.(*corev1.Pod); ok {
			d.pods = append(d.pods, routing.PodOf(p))
			continue
		}
		Expect(d.Apply(obj.(metav1.Object))).To(Succeed())
	}
}

// decoded reads the objects of a file; none where there is no file.
func decoded(path string) []runtime.Object {
	GinkgoHelper()
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	objs, err := cluster.Decode(bytes.NewReader(content))
	Expect(err).NotTo(HaveOccurred(), path)
	return objs
}

// dependencyReview is a review of what is done to an object; after is nil where it is
// deleted.
func dependencyReview(old, after runtime.Object) *admissionv1.AdmissionReview {
	GinkgoHelper()
	r, err := reviewOf(old, after)
	Expect(err).NotTo(HaveOccurred())
	return r
}

func reviewOf(old, after runtime.Object) (*admissionv1.AdmissionReview, error) {
	gvk := old.GetObjectKind().GroupVersionKind()
	meta := old.(metav1.Object)
	r := &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "review-1", Operation: admissionv1.Delete, Namespace: meta.GetNamespace(), Name: meta.GetName(),
			Kind:     metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
			UserInfo: authenticationv1.UserInfo{Username: "jane"},
		},
	}
	var err error
	if r.Request.OldObject.Raw, err = json.Marshal(old); err != nil || after == nil {
		return r, err
	}
	r.Request.Operation = admissionv1.Update
	r.Request.Object.Raw, err = json.Marshal(after)
	return r, err
}

var _ = Describe("Dependencies", func() {
	var (
		world    *dependents
		handler  *webhook.Dependencies
		registry *prometheus.Registry
		logged   *strings.Builder
		server   *httptest.Server
	)

	BeforeEach(func() {
		world = &dependents{Static: cluster.NewStatic(), gone: map[string]bool{}}
		// The certificates of the fixtures are valid then.
		world.Now = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)
		registry = prometheus.NewRegistry()
		metrics, err := webhook.NewDependencyMetrics(registry)
		Expect(err).NotTo(HaveOccurred())
		logged = &strings.Builder{}
		handler = &webhook.Dependencies{
			Cluster: world,
			Kinds:   webhook.DependencyKinds(),
			Rules:   rulesOf(policy.File{OnUndecided: policy.Fail}),
			Metrics: metrics,
			Log:     funcr.New(func(_, args string) { fmt.Fprintln(logged, args) }, funcr.Options{Verbosity: 1}),
		}
		Expect(handler.Validate()).To(Succeed())
		server = httptest.NewServer(handler)
		DeferCleanup(server.Close)
	})

	post := func(ctx context.Context, r *admissionv1.AdmissionReview) (int, string) {
		GinkgoHelper()
		body, err := json.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"?timeout=10s", bytes.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(resp.Body.Close()).To(Succeed()) }()
		text, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, string(text)
	}
	// ask expects that the request is allowed.
	ask := func(ctx context.Context, r *admissionv1.AdmissionReview) *admissionv1.AdmissionResponse {
		GinkgoHelper()
		status, text := post(ctx, r)
		Expect(status).To(Equal(http.StatusOK), text)
		answer := &admissionv1.AdmissionReview{}
		Expect(json.Unmarshal([]byte(text), answer)).To(Succeed())
		Expect(answer.Response.Allowed).To(BeTrue())
		Expect(string(answer.Response.UID)).To(Equal("review-1"))
		return answer.Response
	}
	counted := func(line string) {
		GinkgoHelper()
		Expect(testutil.GatherAndCompare(registry, strings.NewReader(
			"# HELP routegate_reverse_requests_total Requests about what Ingresses use, by kind, operation and outcome (allowed, warned, undecided, invalid).\n"+
				"# TYPE routegate_reverse_requests_total counter\n"+line+"\n"), "routegate_reverse_requests_total")).To(Succeed())
	}

	Describe("a change of", func() {
		const root = "testdata/dependencies"
		cases, err := os.ReadDir(root)
		if err != nil {
			panic(err)
		}
		for _, c := range cases {
			It(c.Name(), func(ctx SpecContext) {
				folder := filepath.Join(root, c.Name())
				world.apply(filepath.Join(folder, "cluster.yaml"))
				world.apply(filepath.Join(folder, "old.yaml"))
				old, after := decoded(filepath.Join(folder, "old.yaml"))[0], runtime.Object(nil)
				for _, obj := range decoded(filepath.Join(folder, "new.yaml")) {
					after = obj
				}
				want, err := os.ReadFile(filepath.Join(folder, "want.txt"))
				if !errors.Is(err, os.ErrNotExist) {
					Expect(err).NotTo(HaveOccurred())
					Expect(want).NotTo(BeEmpty())
				}
				got := ask(ctx, dependencyReview(old, after))
				text := ""
				for _, warning := range got.Warnings {
					text += warning + "\n"
				}
				Expect(text).To(Equal(string(want)))
				Expect(got.AuditAnnotations["warned"] != "").To(Equal(text != ""))
				Expect(got.AuditAnnotations).NotTo(HaveKey("undecided"), logged.String())
			})
		}
	})

	// shop is the world of most specs: an Ingress for the Service web.
	shop := func() runtime.Object {
		GinkgoHelper()
		world.apply("testdata/dependencies/service-deleted/cluster.yaml")
		world.apply("testdata/dependencies/service-deleted/old.yaml")
		return decoded("testdata/dependencies/service-deleted/old.yaml")[0]
	}
	const lost = `Service "web" is still routed to by Ingress prod/shop (shop.example.com/): requests will get 503`

	It("names the check in the audit annotation, the metrics and nowhere a user", func(ctx SpecContext) {
		resp := ask(ctx, dependencyReview(shop(), nil))
		Expect(resp.Warnings).To(ConsistOf(lost))
		Expect(resp.AuditAnnotations).To(Equal(map[string]string{"warned": "service-missing"}))
		Expect(resp.Result).To(BeNil())
		counted(`routegate_reverse_requests_total{kind="Service",operation="DELETE",outcome="warned"} 1`)
		Expect(testutil.GatherAndCount(registry, "routegate_reverse_findings_total")).To(Equal(1))
	})

	It("reads the Ingress and the namespace afresh before it warns", func(ctx SpecContext) {
		object := shop()
		ask(ctx, dependencyReview(object, nil))
		Expect(world.reads).To(Equal(1))
		Expect(world.confirmed).To(ConsistOf(routing.Ref{Kind: routing.Namespaces, Name: "prod"}))

		world.gone["shop"] = true
		Expect(ask(ctx, dependencyReview(object, nil)).Warnings).To(BeEmpty())
	})

	It("says nothing of what is switched off, and asks nobody", func(ctx SpecContext) {
		handler.Kinds = []routing.Kind{routing.Secrets}
		object := shop()
		world.panics = true
		resp := ask(ctx, dependencyReview(object, nil))
		Expect(resp.Warnings).To(BeEmpty())
		Expect(resp.AuditAnnotations).To(BeEmpty())
		counted(`routegate_reverse_requests_total{kind="Service",operation="DELETE",outcome="allowed"} 1`)
	})

	It("finds nothing where the policy has switched the check off", func(ctx SpecContext) {
		handler.Rules = rulesOf(policy.File{Terms: policy.Terms{Modes: map[string]checks.Mode{"service-missing": checks.Off, "dead-path": checks.Off}}})
		Expect(ask(ctx, dependencyReview(shop(), nil)).Warnings).To(BeEmpty())
	})

	It("shows ten lines and says how many Ingresses it did not look at", func(ctx SpecContext) {
		object := shop()
		base := decoded("testdata/dependencies/service-deleted/cluster.yaml")
		for i := range 20 {
			for _, obj := range base {
				if ing, ok := obj.(*networkingv1.Ingress); ok {
					ing = ing.DeepCopy()
					ing.Name, ing.Spec.Rules[0].Host = fmt.Sprintf("shop-%02d", i), fmt.Sprintf("shop-%d.example.com", i)
					Expect(world.Apply(ing)).To(Succeed())
				}
			}
		}
		warnings := ask(ctx, dependencyReview(object, nil)).Warnings
		Expect(warnings).To(HaveLen(10))
		Expect(warnings[0]).To(Equal(lost))
		Expect(warnings[9]).To(Equal("and 12 Ingresses not looked at"))
		Expect(world.reads).To(Equal(9))
	})

	Describe("without a verdict", func() {
		var object runtime.Object
		BeforeEach(func() { object = shop() })
		AfterEach(func(ctx SpecContext) {
			// The policy is to fail without a verdict; this never does.
			resp := ask(ctx, dependencyReview(object, nil))
			Expect(resp.Warnings).To(BeEmpty())
			Expect(resp.AuditAnnotations).To(Equal(map[string]string{"undecided": "all"}))
			counted(`routegate_reverse_requests_total{kind="Service",operation="DELETE",outcome="undecided"} 1`)
		})

		It("is silent when it panics", func() { world.panics = true })
		It("is silent when the Ingresses were not read", func() { world.usersError = errors.New("not read yet") })
		It("is silent when the Ingress cannot be read afresh", func() { world.readError = errors.New("too late") })
		It("is silent when the namespace was not read", func() {
			world.Cover(routing.Ref{Kind: routing.Namespaces}, routing.Coverage{Reason: "forbidden"})
		})
		It("is silent when the Services were not read", func() {
			world.Cover(routing.Ref{Kind: routing.Services}, routing.Coverage{Reason: "forbidden"})
		})
		It("is silent about an object that does not parse", func() { object = &broken{object.(*corev1.Service)} })
	})

	Describe("a Secret", func() {
		const folder = "testdata/dependencies/tls-secret-of-another-host/"
		var old, after runtime.Object
		BeforeEach(func() {
			world.apply(folder + "cluster.yaml")
			world.apply(folder + "old.yaml")
			old, after = decoded(folder + "old.yaml")[0], decoded(folder + "new.yaml")[0]
		})

		It("leaves nothing of what it holds in answers and logs", func(ctx SpecContext) {
			status, text := post(ctx, dependencyReview(old, after))
			Expect(status).To(Equal(http.StatusOK))
			Expect(text).To(ContainSubstring("tls-san-mismatch"))
			for _, obj := range []runtime.Object{old, after} {
				for key, value := range obj.(*corev1.Secret).Data {
					for _, line := range append(strings.Split(strings.TrimSpace(string(value)), "\n"), base64.StdEncoding.EncodeToString(value)[:64]) {
						Expect(line).NotTo(BeEmpty(), key)
						Expect(text + logged.String()).NotTo(ContainSubstring(line))
					}
				}
			}
		})

		It("is judged by its absence alone where only metadata are read", func(ctx SpecContext) {
			world.Cover(routing.Ref{Kind: routing.SecretData}, routing.Coverage{Chosen: true})
			Expect(ask(ctx, dependencyReview(old, after)).Warnings).To(BeEmpty())
			Expect(ask(ctx, dependencyReview(old, nil)).Warnings).To(ConsistOf(
				`Secret "cert" is still used by Ingress prod/shop (b.example): HTTPS requests will get the default certificate`))
		})

		It("is not judged where none is read", func(ctx SpecContext) {
			world.Cover(routing.Ref{Kind: routing.Secrets}, routing.Coverage{Chosen: true})
			resp := ask(ctx, dependencyReview(old, nil))
			Expect(resp.Warnings).To(BeEmpty())
			Expect(resp.AuditAnnotations).To(BeEmpty())
		})
	})

	It("refuses a review of another kind", func(ctx SpecContext) {
		r := dependencyReview(shop(), nil)
		r.Request.Kind.Kind = "Pod"
		status, text := post(ctx, r)
		Expect(status).To(Equal(http.StatusBadRequest))
		Expect(text).To(Equal("request.kind: is Pod of /v1: must be Service of v1 or Secret of v1 or IngressClass of networking.k8s.io/v1\n"))
		counted(`routegate_reverse_requests_total{kind="OTHER",operation="OTHER",outcome="invalid"} 1`)
	})

	It("names what it was not given", func() {
		err := (&webhook.Dependencies{Kinds: []routing.Kind{routing.Pods}}).Validate()
		for _, words := range []string{"Cluster must be set", `Kinds has "Pod": must be of [Service Secret IngressClass]`, "Rules must be set", "Metrics must be set"} {
			Expect(err).To(MatchError(ContainSubstring(words)))
		}
	})
})

// rulesOf returns the rules of a file for all checks, always the same.
func rulesOf(file policy.File) func() *policy.Rules {
	rules, err := file.Compile(checks.All())
	Expect(err).NotTo(HaveOccurred())
	return func() *policy.Rules { return rules }
}

// broken is a Service that is not written as one.
type broken struct{ *corev1.Service }

func (b *broken) MarshalJSON() ([]byte, error) { return []byte(`{"spec":"hidden"}`), nil }
