// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/routegate/routegate/checks"
)

// fault is an Ingress with one fault.
type fault struct {
	check  string
	denies bool
	// around makes what is there, for the host of the Ingress.
	around  func(host string) []runtime.Object
	ingress *networkingv1.Ingress
	// words are the whole message. NAMESPACE and HOST stand for those of the
	// sandbox.
	words string
	// besides are warnings of the API server's own.
	besides []string
}

// faults are one of every sort, all for a namespace with the Service web that
// has a ready endpoint. The fixtures of package checks try the rest.
var faults = []fault{
	{
		check:   "class-annotation-unknown",
		ingress: ingress("bad", withoutClass, annotated("kubernetes.io/ingress.class", "ngnix")),
		words: `metadata.annotations[kubernetes.io/ingress.class]: no known controller serves the class "ngnix" by annotation; ` +
			`did you mean "nginx"? (class-annotation-unknown): requests get 404 unless a controller has the flag --ingress-class="ngnix"`,
		besides: []string{`annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead`},
	}, {
		check:   "class-none",
		ingress: ingress("bad", withoutClass),
		words: `spec.ingressClassName: the Ingress names no class, and there is no default IngressClass; ` +
			`must be one of "nginx", "other" (class-none): no controller serves the Ingress and requests get 404`,
	}, {
		check: "class-object-missing", denies: true,
		ingress: ingress("bad", ofClass("ngnix")),
		words: `spec.ingressClassName: IngressClass "ngnix" does not exist; did you mean "nginx"? (class-object-missing): ` +
			`no controller serves the Ingress and requests get 404`,
	}, {
		check:   "duplicate-path-in-one-ingress",
		around:  func(string) []runtime.Object { return []runtime.Object{service("api", 80), endpoint("api", 80, true)} },
		ingress: ingress("bad", addPath("/", "api", 80)),
		words: `spec.rules[0].http.paths[1]: host "HOST" and path "/" of type Prefix already go to Service "web" at ` +
			`spec.rules[0].http.paths[0]; must be listed once (duplicate-path-in-one-ingress): Service "api" gets no requests from this path`,
	}, {
		check:   "no-endpoints-at-all",
		around:  func(string) []runtime.Object { return []runtime.Object{service("idle", 80)} },
		ingress: ingress("bad", to("idle", 80)),
		words: `spec.rules[0].http.paths[0].backend.service.name: Service "idle" has no endpoints (no-endpoints-at-all): ` +
			`requests get 503 until it has ready endpoints`,
	}, {
		check: "no-ready-endpoints",
		around: func(string) []runtime.Object {
			return []runtime.Object{service("slow", 80), endpoint("slow", 80, false)}
		},
		ingress: ingress("bad", to("slow", 80)),
		words: `spec.rules[0].http.paths[0].backend.service.name: Service "slow" has no ready endpoints: ` +
			`its only endpoint is not ready (no-ready-endpoints): requests get 503 until it has`,
	}, {
		check: "port-missing", denies: true,
		around:  func(string) []runtime.Object { return []runtime.Object{service("api", 8080, 9090)} },
		ingress: ingress("bad", to("api", 8008)),
		words: `spec.rules[0].http.paths[0].backend.service.port: Service "api" has no port 8008; must be one of 8080, 9090; ` +
			`did you mean 8080? (port-missing): requests get 503`,
	}, {
		check: "port-not-tcp", denies: true,
		around: func(string) []runtime.Object {
			svc := service("dns", 53)
			svc.Spec.Ports[0].Protocol = corev1.ProtocolUDP
			return []runtime.Object{svc}
		},
		ingress: ingress("bad", to("dns", 53)),
		words: `spec.rules[0].http.paths[0].backend.service.port: port 53 of Service "dns" has protocol UDP; ` +
			`must be a TCP port (port-not-tcp): requests get 503`,
	}, {
		check: "resource-backend", denies: true,
		ingress: ingress("bad", toResource),
		words: `spec.rules[0].http.paths[0].backend.resource: ingress-nginx does not route to a resource ("Bucket" "static"); ` +
			`must be a service (resource-backend): the path is skipped and requests get 404 or a shorter path's backend`,
	}, {
		check: "service-missing", denies: true,
		ingress: ingress("bad", to("wbe", 80)),
		words: `spec.rules[0].http.paths[0].backend.service.name: Service "wbe" does not exist in namespace "NAMESPACE"; ` +
			`did you mean "web"? (service-missing): requests get 503`,
	}, {
		check: "tls-san-mismatch", denies: true,
		around: func(string) []runtime.Object {
			crt, key := certificate("other.example.com")
			return []runtime.Object{secret("other-tls", crt, key)}
		},
		ingress: ingress("bad", withTLS("other-tls")),
		words: `spec.tls[0].hosts[0]: the certificate in Secret "other-tls" does not cover "HOST"; ` +
			`it is for "other.example.com" (tls-san-mismatch): HTTPS requests for "HOST" get the default certificate`,
	}, {
		check: "tls-secret-missing",
		around: func(host string) []runtime.Object {
			crt, key := certificate(host)
			return []runtime.Object{secret("shop-tls", crt, key)}
		},
		ingress: ingress("bad", withTLS("shop-tsl")),
		words: `spec.tls[0].secretName: Secret "shop-tsl" does not exist in namespace "NAMESPACE"; ` +
			`did you mean "shop-tls"? (tls-secret-missing): HTTPS requests get the default certificate`,
	}, {
		check: "tls-secret-unusable", denies: true,
		around: func(host string) []runtime.Object {
			crt, _ := certificate(host)
			return []runtime.Object{secret("half-tls", crt, nil)}
		},
		ingress: ingress("bad", withTLS("half-tls")),
		words: `spec.tls[0].secretName: Secret "half-tls" has no key "tls.key"; it has "tls.crt" (tls-secret-unusable): ` +
			`HTTPS requests get the default certificate`,
	},
}

