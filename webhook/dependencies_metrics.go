// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/routegate/routegate/routing"
)

// DependencyMetrics are the metrics of Dependencies. All labels are from closed sets.
type DependencyMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	findings *prometheus.CounterVec
}

// NewDependencyMetrics registers the metrics of Dependencies.
func NewDependencyMetrics(r prometheus.Registerer) (*DependencyMetrics, error) {
	m := &DependencyMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_reverse_requests_total",
			Help: "Requests about what Ingresses use, by kind, operation and outcome (allowed, warned, undecided, invalid).",
		}, []string{"kind", "operation", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "routegate_reverse_duration_seconds",
			Help:    "Time from the first byte of a request about what Ingresses use to its answer, by kind.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 18),
		}, []string{"kind"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_reverse_findings_total",
			Help: "What Ingresses would lose by a change of what they use, by the check that found it.",
		}, []string{"check"}),
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(m.findings))
}

func (m *DependencyMetrics) observe(kind, operation, outcome string, took time.Duration) {
	if !slices.Contains(DependencyKinds(), routing.Kind(kind)) {
		kind = "OTHER"
	}
	m.requests.WithLabelValues(kind, operationLabel(operation), outcome).Inc()
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
}

func (m *DependencyMetrics) count(l losses) {
	for _, check := range l.checks {
		m.findings.WithLabelValues(check).Inc()
	}
}
