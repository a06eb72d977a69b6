// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// What the process that dumps its heap is told. It knows no key.
const (
	dumpFile       = "FAULTS_DUMP_FILE"
	dumpKubeconfig = "FAULTS_DUMP_KUBECONFIG"
	dumpNamespace  = "FAULTS_DUMP_NAMESPACE"
	dumpSecrets    = "FAULTS_DUMP_SECRETS"
	// dumpKept names a Secret that the process keeps as it came.
	dumpKept = "FAULTS_DUMP_KEPT"
	// liveSuffix is that of the heap while the connections are open.
	liveSuffix = ".live"
)

// kept is what the control run keeps.
var kept *corev1.Secret

// TestMain runs the suite. The spec about key material runs this binary once
// more, told where to dump its heap: then it is the process that holds Secrets.
func TestMain(m *testing.M) {
	path := os.Getenv(dumpFile)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := dumpHeap(context.Background(), path); err != nil { //nolint:forbidigo // TestMain is given no context
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func dumpHeap(ctx context.Context, path string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(dumpKubeconfig))
	if err != nil {
		return err
	}
	// As in routegate serve.
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return err
	}
	// As client-go's own, but without the timers, which would keep a connection
	// for a while after it was closed.
	transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}
	connections := &http.Client{Transport: transport}
	client, err := kubernetes.NewForConfigAndClient(config, connections)
	if err != nil {
		return err
	}
	meta, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), connections)
	if err != nil {
		return err
	}
	cl, err := cluster.New(cluster.Config{
		Client: client, Metadata: meta, SecretAccess: cluster.SecretsFull,
		LiveReads: 4, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		cl.Start(running)
	}()
	end := func() {
		stop()
		<-stopped
	}
	defer end()

	refs := routing.References{Namespace: os.Getenv(dumpNamespace), Secrets: strings.Split(os.Getenv(dumpSecrets), ",")}
	if err := await(ctx, cl, refs, func(*routing.SecretFacts) bool { return true }); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	// A tenth comes again by watch, and a few are read live.
	secrets := meta.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(refs.Namespace)
	changed := map[string]string{}
	var live []routing.Ref
	for i, name := range refs.Secrets {
		switch i % 10 {
		case 0:
			m, err := secrets.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"touched":"`+path+`"}}}`), metav1.PatchOptions{})
			if err != nil {
				return err
			}
			changed[name] = m.ResourceVersion
		case 1:
			live = append(live, routing.Ref{Kind: routing.Secrets, Namespace: refs.Namespace, Name: name})
		}
	}
	err = await(ctx, cl, refs, func(s *routing.SecretFacts) bool {
		return changed[s.Name] == "" || changed[s.Name] == s.ResourceVersion
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if _, err := cl.Snapshot(ctx, refs, live); err != nil {
		return err
	}
	if name := os.Getenv(dumpKept); name != "" {
		if kept, err = client.CoreV1().Secrets(refs.Namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
	}

	if err := writeHeap(path + liveSuffix); err != nil {
		return err
	}
	// An open connection keeps what it read last in its buffers, until it reads
	// something else. What is kept of Secrets is the question here.
	end()
	closed := func(context.Context) (bool, error) {
		transport.CloseIdleConnections()
		stacks := make([]byte, 1<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("clientConnReadLoop")), nil
	}
	if err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, closed); err != nil {
		return fmt.Errorf("connections: %w", err)
	}
	if err := writeHeap(path); err != nil {
		return err
	}
	runtime.KeepAlive(kept)
	if snap, err := cl.Snapshot(ctx, refs, nil); err != nil || len(snap.Secrets) != len(refs.Secrets) {
		return fmt.Errorf("the cache is gone: %w", err)
	}
	return nil
}

// writeHeap writes the heap to a new file after two garbage collections.
func writeHeap(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	runtime.GC()
	runtime.GC()
	debug.WriteHeapDump(file.Fd())
	return file.Close()
}

// await returns when the cluster holds all Secrets with a usable key, and all
// are as wanted.
func await(ctx context.Context, cl *cluster.Cluster, refs routing.References, wanted func(*routing.SecretFacts) bool) error {
	return wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		snap, err := cl.Snapshot(ctx, refs, nil)
		if err != nil || !cl.Synced() || len(snap.Secrets) != len(refs.Secrets) {
			return false, err
		}
		for _, s := range snap.Secrets {
			if s.Unusable != "" || s.Certificate == nil {
				return false, fmt.Errorf("secret %s: %s", s.Name, s.Unusable)
			}
			if !wanted(s) {
				return false, nil
			}
		}
		return true, nil
	})
}
