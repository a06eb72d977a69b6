// SPDX-License-Identifier: Apache-2.0

// Command demo starts a real etcd and kube-apiserver with Routegate in front of
// them, runs kubectl, and prints every command with its real output. It checks
// each answer, stops what it has started, and fails if an answer differed.
//
// Run it from anywhere in the repository:
//
//	make demo               run, show and stop
//	make demo DEMO_KEEP=1   leave everything running, and say how to use it
//	make demo-stop          stop what was left running
//
// It needs the binaries in the folder KUBEBUILDER_ASSETS. The routegate that it
// runs is ROUTEGATE_BIN, else bin/routegate, else one that it builds. One demo
// at a time can run in a checkout; its files are in bin/demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/routegate/routegate/e2e/stack"
)

const (
	assetsVariable = "KUBEBUILDER_ASSETS"
	binaryVariable = "ROUTEGATE_BIN"
	keepVariable   = "DEMO_KEEP"
	// startTime bounds each start, on slow machines too.
	startTime = 3 * time.Minute
	// drainTime is short: nobody but the demo asks this routegate.
	drainTime = time.Second
)

func main() {
	stop := flag.Bool("stop", false, "stop what DEMO_KEEP=1 left running")
	hold := flag.Bool("hold", false, "start everything and hold it until told to stop; used by DEMO_KEEP=1")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := run(ctx, *stop, *hold)
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stop, hold bool) error {
	// The printed commands hold paths from the root, and are run there.
	root, err := stack.Root(ctx)
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	f := folder(filepath.Join("bin", "demo"))
	switch {
	case stop:
		return stopHolder(ctx, f)
	case hold:
		return holdOn(ctx, f)
	case os.Getenv(assetsVariable) == "":
		return errors.New("KUBEBUILDER_ASSETS is not set; run make demo, which builds the control plane")
	case os.Getenv(keepVariable) != "":
		return keep(ctx, f)
	}
	return once(ctx, f)
}

// once starts everything, shows it and stops it.
func once(ctx context.Context, f folder) (err error) {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Println("Starting etcd, kube-apiserver and routegate.")
	s, err := start(ctx, f)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := s.Stop(); stopErr != nil {
			err = errors.Join(err, stopErr)
			return
		}
		fmt.Println("Stopped routegate, kube-apiserver and etcd.")
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, f.clear())
		}
	}()
	return show(ctx, f, targetOf(s))
}

// start starts the stack with its files in the folder.
func start(ctx context.Context, f folder) (*stack.Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	binary, err := findBinary(ctx, f)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(string(f))
	if err != nil {
		return nil, err
	}
	return stack.Start(ctx, stack.Options{Binary: binary, Dir: dir, DrainTime: drainTime})
}

// findBinary returns the absolute path of a routegate binary.
func findBinary(ctx context.Context, f folder) (string, error) {
	const built = "bin/routegate"
	if os.Getenv(binaryVariable) == "" {
		if _, err := os.Stat(built); err == nil {
			return filepath.Abs(built)
		}
	}
	path, err := stack.Binary(ctx, string(f))
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// target is what is needed to show a running stack.
type target struct {
	Kubeconfig string
	Kubectl    string
	MetricsURL string
	Log        string
}

func targetOf(s *stack.Stack) target {
	return target{
		Kubeconfig: s.Kubeconfig,
		Kubectl:    s.Kubectl,
		MetricsURL: s.Routegate.MetricsURL,
		Log:        s.Routegate.LogFile,
	}
}
