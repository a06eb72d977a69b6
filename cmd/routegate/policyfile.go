// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

// policyInterval is how often the policy file is compared with what was read of it. The
// kubelet takes a minute to write a changed ConfigMap, so that watching it would gain
// nothing.
const policyInterval = time.Second

// policySource holds the rules in force: those of the flags alone, or those of a policy
// file, which is followed.
type policySource struct {
	// path is the policy file; empty where there is none.
	path string
	// base is what the flags say, for the fields that the file leaves out.
	base policy.File
	// check complains where a flag that was given contradicts the file.
	check func(policy.File) error
	log   logr.Logger
	// complain tells of a file that is not in force, besides the log. It may be nil.
	complain func(ctx context.Context, reason, text string)
	// changed is called when other rules are in force. It may be nil.
	changed func()

	rules atomic.Pointer[policy.Rules]
	// started is the file with which the process started.
	started policy.File
	// seen is the text that was tried last, and failed why the file could not be read.
	seen   []byte
	failed string

	reloads *prometheus.CounterVec
	refused prometheus.Gauge
	restart prometheus.Gauge
	since   prometheus.Gauge
}

// Rules returns the rules in force.
func (s *policySource) Rules() *policy.Rules {
	return s.rules.Load()
}

// register makes the metrics, which there are only where a file is followed.
func (s *policySource) register(r prometheus.Registerer) error {
	s.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "routegate_policy_reloads_total",
		Help: "Changed policy files by result: loaded, or refused, after which the one before stays in force.",
	}, []string{"result"})
	s.refused = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "routegate_policy_refused",
		Help: "1 while the policy file is not in force because it is bad or cannot be read, else 0.",
	})
	s.restart = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "routegate_policy_restart_needed",
		Help: "1 while secretAccess, controllers or labels of objectSelector of the policy file differ from those with which the process started, else 0.",
	})
	s.since = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "routegate_policy_loaded_timestamp_seconds",
		Help: "When the policy file in force was loaded.",
	})
	for _, result := range []string{"loaded", "refused"} {
		s.reloads.WithLabelValues(result)
	}
	return errors.Join(r.Register(s.reloads), r.Register(s.refused), r.Register(s.restart), r.Register(s.since))
}

// start makes the first rules. A bad file is an error.
func (s *policySource) start(r prometheus.Registerer) error {
	if s.path == "" {
		rules, err := s.base.Compile(checks.All())
		s.rules.Store(rules)
		s.started = s.base
		return err
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("--policy: %w", err)
	}
	rules, err := s.parse(text)
	if err != nil {
		return fmt.Errorf("--policy: %w", err)
	}
	if err := s.register(r); err != nil {
		return err
	}
	s.rules.Store(rules)
	s.started, s.seen = rules.File(), text
	s.since.SetToCurrentTime()
	return nil
}

// parse makes rules of the file's text and of the flags.
func (s *policySource) parse(text []byte) (*policy.Rules, error) {
	file, err := policy.Parse(s.path, text, checks.All())
	if err != nil {
		return nil, err
	}
	if err := s.check(file); err != nil {
		return nil, err
	}
	return over(s.base, file).Compile(checks.All())
}

// over returns the file with what it leaves out as the flags have it.
func over(base, file policy.File) policy.File {
	file.Preset = cmp.Or(file.Preset, base.Preset)
	file.OnUndecided = cmp.Or(file.OnUndecided, base.OnUndecided)
	file.GracePeriod = cmp.Or(file.GracePeriod, base.GracePeriod)
	file.SecretAccess = cmp.Or(file.SecretAccess, base.SecretAccess)
	if file.Controllers.IngressNginx == nil {
		file.Controllers.IngressNginx = base.Controllers.IngressNginx
	}
	if file.Controllers.Running == nil {
		file.Controllers.Running = base.Controllers.Running
	}
	if file.Controllers.Settings == nil {
		file.Controllers.Settings = base.Controllers.Settings
	}
	return file
}

// follow reads the file again when it changes, until ctx is done.
func (s *policySource) follow(ctx context.Context) error {
	if s.path == "" {
		return nil
	}
	ticker := time.NewTicker(policyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.reload(ctx)
		}
	}
}

// reload puts the file in force if it has changed and is good. Otherwise the rules stay
// as they are, which is said once.
func (s *policySource) reload(ctx context.Context) {
	text, err := os.ReadFile(s.path)
	if err != nil {
		if err.Error() != s.failed {
			s.failed, s.seen = err.Error(), nil
			s.refuse(ctx, err)
		}
		return
	}
	s.failed = ""
	if s.seen != nil && bytes.Equal(text, s.seen) {
		return
	}
	s.seen = text
	rules, err := s.parse(text)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	s.rules.Store(rules)
	if s.changed != nil {
		s.changed()
	}
	s.reloads.WithLabelValues("loaded").Inc()
	s.refused.Set(0)
	s.since.SetToCurrentTime()
	s.log.Info("policy loaded", "file", s.path, "rules", len(rules.File().Rules))
	s.restart.Set(0)
	if what := needsRestart(s.started, rules.File()); what != "" {
		s.restart.Set(1)
		s.log.Info("a part of the policy takes a restart", "file", s.path, "fields", what)
		s.tell(ctx, "PolicyNeedsRestart", fmt.Sprintf("%s: %s changed, which takes a restart; the rest is in force", s.path, what))
	}
}

func (s *policySource) refuse(ctx context.Context, err error) {
	s.reloads.WithLabelValues("refused").Inc()
	s.refused.Set(1)
	s.log.Error(err, "policy refused; the one before stays in force", "file", s.path)
	s.tell(ctx, "PolicyRefused", fmt.Sprintf("the policy before stays in force: %v", err))
}

func (s *policySource) tell(ctx context.Context, reason, text string) {
	if s.complain != nil {
		s.complain(ctx, reason, text)
	}
}

// needsRestart names the fields that differ and are read at the start only. A label of
// Ingresses that no rule selects by any more takes none.
func needsRestart(started, now policy.File) string {
	var fields []string
	if started.SecretAccess != now.SecretAccess {
		fields = append(fields, "secretAccess")
	}
	if !reflect.DeepEqual(started.Controllers, now.Controllers) {
		fields = append(fields, "controllers")
	}
	kept := started.IngressLabels()
	if slices.ContainsFunc(now.IngressLabels(), func(key string) bool { return !slices.Contains(kept, key) }) {
		fields = append(fields, "labels of objectSelector")
	}
	return strings.Join(fields, ", ")
}

// parsePolicyFile reads a policy file on the command line, or none where there is no
// path.
func parsePolicyFile(path string) (policy.File, error) {
	if path == "" {
		return policy.File{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return policy.File{}, fmt.Errorf("policy file: %w", err)
	}
	file, err := policy.Parse(filepath.Clean(path), text, checks.All())
	if err != nil {
		return file, fmt.Errorf("%w:\n%w", errInvalid, err)
	}
	return file, nil
}

// errInvalid is that a policy file is not valid.
var errInvalid = errors.New("the policy file is not valid")
