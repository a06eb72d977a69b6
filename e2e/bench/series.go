// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
)

// The sizes that are measured.
var (
	clusterSizes = []int{100, 1_000, 10_000, 50_000}
	heapSizes    = []int{1_000, 10_000, 50_000}
	shares       = []int{1, 10, 100, 1_000}
	ruleCounts   = []int{1, 10, 100, 1_000}
)

// Figures are what the plots are made of: for each plot its lines, in the unit that its
// title names.
type figures map[string]map[string][]point

type point struct {
	X, Y float64
}

func (f figures) add(plot, line string, x int, y float64) {
	if f[plot] == nil {
		f[plot] = map[string][]point{}
	}
	f[plot][line] = append(f[plot][line], point{X: float64(x), Y: y})
}

// The plots, and the lines of several of them.
const (
	latencyPlot = "latency"
	sharingPlot = "sharing"
	rulesPlot   = "rules"
	heapPlot    = "heap"

	oursLine  = "Routegate"
	plainLine = "no-op handler"
)

// series prints the tables of docs/performance.md and writes the figures of its plots.
func series(ctx context.Context, out io.Writer, file string, requests int) error {
	f := figures{}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"sizes", func() error { return bySize(ctx, out, f, requests) }},
		{"answers", func() error { return byAnswer(ctx, out, requests) }},
		{"sharing", func() error { return bySharing(ctx, out, f) }},
		{"rules", func() error { return byRules(ctx, out, f) }},
		{"heap", func() error { return byKind(ctx, out, f) }},
	} {
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// bySize measures round trips in clusters of several sizes.
func bySize(ctx context.Context, out io.Writer, f figures, requests int) error {
	const clients, during = 8, 3 * time.Second
	var times, rates [][]string
	for _, size := range clusterSizes {
		world, err := staticWorld(size)
		if err != nil {
			return err
		}
		in, err := verdict(ctx, world, ingressOf(size-1))
		if err != nil {
			return err
		}
		body, err := changeOf(size - 1)
		if err != nil {
			return err
		}
		s, err := serve(ctx, world, checks.All())
		if err != nil {
			return err
		}
		ours, plain, err := s.compare(ctx, body, allowed, requests)
		if err != nil {
			return errors.Join(err, s.stop())
		}
		line := []string{strconv.Itoa(size), brief(in)}
		for _, p := range []float64{0.5, 0.9, 0.99, 1} {
			line = append(line, fmt.Sprintf("%s / %s", brief(ours.at(p)), brief(plain.at(p))))
		}
		ratio := func(p float64) string { return fmt.Sprintf("%.2f", float64(ours.at(p))/float64(plain.at(p))) }
		times = append(times, append(line, ratio(0.5), ratio(0.99)))
		f.add(latencyPlot, oursLine+", p50", size, micros(ours.at(0.5)))
		f.add(latencyPlot, oursLine+", p99", size, micros(ours.at(0.99)))
		f.add(latencyPlot, plainLine+", p50", size, micros(plain.at(0.5)))
		f.add(latencyPlot, plainLine+", p99", size, micros(plain.at(0.99)))
		f.add(latencyPlot, "verdict in process", size, micros(in))

		rate, err := s.perSecond(ctx, routegatePath, body, clients, during)
		if err != nil {
			return errors.Join(err, s.stop())
		}
		plainRate, err := s.perSecond(ctx, plainPath, body, clients, during)
		if err != nil {
			return errors.Join(err, s.stop())
		}
		if err := s.stop(); err != nil {
			return err
		}
		a, err := costs(world, body)
		if err != nil {
			return err
		}
		rates = append(rates, []string{
			strconv.Itoa(size), fmt.Sprintf("%.0f / %.0f", rate, plainRate),
			fmt.Sprintf("%d / %d", a.ours.AllocsPerOp(), a.plain.AllocsPerOp()),
			fmt.Sprintf("%d / %d", a.ours.AllocedBytesPerOp(), a.plain.AllocedBytesPerOp()),
		})
	}
	markdown(out, "Round trip of an update that is allowed, Routegate / no-op, one client:",
		[]string{"of each kind", "verdict", "p50", "p90", "p99", "max", "p50 ratio", "p99 ratio"}, times)
	markdown(out, fmt.Sprintf("The same from %d clients, and what a request allocates, Routegate / no-op:", clients),
		[]string{"of each kind", "requests a second", "allocations", "bytes"}, rates)
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// allocations are what a request costs each handler in process.
type allocations struct {
	ours, plain testing.BenchmarkResult
}

func costs(world *cluster.Static, body []byte) (allocations, error) {
	handler, err := routegateHandler(world, checks.All())
	if err != nil {
		return allocations{}, err
	}
	of := func(h http.Handler) testing.BenchmarkResult {
		return testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest(http.MethodPost, "/x?timeout=10s", bytes.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				h.ServeHTTP(httptest.NewRecorder(), req)
			}
		})
	}
	return allocations{ours: of(handler), plain: of(plainHandler())}, nil
}

