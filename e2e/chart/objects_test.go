// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"encoding/json"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// crds are Go modules with the CustomResourceDefinitions that the chart's objects
// need, and where they have them. A later module of the Prometheus operator cannot
// be had whole.
var crds = []struct{ module, files string }{
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/cert-manager.io_*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_[ps]*mon*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/*_prometheusrules.yaml"},
}

// installCRDs makes those that are not there.
func installCRDs(ctx SpecContext) {
	GinkgoHelper()
	for _, c := range crds {
		var module struct{ Dir string }
		// Outside this module, whose go.mod knows nothing of them.
		out := mustRun(ctx, "", "go", "-C", dir, "mod", "download", "-json", c.module)
		Expect(json.Unmarshal([]byte(out), &module)).To(Succeed(), out)
		files, err := filepath.Glob(filepath.Join(module.Dir, c.files))
		Expect(err).NotTo(HaveOccurred())
		Expect(files).NotTo(BeEmpty())
		for _, file := range files {
			kubectl(ctx, "", "apply", "--server-side", "-f", file)
			kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "-f", file)
		}
	}
}

var _ = Describe("What the chart renders", Ordered, func() {
	BeforeAll(installCRDs)

	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		panic("there are no values files")
	}
	for _, file := range files {
		It("is taken by the API server: "+filepath.Base(file), func(ctx SpecContext) {
			objects := helm(ctx, "template", release, chart, "--values", file)
			out := kubectl(ctx, objects, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			Expect(out).NotTo(ContainSubstring("Warning"))
			Expect(out).To(ContainSubstring("validatingwebhookconfiguration.admissionregistration.k8s.io/routegate created"))
		})
	}

	It("is taken under the longest name that Helm allows, with dots", func(ctx SpecContext) {
		objects := helm(ctx, "template", strings.Repeat("a", 40)+".b."+strings.Repeat("c", 10), chart)
		kubectl(ctx, objects, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	})

	It("passes the restricted Pod Security level", func(ctx SpecContext) {
		// The API server warns of a Deployment whose Pods would be refused.
		kubectl(ctx, "", "label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
		DeferCleanup(func(ctx SpecContext) {
			kubectl(ctx, "", "label", "namespace", namespace, "pod-security.kubernetes.io/warn-")
		})
		objects := helm(ctx, "template", release, chart)
		Expect(kubectl(ctx, objects, "apply", "--dry-run=server", "-f", "-")).NotTo(ContainSubstring("would violate PodSecurity"))
		objects = helm(ctx, "template", release, chart, "--set", "securityContext.allowPrivilegeEscalation=true")
		Expect(kubectl(ctx, objects, "apply", "--dry-run=server", "-f", "-")).To(ContainSubstring("would violate PodSecurity"))
	})
})
