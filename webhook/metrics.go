// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of a request, as metrics and logs name them.
const (
	outcomeAllowed   = "allowed"
	outcomeWarned    = "warned"
	outcomeDenied    = "denied"
	outcomeUndecided = "undecided" // allowed, with a part on which there was no verdict
	outcomeAudited   = "audited"   // of a finding: only recorded
	outcomeIgnored   = "ignored"   // of a finding: only recorded, as the Ingress says
	outcomeFailed    = "failed"    // no verdict, answered with 500
	outcomeInvalid   = "invalid"   // not an AdmissionReview about an Ingress, answered with 4xx
)

func (d *decision) outcome() string {
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
			Help: "Findings at admission by check, operation, mode of the check (deny, warn, audit) and what became of them (denied, warned, undecided, audited, ignored).",
		}, []string{"check", "operation", "mode", "outcome"}),
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(m.findings))
}

// operations are the values of the label operation; anything else is "OTHER".
var operations = map[string]bool{"CREATE": true, "UPDATE": true, "DELETE": true, "CONNECT": true}

// operationLabel is the value of the label operation.
func operationLabel(operation string) string {
	if !operations[operation] {
		return "OTHER"
	}
	return operation
}

func (m *Metrics) observe(operation, outcome string, took time.Duration) {
	operation = operationLabel(operation)
	m.requests.WithLabelValues(operation, outcome).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
}

// count counts the findings of a decision. One that is about no single check is counted
// for the check "all", which has the mode "none".
func (m *Metrics) count(d *decision) {
	operation := operationLabel(string(d.operation))
	add := func(check, outcome string) {
		mode := string(d.verdict.Mode(check))
		if check == "" {
			check, mode = "all", "none"
		}
		m.findings.WithLabelValues(check, operation, mode, outcome).Inc()
	}
	for _, f := range d.verdict.Denied {
		add(f.Check, outcomeDenied)
	}
	for _, w := range d.verdict.Warned {
		add(w.Check, outcomeWarned)
	}
	for _, f := range d.verdict.Undecided {
		add(f.Check, outcomeUndecided)
	}
	for _, f := range d.verdict.Audited {
		add(f.Check, outcomeAudited)
	}
	for _, f := range d.verdict.Ignored {
		add(f.Check, outcomeIgnored)
	}
}
