// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/routegate/routegate/e2e/stack"
)

// startProxy starts a proxy that is stopped when the spec or container ends.
func startProxy(ctx SpecContext, name string) *stack.Proxy {
	GinkgoHelper()
	proxy, err := controlPlane.StartProxy(ctx, dir, name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(proxy.Stop)
	return proxy
}
