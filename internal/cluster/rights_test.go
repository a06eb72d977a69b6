// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

func TestScopedRightsSplitRights(t *testing.T) {
	for _, access := range cluster.SecretAccesses() {
		ofCluster, each := cluster.ScopedRights([]string{"a", "b"}, routing.Kinds(), access, routing.OptionalKinds()...)
		var resources []string
		for _, rule := range ofCluster {
			resources = append(resources, rule.Resources[0]+strings.Join(rule.ResourceNames, ","))
		}
		slices.Sort(resources)
		if want := []string{"ingressclasses", "namespacesa,b"}; !slices.Equal(resources, want) {
			t.Errorf("%s: of the cluster: got %q, want %q", access, resources, want)
		}
		if got, want := len(ofCluster)+len(each), len(cluster.Rights(routing.Kinds(), access, routing.OptionalKinds()...)); got != want {
			t.Errorf("%s: %d rights, must be the %d without a scope", access, got, want)
		}
	}
}

// That they suffice is shown against a real API server, in e2e/chart.
func TestRights(t *testing.T) {
	const always = "ingresses:get,list,watch ingressclasses:get,list,watch services:get,list,watch namespaces:get,list,watch"
	for _, tc := range []struct {
		reads  []routing.Kind
		access cluster.SecretAccess
		want   string
		also   []routing.Kind
	}{
		{nil, cluster.SecretsFull, always, nil},
		{routing.OptionalKinds(), cluster.SecretsFull, always, nil},
		{routing.OptionalKinds(), cluster.SecretsFull, always + " pods:list networkpolicies:list,watch", routing.OptionalKinds()},
		{[]routing.Kind{routing.EndpointSlices, routing.ConfigMaps}, cluster.SecretsFull, always + " endpointslices:list,watch configmaps:get", nil},
		{[]routing.Kind{routing.Secrets}, cluster.SecretsFull, always + " secrets:get,list,watch", nil},
		{[]routing.Kind{routing.SecretData}, cluster.SecretsMetadata, always + " secrets:get,list,watch", nil},
		{[]routing.Kind{routing.Secrets, routing.SecretData}, cluster.SecretsGet, always + " secrets:get", nil},
		{[]routing.Kind{routing.Secrets, routing.SecretData}, cluster.SecretsOff, always, nil},
	} {
		var got []string
		for _, rule := range cluster.Rights(tc.reads, tc.access, tc.also...) {
			got = append(got, fmt.Sprintf("%s:%s", rule.Resources[0], strings.Join(rule.Verbs, ",")))
		}
		want := strings.Fields(tc.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("reading %q with %s:\n got %q\nwant %q", tc.reads, tc.access, got, want)
		}
	}
}
