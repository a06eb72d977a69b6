// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// cpuTime is what the process has used. Other programs on the machine do not count.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkHostile asks about Ingresses that are as large as a review can hold, and a
// quarter of that: what takes much more than four times as long is to be mended.
func BenchmarkHostile(b *testing.B) {
	handler, err := plainHandler()
	if err != nil {
		b.Fatal(err)
	}
	for _, h := range hostiles() {
		for _, n := range []int{h.most / 4, h.most} {
			b.Run(fmt.Sprintf("%s/%d", h.name, n), func(b *testing.B) {
				r, err := newReview(admissionv1.Create, h.make(n), nil)
				if err != nil {
					b.Fatal(err)
				}
				body, err := json.Marshal(r)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				var answer *httptest.ResponseRecorder
				before := cpuTime(b)
				for b.Loop() {
					request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/?timeout=10s", bytes.NewReader(body))
					request.Header.Set("Content-Type", "application/json")
					answer = httptest.NewRecorder()
					handler.ServeHTTP(answer, request)
				}
				if answer.Code != http.StatusOK {
					b.Fatalf("%d: %s", answer.Code, answer.Body)
				}
				b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
				b.ReportMetric(float64(len(body)), "body-B")
				b.ReportMetric(float64(answer.Body.Len()), "answer-B")
			})
		}
	}
}
