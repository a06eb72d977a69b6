// SPDX-License-Identifier: Apache-2.0

// Command ruletest tests alerts as "promtool test rules" does, with the same
// packages and the same format. promtool itself compiles the clients of all
// clouds that Prometheus can discover targets in, which takes longer than
// everything else that the chart's tests need.
//
//	ruletest RULES TEST...
//
// Of the format it knows input_series and alert_rule_test; series are loaded and
// alerts evaluated once a minute.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

// interval is between two samples, and between two evaluations.
const interval = time.Minute

// file is one with tests.
type file struct {
	RuleFiles []string `json:"rule_files"`
	Tests     []test   `json:"tests"`
}

type test struct {
	InputSeries []struct {
		Series string `json:"series"`
		Values string `json:"values"`
	} `json:"input_series"`
	AlertRuleTest []moment `json:"alert_rule_test"`
}

// moment is when an alert is looked at, and how it must fire then.
type moment struct {
	EvalTime  model.Duration `json:"eval_time"`
	Alertname string         `json:"alertname"`
	ExpAlerts []struct {
		ExpLabels      map[string]string `json:"exp_labels"`
		ExpAnnotations map[string]string `json:"exp_annotations"`
	} `json:"exp_alerts"`
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: ruletest RULES TEST...")
		os.Exit(2)
	}
	failed := false
	for _, path := range os.Args[2:] {
		if err := run(context.Background(), os.Args[1], path); err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func run(ctx context.Context, ruleFile, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f file
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return err
	}
	if len(f.Tests) == 0 {
		return errors.New("there is no test")
	}
	for _, t := range f.Tests {
		if err := t.run(ctx, ruleFile); err != nil {
			return err
		}
	}
	return nil
}

func (t test) run(ctx context.Context, ruleFile string) (err error) {
	load := "load 1m\n"
	for _, s := range t.InputSeries {
		load += "  " + s.Series + " " + s.Values + "\n"
	}
	p := parser.NewParser(parser.Options{})
	loader, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{Parser: p})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loader.Close()) }()
	groups, errs := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(loader.QueryEngine(), loader.Storage()),
		AppendableV2: loader.Storage(),
		Context:      ctx,
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       promslog.NewNopLogger(),
		Parser:       p,
	}).LoadGroups(interval, labels.EmptyLabels(), "", nil, false, ruleFile)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	alerts := map[string]*rules.AlertingRule{}
	for _, g := range groups {
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				// Else it waits to be told what fired before Prometheus was started.
				a.SetRestored(true)
				alerts[a.Name()] = a
			}
		}
	}

	moments := slices.Clone(t.AlertRuleTest)
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.EvalTime - b.EvalTime) })
	var faults []error
	for now := time.Duration(0); len(moments) > 0; now += interval {
		at := time.Unix(0, 0).UTC().Add(now)
		loader.WithSamplesTill(at, func(err error) {
			if err != nil {
				faults = append(faults, err)
				return
			}
			for _, g := range groups {
				g.Eval(loader.Context(), at)
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						faults = append(faults, fmt.Errorf("alert %s at %s: %w", r.Name(), now, err))
					}
				}
			}
		})
		for len(moments) > 0 && time.Duration(moments[0].EvalTime) < now+interval {
			faults = append(faults, moments[0].compare(alerts[moments[0].Alertname]))
			moments = moments[1:]
		}
	}
	return errors.Join(faults...)
}

// compare returns how what fires is not what is expected.
func (m moment) compare(rule *rules.AlertingRule) error {
	if rule == nil {
		return fmt.Errorf("there is no alert %q", m.Alertname)
	}
	var want, got []string
	for _, e := range m.ExpAlerts {
		expected := map[string]string{labels.AlertName: m.Alertname}
		for name, value := range e.ExpLabels {
			expected[name] = value
		}
		want = append(want, labels.FromMap(expected).String()+" "+labels.FromMap(e.ExpAnnotations).String())
	}
	for _, a := range rule.ActiveAlerts() {
		if a.State == rules.StateFiring {
			got = append(got, a.Labels.String()+" "+a.Annotations.String())
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("alert %s at %s: fires\n  %s\nmust fire\n  %s", m.Alertname, m.EvalTime, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
}
