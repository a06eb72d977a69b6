// SPDX-License-Identifier: Apache-2.0

// Package chart_test installs the Helm chart in a real API server without nodes,
// and runs routegate with the rights that the chart gives it.
package chart_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/dynamic"

	"github.com/routegate/routegate/e2e/stack"
)

func TestChart(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Chart", suite, reporter)
}

const (
	chart = "../../charts/routegate"
	// release and namespace are those of every release in this suite.
	release, namespace = "routegate", "guard"
	// patience is how long the parts may take to start or to recover.
	patience = 90 * time.Second
)

// What all specs share.
var (
	controlPlane *stack.ControlPlane
	dynamicAPI   dynamic.Interface
	// program is routegate, and dir the folder for kubeconfig files and logs.
	program, dir string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	dir = GinkgoT().TempDir()
	program, err = stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	controlPlane, err = stack.StartControlPlane(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controlPlane.Stop)
	dynamicAPI, err = dynamic.NewForConfig(controlPlane.Config)
	Expect(err).NotTo(HaveOccurred())
	kubectl(ctx, "", "create", "namespace", namespace)
}, NodeTimeout(5*time.Minute))

// run runs a program and returns its output and exit code.
func run(ctx SpecContext, input, path string, args ...string) (string, int) {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+controlPlane.Kubeconfig, "HOME="+dir,
		"HELM_CACHE_HOME="+filepath.Join(dir, "helm"), "HELM_CONFIG_HOME="+filepath.Join(dir, "helm"), "HELM_DATA_HOME="+filepath.Join(dir, "helm"))
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), exit.ExitCode()
	}
	Expect(err).NotTo(HaveOccurred())
	return out.String(), 0
}

func mustRun(ctx SpecContext, input, path string, args ...string) string {
	GinkgoHelper()
	out, code := run(ctx, input, path, args...)
	Expect(code).To(BeZero(), "%s %s\n%s", path, strings.Join(args, " "), out)
	return out
}

func kubectl(ctx SpecContext, input string, args ...string) string {
	GinkgoHelper()
	return mustRun(ctx, input, controlPlane.Kubectl, args...)
}

func helmPath() string {
	GinkgoHelper()
	tools := os.Getenv("CHART_TOOLS")
	Expect(tools).NotTo(BeEmpty(), "CHART_TOOLS is not set; run make chart-test, which builds Helm")
	return filepath.Join(tools, "helm")
}

func helm(ctx SpecContext, args ...string) string {
	GinkgoHelper()
	return mustRun(ctx, "", helmPath(), append(args, "--namespace", namespace)...)
}

// install installs the release for one spec.
func install(ctx SpecContext, args ...string) {
	GinkgoHelper()
	helm(ctx, append([]string{"install", release, chart}, args...)...)
	DeferCleanup(func(ctx SpecContext) { helm(ctx, "uninstall", release, "--ignore-not-found") })
}
