// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/e2e/stack"
)

// policyFile is a policy file that a gate follows.
type policyFile string

// newPolicyFile writes a policy file, of which the text follows the header.
func newPolicyFile(text string) policyFile {
	GinkgoHelper()
	f := policyFile(filepath.Join(GinkgoT().TempDir(), "policy.yaml"))
	f.write(text)
	return f
}

// write replaces the file at once, as the kubelet does.
func (f policyFile) write(text string) {
	GinkgoHelper()
	next := string(f) + ".next"
	Expect(os.WriteFile(next, []byte("apiVersion: routegate.dev/v1alpha1\nkind: Policy\n"+text), 0o600)).To(Succeed())
	Expect(os.Rename(next, string(f))).To(Succeed())
}

// label changes labels of the sandbox's namespace, as kubectl does, and returns the
// warnings.
func (s *sandbox) label(ctx SpecContext, key, value string) []string {
	GinkgoHelper()
	s.said.Take()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value)
	_, err := s.client.CoreV1().Namespaces().Patch(ctx, s.ns, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
	return s.said.Take()
}

// asMaster is a sandbox whose client is another user, who may do everything.
func (s *sandbox) asMaster(user string, groups ...string) *sandbox {
	GinkgoHelper()
	other := *s
	other.said = &stack.Warnings{}
	config := rest.CopyConfig(controlPlane.Config)
	config.WarningHandler = other.said
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:masters")}
	var err error
	other.client, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	return &other
}

