// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Where the suite runs, nothing is missing until it is taken away.
var _ = DescribeTable("The preflight", func(ctx SpecContext, without []string, want ...string) {
	onNode()
	command := append(without, "../../bin/e2e/preflight", "../../bin/e2e/pause")
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	Expect(err).NotTo(HaveOccurred())
	if len(want) == 0 {
		Expect(string(out)).To(BeEmpty())
	}
	for _, reason := range want {
		Expect(string(out)).To(ContainSubstring(reason))
	}
},
	Entry("says nothing where a node can be", NodeTimeout(patience), nil),
	Entry("says what fails in a container that is not privileged", NodeTimeout(patience),
		[]string{"setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"},
		"ip link add rge2e-try type bridge: ", "nft add table ip rge2e-try: ", "mount -t tmpfs rge2e-try ", "runc run: exit status 1: "),
)
