// SPDX-License-Identifier: Apache-2.0

// Package faults_test runs routegate as a process of its own against a real
// kube-apiserver, and makes what it relies on fail.
package faults_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
)

func TestFaults(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 15 * time.Minute
	RunSpecs(t, "Faults", suite, reporter)
}

// patience is how long the parts may take to start or to recover.
const patience = 90 * time.Second

// What all specs share. Each spec has a namespace and a routegate of its own.
var (
	controlPlane *stack.ControlPlane
	// program is routegate, and dir the folder for kubeconfig files and
	// logs.
	program, dir string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	dir = GinkgoT().TempDir()
	program, err = stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	controlPlane = startControlPlane(ctx, dir)
}, NodeTimeout(5*time.Minute))

// startControlPlane starts a control plane with the IngressClass nginx.
func startControlPlane(ctx SpecContext, dir string) *stack.ControlPlane {
	GinkgoHelper()
	cp, err := stack.StartControlPlane(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	addClass(ctx, cp)
	return cp
}

// addClass adds the IngressClass nginx.
func addClass(ctx SpecContext, cp *stack.ControlPlane) {
	GinkgoHelper()
	_, err := cp.Client.NetworkingV1().IngressClasses().Create(ctx, &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"},
		Spec:       networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}