var _ = Describe("Policy file", func() {
	It("decides by namespace, class, user, group and labels", func(ctx SpecContext) {
		g := startGate(ctx, "policy", gateOptions{args: []string{"--policy", string(newPolicyFile(`
rules:
- {name: observed, match: {namespaceSelector: {matchLabels: {team: new}}}, preset: observe}
- {name: mia, match: {users: [mia]}, modes: {service-missing: warn}}
- {name: robots, match: {groups: [robots]}, modes: {service-missing: audit}}
- {name: labelled, match: {objectSelector: {matchLabels: {tier: test}}}, modes: {service-missing: "off"}}
- {name: class, match: {classes: [other]}, exempt: true}
- {name: exempt, match: {namespaceSelector: {matchLabels: {team: exempt}}}, exempt: true}
- {name: unfit, match: {namespaceSelector: {matchLabels: {team: unfit}}}, ratchet: false, dryRun: deny}
`))}})
		bad := func(name string) *networkingv1.Ingress { return ingress(name, at(name), to("gone", 80)) }
		s := shop(ctx, g, fault{})
		said := func(s *sandbox, ing *networkingv1.Ingress, dryRun ...string) (string, string) {
			GinkgoHelper()
			_, warnings, err := s.create(ctx, ing, dryRun...)
			if err != nil {
				statusOf(err)
				return "denied", strings.Join(warnings, "\n")
			}
			return "allowed", strings.Join(warnings, "\n")
		}
		is := func(outcome, warnings string) func(string, string) {
			return func(gotOutcome, got string) {
				GinkgoHelper()
				Expect(gotOutcome).To(Equal(outcome))
				Expect(got).To(Equal(s.in(warnings)))
			}
		}

		By("no rule")
		is("denied", "")(said(s, bad("none")))
		By("a user")
		is("allowed", gone)(said(s.asMaster("mia"), bad("mia")))
		By("a group, for which it is only recorded")
		is("allowed", "")(said(s.asMaster("r2", "robots"), bad("robots")))
		Expect(g.metrics(ctx)).To(HaveKeyWithValue(`routegate_findings_total{check="service-missing",mode="audit",operation="CREATE",outcome="audited"}`, 1.0))
		By("labels of the Ingress")
		labelled := bad("labelled")
		labelled.Labels = map[string]string{"tier": "test"}
		is("allowed", "")(said(s, labelled))
		By("a class")
		foreign := bad("foreign")
		ofClass("other")(foreign)
		is("allowed", "")(said(s, foreign))

		for _, team := range []string{"new", "exempt"} {
			By("a namespace of team " + team)
			outcome, _ := said(sandboxWith(ctx, g, map[string]string{"team": team}), bad("bad"))
			Expect(outcome).To(Equal("allowed"))
		}
		By("a dry run that is as strict as a real write")
		strict := sandboxWith(ctx, g, map[string]string{"team": "unfit"})
		outcome, _ := said(strict, bad("bad"), metav1.DryRunAll)
		Expect(outcome).To(Equal("denied"))
		Expect(g.Log()).To(ContainSubstring(`"policyRule":"preset standard"`))
	})

	It("counts labels of the namespace, and lists what they would deny", func(ctx SpecContext) {
		g := startGate(ctx, "labels", gateOptions{args: []string{"--policy", string(newPolicyFile("preset: observe\nnamespaceLabels: {atMost: standard}\n"))}})
		s := shop(ctx, g, fault{})
		_, warnings, err := s.create(ctx, ingress("bad", to("gone", 80)))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(Equal([]string{s.in(gone)}))
		s.catchUp(ctx)

		By("a label that is not ours")
		Expect(s.label(ctx, "team", "shop")).To(BeEmpty())
		By("enforce")
		Expect(s.label(ctx, "routegate.dev/enforce", "strict")).To(Equal([]string{
			`Namespace label routegate.dev/enforce="strict" counts as "standard": the policy here admits no more`,
			"with these labels, of 1 Ingress 1 would be denied if created now, and 0 warned of; what is there stays",
			`Ingress "bad", deny: ` + s.in(gone),
		}))
		Eventually(ctx, func() error {
			_, _, err := s.create(ctx, ingress("worse", at("worse"), toResource), metav1.DryRunAll)
			return err
		}).WithTimeout(patience).Should(MatchError(ContainSubstring("(resource-backend)")))
		By("a value that means nothing")
		const nothing = `Namespace label routegate.dev/warn="loud" means nothing and does not count; must be one of off, observe, standard, strict`
		Expect(s.label(ctx, "routegate.dev/warn", "loud")).To(ContainElement(nothing))
		Eventually(ctx, func() []string {
			_, warnings, err := s.create(ctx, ingress("good", at("good")), metav1.DryRunAll)
			Expect(err).NotTo(HaveOccurred())
			return warnings
		}).WithTimeout(patience).Should(Equal([]string{nothing}))
	})

	It("lists 3000 Ingresses within the deadline, or says what it left out", func(ctx SpecContext) {
		g := startGate(ctx, "many", gateOptions{args: []string{"--preset=observe"}})
		s := optedOut(ctx, g)
		for i := range 3000 {
			ing := ingress(fmt.Sprintf("bad-%04d", i), to("gone", 80))
			ing.Spec.Rules[0].Host = fmt.Sprintf("h%d.%s", i, s.host())
			_, err := s.client.NetworkingV1().Ingresses(s.ns).Create(ctx, ing, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		s.catchUp(ctx)
		start := time.Now()
		said := s.label(ctx, "routegate.dev/enforce", "standard")
		AddReportEntry("the preview took", time.Since(start).String())
		Expect(said[0]).To(MatchRegexp(`^with these labels, of [1-9][0-9]* Ingresses [1-9][0-9]* would be denied if created now`))
		Expect(said).To(ContainElement(MatchRegexp(`^and [1-9][0-9]* more Ingresses$`)))
		Expect(s.Log()).NotTo(ContainSubstring("panic"))
	})

	It("is followed while requests come in, each of which is answered by one file", func(ctx SpecContext) {
		const none, all = "preset: observe\n", "preset: standard\n"
		file := newPolicyFile(none)
		g := startGate(ctx, "reload", gateOptions{args: []string{"--policy", string(file)}})
		s := shop(ctx, g, fault{})
		two := ingress("bad", to("gone", 80), addPath("/more", "gone-too", 80))

		done := make(chan struct{})
		wrong := make(chan string, 1)
		go func() {
			defer GinkgoRecover()
			defer close(wrong)
			for {
				select {
				case <-done:
					return
				default:
				}
				_, warnings, err := s.create(ctx, two, metav1.DryRunAll)
				// In a dry run, what is missing only warns under either file; they differ in why.
				spared := strings.Count(strings.Join(warnings, "\n"), "[dry run:")
				if err != nil || len(warnings) != 2 || spared == 1 {
					wrong <- fmt.Sprintf("%v, %q", err, warnings)
					return
				}
			}
		}()
		for i := range 6 {
			text := []string{none, all}[i%2]
			file.write(text)
			Eventually(ctx, func() float64 { return g.metrics(ctx)[`routegate_policy_reloads_total{result="loaded"}`] }).
				WithTimeout(patience).Should(BeNumerically(">=", i))
		}
		By("a bad file")
		file.write("preset: lax\n")
		Eventually(ctx, func() float64 { return g.metrics(ctx)["routegate_policy_refused"] }).WithTimeout(patience).Should(Equal(1.0))
		Expect(g.Log()).To(ContainSubstring(`policy.yaml:3: preset: is \"lax\": must be one of observe, standard, strict`))
		_, warnings, err := s.asMaster("mia").create(ctx, ingress("bad", at("other"), to("gone", 80)), metav1.DryRunAll)
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(ConsistOf(ContainSubstring("[dry run:")))
		close(done)
		Expect(<-wrong).To(BeEmpty())
		Expect(g.metrics(ctx)).NotTo(HaveKey(`routegate_admission_requests_total{operation="CREATE",outcome="failed"}`))
	})
})
