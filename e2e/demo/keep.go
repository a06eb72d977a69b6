// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	pollInterval = 50 * time.Millisecond
	// stopTime is more than everything takes to stop or to be killed.
	stopTime = 3 * time.Minute
)

// keep shows a stack that goes on running after this process: another one, in a
// session of its own, holds it.
func keep(ctx context.Context, f folder) error {
	t, err := startHolder(ctx, f)
	if err != nil {
		return err
	}
	if err := show(ctx, f, t); err != nil {
		if ctx.Err() != nil {
			// ctx has ended; stopping takes its own time.
			return errors.Join(err, stopHolder(context.WithoutCancel(ctx), f))
		}
		fmt.Println("It is still running: make demo-stop stops it.")
		return err
	}
	fmt.Printf(`Everything is still running. To use it:

  export KUBECONFIG=%s
  alias kubectl=%s

  kubectl -n shop get ingress
  kubectl -n shop create ingress more --class=nginx --rule='more.example.com/*=wbe:8080'
  kubectl -n shop edit ingress shop
  kubectl label namespace shop routegate.dev/enforce=off

routegate's log and metrics:

  tail -f %s
  curl %s/metrics

To stop it:

  make demo-stop
`, t.Kubeconfig, t.Kubectl, t.Log, t.MetricsURL)
	return nil
}

// startHolder runs this program as the holder and returns when everything is
// ready.
func startHolder(ctx context.Context, f folder) (target, error) {
	// The holder takes the lock for good; this finds out early that it cannot.
	unlock, err := f.lock()
	if err != nil {
		return target{}, err
	}
	unlock()
	fmt.Println("Starting etcd, kube-apiserver and routegate.")
	binary, err := findBinary(ctx, f)
	if err != nil {
		return target{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return target{}, err
	}
	log, err := os.Create(f.holderLog())
	if err != nil {
		return target{}, err
	}
	defer func() { _ = log.Close() }()

	cmd := exec.Command(self, "-hold")
	cmd.Env = append(os.Environ(), binaryVariable+"="+binary)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return target{}, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()

	var t target
	err = wait.PollUntilContextTimeout(ctx, pollInterval, startTime, true, func(context.Context) (bool, error) {
		select {
		case <-ended:
			content, err := os.ReadFile(f.holderLog())
			return false, errors.Join(fmt.Errorf("it did not start:\n%s", content), err)
		default:
		}
		var err error
		t, err = f.state()
		return err == nil, nil
	})
	if err != nil {
		// It may have ended by itself.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	return t, err
}

// holdOn starts everything, says so in the folder, and stops it when told to.
func holdOn(ctx context.Context, f folder) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s, err := start(ctx, f)
	if err != nil {
		return err
	}
	if err := f.setState(targetOf(s)); err != nil {
		return errors.Join(err, s.Stop())
	}
	select {
	case <-ctx.Done():
	case <-s.Routegate.Done():
		fmt.Println("routegate has ended; its log:")
		fmt.Println(s.Routegate.Log())
		<-ctx.Done()
	}
	return errors.Join(s.Stop(), f.clear())
}

// stopHolder tells the holder to stop and waits for its end.
func stopHolder(ctx context.Context, f folder) error {
	running, err := f.locked()
	if err != nil {
		return err
	}
	pid := f.holder()
	if !running || pid == 0 {
		fmt.Println("No demo is running in this checkout.")
		return nil
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, stopTime, true, func(context.Context) (bool, error) {
		running, err := f.locked()
		return !running, err
	})
	if err != nil {
		return fmt.Errorf("process %d has not ended; see %s: %w", pid, f.holderLog(), err)
	}
	fmt.Println("Stopped routegate, kube-apiserver and etcd.")
	return nil
}
