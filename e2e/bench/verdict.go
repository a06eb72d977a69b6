// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// few is the size of cluster that others are compared with.
const few = 100

// verdicts times a Snapshot and all checks on one Ingress: in a small and in a
// large cluster, and where its host is shared.
func verdicts(ctx context.Context, out io.Writer, size int) error {
	among := func(n int) (time.Duration, error) {
		world, err := staticWorld(n)
		if err != nil {
			return 0, err
		}
		return verdict(ctx, world, ingressOf(n-1))
	}
	small, err := among(few)
	if err != nil {
		return err
	}
	large, err := among(size)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "verdict in process, against one among %d\t%s\t%s\t%.2f\t1.2, 50µs\n", few, large, small, float64(large)/float64(small))

	const sharing = 1000
	world, err := staticWorld(sharing)
	if err != nil {
		return err
	}
	for i := range sharing {
		other := ingressOf(i)
		other.Spec.Rules[0].Host = hostOf(sharing)
		other.Spec.Rules[0].HTTP.Paths[0].Path = fmt.Sprintf("/app-%d", i)
		other.Spec.TLS = nil
		if err := world.Apply(other); err != nil {
			return err
		}
	}
	ing := ingressOf(sharing - 1)
	ing.Spec.Rules[0].Host, ing.Spec.TLS = hostOf(sharing), nil
	ing.Spec.Rules[0].HTTP.Paths[0].Path = fmt.Sprintf("/app-%d", sharing-1)
	shared, err := verdict(ctx, world, ing)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "verdict in process, host shared by %d Ingresses\t%s\t\t\t5ms\n", sharing, shared)
	return tables(ctx, out, world, ing, sharing)
}

// tables times the model of a shared host: building it, and asking it for one
// request.
func tables(ctx context.Context, out io.Writer, world *cluster.Static, ing *networkingv1.Ingress, sharing int) error {
	snap, err := world.Snapshot(ctx, routing.ReferencesOf(ing), nil)
	if err != nil {
		return err
	}
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return errors.New("there is no table")
	}
	build := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			table, _ = snap.TableOf(ing)
		}
	})
	request := routing.Request{Host: ing.Spec.Rules[0].Host, Path: ing.Spec.Rules[0].HTTP.Paths[0].Path + "/x"}
	var route *routing.Route
	match := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			route = table.Match(request)
		}
	})
	if route.Status != http.StatusOK {
		return fmt.Errorf("the request gets %d", route.Status)
	}
	fmt.Fprintf(out, "routing table of a host shared by %d Ingresses\t%s\t\t\t5ms\n", sharing, time.Duration(build.NsPerOp()))
	fmt.Fprintf(out, "one request to that table\t%s\t\t\t50µs\n", time.Duration(match.NsPerOp()))
	return nil
}

// verdict is the time that one verdict takes. The Ingress must be sound.
func verdict(ctx context.Context, world *cluster.Static, ing *networkingv1.Ingress) (time.Duration, error) {
	all := checks.All()
	var err error
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			var snap *routing.Snapshot
			if snap, err = world.Snapshot(ctx, routing.ReferencesOf(ing), nil); err != nil {
				return
			}
			if findings := checks.Run(all, ing, snap); len(findings) > 0 {
				err = fmt.Errorf("not sound: %s", findings[0])
				return
			}
		}
	})
	return time.Duration(result.NsPerOp()), err
}
