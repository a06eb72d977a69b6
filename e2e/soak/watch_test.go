// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	steady := sample{goroutines: 60, files: 20, heap: 30 << 20, resident: 90 << 20}
	for what, change := range map[string]func(*sample){
		"":           func(s *sample) { s.goroutines += 30; s.resident *= 2 },
		"goroutines": func(s *sample) { s.goroutines += 40 },
		"open files": func(s *sample) { s.files += 20 },
		"heap":       func(s *sample) { s.heap += 12 << 20 },
	} {
		last := steady
		change(&last)
		// The first period counts for nothing.
		err := verdict([]sample{{}, steady, steady, last})
		if what == "" && err != nil {
			t.Errorf("nothing grows: %v", err)
		}
		if what != "" && (err == nil || !strings.HasPrefix(err.Error(), what+" grew from ")) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := verdict([]sample{steady, steady}); err == nil {
		t.Error("two periods are enough")
	}
	if err := verdict([]sample{steady, {}, steady}); err == nil || !strings.Contains(err.Error(), "not measured") {
		t.Errorf("got %v for nothing measured", err)
	}
}
