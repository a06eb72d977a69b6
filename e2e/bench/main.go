// SPDX-License-Identifier: Apache-2.0

// Command bench measures what Routegate costs, as ratios to the plainest thing
// that could stand in its place, in one run on one machine:
//
//   - a verdict in process among many objects, against one among few;
//   - an HTTPS round trip to the handler, against one to a controller-runtime
//     handler that allows everything, on the same server;
//   - live heap of the cache, against controller-runtime's cache of the same
//     objects.
//
// The objects are generated. They are sent by a stand-in for the API server that
// knows only lists, so that both caches read them as they would in a cluster:
// decoded from what came over the wire. It prints a table with the project's
// budgets beside the figures and leaves every judgement to the reader: ratios
// hold on a busy machine, single figures do not.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	size := flag.Int("size", 10_000, "how many Ingresses, and as many Services, EndpointSlices and TLS Secrets")
	requests := flag.Int("requests", 3_000, "how many requests of each sort")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	klog.SetLogger(logr.Discard())
	ctrl.SetLogger(logr.Discard())
	if err := run(ctx, os.Stdout, *size, *requests); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, size, requests int) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "WHAT, AT %d OF EACH KIND\tROUTEGATE\tAGAINST\tRATIO\tBUDGET\n", size)
	if err := verdicts(ctx, table, size); err != nil {
		return fmt.Errorf("verdicts: %w", err)
	}
	if err := roundTrips(ctx, table, size, requests); err != nil {
		return fmt.Errorf("round trips: %w", err)
	}
	if err := heaps(ctx, table, size); err != nil {
		return fmt.Errorf("heaps: %w", err)
	}
	return table.Flush()
}
