// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/e2e/stack"
)

// What a load consists of: one write after the other is begun, whether or not the ones
// before have been answered.
const (
	every  = 20 * time.Millisecond
	before = 30
	during = 150
	after  = 30
)

// tally counts what became of writes.
type tally struct{ writes, allowed, denied, undecided, failed int }

// load writes Ingresses through the API server. A third is valid, a third is valid and to
// a Service that was created a moment before, and a third is dead.
type load struct {
	g      *gate
	client kubernetes.Interface

	mu          sync.Mutex
	n           int
	valid, dead tally
	// wrong are the denials of valid Ingresses and the calls that failed.
	wrong []string
}

// saidTo is the key of a context for what is said in answer to one request.
type saidTo struct{}

// toContext gives a warning to whom the context says.
type toContext struct{}

func (toContext) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, text string) {
	if said, ok := ctx.Value(saidTo{}).(*stack.Warnings); ok {
		said.HandleWarningHeader(code, agent, text)
	}
}

func newLoad(g *gate) *load {
	GinkgoHelper()
	config := rest.CopyConfig(g.cp.Config)
	config.WarningHandlerWithContext = toContext{}
	client, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	return &load{g: g, client: client}
}

// run writes so many Ingresses and returns when all are answered: what became of the
// valid ones and of the dead ones.
func (l *load) run(ctx SpecContext, count int) (valid, dead tally) {
	l.mu.Lock()
	l.valid, l.dead = tally{}, tally{}
	l.mu.Unlock()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var writing sync.WaitGroup
	for range count {
		l.n++
		n := l.n
		writing.Go(func() { l.write(ctx, n) })
		<-tick.C
	}
	writing.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.valid, l.dead
}

func (l *load) write(ctx context.Context, n int) {
	name := fmt.Sprintf("load-%d", n)
	ing, dead := l.g.ingress(name, "web"), false
	var err error
	switch n % 3 {
	case 1:
		ing = l.g.ingress(name, name)
		_, err = l.client.CoreV1().Services(l.g.ns).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
	case 2:
		bad := l.g.badOnes(name)
		ing, dead = bad[n/3%len(bad)], true
	}
	said := &stack.Warnings{}
	if err == nil {
		_, err = l.client.NetworkingV1().Ingresses(l.g.ns).Create(context.WithValue(ctx, saidTo{}, said), ing, metav1.CreateOptions{})
	}
	l.count(ing, dead, strings.Join(said.Take(), "\n"), err)
}

func (l *load) count(ing *networkingv1.Ingress, dead bool, said string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.valid
	if dead {
		t = &l.dead
	}
	t.writes++
	denied := err != nil && strings.Contains(err.Error(), "denied the request: ")
	switch {
	case denied:
		t.denied++
	case err != nil:
		t.failed++
	case strings.Contains(said, noVerdict):
		t.undecided++
	default:
		t.allowed++
	}
	if err != nil && (!dead || !denied) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %v", ing.Name, err))
	}
}

// rows are what docs/reliability.md shows.
var rows = []string{
	"| fault | valid: allowed | undecided | denied | dead: denied | undecided | allowed | calls failed |",
	"|---|---|---|---|---|---|---|---|",
}

func addRow(fault string, valid, dead tally) {
	rows = append(rows, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d |", fault,
		valid.allowed, valid.undecided, valid.denied, dead.denied, dead.undecided, dead.allowed, valid.failed+dead.failed))
}

// expectSound expects that everything is decided, and rightly.
func expectSound(valid, dead tally) {
	GinkgoHelper()
	Expect(valid.allowed).To(Equal(valid.writes), "of the valid ones: %+v", valid)
	Expect(dead.denied).To(Equal(dead.writes), "of the dead ones: %+v", dead)
}

// weather writes before, during and after a fault. During it anything may be undecided,
// but nothing valid is denied and no call fails; after it all is as before, by itself.
func weather(ctx SpecContext, g *gate, name string, fault, heal func()) {
	GinkgoHelper()
	l := newLoad(g)
	expectSound(l.run(ctx, before))
	fault()
	valid, dead := l.run(ctx, during)
	addRow(name, valid, dead)
	Expect(l.wrong).To(BeEmpty())
	heal()
	l.deniesAgain(ctx)
	g.catchUp(ctx)
	expectSound(l.run(ctx, after))
	Expect(l.wrong).To(BeEmpty())
}

// deniesAgain returns when a dead Ingress is denied again.
func (l *load) deniesAgain(ctx SpecContext) {
	GinkgoHelper()
	Eventually(ctx, func() int {
		// The valid ones are written, too.
		_, dead := l.run(ctx, 3)
		return dead.denied
	}).WithTimeout(patience).Should(Equal(1))
}

