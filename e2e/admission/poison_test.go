// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
)

// forEverybody are the ends of messages about a poison: that the controller stops
// or crashes, for everybody.
var forEverybody = []string{
	": ingress-nginx stops applying any change, for everybody",
	": if it does not, ingress-nginx stops applying any change, for everybody",
	": ingress-nginx crashes again and again, for everybody",
	": the whole controller crashes and nobody's Ingresses are served",
}

// onlyWarn are the Poison checks that deny nothing: what ciphers and variables there
// are is not known for certain.
var onlyWarn = []string{"ssl-ciphers-no-match", "unknown-nginx-variable"}

// untold are the Poison checks whose fixtures are no matter of
// config-frozen-by-other: it sees no EndpointSlices, and says nothing of a canary that
// is alone at a host.
var untold = []string{"canary-rule-without-http", "slice-port-nil"}

// poison is a bad fixture of a Poison check.
type poison struct {
	// spaces has a namespace for each of the fixture.
	spaces map[string]*sandbox
	// ingress is the one under test.
	ingress *networkingv1.Ingress
	// edited is true where it is older than another, so that it must be there, without
	// its fault, before it is judged.
	edited bool
	// objects are what else there is, and ingresses the other Ingresses, oldest first.
	objects   []runtime.Object
	ingresses []*networkingv1.Ingress
	// certain are the messages that deny, tentative those that warn.
	certain, tentative []string
}

// readPoison reads a fixture. Its namespaces opt out, and keep the order of their
// names, by which messages are sorted.
func readPoison(ctx SpecContext, file string) *poison {
	GinkgoHelper()
	data, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	objs, err := cluster.Decode(bytes.NewReader(data))
	Expect(err).NotTo(HaveOccurred())

	app, other := optedOut(ctx, standard), optedOut(ctx, standard)
	if app.ns > other.ns {
		app, other = other, app
	}
	p := &poison{spaces: map[string]*sandbox{"app": app, "other": other}}
	names := strings.NewReplacer(`"app/`, `"`+app.ns+`/`, `"other/`, `"`+other.ns+`/`)
	for line := range strings.Lines(string(data)) {
		want, ok := strings.CutPrefix(line, "# want ")
		if !ok {
			continue
		}
		want = names.Replace(strings.TrimSpace(want))
		if text, tentative := strings.CutSuffix(want, " [tentative]"); tentative {
			p.tentative = append(p.tentative, text)
		} else {
			p.certain = append(p.certain, want)
		}
	}
	for i, obj := range objs {
		switch o := obj.(type) {
		case *networkingv1.IngressClass:
			Expect([]string{o.Name, o.Spec.Controller}).To(Equal([]string{"nginx", "k8s.io/ingress-nginx"}), "the suite has this class")
			continue
		case *networkingv1.Ingress:
			if i == 0 {
				p.ingress, p.edited = o, !o.CreationTimestamp.IsZero()
			} else {
				p.ingresses = append(p.ingresses, o)
			}
		default:
			p.objects = append(p.objects, obj)
		}
		meta := obj.(metav1.Object)
		Expect(p.spaces).To(HaveKey(meta.GetNamespace()))
		meta.SetNamespace(p.spaces[meta.GetNamespace()].ns)
	}
	slices.SortStableFunc(p.ingresses, func(a, b *networkingv1.Ingress) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return p
}

// in is the namespace of an object of the fixture.
func (p *poison) in(obj metav1.Object) *sandbox {
	for _, s := range p.spaces {
		if s.ns == obj.GetNamespace() {
			return s
		}
	}
	return nil
}

// surround makes what is around the Ingress. Where the fixture has no Service, web is
// there, with an endpoint, so that nothing else is wrong.
func (p *poison) surround(ctx SpecContext) {
	GinkgoHelper()
	if len(p.objects) == 0 {
		for _, s := range p.spaces {
			Expect(s.add(ctx, service("web", 80))).To(Succeed())
			Expect(s.add(ctx, endpoint("web", 80, true))).To(Succeed())
		}
	}
	for _, obj := range p.objects {
		Expect(p.in(obj.(metav1.Object)).add(ctx, obj)).To(Succeed())
	}
	if p.edited {
		sound := p.ingress.DeepCopy()
		sound.Annotations = nil
		web := backend("web", 80)
		sound.Spec = networkingv1.IngressSpec{IngressClassName: p.ingress.Spec.IngressClassName, DefaultBackend: &web}
		p.ingresses = slices.Insert(p.ingresses, 0, sound)
	}
	for _, ing := range p.ingresses {
		Expect(p.write(ctx, ing)).To(BeEmpty(), "the namespace has opted out")
		nextSecond(ctx)
	}
}

// nextSecond waits, so that what is made next is younger: creation times are whole
// seconds.
func nextSecond(ctx context.Context) {
	select {
	case <-time.After(time.Until(time.Now().Truncate(time.Second).Add(time.Second))):
	case <-ctx.Done():
	}
}

// write creates an Ingress as it is, in a namespace that opts out, and returns the
// warnings.
func (p *poison) write(ctx SpecContext, ing *networkingv1.Ingress) []string {
	GinkgoHelper()
	warnings, err := p.ask(ctx, ing, false)
	Expect(err).NotTo(HaveOccurred())
	return warnings
}

// ask creates or updates an Ingress and returns the warnings.
func (p *poison) ask(ctx SpecContext, ing *networkingv1.Ingress, edited bool) ([]string, error) {
	s := p.in(ing)
	if edited {
		return s.edit(ctx, ing.Name, func(old *networkingv1.Ingress) {
			old.Annotations, old.Spec = ing.Annotations, ing.Spec
		})
	}
	s.said.Take()
	_, err := s.client.NetworkingV1().Ingresses(s.ns).Create(ctx, ing, metav1.CreateOptions{})
	return s.said.Take(), err
}

// remove takes the Ingress under test, or its fault, out of the cluster again.
func (p *poison) remove(ctx SpecContext) {
	GinkgoHelper()
	if p.edited {
		_, err := p.ask(ctx, p.ingresses[0], true)
		Expect(err).NotTo(HaveOccurred())
	} else {
		ingresses := p.in(p.ingress).client.NetworkingV1().Ingresses(p.ingress.Namespace)
		Expect(ingresses.Delete(ctx, p.ingress.Name, metav1.DeleteOptions{})).To(Succeed())
	}
	standard.catchUp(ctx)
}

// clear deletes all Ingresses of the namespaces: poison would be told of in all
// other specs.
func (p *poison) clear(ctx SpecContext) {
	GinkgoHelper()
	for _, s := range p.spaces {
		Expect(s.client.NetworkingV1().Ingresses(s.ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})).To(Succeed())
	}
	standard.catchUp(ctx)
}

