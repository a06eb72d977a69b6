// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/routegate/routegate/internal/audit"
)

// auditOptions are the flags of serve that are about what is in the cluster already.
type auditOptions struct {
	enabled   bool
	events    bool
	settle    time.Duration
	maxSeries int
}

func (o *auditOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.enabled, "audit", false, "keep judging the Ingresses that are in the cluster already, and export what is found as metrics; needs --lease")
	f.BoolVar(&o.events, "audit-events", true, "record an Event on the Ingress when the audit finds something, and when that is gone")
	f.DurationVar(&o.settle, "audit-settle-time", 30*time.Second, "how long a finding of the audit lasts before it counts, and is gone before it does not count any more")
	f.IntVar(&o.maxSeries, "audit-max-series", 2000, "how many series each metric of the audit has at most")
}

func (o *auditOptions) validate() error {
	var errs []error
	if o.settle < 0 {
		errs = append(errs, fmt.Errorf("--audit-settle-time %s: must not be negative", o.settle))
	}
	if o.maxSeries < 1 {
		errs = append(errs, fmt.Errorf("--audit-max-series %d: must be at least 1", o.maxSeries))
	}
	return errors.Join(errs...)
}

// auditor returns what judges the cluster by the same rules as the webhook.
func (o *auditOptions) auditor(rules *policySource, cl audit.Cluster, api clients, metrics prometheus.Registerer, log logr.Logger) (*audit.Auditor, error) {
	var sink events.EventSink
	if o.events {
		sink = &events.EventSinkImpl{Interface: api.typed.EventsV1()}
	}
	auditor, err := audit.New(audit.Config{
		Cluster:   cl,
		Rules:     rules.Rules,
		Clock:     clock.RealClock{},
		Settle:    o.settle,
		MaxSeries: o.maxSeries,
		Events:    sink,
		Log:       log.WithName("audit"),
		Metrics:   metrics,
	})
	if err != nil {
		return nil, err
	}
	rules.changed = auditor.Refresh
	return auditor, nil
}
