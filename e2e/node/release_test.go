// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("A release with defaults", Ordered, func() {
	const ns = "shop"

	BeforeAll(func(ctx SpecContext) {
		install(ctx)
		shop(ctx, ns)
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("runs two replicas in a namespace that enforces the restricted Pod Security Standard", func(ctx SpecContext) {
		pods, err := client.CoreV1().Pods(home).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=routegate"})
		Expect(err).NotTo(HaveOccurred())
		Expect(pods.Items).To(HaveLen(2))
		out, err := command(ctx, "", kubectlPath, "run", "privileged", "-n", home, "--image=none", "--privileged", "--dry-run=server")
		Expect(err).To(HaveOccurred(), "the namespace must enforce the standard, or the replicas prove nothing")
		Expect(out).To(ContainSubstring(`violates PodSecurity "restricted`))
	}, NodeTimeout(patience))

	It("keeps its heap within nine tenths of the memory limit of its container", func(ctx SpecContext) {
		pods, err := client.CoreV1().Pods(home).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=routegate"})
		Expect(err).NotTo(HaveOccurred())
		for _, pod := range pods.Items {
			container := pod.Spec.Containers[0]
			limit := container.Resources.Limits.Memory().Value()
			Expect(limit).To(BeNumerically(">", 0))
			at := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == "metrics" })
			Expect(at).To(BeNumerically(">=", 0))
			metrics := kubectl(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", home, pod.Name, container.Ports[at].ContainerPort))
			Expect(metrics).To(MatchRegexp(`(?m)^go_gc_gomemlimit_bytes ` + regexp.QuoteMeta(strconv.FormatFloat(float64(limit*9/10), 'g', -1, 64)) + `$`))
		}
	}, NodeTimeout(patience))

	It("passes helm test", func(ctx SpecContext) {
		Expect(helm(ctx, "test", release, "-n", home)).To(ContainSubstring("(service-missing)"))
	}, NodeTimeout(patience))

	It("denies an Ingress whose Service does not exist", func(ctx SpecContext) {
		out, err := tryApply(ctx, ingress(ns, "bad", "bad.example.com", "wbe"))
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(`Service "wbe" does not exist in namespace "shop"; did you mean "web"? (service-missing): requests get 503`))
	}, NodeTimeout(patience))

	It("warns of an Ingress whose Service has no endpoints", func(ctx SpecContext) {
		apply(ctx, service(ns, "idle"))
		Expect(apply(ctx, ingress(ns, "idle", "idle.example.com", "idle"))).To(And(
			ContainSubstring("Warning:"), ContainSubstring("(no-endpoints-at-all)"), ContainSubstring("ingress.networking.k8s.io/idle created")))
	}, NodeTimeout(patience))

	It("says nothing of a good Ingress", func(ctx SpecContext) {
		Expect(apply(ctx, ingress(ns, "good", "good.example.com", "web"))).To(Equal("ingress.networking.k8s.io/good created\n"))
	}, NodeTimeout(patience))

	It("comes back by itself when the node was cut off", func(ctx SpecContext) {
		restart(ctx, ns)
	}, NodeTimeout(3*patience))

	It("takes changed values in an upgrade", func(ctx SpecContext) {
		upgrade(ctx, "preset=observe", "replicas=1")
		Expect(helm(ctx, "test", release, "-n", home)).To(ContainSubstring("Succeeded"))
		Eventually(func() (string, error) {
			return tryApply(ctx, ingress(ns, "observed", "observed.example.com", "wbe"))
		}).WithTimeout(patience).Should(And(ContainSubstring("(service-missing)"), ContainSubstring("created")))
	}, NodeTimeout(2*patience))

	It("lets Ingresses be written when no Pod is left", func(ctx SpecContext) {
		gone(ctx)
		Expect(apply(ctx, ingress(ns, "unseen", "unseen.example.com", "gone"))).To(ContainSubstring("unseen created"))
		back(ctx)
		awaitAsked(ctx, ns)
	}, NodeTimeout(2*patience))

	It("leaves no object and no webhook when it is uninstalled", func(ctx SpecContext) {
		Expect(leftovers(ctx)).NotTo(BeEmpty(), "what is looked for must be there before")
		helm(ctx, "uninstall", release, "-n", home, "--wait", "--timeout", patience.String())
		// Helm does not wait for the Pods, which go on until they have drained.
		Eventually(func() []string { return leftovers(ctx) }).WithTimeout(patience).WithPolling(2 * time.Second).Should(BeEmpty())
		Expect(apply(ctx, ingress(ns, "after", "after.example.com", "gone"))).To(Equal("ingress.networking.k8s.io/after created\n"))
	}, NodeTimeout(patience))
})