var _ = Describe("An Ingress that stops the controller for everybody", func() {
	for _, check := range checks.All() {
		if !check.Poison {
			continue
		}
		files, err := filepath.Glob(filepath.Join("..", "..", "checks", "testdata", check.Name, "*.bad.yaml"))
		if err != nil {
			panic(err)
		}
		It("has fixtures: "+check.Name, func() { Expect(files).NotTo(BeEmpty()) })
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".bad.yaml")
			It(fmt.Sprintf("is refused, and others only hear of it: %s, %s", check.Name, name), func(ctx SpecContext) {
				p := readPoison(ctx, file)
				DeferCleanup(p.clear)
				p.surround(ctx)

				By("being stored where nobody asks, which the API server allows")
				warnings, err := p.ask(ctx, p.ingress, p.edited)
				Expect(err).NotTo(HaveOccurred())
				Expect(warnings).NotTo(ContainElement(ContainSubstring("(" + check.Name + ")")))
				standard.catchUp(ctx)
				expectBystander(ctx, p, len(p.certain) > 0 && !slices.Contains(untold, check.Name))

				By("being written where routegate is asked")
				p.remove(ctx)
				p.in(p.ingress).optIn(ctx)
				warnings, err = p.ask(ctx, p.ingress, p.edited)
				expectPoison(check.Name, p, warnings, err)
			})
		}
	}
})

// expectPoison expects the answer to the Ingress under test: a denial that says why
// for everybody's sake, and for nothing else.
func expectPoison(check string, p *poison, warnings []string, err error) {
	GinkgoHelper()
	denied, warned := p.certain, p.tentative
	if slices.Contains(onlyWarn, check) {
		denied, warned = nil, append(denied, warned...)
	}
	for _, text := range append(slices.Clone(denied), warned...) {
		Expect(slices.ContainsFunc(forEverybody, func(end string) bool { return strings.HasSuffix(text, "("+check+")"+end) })).To(
			BeTrue(), "must say what becomes of all others: %s", text)
	}
	for _, text := range warned {
		// Long ones are cut short, after the name of the check.
		field, _, _ := strings.Cut(text, ": ")
		Expect(warnings).To(ContainElement(And(HavePrefix(field+": "), ContainSubstring("("+check+")"))))
	}
	if len(denied) == 0 {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	status := statusOf(err)
	var said []string
	for _, cause := range status.Details.Causes {
		Expect(string(cause.Type)).To(Equal(check), cause.Message)
		said = append(said, cause.Message)
	}
	Expect(said).To(Equal(denied))
	for _, text := range denied {
		Expect(status.Message).To(ContainSubstring(text))
	}
}

// expectBystander expects that an Ingress without fault, of another namespace and
// host, is allowed while the poison stands, and where told with a warning.
func expectBystander(ctx SpecContext, p *poison, told bool) {
	GinkgoHelper()
	s := shop(ctx, standard, fault{})
	By("a bystander in " + s.ns)
	_, warnings, err := s.create(ctx, ingress("bystander"))
	Expect(err).NotTo(HaveOccurred())
	if !told {
		return
	}
	var culprits []string
	for _, ing := range append(slices.Clone(p.ingresses), p.ingress) {
		culprits = append(culprits, fmt.Sprintf(`metadata.name: ingress-nginx applies no change at present, because of Ingress "%s/%s" `+
			`(config-frozen-by-other): this one takes effect when that is mended`, ing.Namespace, ing.Name))
	}
	Expect(warnings).To(HaveLen(1))
	Expect(culprits).To(ContainElement(warnings[0]))
}
