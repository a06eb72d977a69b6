// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/internal/cluster"
)

// recordings is the folder of what ingress-nginx really did.
var recordings = filepath.Join("..", "testdata", "truth")

// onlyWarned is the recording of a freeze that is not prevented: which ciphers there
// are depends on how the controller was built.
const onlyWarned = "ann-ssl-ciphers-nonsense-tls"

// frozenRecordings names the recordings in which ingress-nginx applied nothing any
// more.
func frozenRecordings() []string {
	files, err := filepath.Glob(filepath.Join(recordings, "results", "*.json"))
	if err != nil {
		panic(err)
	}
	var names []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var result struct {
			Flags []string `json:"flags"`
		}
		if err := json.Unmarshal(data, &result); err != nil {
			panic(err)
		}
		if slices.Contains(result.Flags, "config-frozen") {
			names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
		}
	}
	return names
}

// recordedObjects are what a recording wrote, in its order.
func recordedObjects(name string) []runtime.Object {
	GinkgoHelper()
	data, err := os.ReadFile(filepath.Join(recordings, "scenarios", name+".yaml"))
	Expect(err).NotTo(HaveOccurred())
	var scenario struct {
		Objects []json.RawMessage `json:"objects"`
	}
	Expect(yaml.Unmarshal(data, &scenario)).To(Succeed())
	var objs []runtime.Object
	for _, raw := range scenario.Objects {
		obj, err := cluster.DecodeDocument(raw)
		Expect(err).NotTo(HaveOccurred())
		objs = append(objs, obj)
	}
	return objs
}

var _ = Describe("A recording in which ingress-nginx froze", func() {
	names := frozenRecordings()
	It("exists", func() { Expect(len(names)).To(BeNumerically(">", 10)) })
	for _, name := range names {
		It("would not have happened: "+name, func(ctx SpecContext) {
			p := &poison{spaces: map[string]*sandbox{"app": newSandbox(ctx, standard), "other": newSandbox(ctx, standard)}}
			DeferCleanup(p.clear)
			denials := 0
			written := map[string]bool{}
			for _, obj := range recordedObjects(name) {
				if _, ours := obj.(*networkingv1.IngressClass); ours {
					continue
				}
				meta := obj.(metav1.Object)
				meta.SetNamespace(p.spaces[meta.GetNamespace()].ns)
				ing, ok := obj.(*networkingv1.Ingress)
				if !ok {
					if svc, ok := obj.(*corev1.Service); ok && svc.Spec.ClusterIP != corev1.ClusterIPNone {
						// The same recorded address is in use elsewhere.
						svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "", nil
					}
					if err := p.in(meta).add(ctx, obj); !apierrors.IsAlreadyExists(err) {
						Expect(err).NotTo(HaveOccurred())
					}
					continue
				}
				standard.catchUp(ctx)
				key := ing.Namespace + "/" + ing.Name
				warnings, err := p.ask(ctx, ing, written[key])
				Expect(warnings).NotTo(ContainElement(ContainSubstring("(config-frozen-by-other)")))
				if err == nil {
					written[key] = true
					continue
				}
				denials++
				status := statusOf(err)
				Expect(slices.ContainsFunc(forEverybody, func(end string) bool { return strings.Contains(status.Message, end) })).To(
					BeTrue(), "must say what becomes of all others: %s", status.Message)
			}
			if name == onlyWarned {
				Expect(denials).To(BeZero())
			} else {
				Expect(denials).To(Equal(1))
			}
		})
	}
})
