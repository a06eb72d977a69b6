// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/internal/cluster"
)

// withControlPlane starts etcd and a kube-apiserver, and stops them after use.
func withControlPlane(ctx context.Context, use func(cp *stack.ControlPlane, dir string) error) error {
	dir, err := os.MkdirTemp("", "routegate-bench-")
	if err != nil {
		return err
	}
	cp, err := stack.StartControlPlane(ctx, dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return errors.Join(use(cp, dir), cp.Stop(), os.RemoveAll(dir))
}

// withCluster is a Cluster of a real API server in which there are a class and the
// namespaces of 10 000 objects, and nothing else.
func withCluster(ctx context.Context, use func(*cluster.Cluster) error) error {
	return withControlPlane(ctx, func(cp *stack.ControlPlane, _ string) error {
		if err := fill(ctx, cp, 10_000, 0); err != nil {
			return err
		}
		cl, err := cluster.New(cluster.Config{
			Client: cp.Client, SecretAccess: cluster.SecretsFull, LiveReads: 16, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
		})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		stopped := make(chan struct{})
		go func() { cl.Start(ctx); close(stopped) }()
		err = await(ctx, cl.Synced)
		if err == nil {
			err = use(cl)
		}
		cancel()
		<-stopped
		return err
	})
}

// fill creates a class, the namespaces of so many objects of each kind, and the first of
// these.
func fill(ctx context.Context, cp *stack.ControlPlane, size, created int) error {
	client := cp.Client
	for _, c := range classes() {
		c.UID = ""
		if _, err := client.NetworkingV1().IngressClasses().Create(ctx, c, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	crt, key, err := keyPair()
	if err != nil {
		return err
	}
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for _, ns := range namespaces(size) {
		group.Go(func() error {
			_, err := client.CoreV1().Namespaces().Create(creating, ns, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group, creating = errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i := range created {
		group.Go(func() error {
			svc, slice, secret, ing := serviceOf(i), sliceOf(i), secretOf(i, crt, key), ingressOf(i)
			for _, m := range []*metav1.ObjectMeta{&svc.ObjectMeta, &slice.ObjectMeta, &secret.ObjectMeta, &ing.ObjectMeta} {
				m.UID, m.ResourceVersion, m.ManagedFields = "", "", nil
			}
			// To choose an address among so many takes the API server very long.
			svc.Spec.ClusterIP, svc.Spec.ClusterIPs = corev1.ClusterIPNone, nil
			_, err1 := client.CoreV1().Services(svc.Namespace).Create(creating, svc, metav1.CreateOptions{})
			_, err2 := client.DiscoveryV1().EndpointSlices(svc.Namespace).Create(creating, slice, metav1.CreateOptions{})
			_, err3 := client.CoreV1().Secrets(svc.Namespace).Create(creating, secret, metav1.CreateOptions{})
			_, err4 := client.NetworkingV1().Ingresses(svc.Namespace).Create(creating, ing, metav1.CreateOptions{})
			return errors.Join(err1, err2, err3, err4)
		})
	}
	return group.Wait()
}

// starts measures starts of Routegate among so many objects, a quarter of each kind.
func starts(ctx context.Context, out io.Writer, objects int) error {
	size := objects / len(kinds())
	return withControlPlane(ctx, func(cp *stack.ControlPlane, dir string) error {
		binary, err := stack.Binary(ctx, dir)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := fill(ctx, cp, size, size); err != nil {
			return err
		}
		fmt.Fprintf(out, "created %d objects in %s\n", size*len(kinds()), time.Since(began).Round(time.Second))
		var rows [][]string
		for _, access := range []cluster.SecretAccess{cluster.SecretsFull, cluster.SecretsMetadata, cluster.SecretsOff} {
			row, err := start(ctx, cp, dir, binary, access)
			if err != nil {
				return fmt.Errorf("--secret-access=%s: %w", access, err)
			}
			rows = append(rows, row)
		}
		markdown(out, fmt.Sprintf("A start among %d objects, a quarter of each kind:", size*len(kinds())),
			[]string{"Secrets", "ready after", "all read after", "Routegate's CPU", "its peak RSS", "RSS after a minute", "API server's CPU", "API server's RSS before / after"}, rows)
		return nil
	})
}

// start measures one start.
func start(ctx context.Context, cp *stack.ControlPlane, dir, binary string, access cluster.SecretAccess) ([]string, error) {
	api, err := processOf("kube-apiserver", filepath.Base(cp.Config.Host))
	if err != nil {
		return nil, err
	}
	before, err := api.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	r, err := stack.StartRoutegate(ctx, stack.RoutegateOptions{
		Binary: binary, Kubeconfig: cp.Kubeconfig, Dir: dir, Name: "routegate-" + string(access),
		Args: []string{"--secret-access=" + string(access)},
	})
	if err != nil {
		return nil, err
	}
	ready := time.Since(began)
	row, err := func() ([]string, error) {
		if err := await(ctx, func() bool { return allRead(ctx, r.MetricsURL) }); err != nil {
			return nil, fmt.Errorf("not all was read: %w", err)
		}
		read := time.Since(began)
		own, err := processOf("routegate", strings.TrimPrefix(r.HealthURL, "http://"))
		if err != nil {
			return nil, err
		}
		used, err := own.usage()
		if err != nil {
			return nil, err
		}
		after, err := api.usage()
		if err != nil {
			return nil, err
		}
		// So long, nothing happens but that the collector gives memory back.
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		steady, err := own.usage()
		if err != nil {
			return nil, err
		}
		mib := func(kib int) string { return fmt.Sprintf("%d MiB", kib/1024) }
		return []string{
			string(access), ready.Round(10 * time.Millisecond).String(), read.Round(10 * time.Millisecond).String(), used.cpu.Round(10 * time.Millisecond).String(), mib(used.peak), mib(steady.rss),
			(after.cpu - before.cpu).Round(10 * time.Millisecond).String(), mib(before.rss) + " / " + mib(after.rss),
		}, nil
	}()
	return row, errors.Join(err, r.Stop())
}

// allRead reports whether Routegate has read every kind.
func allRead(ctx context.Context, url string) bool {
	metrics, err := stack.Metrics(ctx, url)
	if err != nil {
		return false
	}
	kinds := 0
	for name, value := range metrics {
		if strings.HasPrefix(name, "routegate_cache_synced") {
			if value != 1 {
				return false
			}
			kinds++
		}
	}
	return kinds > 0
}

// process is a running process.
type process int

// processOf finds a process by its name and an argument.
func processOf(name, argument string) (process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // It has ended meanwhile.
		}
		args := strings.Split(string(line), "\x00")
		if filepath.Base(args[0]) != name || !bytes.Contains(line, []byte(portOf(argument))) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		return process(pid), err
	}
	return 0, fmt.Errorf("there is no process %s with %s", name, argument)
}

// portOf is the port of an address.
func portOf(address string) string {
	return address[strings.LastIndexByte(address, ':')+1:]
}

// usage is what a process has used: time, and memory in KiB.
type usage struct {
	cpu       time.Duration
	rss, peak int
}

func (p process) usage() (usage, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return usage{}, err
	}
	var u usage
	for line := range strings.SplitSeq(string(status), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			u.rss, err = strconv.Atoi(fields[1])
		case "VmHWM:":
			u.peak, err = strconv.Atoi(fields[1])
		}
		if err != nil {
			return usage{}, err
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return usage{}, err
	}
	// The name, in parentheses, may hold blanks. utime and stime follow as the 12th and
	// 13th, in hundredths of a second on every architecture of Linux.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc/%d/stat has %d fields", p, len(fields))
	}
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return usage{}, err
		}
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return u, nil
}