var _ = Describe("Ingresses that are written all the time", Ordered, ContinueOnFailure, func() {
	AfterAll(func() {
		AddReportEntry("what became of Ingresses during a fault", "\n"+strings.Join(rows, "\n"))
	})

	isWatch := func(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }
	// isList is true for lists and for watches, which may begin with one.
	isList := func(r *http.Request) bool {
		for _, plural := range []string{"ingresses", "ingressclasses", "services", "endpointslices", "secrets", "namespaces"} {
			if strings.HasSuffix(r.URL.Path, "/"+plural) {
				return true
			}
		}
		return false
	}
	always := func(status int) stack.Fault { return func(*http.Request) int { return status } }
	only := func(which func(*http.Request) bool, status int) stack.Fault {
		return func(r *http.Request) int {
			if which(r) {
				return status
			}
			return 0
		}
	}
	slow := func(delay time.Duration) stack.Fault {
		return func(r *http.Request) int {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
			}
			return 0
		}
	}

	DescribeTable("are not denied if they are valid, and no call fails, whatever the API server does", func(ctx SpecContext, name string, fault stack.Fault) {
		g := startGate(ctx, name, gateOptions{asked: true, failurePolicy: admissionregistrationv1.Fail})
		weather(ctx, g, CurrentSpecReport().LeafNodeText, func() { g.proxy.SetFault(fault) }, func() { g.proxy.SetFault(nil) })
	},
		Entry("watches are cut, and cannot be opened", "load-watch", only(isWatch, stack.Hangup)),
		Entry("lists and watches get 500", "load-lists", only(isList, http.StatusInternalServerError)),
		Entry("watches get 410, too old a resource version", "load-old", only(isWatch, http.StatusGone)),
		Entry("every request gets 429", "load-429", always(http.StatusTooManyRequests)),
		Entry("every request gets 500", "load-500", always(http.StatusInternalServerError)),
		Entry("every request gets 503", "load-503", always(http.StatusServiceUnavailable)),
		Entry("every connection is closed", "load-hangup", always(stack.Hangup)),
		Entry("every answer takes a second more", "load-slow", slow(time.Second)),
		Entry("every answer takes four seconds more", "load-slower", slow(4*time.Second)),
		Entry("Secrets are forbidden", "load-secrets", only(func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/secrets")
		}, http.StatusForbidden)),
	)

	It("are not denied if they are valid when answers stop in the middle", func(ctx SpecContext) {
		g := startGate(ctx, "load-held", gateOptions{asked: true, failurePolicy: admissionregistrationv1.Fail})
		weather(ctx, g, "no answer comes any more, and connections stay open", func() {
			g.proxy.Watches.Shut()
			g.proxy.Reads.Shut()
		}, func() {
			g.proxy.Watches.Open()
			g.proxy.Reads.Open()
		})
	})

	It("are not denied if they are valid when connections are half open", func(ctx SpecContext) {
		// Pings find that out, by default after 30 seconds and 15 more.
		GinkgoT().Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "2")
		GinkgoT().Setenv("HTTP2_PING_TIMEOUT_SECONDS", "2")
		relay, err := controlPlane.StartRelay(ctx, dir, "load-relay")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(relay.Stop)
		g := startGate(ctx, "load-half", gateOptions{asked: true, failurePolicy: admissionregistrationv1.Fail, kubeconfig: relay.Kubeconfig})
		weather(ctx, g, "connections are half open: packets are swallowed", func() {
			Expect(relay.Swallow()).To(BeNumerically(">", 0))
		}, func() {})
	})

	It("are not denied if they are valid when the API server starts again, with what it had or with an older backup", func(ctx SpecContext) {
		cp, err := stack.StartDurable(ctx, GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cp.Stop)
		addClass(ctx, cp.ControlPlane)
		g := startGate(ctx, "load-again", gateOptions{controlPlane: cp.ControlPlane, asked: true, failurePolicy: admissionregistrationv1.Fail})
		stop := func() {
			// An API server that is told to stop waits for its watches, a minute.
			g.proxy.SetFault(always(stack.Hangup))
			Expect(cp.StopAPIServer()).To(Succeed())
		}
		start := func() {
			Expect(cp.StartAPIServer()).To(Succeed())
			soon, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			// It learns of the webhook again.
			Expect(stack.Wait(soon, cp.Config, g.ns)).To(Succeed())
		}
		l := newLoad(g)
		expectSound(l.run(ctx, before))

		By("a start with the same contents, after writes that no watch has seen")
		g.proxy.SetFault(always(stack.Hangup))
		l.run(ctx, before)
		stop()
		Expect(cp.Save()).To(Succeed())
		start()
		g.proxy.SetFault(nil)
		valid, dead := l.run(ctx, during)
		addRow("the API server starts again, and resource versions are too old", valid, dead)
		Expect(l.wrong).To(BeEmpty())
		l.deniesAgain(ctx)
		g.catchUp(ctx)
		expectSound(l.run(ctx, after))

		By("a backup from before the last writes")
		stop()
		Expect(cp.Restore()).To(Succeed())
		start()
		g.proxy.SetFault(nil)
		valid, dead = l.run(ctx, during)
		addRow("etcd is restored from an older backup", valid, dead)
		Expect(l.wrong).To(BeEmpty())
		// The cache keeps what the backup does not have, as the watches go on from resource
		// versions that are still to come: see docs/reliability.md.
		l.deniesAgain(ctx)
		expectSound(l.run(ctx, after))
		Expect(l.wrong).To(BeEmpty())
	}, NodeTimeout(5*time.Minute))
})

