// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// rate is how many Ingresses are written each second.
const rate = 50

var _ = Describe("A release under load", Ordered, func() {
	const ns = "load"

	BeforeAll(func(ctx SpecContext) {
		// An authority that is replaced after a minute and a certificate after 20
		// seconds, instead of months.
		install(ctx, "extraArgs={--authority-lifetime=90s,--certificate-lifetime=30s,--certificate-settle-time=4s}")
		shop(ctx, ns)
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("fails no call while the authority and the certificate rotate", func(ctx SpecContext) {
		before := serving(ctx)
		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		Eventually(func(g Gomega) {
			now := serving(ctx)
			g.Expect(now.bundle).NotTo(ContainSubstring(before.bundle), "the old authority must be gone")
			g.Expect(now.leaf).NotTo(Equal(before.leaf))
		}).WithContext(ctx).WithTimeout(4 * time.Minute).WithPolling(time.Second).Should(Succeed())
		l.report("rotation of the authority and the certificate")
		Expect(l.failed()).To(BeEmpty())
	}, NodeTimeout(5*time.Minute))

	It("fails no call in a rolling restart", func(ctx SpecContext) {
		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		kubectl(ctx, "rollout", "restart", "deployment", release, "-n", home)
		kubectl(ctx, "rollout", "status", "deployment", release, "-n", home, "--timeout", patience.String())
		// The old Pods go on until they have drained.
		Eventually(func() []corev1.Pod { return pods(ctx) }).WithTimeout(patience).Should(HaveLen(2))
		l.report("rolling restart")
		Expect(l.failed()).To(BeEmpty())
	}, NodeTimeout(2*patience))

	It("fails only calls in flight when one of two replicas is killed", func(ctx SpecContext) {
		onNode()
		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		victim := pods(ctx)[0]
		Expect(node.Kill(string(victim.UID), "/routegate")).To(Equal(1))
		Eventually(func() int32 { return restarts(ctx, victim.Name) }).WithTimeout(patience).Should(BeNumerically(">", 0))
		kubectl(ctx, "rollout", "status", "deployment", release, "-n", home, "--timeout", patience.String())
		l.report("SIGKILL of one of two replicas")
		// The API server keeps connections and uses them again. What is on one to the
		// dead replica is lost, and kube-proxy may lead a new one to it until its Pod is
		// not ready.
		Expect(len(l.failed())).To(BeNumerically("<", 3*rate))
	}, NodeTimeout(2*patience))

	It("is back within a minute when no packet reaches one of two replicas", func(ctx SpecContext) {
		onNode()
		// Whichever replica has the API server's connections: cut one, then the other.
		for i, victim := range pods(ctx) {
			l := startLoad(ctx, ns)
			DeferCleanup(l.stop)
			heal, err := node.Cut(ctx, victim.Status.PodIP, 0)
			Expect(err).NotTo(HaveOccurred())
			// The kubelet's probe fails, and the Pod leaves the Service.
			kubectl(ctx, "wait", "--for=condition=Ready=false", "pod", victim.Name, "-n", home, "--timeout=1m")
			failed := func() int { return len(l.failed()) }
			Eventually(func(g Gomega) {
				before := failed()
				g.Consistently(failed, "5s", "500ms").Should(Equal(before))
			}).WithContext(ctx).WithTimeout(time.Minute).Should(Succeed())
			Expect(heal(ctx)).To(Succeed())
			kubectl(ctx, "wait", "--for=condition=Ready", "pod", victim.Name, "-n", home, "--timeout=1m")
			l.report(fmt.Sprintf("no packet to replica %d of 2", i+1))
		}
	}, NodeTimeout(3*patience))

	// As when a node is lost and the control plane has yet to notice.
	It("goes on in part when no packet reaches the webhook of one and that one is taken for ready", func(ctx SpecContext) {
		onNode()
		for i, victim := range pods(ctx) {
			l := startLoad(ctx, ns)
			DeferCleanup(l.stop)
			heal, err := node.Cut(ctx, victim.Status.PodIP, 10250)
			Expect(err).NotTo(HaveOccurred())
			Eventually(l.made).WithTimeout(patience).Should(BeNumerically(">", 20*rate))
			Expect(heal(ctx)).To(Succeed())
			l.report(fmt.Sprintf("no packet to the webhook of replica %d of 2, which stays ready", i+1))
			// The calls that wait for the lost one need ever more new connections, and
			// kube-proxy leads half of those to it.
			Expect(len(l.failed())).To(BeNumerically("<", 9*l.made()/10))
		}
	}, NodeTimeout(3*patience))
})

// served is the authority that the API server trusts and the certificate in the
// Secret.
type served struct{ bundle, leaf string }

func serving(ctx context.Context) served {
	GinkgoHelper()
	config, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	secret, err := client.CoreV1().Secrets(home).Get(ctx, release+"-certificate", metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return served{bundle: string(config.Webhooks[0].ClientConfig.CABundle), leaf: string(secret.Data[corev1.TLSCertKey])}
}

func pods(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	list, err := client.CoreV1().Pods(home).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=routegate"})
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

func restarts(ctx context.Context, pod string) int32 {
	GinkgoHelper()
	p, err := client.CoreV1().Pods(home).Get(ctx, pod, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return p.Status.ContainerStatuses[0].RestartCount
}

// load writes Ingresses at a constant rate. Each names a Service that does not
// exist, so that Routegate was asked if and only if it was denied for that.
type load struct {
	ctx    context.Context
	cancel context.CancelFunc
	ns     string
	calls  sync.WaitGroup

	mu    sync.Mutex
	times []time.Duration
	fails []string
	// first and last are when the first and the last failed call began.
	first, last time.Time
}

func startLoad(ctx context.Context, ns string) *load {
	l := &load{ns: ns}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.calls.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for {
			select {
			case <-l.ctx.Done():
				return
			case <-tick.C:
				l.calls.Go(l.call)
			}
		}
	})
	return l
}

func (l *load) call() {
	start := time.Now()
	// What has begun is finished, also when the load ends.
	_, err := client.NetworkingV1().Ingresses(l.ns).Create(context.WithoutCancel(l.ctx), &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "load-"},
		Spec: networkingv1.IngressSpec{
			IngressClassName: ptr.To("nginx"),
			DefaultBackend:   &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "no-such-service", Port: networkingv1.ServiceBackendPort{Number: 80}}},
		},
	}, metav1.CreateOptions{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Since(start))
	if err == nil || !strings.Contains(err.Error(), "(service-missing)") {
		if l.first.IsZero() || start.Before(l.first) {
			l.first = start
		}
		if start.After(l.last) {
			l.last = start
		}
		l.fails = append(l.fails, fmt.Sprintf("%s after %s: %v", start.Format(time.TimeOnly), time.Since(start).Round(time.Millisecond), err))
	}
}

func (l *load) stop() {
	l.cancel()
	l.calls.Wait()
}

// report ends the load and adds what it saw to the suite's report.
func (l *load) report(during string) {
	l.stop()
	slices.Sort(l.times)
	n := len(l.times)
	AddReportEntry(during, fmt.Sprintf("%d calls, %d failed, which began within %s; half took at most %s, 99 of 100 %s, the slowest %s",
		n, len(l.fails), round(l.last.Sub(l.first)), round(l.times[n/2]), round(l.times[n*99/100]), round(l.times[n-1])))
}

// made is how many calls were answered or failed.
func (l *load) made() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

func (l *load) failed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fails
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
