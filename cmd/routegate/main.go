// SPDX-License-Identifier: Apache-2.0

// Command routegate refuses Ingresses that cannot route, and says why.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of the command.
const (
	exitOK      = 0
	exitDiffers = 1 // a comparison found a difference, a probe not what it expects, a file is not valid, or a check found what it is to fail for
	exitError   = 2 // the command could not do its work
)

func main() {
	os.Exit(run())
}

func run() int {
	root := rootCommand(os.Args[0])

	// The first signal asks for an orderly end; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()

	if err := root.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errFindings) {
			fmt.Fprintln(os.Stderr, "routegate:", err)
		}
		return exitCode(err)
	}
	return exitOK
}

// rootCommand is the command line of the program, which is started under that name: as a
// plugin of kubectl, it is called kubectl-routegate.
func rootCommand(program string) *cobra.Command {
	root := &cobra.Command{
		Use:           "routegate",
		Short:         "Refuse Kubernetes Ingresses that cannot route, and say why",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl routegate"}
	}
	root.AddCommand(
		auditCommand(newSourceOptions()), checkCommand(newSourceOptions()), explainCommand(), policyCommand(), probeCommand(), routesCommand(newSourceOptions()),
		serveCommand(), snapshotCommand(newSourceOptions()), traceCommand(newSourceOptions()), versionCommand(),
	)
	return root
}

// exitCode is the exit code of a command that ended with the error.
func exitCode(err error) int {
	if errors.Is(err, errDiffers) || errors.Is(err, errNotFound) || errors.Is(err, errInvalid) || errors.Is(err, errFindings) {
		return exitDiffers
	}
	return exitError
}
