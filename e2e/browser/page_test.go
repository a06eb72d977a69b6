// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/internal/cluster"
)

const (
	// shownIngresses and shownHosts are what is not hidden, in the order of the page.
	shownIngresses = `Array.from(document.querySelectorAll("article")).filter(e => e.checkVisibility()).map(e => e.querySelector("h4").textContent)`
	shownHosts     = `Array.from(document.querySelectorAll("tbody tr")).filter(e => e.checkVisibility()).map(e => e.cells[0].textContent)`
	// faint is the text with a contrast below 4.5 to 1, which is what WCAG 2 wants at
	// level AA.
	faint = `(() => {
		const rgb = (text) => text.match(/[\d.]+/g).map(Number);
		const luminance = (text) => {
			const [r, g, b] = rgb(text).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const behind = (element) => {
			for (; element; element = element.parentElement) {
				const colour = getComputedStyle(element).backgroundColor;
				if (rgb(colour)[3] !== 0) { return colour; }
			}
			return "rgb(255, 255, 255)";
		};
		return Array.from(document.querySelectorAll("body *")).filter((e) => e.checkVisibility()
			&& Array.from(e.childNodes).some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())).map((e) => {
			const [a, b] = [luminance(getComputedStyle(e).color), luminance(behind(e))];
			return {text: e.textContent, ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)};
		}).filter((e) => e.ratio < 4.5).map((e) => e.ratio.toFixed(2) + " " + e.text);
	})()`
	openAll = `document.querySelectorAll("details").forEach((d) => { d.open = true; })`
)

