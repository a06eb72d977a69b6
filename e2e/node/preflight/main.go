// SPDX-License-Identifier: Apache-2.0

// Command preflight says why this machine cannot become a cluster, one line for
// each requirement that it does not meet. It writes nothing when it can. It
// installs the Debian packages that a node needs. The argument is the path of a
// static build of e2e/node/pause.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/routegate/routegate/e2e/node/machine"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "preflight: %d arguments; there must be one, the path of a static build of e2e/node/pause\n", len(os.Args)-1)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, reason := range machine.Unfit(ctx, os.Args[1]) {
		fmt.Println(reason)
	}
}
