// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/routegate/routegate/internal/settings"
)

func snapshotCommand(source *sourceOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save what checks need of a cluster, to judge manifests against it elsewhere",
		Long: `Write to standard output what checks need of the cluster of the kubeconfig file, for
the flag --snapshot of check, trace and routes: Ingresses, IngressClasses, Services,
EndpointSlices, Namespaces, the ConfigMaps that annotations of Ingresses name, and
facts about Secrets: their names, the names of their entries, and the names and dates
of their certificates. No value of a Secret is in it.

What you have no right to read is left out and named on standard error, and the file
says so, so that nothing is concluded of it.`,
		Example: `  routegate snapshot > cluster.json
  routegate check -f deploy/ --snapshot cluster.json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	source.config.AddFlags(cmd.Flags())
	cmd.Flags().StringSliceVar(&source.controllers, "controller-deployment", nil, controllerUsage)
	_ = cmd.RegisterFlagCompletionFunc("controller-deployment", cobra.NoFileCompletions)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		workloads, err := settings.ParseWorkloads(source.controllers)
		if err != nil {
			return fmt.Errorf("--controller-deployment %w", err)
		}
		static, err := source.loadLive(cmd.Context(), &world{}, workloads)
		if err != nil {
			return err
		}
		for _, err := range static.Unknown {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "The settings of a controller are not in the snapshot: %v\n", err)
		}
		for _, unread := range static.Unread() {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), unreadText(unread))
		}
		return static.WriteFile(cmd.OutOrStdout())
	}
	return cmd
}
