// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package node_test installs the chart into a real cluster and uses it as users
// do: with Helm and kubectl.
//
// Where KUBECONFIG is set, that cluster is used; it must have the image that
// E2E_IMAGE names (localhost/routegate:e2e when unset). Otherwise this machine
// becomes a cluster for the time of the suite. "make e2e" builds what it needs.
package node_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/routegate/routegate/e2e/node/machine"
)

func TestNode(t *testing.T) {
	RegisterFailHandler(Fail)
	// Each look is a run of kubectl.
	SetDefaultEventuallyPollingInterval(500 * time.Millisecond)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves a cluster behind.
	suite.Timeout = 40 * time.Minute
	RunSpecs(t, "The chart on a real node", suite, reporter)
}

const (
	// patience is how long the parts may take to start or to catch up.
	patience = 2 * time.Minute
	// release is the name of the release and of what it makes, and home its
	// namespace.
	release, home = "routegate", "routegate-system"
)

var (
	// node is this machine as a cluster, or nil where KUBECONFIG names another.
	node *machine.Machine
	// config and client are an administrator's.
	config *rest.Config
	client kubernetes.Interface

	kubeconfig, kubectlPath, helmPath, chart, image, tag string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	root, err := filepath.Abs("../..")
	Expect(err).NotTo(HaveOccurred())
	helmPath = filepath.Join(os.Getenv("CHART_TOOLS"), "helm")
	chart = filepath.Join(root, "charts/routegate")
	image, tag = "localhost/routegate", "e2e"
	if other := os.Getenv("E2E_IMAGE"); other != "" {
		colon := strings.LastIndex(other, ":")
		Expect(colon).To(BeNumerically(">", 0), "E2E_IMAGE %q must be NAME:TAG", other)
		image, tag = other[:colon], other[colon+1:]
	}

	if kubeconfig = os.Getenv("KUBECONFIG"); kubeconfig != "" {
		kubectlPath = "kubectl"
	} else {
		node, err = machine.Start(ctx, machine.Options{
			Assets: os.Getenv("KUBEBUILDER_ASSETS"),
			Pause:  filepath.Join(root, "bin/e2e/pause"),
			Logs:   filepath.Join(root, "bin/e2e/logs"),
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) {
			Expect(node.Stop(ctx)).To(Succeed())
			// The kernel ends the namespaces of the Pods, and what is in them, in its own time.
			Eventually(node.Left).WithContext(ctx).WithTimeout(patience).Should(BeEmpty(), "the run must leave nothing behind")
		}, NodeTimeout(2*patience))
		Expect(node.Import(ctx, filepath.Join(root, "bin/e2e/image/routegate.tar"), image)).To(Succeed())
		kubeconfig, kubectlPath = node.Kubeconfig, node.Kubectl
	}
	config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	client, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())

	apply(ctx, class)
}, NodeTimeout(10*time.Minute))

// onNode skips what can be done only to this machine.
func onNode() {
	GinkgoHelper()
	if node == nil {
		Skip("needs the node itself, and KUBECONFIG names another cluster")
	}
}

// command runs a program as a user would and returns everything it wrote.
func command(ctx context.Context, stdin, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := out.String()
	fmt.Fprintf(GinkgoWriter, "$ %s %s\n%s", filepath.Base(path), strings.Join(args, " "), text)
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, text)
	}
	return text, err
}

// kubectl must succeed.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := command(ctx, "", kubectlPath, args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// apply applies manifests, which must be taken.
func apply(ctx context.Context, manifests ...string) string {
	GinkgoHelper()
	out, err := tryApply(ctx, manifests...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

func tryApply(ctx context.Context, manifests ...string) (string, error) {
	return command(ctx, strings.Join(manifests, "---\n"), kubectlPath, "apply", "-f", "-")
}

// helm must succeed.
func helm(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := command(ctx, "", helmPath, args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// install installs the release into a namespace that enforces the restricted
// Pod Security Standard, and removes both when the container or spec ends.
func install(ctx context.Context, values ...string) {
	GinkgoHelper()
	installChart(ctx, chart, values...)
}

// installChart does the same with another chart than that of this commit.
func installChart(ctx context.Context, chart string, values ...string) {
	GinkgoHelper()
	apply(ctx, namespace(home, "pod-security.kubernetes.io/enforce: restricted"))
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			explain(ctx)
		}
		_, err := command(ctx, "", helmPath, "uninstall", release, "-n", home, "--wait", "--ignore-not-found")
		Expect(err).NotTo(HaveOccurred())
		kubectl(ctx, "delete", "namespace", home, "--ignore-not-found")
	}, NodeTimeout(patience))
	helm(ctx, append([]string{"install", release, chart, "-n", home, "--wait", "--timeout", patience.String()}, chartValues(values)...)...)
}

// upgrade gives the release this commit's chart and these values, and no others.
func upgrade(ctx context.Context, values ...string) {
	GinkgoHelper()
	helm(ctx, append([]string{"upgrade", release, chart, "-n", home, "--wait", "--timeout", patience.String()}, chartValues(values)...)...)
}

// chartValues are the options of helm for the image under test and more values.
func chartValues(values []string) []string {
	args := []string{"--set", "image.repository=" + image, "--set", "image.tag=" + tag}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// explain writes down what there is to see of the release.
func explain(ctx context.Context) {
	for _, args := range [][]string{
		{"get", "all,events", "-n", home},
		{"describe", "pods", "-n", home},
		{"logs", "-n", home, "-l", "app.kubernetes.io/name=routegate", "--all-pods=true", "--tail=50"},
		{"get", "validatingwebhookconfiguration", release, "-o", "yaml"},
	} {
		_, _ = command(ctx, "", kubectlPath, args...)
	}
}

// shop makes a namespace with a Service that has an endpoint, and removes it
// when the spec or container ends.
func shop(ctx context.Context, name string, labels ...string) {
	GinkgoHelper()
	apply(ctx, namespace(name, labels...), service(name, "web"), endpoints(name, "web"))
	DeferCleanup(func(ctx SpecContext) {
		kubectl(ctx, "delete", "namespace", name, "--ignore-not-found", "--wait=false")
	}, NodeTimeout(patience))
}

// awaitAsked returns when the API server asks Routegate about Ingresses of the
// namespace.
func awaitAsked(ctx context.Context, ns string) {
	GinkgoHelper()
	Eventually(func() string {
		out, _ := command(ctx, ingress(ns, "probe", "probe.example.com", "no-such-service"), kubectlPath, "create", "--dry-run=server", "-f", "-")
		return out
	}).WithContext(ctx).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(ContainSubstring("(service-missing)"))
}
