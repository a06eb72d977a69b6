// SPDX-License-Identifier: Apache-2.0

// Package reverse_test deletes and changes what Ingresses use, with kubectl in a real
// kube-apiserver that asks routegate as the chart tells it to, and reads the warnings.
package reverse_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/e2e/stack"
)

func TestReverse(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Reverse checks", suite, reporter)
}

const (
	// patience is how long the parts may take to start or to catch up.
	patience = time.Minute
	// hookName is the webhook under test, and its configuration's name.
	hookName = "dependencies.routegate.dev"
)

// What all specs share.
var (
	controlPlane *stack.ControlPlane
	gate         *stack.Routegate
	dir          string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	dir = GinkgoT().TempDir()
	controlPlane, err = stack.StartControlPlane(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controlPlane.Stop)
	binary, err := stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	gate, err = stack.StartRoutegate(ctx, stack.RoutegateOptions{
		Binary: binary, Kubeconfig: controlPlane.Kubeconfig, Dir: dir, Args: []string{"--verbosity=1", "--read-pods"},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return gate.Stop() })

	install(ctx)
	apply(ctx, "../../webhook/testdata/dependencies/service-deleted")
	Eventually(func() string {
		_, warnings := kubectl(ctx, "", "delete", "service", "web", "--namespace=prod", "--dry-run=server")
		return warnings
	}).WithTimeout(patience).ShouldNot(BeEmpty(), "the API server does not ask routegate")
}, NodeTimeout(5*time.Minute))

// install registers the webhook of the chart, at the address of the process.
func install(ctx SpecContext) {
	GinkgoHelper()
	tools := os.Getenv("CHART_TOOLS")
	Expect(tools).NotTo(BeEmpty(), "CHART_TOOLS is not set; run make test, which builds Helm")
	rendered, _ := run(ctx, "", filepath.Join(tools, "helm"), "template", "routegate", "../../charts/routegate",
		"--namespace=guard", "--show-only=templates/webhook.yaml")
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	Expect(yaml.UnmarshalStrict([]byte(rendered), config)).To(Succeed())
	for _, hook := range config.Webhooks {
		if hook.Name == hookName {
			url := strings.TrimSuffix(gate.URL, "/validate-ingress") + *hook.ClientConfig.Service.Path
			hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: gate.CABundle}
			config.ObjectMeta = metav1.ObjectMeta{Name: hookName}
			config.Webhooks = []admissionregistrationv1.ValidatingWebhook{hook}
		}
	}
	Expect(config.Name).To(Equal(hookName), "the chart has no such webhook")
	_, err := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// run runs a program, which must succeed, and returns what it writes to its two
// streams.
func run(ctx SpecContext, input, path string, args ...string) (stdout, stderr string) {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+controlPlane.Kubeconfig, "HOME="+dir,
		"HELM_CACHE_HOME="+filepath.Join(dir, "helm"), "HELM_CONFIG_HOME="+filepath.Join(dir, "helm"), "HELM_DATA_HOME="+filepath.Join(dir, "helm"))
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	Expect(cmd.Run()).To(Succeed(), "%s %s\n%s%s", path, strings.Join(args, " "), out.String(), errs.String())
	return out.String(), errs.String()
}

// kubectl returns its output, and the warnings of the API server, one a line.
func kubectl(ctx SpecContext, input string, args ...string) (out, warnings string) {
	GinkgoHelper()
	out, errs := run(ctx, input, controlPlane.Kubectl, args...)
	for line := range strings.Lines(errs) {
		if warning, ok := strings.CutPrefix(line, "Warning: "); ok && !strings.Contains(line, "last-applied-configuration") {
			warnings += warning
		}
	}
	return out, warnings
}

// apply makes the cluster that of a fixture of the webhook's own tests and waits until
// the gate knows it.
func apply(ctx SpecContext, folder string) {
	GinkgoHelper()
	clean(ctx)
	for _, name := range []string{"cluster.yaml", "old.yaml"} {
		kubectl(ctx, "", "apply", "--filename="+filepath.Join(folder, name))
	}
	catchUp(ctx)
}

// clean removes everything that a fixture made but the namespaces, which nobody would
// remove.
func clean(ctx SpecContext) {
	GinkgoHelper()
	for _, namespace := range []string{"prod", "test"} {
		kubectl(ctx, "", "delete", "ingresses,services,endpointslices,secrets,pods", "--all", "--namespace="+namespace, "--force")
	}
	kubectl(ctx, "", "delete", "ingressclasses", "--all")
	catchUp(ctx)
}

func catchUp(ctx SpecContext) {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(stack.CatchUp(soon, controlPlane.Client, gate.MetricsURL, "Ingress", "IngressClass", "Service", "EndpointSlice", "Secret", "Namespace")).To(Succeed())
}

// sent is how many requests about a kind, or about all of them when empty, the API
// server has sent, of which came the outcome, or anything when empty.
func sent(ctx SpecContext, kind, outcome string) float64 {
	GinkgoHelper()
	values, err := stack.Metrics(ctx, gate.MetricsURL)
	Expect(err).NotTo(HaveOccurred())
	total := 0.0
	for series, value := range values {
		if strings.HasPrefix(series, "routegate_reverse_requests_total{") && strings.Contains(series, `kind="`+kind) &&
			strings.Contains(series, `outcome="`+outcome) {
			total += value
		}
	}
	return total
}
