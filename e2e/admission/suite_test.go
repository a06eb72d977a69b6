// SPDX-License-Identifier: Apache-2.0

// Package admission_test asks a real kube-apiserver, with routegate as a process
// of its own in front of it, what becomes of Ingresses.
package admission_test

import (
	"context"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/routing"
)

func TestAdmission(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Admission by a real API server", suite, reporter)
}

// patience is how long the parts may take to start or to catch up.
const patience = time.Minute

// What all specs share. Each spec has a namespace of its own; only
// IngressClasses are common to all.
var (
	controlPlane *stack.ControlPlane
	// binary is the routegate program, and dir the folder for kubeconfig files and
	// logs.
	binary, dir string
	// standard is a routegate with default flags.
	standard *gate
)

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	dir = GinkgoT().TempDir()
	controlPlane, err = stack.StartControlPlane(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controlPlane.Stop)
	binary, err = stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())

	for name, controller := range map[string]string{"nginx": "k8s.io/ingress-nginx", "other": "example.com/other"} {
		_, err = controlPlane.Client.NetworkingV1().IngressClasses().Create(ctx, ingressClass(name, controller), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	standard = startGate(ctx, "standard", gateOptions{})
}, NodeTimeout(5*time.Minute))

// gate is a running routegate, which the API server asks about the Ingresses of
// some namespaces.
type gate struct {
	*stack.Routegate
	// name is the value of the label gate of those namespaces.
	name string
	// blind are the kinds that it cannot read.
	blind []routing.Kind
}

// gateOptions are what is not as usual.
type gateOptions struct {
	args       []string
	kubeconfig string
	drainTime  time.Duration
	webhook    stack.Webhook
	blind      []routing.Kind
}

// startGate starts a routegate that is stopped when the spec or container ends.
func startGate(ctx SpecContext, name string, o gateOptions) *gate {
	GinkgoHelper()
	if o.kubeconfig == "" {
		o.kubeconfig = controlPlane.Kubeconfig
	}
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	process, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
		Binary: binary, Kubeconfig: o.kubeconfig, Dir: dir, Name: name, DrainTime: o.drainTime,
		// For the report of a spec that fails.
		Args: append([]string{"--verbosity=1"}, o.args...),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(process.Stop)
	g := &gate{Routegate: process, name: name, blind: o.blind}

	o.webhook.Name = "routegate-" + name
	o.webhook.NamespaceLabels = map[string]string{"gate": name}
	Expect(o.webhook.Install(ctx, controlPlane.Client, process)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) error {
		return controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, o.webhook.Name, metav1.DeleteOptions{})
	})
	Expect(stack.Wait(soon, controlPlane.Config, newSandbox(ctx, g).ns)).To(Succeed())
	return g
}

// metrics are the current values of the gate's metrics.
func (g *gate) metrics(ctx SpecContext) map[string]float64 {
	GinkgoHelper()
	values, err := stack.Metrics(ctx, g.MetricsURL)
	Expect(err).NotTo(HaveOccurred())
	return values
}

// catchUp waits until the gate's cache holds everything that was created.
func (g *gate) catchUp(ctx SpecContext) {
	GinkgoHelper()
	var kinds []string
	for _, kind := range routing.Kinds() {
		if !slices.Contains(g.blind, kind) {
			kinds = append(kinds, string(kind))
		}
	}
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(stack.CatchUp(soon, controlPlane.Client, g.MetricsURL, kinds...)).To(Succeed())
}
