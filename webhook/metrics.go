// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/routegate/routegate/internal/policy"
)

// The outcomes of a request, as metrics and logs name them.
const (
	outcomeAllowed   = "allowed"
	outcomeWarned    = "warned"
	outcomeDenied    = "denied"
	outcomeUndecided = "undecided" // allowed, with a part on which there was no verdict
	outcomeFailed    = "failed"    // no verdict, answered with 500
	outcomeInvalid   = "invalid"   // not an AdmissionReview about an Ingress, answered with 4xx
)

func (d decision) outcome() string {
	switch {
	case d.verdict.Fails():
		return outcomeFailed
	case len(d.verdict.Denied) > 0:
		return outcomeDenied
	case len(d.verdict.Undecided) > 0:
		return outcomeUndecided
	case len(d.verdict.Warned) > 0:
		return outcomeWarned
	}
	return outcomeAllowed
}

// Metrics are the metrics of a Handler. All labels are from closed sets.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	findings *prometheus.CounterVec
}

// NewMetrics registers the metrics of a Handler.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_admission_requests_total",
			Help: "Admission requests by operation and outcome (allowed, warned, denied, undecided, failed, invalid).",
		}, []string{"operation", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "routegate_admission_duration_seconds",
			Help:    "Time from the first byte of a request to its verdict, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 18),
		}, []string{"operation"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_findings_total",
			Help: "Findings at admission by check and what became of them (denied, warned, undecided).",
		}, []string{"check", "outcome"}),
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(m.findings))
}

// operations are the values of the label operation; anything else is "OTHER".
var operations = map[string]bool{"CREATE": true, "UPDATE": true, "DELETE": true, "CONNECT": true}

func (m *Metrics) observe(operation, outcome string, took time.Duration) {
	if !operations[operation] {
		operation = "OTHER"
	}
	m.requests.WithLabelValues(operation, outcome).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
}

func (m *Metrics) count(v policy.Verdict) {
	for _, f := range v.Denied {
		m.findings.WithLabelValues(f.Check, outcomeDenied).Inc()
	}
	for _, w := range v.Warned {
		m.findings.WithLabelValues(w.Check, outcomeWarned).Inc()
	}
	for _, f := range v.Undecided {
		check := f.Check
		if check == "" {
			check = "all"
		}
		m.findings.WithLabelValues(check, outcomeUndecided).Inc()
	}
}
