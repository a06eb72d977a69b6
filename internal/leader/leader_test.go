// SPDX-License-Identifier: Apache-2.0

package leader_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/routegate/routegate/internal/leader"
)

// The rest is tested with real processes and a real API server, in e2e/certs.
func TestElectionNamesWhatIsMissing(t *testing.T) {
	err := (&leader.Election{}).Run(t.Context())
	for _, want := range []string{"Client", "Lease.Namespace", "Lease.Name", "Identity", "Lead "} {
		if err == nil || !strings.Contains(err.Error(), "election: "+want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestMetricTellsWhoLeads(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began := make(chan struct{})
	election := &leader.Election{
		Client:   fake.NewClientset().CoordinationV1(),
		Lease:    types.NamespacedName{Namespace: "guard", Name: "routegate"},
		Identity: "one",
		Lead: func(ctx context.Context) {
			close(began)
			<-ctx.Done()
		},
	}
	metric := election.Metric()
	if got := testutil.ToFloat64(metric); got != 0 {
		t.Errorf("before: %v, must be 0", got)
	}
	ended := make(chan error, 1)
	go func() { ended <- election.Run(ctx) }()
	<-began
	if got := testutil.ToFloat64(metric); got != 1 {
		t.Errorf("while it leads: %v, must be 1", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(metric); got != 0 {
		t.Errorf("after: %v, must be 0", got)
	}
}

func TestTogetherWaitsForAll(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	begun, ended := make(chan struct{}), 0
	task := func(ctx context.Context) {
		begun <- struct{}{}
		<-ctx.Done()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		leader.Together(task, func(ctx context.Context) { task(ctx); ended++ })(ctx)
	}()
	<-begun
	<-begun
	select {
	case <-done:
		t.Fatal("it returned while the tasks go on")
	default:
	}
	end()
	<-done
	if ended != 1 {
		t.Error("it returned before a task did")
	}
}
