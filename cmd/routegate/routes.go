// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/routegate/routegate/internal/report"
)

// wide is the format of a table with more columns.
const wide = "wide"

type routesOptions struct {
	source *sourceOptions
	all    bool
	host   string
	output string
}

func routesCommand(source *sourceOptions) *cobra.Command {
	o := &routesOptions{source: source}
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Show the routing table of ingress-nginx",
		Long: `Show the paths that Ingresses declare, host by host, in the order in which nginx
tries them, with what a request to each path gets:

  ok                it reaches the path's own backend
  503, 404, 308 …   the controller answers itself
  shadowed by NAME  another path gets its requests
  canary            it gets a share of the requests of another Ingress
  dropped           the controller does not take the Ingress up
  not served        the Ingress has no class that anybody serves
  frozen            nginx refuses the configuration; the previous one keeps serving
  undecided         it depends on what was not read, or on what takes too long

The reasons are shown by -o wide. READY is how many endpoints get requests, of how
many there are; TLS is until when the certificate of the host is valid. An
asterisk stands for the rules without a host.

` + sourceHelp + `

Exit codes:
  0  the table was shown, whatever stands in it
  2  it could not be made: bad input or no access`,
		Example: `  # The paths of the current namespace
  routegate routes

  # All paths of one host, with reasons
  routegate routes -A --host shop.example.com -o wide

  # What would manifests that were not applied yet make of it?
  routegate routes -f manifests/ -R`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	source.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "show the Ingresses of all namespaces; manifests are shown in full without it")
	f.StringVar(&o.host, "host", "", "show the rules of this host only")
	f.StringVarP(&o.output, "output", "o", "", "format: wide, json or yaml")
	completeWith(cmd, "output", wide, report.JSON, report.YAML)
	_ = cmd.RegisterFlagCompletionFunc("host", cobra.NoFileCompletions)
	return cmd
}

func (o *routesOptions) run(cmd *cobra.Command) error {
	if !slices.Contains([]string{"", wide, report.JSON, report.YAML}, o.output) {
		return fmt.Errorf("--output %q: must be wide, json or yaml", o.output)
	}
	if o.all && *o.source.config.Namespace != "" {
		return errors.New("--all-namespaces and --namespace exclude each other")
	}
	w, err := o.source.load(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	installations, err := o.source.chosen(w)
	if err != nil {
		return err
	}
	filter := report.Filter{Host: o.host}
	if !o.all && (w.given || !w.manifests) {
		filter.Namespace = w.namespace
	}
	routes := report.NewRoutes(installations, w.snap, w.ingresses, filter)
	if o.host != "" && len(routes.Items) == 0 {
		return fmt.Errorf("--host %q: no Ingress has that host here", o.host)
	}
	if o.output == report.JSON || o.output == report.YAML {
		return report.Write(cmd.OutOrStdout(), o.output, routes)
	}
	if len(routes.Items) == 0 {
		where := "here"
		if filter.Namespace != "" {
			where = fmt.Sprintf("in the namespace %q", filter.Namespace)
		}
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "There is no Ingress %s\n", where)
	} else if err := routes.WriteTable(cmd.OutOrStdout(), o.output == wide, w.snap.Now); err != nil {
		return err
	}
	for _, note := range routes.Notes() {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	return nil
}