// shop is a namespace with the Service web, which has a ready endpoint, and what
// is around the fault.
func shop(ctx SpecContext, g *gate, f fault) *sandbox {
	GinkgoHelper()
	s := newSandbox(ctx, g)
	objs := []runtime.Object{service("web", 80), endpoint("web", 80, true)}
	if f.around != nil {
		objs = append(objs, f.around(s.host())...)
	}
	s.has(ctx, objs...)
	return s
}

var _ = Describe("Checks", func() {
	It("are tried here in their default mode", func() {
		modes := map[string]bool{}
		for _, c := range checks.All() {
			modes[c.Name] = c.Default == checks.Deny
		}
		for _, f := range faults {
			Expect(modes).To(HaveKeyWithValue(f.check, f.denies))
		}
	})

	for _, f := range faults {
		if f.denies {
			It("deny: "+f.check, func(ctx SpecContext) {
				s := shop(ctx, standard, f)
				_, warnings, err := s.create(ctx, f.ingress)
				expectDenied(err, f.check, s.in(f.words))
				Expect(warnings).To(Equal(f.besides))
			})
			continue
		}
		It("warn: "+f.check, func(ctx SpecContext) {
			s := shop(ctx, standard, f)
			_, warnings, err := s.create(ctx, f.ingress)
			Expect(err).NotTo(HaveOccurred())
			Expect(warnings).To(ConsistOf(append([]string{s.in(f.words)}, f.besides...)))
		})
	}

	It("say nothing of an Ingress that routes", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		crt, key := certificate(s.host())
		s.has(ctx, secret("shop-tls", crt, key))
		_, warnings, err := s.create(ctx, ingress("good", withTLS("shop-tls")))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())

		warnings, err = s.edit(ctx, "good", addPath("/more", "web", 80))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
	})

	It("all report, in the order of the fields", func(ctx SpecContext) {
		s := shop(ctx, standard, fault{})
		_, _, err := s.create(ctx, ingress("bad", to("gone", 80), addPath("/api", "web", 81)))
		status := statusOf(err)
		first := s.in(`spec.rules[0].http.paths[0].backend.service.name: Service "gone" does not exist in namespace "NAMESPACE"; ` +
			`there is "web" (service-missing): requests get 503`)
		second := `spec.rules[0].http.paths[1].backend.service.port: Service "web" has no port 81; must be 80 (port-missing): requests get 503`
		Expect(status.Message).To(Equal(prefix + "2 reasons why this Ingress cannot route:\n- " + first + "\n- " + second))
		Expect(status.Details.Causes).To(HaveLen(2))
		Expect(status.Details.Causes[0].Message).To(Equal(first))
		Expect(status.Details.Causes[1].Message).To(Equal(second))
	})
})