// byAnswer measures round trips that are allowed, warned of and denied, in the cache
// alone, and denied with what it rests on read at a real API server, where there is one.
func byAnswer(ctx context.Context, out io.Writer, requests int) error {
	const size = 10_000
	world, err := staticWorld(size)
	if err != nil {
		return err
	}
	var rows [][]string
	measure := func(s *served, what string, body []byte, want answer, requests int) error {
		ours, plain, err := s.compare(ctx, body, want, requests)
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			what, fmt.Sprintf("%s / %s", brief(ours.at(0.5)), brief(plain.at(0.5))), fmt.Sprintf("%s / %s", brief(ours.at(0.99)), brief(plain.at(0.99))),
			fmt.Sprintf("%.2f", float64(ours.at(0.5))/float64(plain.at(0.5))),
		})
		return nil
	}
	off, err := serve(ctx, world, nil)
	if err != nil {
		return err
	}
	body, err := changeOf(size - 1)
	if err != nil {
		return errors.Join(err, off.stop())
	}
	if err := errors.Join(measure(off, "update, allowed, with all checks off", body, allowed, requests), off.stop()); err != nil {
		return err
	}
	s, err := serve(ctx, world, checks.All())
	if err != nil {
		return err
	}
	created := func(change func(*networkingv1.Ingress)) []byte {
		ing := ingressOf(size - 1)
		change(ing)
		body, err2 := reviewOf(nil, ing)
		err = errors.Join(err, err2)
		return body
	}
	allow := created(func(*networkingv1.Ingress) {})
	warn := created(func(ing *networkingv1.Ingress) { ing.Spec.TLS[0].SecretName = "missing" })
	deny := created(func(ing *networkingv1.Ingress) { ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "missing" })
	if err != nil {
		return errors.Join(err, s.stop())
	}
	err = errors.Join(
		measure(s, "create, allowed", allow, allowed, requests),
		measure(s, "create, warned of a TLS Secret that is not there", warn, warned, requests),
		measure(s, "create, denied for a Service that is not there, the cache alone", deny, denied, requests),
		s.stop(),
	)
	if err != nil {
		return err
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		rows = append(rows, []string{"create, denied and confirmed at an API server", "not measured: KUBEBUILDER_ASSETS is not set", "", ""})
	} else {
		err := withCluster(ctx, func(live *cluster.Cluster) error {
			s, err := serve(ctx, live, checks.All())
			if err != nil {
				return err
			}
			return errors.Join(measure(s, "create, denied and confirmed at an API server", deny, denied, requests/3), s.stop())
		})
		if err != nil {
			return err
		}
	}
	markdown(out, fmt.Sprintf("Round trip by the answer, at %d of each kind, Routegate / no-op:", size),
		[]string{"", "p50", "p99", "p50 ratio"}, rows)
	return nil
}

// bySharing measures a verdict where many Ingresses share a host.
func bySharing(ctx context.Context, out io.Writer, f figures) error {
	var rows [][]string
	for _, sharing := range shares {
		world, ing, err := sharedHost(sharing)
		if err != nil {
			return err
		}
		took, err := verdict(ctx, world, ing)
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.Itoa(sharing), brief(took)})
		f.add(sharingPlot, "verdict", sharing, micros(took))
	}
	markdown(out, "Verdict on one of the Ingresses that share a host, by how many do:", []string{"Ingresses", "verdict"}, rows)
	return nil
}

// byRules measures a verdict on Ingresses of many rules.
func byRules(ctx context.Context, out io.Writer, f figures) error {
	var rows [][]string
	for _, rules := range ruleCounts {
		world, ing, err := manyRules(rules)
		if err != nil {
			return err
		}
		took, err := verdict(ctx, world, ing)
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.Itoa(rules), brief(took)})
		f.add(rulesPlot, "verdict", rules, micros(took))
	}
	markdown(out, "Verdict on one Ingress, by how many rules it has:", []string{"rules", "verdict"}, rows)
	return nil
}

// byKind measures the heap that an object of each kind takes, and all kinds at several
// sizes.
func byKind(ctx context.Context, out io.Writer, f figures) error {
	const size = 10_000
	var rows [][]string
	for _, kind := range kinds() {
		ours, plain, err := heapsOf(ctx, size, kind)
		if err != nil {
			return err
		}
		metadata, err := metadataHeap(ctx, size, kind)
		if err != nil {
			return err
		}
		rows = append(rows, []string{kind, strconv.Itoa(ours), strconv.Itoa(plain), strconv.Itoa(metadata), fmt.Sprintf("%.2f", float64(ours)/float64(plain))})
	}
	markdown(out, fmt.Sprintf("Live heap per object, in bytes, at %d objects:", size),
		[]string{"kind", "Routegate", "controller-runtime", "its cache of metadata alone", "ratio"}, rows)
	rows = nil
	for _, size := range heapSizes {
		ours, plain, err := heapsOf(ctx, size, kinds()...)
		if err != nil {
			return err
		}
		mib := func(bytes int) float64 { return float64(bytes*len(kinds())*size) / (1 << 20) }
		rows = append(rows, []string{
			strconv.Itoa(size), fmt.Sprintf("%.1f MiB", mib(ours)), fmt.Sprintf("%.1f MiB", mib(plain)), fmt.Sprintf("%.2f", float64(ours)/float64(plain)),
		})
		f.add(heapPlot, oursLine, size, mib(ours))
		f.add(heapPlot, "controller-runtime's cache", size, mib(plain))
	}
	markdown(out, "Live heap of the cache, by how many there are of each kind:",
		[]string{"of each kind", "Routegate", "controller-runtime", "ratio"}, rows)
	return nil
}