var _ = Describe("The page of an audit", func() {
	It("filters by namespace and by host", func(ctx SpecContext) {
		t := browse(ctx)
		t.do(chromedp.Navigate(audit(ctx, sample())))
		all := value[[]string](t, shownIngresses)
		Expect(all).To(ContainElements("blog/posts", "payments/api", "shop/basket"))
		Expect(value[[]string](t, shownHosts)).To(HaveLen(11))

		t.do(chromedp.SetValue(chromedp.CSS("#namespace"), "payments"), chromedp.Evaluate[chromedp.Void](`document.getElementById("namespace").dispatchEvent(new Event("change"))`))
		Expect(value[[]string](t, shownIngresses)).To(HaveEach(HavePrefix("payments/")))
		Expect(value[[]string](t, shownHosts)).To(Equal([]string{"api.payments.example.com", "api.payments.example.com", "*"}))
		Expect(value[[]string](t, `Array.from(document.querySelectorAll("h3")).filter(e => e.checkVisibility()).map(e => e.textContent)`)).
			To(Equal([]string{"Would be denied", "Accepted with warnings"}), "a heading stands over nothing")

		t.do(chromedp.Click(chromedp.CSS("#reset")), chromedp.SendKeys(chromedp.CSS("#host"), "SHOP.example"))
		Eventually(func() []string { return value[[]string](t, shownIngresses) }).WithTimeout(patience).Should(ConsistOf("shop/basket"))
		Expect(value[[]string](t, shownHosts)).To(HaveEach(HaveSuffix("shop.example.com")))
		Expect(value[string](t, `document.getElementById("shown").textContent`)).To(Equal(fmt.Sprintf("1 of %d Ingresses with findings, 5 of 11 paths shown", len(all))))
		t.look("filtered")

		t.do(chromedp.Click(chromedp.CSS("#reset")))
		Expect(value[[]string](t, shownIngresses)).To(Equal(all))
		Expect(value[[]string](t, shownHosts)).To(HaveLen(11))
	})

	It("opens a finding, which tells the cause and the fix", func(ctx SpecContext) {
		t := browse(ctx)
		t.do(chromedp.Navigate(audit(ctx, sample())))
		const fix = `Array.from(document.querySelectorAll("article")).find(e => e.querySelector("h4").textContent === "shop/basket").querySelector("details dl")`
		Expect(value[bool](t, fix+`.checkVisibility()`)).To(BeFalse())
		t.do(chromedp.Click(`//article[h4[.="shop/basket"]]//summary`))
		Expect(value[bool](t, fix+`.checkVisibility()`)).To(BeTrue())
		Expect(value[string](t, fix+`.innerText`)).To(And(
			ContainSubstring("spec.rules[0].http.paths[0].backend.service.port"), ContainSubstring("every request for that path gets 503"),
			ContainSubstring("Name one of the Service's ports")))
		Expect(value[string](t, fix+`.querySelector("a").href`)).To(HaveSuffix("/docs/checks/port-missing.md"))

		t.do(chromedp.Click(chromedp.CSS("#open")))
		Expect(value[int](t, `document.querySelectorAll("details:not([open])").length`)).To(BeZero())
		t.do(chromedp.Click(chromedp.CSS("#open")))
		Expect(value[int](t, `document.querySelectorAll("details[open]").length`)).To(BeZero())
	})

	It("follows a link to what the filter hides", func(ctx SpecContext) {
		t := browse(ctx)
		t.do(chromedp.Navigate(audit(ctx, sample())), chromedp.SendKeys(chromedp.CSS("#host"), "blog.example"), chromedp.WaitNotVisible(chromedp.CSS("#deny")), chromedp.Click(chromedp.CSS(`a[href="#deny"]`)))
		Eventually(func() bool { return value[bool](t, `document.getElementById("deny").checkVisibility()`) }).WithTimeout(patience).Should(BeTrue())
		Expect(value[string](t, `document.getElementById("host").value`)).To(BeEmpty())
	})

	It("can be read without script", func(ctx SpecContext) {
		t := browse(ctx)
		send(t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		t.do(chromedp.Navigate(audit(ctx, sample())))
		Expect(value[bool](t, `document.getElementById("filter").checkVisibility()`)).To(BeFalse())
		Expect(value[[]string](t, shownIngresses)).To(ContainElements("blog/posts", "payments/api", "shop/basket"))
		Expect(value[[]string](t, shownHosts)).To(HaveLen(11))
		t.do(chromedp.Click(`//article[h4[.="shop/basket"]]//summary`))
		Expect(value[bool](t, `document.querySelector("details[open] dl").checkVisibility()`)).To(BeTrue())
		t.look("without-script")
	})

	It("is printed with all that is closed on the screen, and without the filter", func(ctx SpecContext) {
		t := browse(ctx)
		t.do(chromedp.Navigate(audit(ctx, sample())))
		const hidden = `Array.from(document.querySelectorAll("article dl, article li")).filter(e => !e.checkVisibility({contentVisibilityAuto: true})).length`
		Expect(value[int](t, hidden)).NotTo(BeZero())
		send(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		Eventually(func() int { return value[int](t, hidden) }).WithTimeout(patience).Should(BeZero())
		Expect(value[bool](t, `document.getElementById("filter").checkVisibility()`)).To(BeFalse())
		t.look("print")
	})

	DescribeTable("looks right", func(ctx SpecContext, width int, scheme string) {
		t := browse(ctx)
		send(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		t.do(chromedp.EmulateViewport(int64(width), 900), chromedp.Navigate(audit(ctx, sample())))
		Expect(value[int](t, `document.documentElement.scrollWidth`)).To(BeNumerically("<=", width), "the page is wider than the window")
		t.look(fmt.Sprintf("%d-%s", width, scheme))
		t.do(chromedp.Evaluate[chromedp.Void](openAll))
		Expect(value[int](t, `document.documentElement.scrollWidth`)).To(BeNumerically("<=", width), "the page is wider than the window")
		Expect(value[[]string](t, faint)).To(BeEmpty(), "text that is hard to read")
		t.look(fmt.Sprintf("%d-%s-open", width, scheme))
	},
		Entry("on a desk, by day", 1280, "light"), Entry("on a desk, by night", 1280, "dark"),
		Entry("on a phone, by day", 390, "light"), Entry("on a phone, by night", 390, "dark"))

	It("tells its parts to those who do not see it", func(ctx SpecContext) {
		t := browse(ctx)
		t.do(chromedp.Navigate(audit(ctx, sample())))
		found := map[string][]string{}
		for _, node := range send(t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
			if node.Ignored || node.Role == nil || node.Name == nil {
				continue
			}
			role := strings.Trim(string(node.Role.Value), `"`)
			found[role] = append(found[role], strings.Trim(string(node.Name.Value), `"`))
		}
		Expect(found["combobox"]).To(Equal([]string{"Namespace"}))
		Expect(found["searchbox"]).To(Equal([]string{"Host"}))
		Expect(found["button"]).To(ContainElements("Show all", "Open findings"))
		Expect(found["columnheader"]).To(Equal([]string{"Host", "Path", "Type", "Ingress", "Backend", "Ready", "TLS Secret", "Verdict"}))
		Expect(found["rowheader"]).To(HaveLen(11))
		Expect(found["region"]).To(ContainElements("Summary", "Findings", "Routes"))
	})

	It("opens with 10 000 Ingresses", func(ctx SpecContext) {
		const namespaces, each = 100, 100
		static := cluster.NewStatic()
		static.Now = now
		Expect(static.Apply(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}})).To(Succeed())
		for i := range namespaces {
			namespace := fmt.Sprintf("team-%03d", i)
			Expect(static.Apply(&corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
				Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
			})).To(Succeed())
			for k := range each {
				Expect(static.Apply(ingress(namespace, fmt.Sprintf("web-%03d", k)))).To(Succeed())
			}
		}
		page := audit(ctx, static)
		info, err := os.Stat(strings.TrimPrefix(page, "file://"))
		Expect(err).NotTo(HaveOccurred())
		t := browse(ctx)
		begin := time.Now()
		t.do(chromedp.Navigate(page))
		opened := time.Since(begin)
		Expect(value[int](t, `document.querySelectorAll("article").length`)).To(Equal(namespaces * each))
		begin = time.Now()
		t.do(chromedp.SendKeys(chromedp.CSS("#host"), "web-042.team-0"))
		Eventually(func() int { return len(value[[]string](t, shownIngresses)) }).WithTimeout(patience).Should(Equal(namespaces))
		AddReportEntry("size and times", fmt.Sprintf("%d bytes, open after %v, filtered after %v", info.Size(), opened, time.Since(begin)))
	}, NodeTimeout(5*time.Minute))
})

// ingress is one with a port that its Service does not have.
func ingress(namespace, name string) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Time{Time: now}},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{
				Host: name + "." + namespace + ".example.com",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 81}}},
				}}}},
			}},
		},
	}
}
