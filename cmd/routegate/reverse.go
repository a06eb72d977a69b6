// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// dependenciesPath is where the API server sends what Ingresses use.
const dependenciesPath = "/validate-dependencies"

// reverseUsage is the help of --reverse-checks.
const reverseUsage = "of which objects to warn when a change or deletion breaks Ingresses: ingressclasses, secrets, services; none when empty"

// reverseKinds are the values of --reverse-checks.
func reverseKinds() map[string]routing.Kind {
	return map[string]routing.Kind{
		"ingressclasses": routing.IngressClasses, "secrets": routing.Secrets, "services": routing.Services,
	}
}

// parseReverse reads --reverse-checks. Where Secrets are not read, nothing is said of
// them.
func parseReverse(names []string, access cluster.SecretAccess) ([]routing.Kind, error) {
	known := reverseKinds()
	var kinds []routing.Kind
	for _, name := range names {
		kind, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("--reverse-checks %q: must be of %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if kind != routing.Secrets || access != cluster.SecretsOff {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// dependencies returns what answers at dependenciesPath.
func (o *serveOptions) dependencies(cl *cluster.Cluster, rules *policySource, registry prometheus.Registerer, log logr.Logger) (*webhook.Dependencies, error) {
	kinds, err := parseReverse(o.reverse, cluster.SecretAccess(rules.started.SecretAccess))
	if err != nil {
		return nil, err
	}
	metrics, err := webhook.NewDependencyMetrics(registry)
	if err != nil {
		return nil, err
	}
	d := &webhook.Dependencies{
		Cluster: cl, Kinds: kinds, Rules: rules.Rules, Metrics: metrics, Log: log.WithName("webhook"),
	}
	return d, d.Validate()
}
