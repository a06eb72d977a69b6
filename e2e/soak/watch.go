// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/routegate/routegate/e2e/stack"
)

// sample is one period of Routegate's life.
type sample struct {
	writes, denied int64
	objects        float64
	// goroutines, files and resident are the most that was seen. heap is the least: what is
	// left just after a collection.
	goroutines, files, resident, heap float64
}

// watch writes for so long, and prints and returns a sample for each period.
func watch(ctx context.Context, c *churn, url string, duration, period time.Duration, writers int) ([]sample, error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() { c.run(writing, uint64(i)) })
	}
	defer running.Wait()
	defer stop()

	row := func(cells ...any) { fmt.Printf("|"+strings.Repeat(" %v |", len(cells))+"\n", cells...) }
	row("after", "writes", "a second", "denied", "calls failed", "objects in the cache", "goroutines", "open files", "heap, MiB", "resident, MiB")
	fmt.Println(strings.Repeat("|---", 10) + "|")
	var samples []sample
	look := time.NewTicker(time.Second)
	defer look.Stop()
	now := sample{heap: math.Inf(1)}
	begun := time.Now()
	for len(samples) < int(duration/period) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return samples, ctx.Err()
		}
		values, err := stack.Metrics(ctx, url)
		if err != nil {
			return samples, err
		}
		now.add(values)
		if time.Since(begun) < period*time.Duration(len(samples)+1) {
			continue
		}
		c.mu.Lock()
		failed, failures := c.failed, c.failures
		c.mu.Unlock()
		now.writes, now.denied = c.writes.Swap(0), c.denied.Swap(0)
		samples = append(samples, now)
		row(period*time.Duration(len(samples)), now.writes, math.Round(float64(now.writes)/period.Seconds()), now.denied, failed, now.objects,
			now.goroutines, now.files, mebibytes(now.heap), mebibytes(now.resident))
		if failed > 0 {
			return samples, fmt.Errorf("calls failed: %s", strings.Join(failures, "; "))
		}
		now = sample{heap: math.Inf(1)}
	}
	return samples, nil
}

func (s *sample) add(values map[string]float64) {
	s.goroutines = max(s.goroutines, values["go_goroutines"])
	s.files = max(s.files, values["process_open_fds"])
	s.resident = max(s.resident, values["process_resident_memory_bytes"])
	s.heap = min(s.heap, values["go_memstats_heap_alloc_bytes"])
	s.objects = 0
	for series, value := range values {
		if strings.HasPrefix(series, "routegate_cache_objects{") {
			s.objects += value
		}
	}
}

func mebibytes(bytes float64) string { return fmt.Sprintf("%.1f", bytes/(1<<20)) }

// verdict compares the last period with the second: in the first, everything is filled.
// What is tolerated is what comes and goes with the requests of a moment.
func verdict(samples []sample) error {
	if len(samples) < 3 {
		return fmt.Errorf("%d periods are too few to compare", len(samples))
	}
	second, last := samples[1], samples[len(samples)-1]
	var errs []error
	grows := func(what string, from, to, tolerated float64) {
		if from <= 0 {
			errs = append(errs, fmt.Errorf("%s: not measured", what))
		}
		if to > from*1.25+tolerated {
			errs = append(errs, fmt.Errorf("%s grew from %.0f to %.0f", what, from, to))
		}
	}
	grows("goroutines", second.goroutines, last.goroutines, 20)
	grows("open files", second.files, last.files, 10)
	grows("heap", second.heap, last.heap, 4<<20)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("\nNothing grew between the second and the last period, no call failed, and the cache is as the cluster.\n")
	return nil
}
