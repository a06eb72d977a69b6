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
// budgets beside the figures: ratios hold on a busy machine, single figures do not.
// With -gate, a ratio far above what was reached, three times in a row, is an error.
//
// With -series it prints the tables of docs/performance.md instead, and writes the
// figures that its plots show. With -startup it starts a real control plane, fills
// it, and measures a start of Routegate; KUBEBUILDER_ASSETS must be set.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	size := flag.Int("size", 10_000, "how many Ingresses, and as many Services, EndpointSlices and TLS Secrets")
	requests := flag.Int("requests", 3_000, "how many requests of each sort")
	gate := flag.Bool("gate", false, "fail where a ratio is far above what was reached, three times in a row")
	seriesFile := flag.String("series", "", "measure at several sizes instead, and write the figures to this JSON file")
	startup := flag.Int("startup", 0, "measure a start among so many objects instead, at a real API server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	klog.SetLogger(logr.Discard())
	ctrl.SetLogger(logr.Discard())
	var err error
	switch {
	case *startup > 0:
		err = starts(ctx, os.Stdout, *startup)
	case *seriesFile != "":
		err = series(ctx, os.Stdout, *seriesFile, *requests)
	case *gate:
		err = gated(ctx, os.Stdout, *size, *requests)
	default:
		_, err = run(ctx, os.Stdout, *size, *requests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// gated runs until no ratio is above its gate, three times at most.
func gated(ctx context.Context, out io.Writer, size, requests int) error {
	const tries = 3
	for try := 1; ; try++ {
		t, err := run(ctx, out, size, requests)
		if err != nil {
			return err
		}
		over := t.over()
		if len(over) == 0 {
			fmt.Fprintln(out, "bench: no ratio is above its gate")
			return nil
		}
		if try == tries {
			return errors.New("above the gate:\n  " + strings.Join(over, "\n  "))
		}
		fmt.Fprintf(out, "bench: above the gate, measuring again: %s\n", strings.Join(over, "; "))
	}
}

func run(ctx context.Context, out io.Writer, size, requests int) (*table, error) {
	t := &table{}
	if err := verdicts(ctx, t, size); err != nil {
		return nil, fmt.Errorf("verdicts: %w", err)
	}
	if err := roundTrips(ctx, t, size, requests); err != nil {
		return nil, fmt.Errorf("round trips: %w", err)
	}
	if err := heaps(ctx, t, size); err != nil {
		return nil, fmt.Errorf("heaps: %w", err)
	}
	return t, t.print(out, size)
}
