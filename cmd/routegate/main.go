// SPDX-License-Identifier: Apache-2.0

// Command routegate refuses Ingresses that cannot route, and says why.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of the command.
const (
	exitOK    = 0
	exitError = 2 // the command could not do its work
)

func main() {
	os.Exit(run())
}

func run() int {
	root := &cobra.Command{
		Use:           "routegate",
		Short:         "Refuse Kubernetes Ingresses that cannot route, and say why",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(explainCommand(), serveCommand(), versionCommand())

	// The first signal asks for an orderly end; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()

	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "routegate:", err)
		return exitError
	}
	return exitOK
}
