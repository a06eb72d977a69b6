// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
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
func verdicts(ctx context.Context, t *table, size int) error {
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
	t.ratio(fmt.Sprintf("verdict in process, against one among %d", few), large, small, 1.2, 2)
	t.rows[len(t.rows)-1].also = "50µs"

	const sharing = 1000
	world, ing, err := sharedHost(sharing)
	if err != nil {
		return err
	}
	shared, err := verdict(ctx, world, ing)
	if err != nil {
		return err
	}
	t.single(fmt.Sprintf("verdict in process, host shared by %d Ingresses", sharing), shared, "5ms")
	return tables(ctx, t, world, ing, sharing)
}

// sharedHost is a cluster of so many Ingresses, which all have one path of one host, and
// one of them.
func sharedHost(sharing int) (*cluster.Static, *networkingv1.Ingress, error) {
	world, err := staticWorld(sharing)
	if err != nil {
		return nil, nil, err
	}
	var ing *networkingv1.Ingress
	for i := range sharing {
		ing = ingressOf(i)
		ing.Spec.Rules[0].Host = hostOf(sharing)
		ing.Spec.Rules[0].HTTP.Paths[0].Path = fmt.Sprintf("/app-%d", i)
		ing.Spec.TLS = nil
		if err := world.Apply(ing); err != nil {
			return nil, nil, err
		}
	}
	return world, ing, nil
}

// manyRules is a cluster, and an Ingress of so many rules, each of a host and a Service
// of its own.
func manyRules(rules int) (*cluster.Static, *networkingv1.Ingress, error) {
	world, err := staticWorld(rules)
	if err != nil {
		return nil, nil, err
	}
	ing := ingressOf(0)
	ing.Name, ing.Spec.TLS, ing.Spec.Rules = "many", nil, nil
	for i := range rules {
		rule := ingressOf(i).Spec.Rules[0]
		rule.Host = fmt.Sprintf("many-%06d.example.com", i)
		// Its Service must be in the namespace of the Ingress.
		svc, slice := serviceOf(i), sliceOf(i)
		svc.Namespace, slice.Namespace = ing.Namespace, ing.Namespace
		if err := errors.Join(world.Apply(svc), world.Apply(slice)); err != nil {
			return nil, nil, err
		}
		ing.Spec.Rules = append(ing.Spec.Rules, rule)
	}
	return world, ing, nil
}

// tables times the model of a shared host: building it, and asking it for one
// request.
func tables(ctx context.Context, t *table, world *cluster.Static, ing *networkingv1.Ingress, sharing int) error {
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
	t.single(fmt.Sprintf("routing table of a host shared by %d Ingresses", sharing), time.Duration(build.NsPerOp()), "5ms")
	t.single("one request to that table", time.Duration(match.NsPerOp()), "50µs")
	return nil
}

// verdict is the time that one verdict takes. The Ingress must be sound.
func verdict(ctx context.Context, world *cluster.Static, ing *networkingv1.Ingress) (time.Duration, error) {
	all := checks.All()
	// The first Snapshot looks at every host once for what stops the controller, as a
	// start does.
	_, err := world.Snapshot(ctx, routing.ReferencesOf(ing), nil)
	if err != nil {
		return 0, err
	}
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