var _ = Describe("A release of an earlier chart", Ordered, func() {
	const ns, excluded = "earlier", "excluded"

	BeforeAll(func(ctx SpecContext) {
		// The chart as it was first committed. Nothing was released before it.
		installChart(ctx, "../testdata/first-chart", "replicas=2", "webhook.timeoutSeconds=5")
		shop(ctx, ns)
		shop(ctx, excluded)
		awaitAsked(ctx, ns)
		awaitAsked(ctx, excluded)
	}, NodeTimeout(2*patience))

	It("is upgraded to this chart and to other values without a failed call", func(ctx SpecContext) {
		l := startLoad(ctx, ns)
		DeferCleanup(l.stop)
		upgrade(ctx, "replicas=3", "webhook.timeoutSeconds=4", "webhook.excludeNamespaces={kube-system,"+excluded+"}")
		// The old Pods go on until they have drained.
		Eventually(func() []corev1.Pod { return pods(ctx) }).WithTimeout(patience).Should(HaveLen(3))
		l.report("upgrade from the first chart")
		Expect(l.failed()).To(BeEmpty())

		Expect(kubectl(ctx, "get", "validatingwebhookconfiguration", release, "-o", "jsonpath={.webhooks[0].timeoutSeconds}")).To(Equal("4"))
		Expect(kubectl(ctx, "get", "deployment", release, "-n", home, "-o", "jsonpath={.status.readyReplicas}")).To(Equal("3"))
		Eventually(func() (string, error) {
			return tryApply(ctx, ingress(excluded, "unseen", "unseen.example.com", "gone"))
		}).WithTimeout(patience).Should(ContainSubstring("unseen created"))
		_, err := tryApply(ctx, ingress(ns, "bad", "bad.example.com", "gone"))
		Expect(err).To(MatchError(ContainSubstring("(service-missing)")))
	}, NodeTimeout(3*patience))
})

// leftovers are the objects of all kinds that carry the release's name or label:
// in its own namespace all that is not Kubernetes', elsewhere what is named
// after it.
func leftovers(ctx SpecContext) []string {
	GinkgoHelper()
	var found []string
	for _, namespaced := range []string{"true", "false"} {
		kinds := strings.Fields(kubectl(ctx, "api-resources", "--verbs=list", "-o", "name", "--namespaced="+namespaced))
		out := kubectl(ctx, "get", strings.Join(kinds, ","), "-A", "-o",
			`jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}/{.metadata.labels.app\.kubernetes\.io/instance}{"\n"}{end}`)
		for line := range strings.Lines(out) {
			parts := strings.Split(strings.TrimSpace(line), "/")
			if strings.HasPrefix(line, "Warning: ") {
				continue
			}
			Expect(parts).To(HaveLen(4), line)
			kind, ns, name, instance := parts[0], parts[1], parts[2], parts[3]
			switch {
			// Records of what was, which the API server removes in time.
			case kind == "Event", kind == "Namespace":
			case ns == home && (name == "kube-root-ca.crt" || kind == "ServiceAccount" && name == "default"):
			case ns == home, instance == release, strings.HasPrefix(name, release):
				found = append(found, kind+" "+ns+"/"+name)
			}
		}
	}
	return found
}

// gone scales the release to nothing and returns when no Pod is left.
func gone(ctx SpecContext) {
	GinkgoHelper()
	kubectl(ctx, "scale", "deployment", release, "-n", home, "--replicas=0")
	kubectl(ctx, "wait", "--for=delete", "pod", "-n", home, "-l", "app.kubernetes.io/name=routegate", "--timeout", patience.String())
}

// back scales the release up again and waits for it.
func back(ctx SpecContext) {
	GinkgoHelper()
	kubectl(ctx, "scale", "deployment", release, "-n", home, "--replicas=2")
	kubectl(ctx, "rollout", "status", "deployment", release, "-n", home, "--timeout", patience.String())
}
