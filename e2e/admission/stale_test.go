// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

// These specs hold back every watch event, so that routegate's cache knows
// nothing of what was written since. Whoever creates a Service and then an
// Ingress to it must not be denied because of that.
var _ = Describe("With a cache that is behind", Ordered, func() {
	const timeout = 3 * time.Minute
	var proxy *stack.Proxy
	var plain, strict *gate

	BeforeAll(func(ctx SpecContext) {
		proxy = startProxy(ctx, "proxy")
		plain = startGate(ctx, "behind", gateOptions{kubeconfig: proxy.Kubeconfig})
		strict = startGate(ctx, "behind-strict", gateOptions{kubeconfig: proxy.Kubeconfig, args: []string{"--preset", "strict"}})
	})

	// freeze stops all watches of the gate until the spec ends.
	freeze := func(ctx SpecContext, g *gate) {
		GinkgoHelper()
		g.catchUp(ctx)
		proxy.Watches.Shut()
		DeferCleanup(proxy.Watches.Open)
	}

	create := func(ctx SpecContext, s *sandbox, name string, tweak func(*networkingv1.Ingress)) error {
		_, _, err := s.create(ctx, ingress(name, at(name), tweak))
		return err
	}

	// late calls write, which changes an object of the kind and then creates an
	// Ingress that needs it, n times, and proves that none was denied although the
	// cache never saw the change.
	late := func(ctx SpecContext, s *sandbox, kind string, n int, write func(i int) error) {
		GinkgoHelper()
		reads := fmt.Sprintf(`routegate_live_reads_total{kind=%q,result="present"}`, kind)
		was := s.metrics(ctx)
		denials := 0
		for i := range n {
			if err := write(i); err != nil {
				denials++
				GinkgoWriter.Println(err)
			}
		}
		is := s.metrics(ctx)
		Expect(denials).To(BeZero(), "of %d", n)
		Expect(is[reads]-was[reads]).To(BeNumerically(">=", n), "without a stale cache there would be no live read")
		for _, kind := range []string{"Ingress", "IngressClass", "Service", "Secret"} {
			Expect(is[stack.CacheObjects(kind)]).To(Equal(was[stack.CacheObjects(kind)]), kind)
		}
		const denied = `routegate_admission_requests_total{operation="CREATE",outcome="denied"}`
		Expect(is[denied]).To(Equal(was[denied]))

		By("letting the watches go on")
		proxy.Watches.Open()
		s.catchUp(ctx)
		Expect(s.metrics(ctx)[stack.CacheObjects("Ingress")]).To(BeNumerically(">=", was[stack.CacheObjects("Ingress")]+float64(n)))
	}

	It("denies no Ingress to a Service that was just created, 1000 times", func(ctx SpecContext) {
		s := newSandbox(ctx, plain)
		freeze(ctx, plain)
		late(ctx, s, "Service", 1000, func(i int) error {
			name := fmt.Sprintf("late-%d", i)
			Expect(s.add(ctx, service(name, 80))).To(Succeed())
			return create(ctx, s, name, to(name, 80))
		})
	}, SpecTimeout(timeout))

	It("denies no Ingress to a port that was just added, 200 times", func(ctx SpecContext) {
		s := newSandbox(ctx, plain)
		for i := range 200 {
			Expect(s.add(ctx, service(fmt.Sprintf("late-%d", i), 80))).To(Succeed())
		}
		freeze(ctx, plain)
		services := s.client.CoreV1().Services(s.ns)
		late(ctx, s, "Service", 200, func(i int) error {
			name := fmt.Sprintf("late-%d", i)
			svc, err := services.Get(ctx, name, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			svc.Spec.Ports = service(name, 80, 8080).Spec.Ports
			_, err = services.Update(ctx, svc, metav1.UpdateOptions{})
			Expect(err).NotTo(HaveOccurred())
			return create(ctx, s, name, to(name, 8080))
		})
	}, SpecTimeout(timeout))

	It("denies no Ingress of a class that was just created, 200 times", func(ctx SpecContext) {
		s := newSandbox(ctx, plain)
		s.has(ctx, service("web", 80))
		freeze(ctx, plain)
		labels := map[string]string{"spec": s.ns}
		DeferCleanup(func(ctx SpecContext) {
			Expect(s.client.NetworkingV1().IngressClasses().DeleteCollection(ctx, metav1.DeleteOptions{},
				metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(metav1.SetAsLabelSelector(labels))})).To(Succeed())
			standard.catchUp(ctx)
		})
		late(ctx, s, "IngressClass", 200, func(i int) error {
			name := fmt.Sprintf("late-%d", i)
			class := ingressClass(name, "k8s.io/ingress-nginx")
			class.Labels = labels
			Expect(s.add(ctx, class)).To(Succeed())
			return create(ctx, s, name, ofClass(name))
		})
	}, SpecTimeout(timeout))

	It("denies no Ingress with a Secret that was just mended, 200 times", func(ctx SpecContext) {
		s := newSandbox(ctx, plain)
		crt, key := certificate("*." + s.host())
		s.has(ctx, service("web", 80))
		for i := range 200 {
			Expect(s.add(ctx, secret(fmt.Sprintf("late-%d", i), crt, nil))).To(Succeed())
		}
		freeze(ctx, plain)
		late(ctx, s, "Secret", 200, func(i int) error {
			name := fmt.Sprintf("late-%d", i)
			_, err := s.client.CoreV1().Secrets(s.ns).Update(ctx, secret(name, crt, key), metav1.UpdateOptions{})
			Expect(err).NotTo(HaveOccurred())
			return create(ctx, s, name, withTLS(name))
		})
	}, SpecTimeout(timeout))

	It("denies no Ingress with a Secret that was just created, 200 times, under preset strict", func(ctx SpecContext) {
		s := newSandbox(ctx, strict)
		crt, key := certificate("*." + s.host())
		s.has(ctx, service("web", 80))
		freeze(ctx, strict)
		late(ctx, s, "Secret", 200, func(i int) error {
			name := fmt.Sprintf("late-%d", i)
			Expect(s.add(ctx, secret(name, crt, key))).To(Succeed())
			return create(ctx, s, name, withTLS(name))
		})
	}, SpecTimeout(timeout))

	It("still denies what is truly missing", func(ctx SpecContext) {
		s := newSandbox(ctx, plain)
		s.has(ctx, service("web", 80), endpoint("web", 80, true))
		freeze(ctx, plain)
		_, _, err := s.create(ctx, ingress("bad", to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))

		By("next to a Service that has just come")
		Expect(s.add(ctx, service("late", 80))).To(Succeed())
		_, _, err = s.create(ctx, ingress("bad", to("gone", 80), addPath("/late", "late", 80)))
		expectDenied(err, "service-missing", s.in(gone))
	})
})

var _ = Describe("With an API server that does not answer in time", func() {
	It("is undecided instead of denying", func(ctx SpecContext) {
		proxy := startProxy(ctx, "silent")
		g := startGate(ctx, "silent", gateOptions{kubeconfig: proxy.Kubeconfig})
		s := shop(ctx, g, fault{})
		proxy.Reads.Shut()
		DeferCleanup(proxy.Reads.Open)

		By("a good Ingress, which needs no live read")
		_, warnings, err := s.create(ctx, ingress("good"))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())

		By("a bad Ingress, whose denial cannot be confirmed")
		_, warnings, err = s.create(ctx, ingress("bad", at("bad"), to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(
			`no verdict on parts of this Ingress: Namespace "NAMESPACE": the API server did not answer in time`)}))
		Expect(s.metrics(ctx)[`routegate_admission_requests_total{operation="CREATE",outcome="undecided"}`]).To(Equal(1.0))

		By("the same with an API server that answers again")
		proxy.Reads.Open()
		_, _, err = s.create(ctx, ingress("again", at("again"), to("gone", 80)))
		expectDenied(err, "service-missing", s.in(gone))
	})
})
