// SPDX-License-Identifier: Apache-2.0

// Command soak keeps a real API server busy with Routegate in front of it, and looks
// whether Routegate grows. Everything is created, updated and deleted at once:
// Ingresses, Services, EndpointSlices, Secrets, IngressClasses and Namespaces, as fast
// as the machine allows, and never more of them than there are names.
//
// Routegate is a process of its own, so that what it reports of goroutines, open files
// and memory is its own. A table has one line for each period. The program fails if
// there is more of any of them in the last period than in the second one, beyond a
// tolerance; if a call of the webhook failed; or if the cache is not as the cluster in
// the end.
//
// It needs the binaries in the folder KUBEBUILDER_ASSETS: make soak.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/routegate/routegate/e2e/stack"
)

// startTime bounds each start, and how long the cache may take to catch up.
const startTime = 3 * time.Minute

func main() {
	duration := flag.Duration("duration", 10*time.Minute, "how long to write")
	period := flag.Duration("period", time.Minute, "the time for each line of the table")
	writers := flag.Int("writers", 8, "how many write at the same time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *duration, *period, *writers); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, duration, period time.Duration, writers int) (err error) {
	if duration < 3*period || writers < 1 {
		return errors.New("-duration must be at least three times -period, and -writers at least 1")
	}
	dir, err := os.MkdirTemp("", "routegate-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()

	c, err := newChurn(ctx, s.ControlPlane)
	if err != nil {
		return err
	}
	samples, err := watch(ctx, c, s.Routegate.MetricsURL, duration, period, writers)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := stack.CatchUp(soon, s.Client, s.Routegate.MetricsURL); err != nil {
		return err
	}
	return verdict(samples)
}

// start starts everything, with the failure policy that shows when a call fails.
func start(ctx context.Context, dir string) (*stack.Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	binary, err := stack.Binary(ctx, dir)
	if err != nil {
		return nil, err
	}
	return stack.Start(ctx, stack.Options{
		Binary: binary, Dir: dir, Webhook: stack.Webhook{FailurePolicy: admissionregistrationv1.Fail},
	})
}
