// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
)

// metrics are those of an Auditor. What they say of the cluster is exported only
// while this replica leads.
type metrics struct {
	auditor *Auditor
	judged  prometheus.Histogram
	waited  prometheus.Histogram
	events  *prometheus.CounterVec

	leading, depth, findings, routable, oldest, expiry, dropped *prometheus.Desc
}

func newMetrics(a *Auditor, r prometheus.Registerer) (*metrics, error) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m := &metrics{
		auditor: a,
		judged: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "routegate_audit_duration_seconds",
			Help:    "Time to judge one Ingress of the cluster.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 4, 10),
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "routegate_audit_queue_duration_seconds",
			Help:    "How long an Ingress waits to be judged after something that concerns it changed.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 11),
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "routegate_audit_events_total",
			Help: "Events about Ingresses by result (recorded, dropped because there were too many).",
		}, []string{"result"}),
		leading: desc("routegate_audit_leading", "1 where this replica audits the cluster, else 0."),
		depth:   desc("routegate_audit_queue_depth", "Ingresses that wait to be judged; of the leader."),
		findings: desc("routegate_ingress_findings",
			"Findings about the Ingresses of the cluster by namespace, check and mode (deny, warn, audit, ignored, undecided); of the leader.", "ingress_namespace", "check", "mode"),
		routable: desc("routegate_ingress_routable",
			"Ingresses by namespace and whether requests get to what they declare (true, false, unknown); of the leader.", "ingress_namespace", "routable"),
		oldest: desc("routegate_ingress_oldest_finding_age_seconds",
			"Time since the leader first saw the oldest finding of a mode; of the leader.", "mode"),
		expiry: desc("routegate_ingress_certificate_expiry_timestamp_seconds",
			"When the certificate of a host expires, the soonest of them; of the leader.", "ingress_namespace", "host", "secret"),
		dropped: desc("routegate_audit_series_dropped",
			"Series of a metric that are left out because there are too many; of the leader.", "metric"),
	}
	return m, errors.Join(r.Register(m), r.Register(m.judged), r.Register(m.waited), r.Register(m.events))
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.leading, m.depth, m.findings, m.routable, m.oldest, m.expiry, m.dropped} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	r := m.auditor.current()
	if r == nil {
		gauge(m.leading, 0)
		return
	}
	gauge(m.leading, 1)
	gauge(m.depth, float64(r.queue.Len()))
	s := r.sum()

	most := m.auditor.MaxSeries
	findings := slices.SortedFunc(maps.Keys(s.findings), func(a, b findingSeries) int {
		return cmp.Or(cmp.Compare(rank(a.mode), rank(b.mode)), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.check, b.check))
	})
	for _, key := range findings[:min(len(findings), most)] {
		gauge(m.findings, float64(s.findings[key]), key.namespace, key.check, string(key.mode))
	}
	routable := slices.SortedFunc(maps.Keys(s.routable), func(a, b routableSeries) int {
		return cmp.Or(cmp.Compare(rankOf(a.routable), rankOf(b.routable)), cmp.Compare(a.namespace, b.namespace))
	})
	for _, key := range routable[:min(len(routable), most)] {
		gauge(m.routable, float64(s.routable[key]), key.namespace, string(key.routable))
	}
	for _, mode := range modes {
		if since, ok := s.oldest[mode]; ok {
			gauge(m.oldest, m.auditor.Clock.Since(since).Seconds(), string(mode))
		}
	}
	certificates := slices.SortedFunc(maps.Keys(s.expiry), func(a, b certificateSeries) int {
		return cmp.Or(s.expiry[a].Compare(s.expiry[b]), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.host, b.host), cmp.Compare(a.secret, b.secret))
	})
	for _, key := range certificates[:min(len(certificates), most)] {
		gauge(m.expiry, float64(s.expiry[key].Unix()), key.namespace, key.host, key.secret)
	}
	for name, n := range map[string]int{
		"routegate_ingress_findings": len(findings), "routegate_ingress_routable": len(routable),
		"routegate_ingress_certificate_expiry_timestamp_seconds": len(certificates),
	} {
		gauge(m.dropped, float64(max(0, n-most)), name)
	}
}

// rank puts the gravest first, so that it is kept.
func rank(m mode) int { return slices.Index(modes, m) }

func rankOf(r Routable) int { return slices.Index([]Routable{No, Unknown, Yes}, r) }

type (
	findingSeries struct {
		namespace, check string
		mode             mode
	}
	routableSeries struct {
		namespace string
		routable  Routable
	}
	certificateSeries struct{ namespace, host, secret string }
)

// sums is what the metrics say of a round.
type sums struct {
	findings map[findingSeries]int
	routable map[routableSeries]int
	oldest   map[mode]time.Time
	expiry   map[certificateSeries]time.Time
}

func (r *round) sum() sums {
	s := sums{map[findingSeries]int{}, map[routableSeries]int{}, map[mode]time.Time{}, map[certificateSeries]time.Time{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, e := range r.ingresses {
		s.routable[routableSeries{key.Namespace, e.routable()}]++
		for _, f := range e.findings {
			if !f.counts {
				continue
			}
			s.findings[findingSeries{key.Namespace, f.Check, f.mode}]++
			if oldest, ok := s.oldest[f.mode]; !ok || f.since.Before(oldest) {
				s.oldest[f.mode] = f.since
			}
		}
		for _, c := range e.certificates {
			s.expiry[certificateSeries{key.Namespace, c.Host, c.Secret}] = c.Expiry
		}
	}
	return s
}

// The queue tells how long its items wait; the rest is known otherwise.

// unwanted is a metric of the queue that is not exported.
type unwanted struct{}

func (unwanted) Inc()            {}
func (unwanted) Dec()            {}
func (unwanted) Set(float64)     {}
func (unwanted) Observe(float64) {}

// NewLatencyMetric implements workqueue.MetricsProvider.
func (m *metrics) NewLatencyMetric(string) workqueue.HistogramMetric { return m.waited }

// NewDepthMetric implements workqueue.MetricsProvider.
func (m *metrics) NewDepthMetric(string) workqueue.GaugeMetric { return unwanted{} }

// NewAddsMetric implements workqueue.MetricsProvider.
func (m *metrics) NewAddsMetric(string) workqueue.CounterMetric { return unwanted{} }

// NewWorkDurationMetric implements workqueue.MetricsProvider.
func (m *metrics) NewWorkDurationMetric(string) workqueue.HistogramMetric { return unwanted{} }

// NewUnfinishedWorkSecondsMetric implements workqueue.MetricsProvider.
func (m *metrics) NewUnfinishedWorkSecondsMetric(string) workqueue.SettableGaugeMetric {
	return unwanted{}
}

// NewLongestRunningProcessorSecondsMetric implements workqueue.MetricsProvider.
func (m *metrics) NewLongestRunningProcessorSecondsMetric(string) workqueue.SettableGaugeMetric {
	return unwanted{}
}

// NewRetriesMetric implements workqueue.MetricsProvider.
func (m *metrics) NewRetriesMetric(string) workqueue.CounterMetric { return unwanted{} }