var _ = Describe("Clocks that differ", func() {
	It("fail no call while they differ by less than an hour", func(ctx SpecContext) {
		g := startGate(ctx, "clocks", gateOptions{})
		for _, late := range []time.Duration{55 * time.Minute, -55 * time.Minute} {
			c := g.newClient(clientOptions{http2: true, late: late})
			resp, err := c.review(ctx, "?timeout=5s", g.ingress("good", "web"))
			Expect(err).NotTo(HaveOccurred(), "late by %s", late)
			Expect(resp.Allowed).To(BeTrue())
			resp, err = c.review(ctx, "?timeout=5s", g.ingress("bad", "gone"))
			Expect(err).NotTo(HaveOccurred(), "late by %s", late)
			Expect(resp.Allowed).To(BeFalse())
		}
		// What is beyond is up to the failure policy.
		_, err := g.newClient(clientOptions{late: 2 * time.Hour}).review(ctx, "?timeout=5s", g.ingress("good", "web"))
		Expect(err).To(MatchError(ContainSubstring("certificate has expired or is not yet valid")))
	})
})

var _ = Describe("Two replicas of which one has not seen the last changes", func() {
	It("never deny what is valid, and both deny what is dead for long", func(ctx SpecContext) {
		seeing := startGate(ctx, "seeing", gateOptions{})
		blind := startGate(ctx, "blind", gateOptions{})
		// The blind one's watches are cut, and both are asked about one namespace.
		isWatch := func(r *http.Request) int {
			if r.URL.Query().Get("watch") != "" {
				return stack.Hangup
			}
			return 0
		}
		seeing.addService(ctx, "leaving")
		blind.catchUp(ctx)
		blind.proxy.SetFault(isWatch)
		seeing.addService(ctx, "late")
		Expect(seeing.client.CoreV1().Services(seeing.ns).Delete(ctx, "leaving", metav1.DeleteOptions{})).To(Succeed())
		seeing.catchUp(ctx)

		table := []string{"| the Ingress is for a Service that | replica that sees all | replica whose watches are cut |", "|---|---|---|"}
		for _, c := range []struct {
			what, service string
			seen, unseen  bool
		}{
			{"was always there", "web", true, true},
			{"was created since", "late", true, true},
			{"was deleted since", "leaving", false, true},
			{"was never there", "gone", false, false},
		} {
			answers := []string{c.what}
			for g, allowed := range map[*gate]bool{seeing: c.seen, blind: c.unseen} {
				resp, err := g.newClient(clientOptions{http2: true}).review(ctx, "?timeout=5s", seeing.ingress("web-"+c.service, c.service))
				Expect(err).NotTo(HaveOccurred())
				Expect(resp.Allowed).To(Equal(allowed), "%s: %v %v", c.what, resp.Result, resp.Warnings)
			}
			for _, allowed := range []bool{c.seen, c.unseen} {
				answers = append(answers, map[bool]string{true: "allowed", false: "denied"}[allowed])
			}
			table = append(table, "| "+strings.Join(answers, " | ")+" |")
		}
		AddReportEntry("what two replicas with split views answer", "\n"+strings.Join(table, "\n"))

		blind.proxy.SetFault(nil)
		Eventually(ctx, func() (bool, error) {
			resp, err := blind.newClient(clientOptions{http2: true}).review(ctx, "?timeout=5s", seeing.ingress("again", "leaving"))
			if err != nil {
				return false, err
			}
			return resp.Allowed, nil
		}).WithTimeout(patience).Should(BeFalse(), "it must see again by itself")
	})
})
