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

// That they suffice is shown against a real API server, in e2e/chart.
func TestRights(t *testing.T) {
	const always = "ingresses:get,list,watch ingressclasses:get,list,watch services:get,list,watch namespaces:get,list,watch"
	for _, tc := range []struct {
		reads  []routing.Kind
		access cluster.SecretAccess
		want   string
	}{
		{nil, cluster.SecretsFull, always},
		{[]routing.Kind{routing.EndpointSlices, routing.ConfigMaps}, cluster.SecretsFull, always + " endpointslices:list,watch configmaps:get"},
		{[]routing.Kind{routing.Secrets}, cluster.SecretsFull, always + " secrets:get,list,watch"},
		{[]routing.Kind{routing.SecretData}, cluster.SecretsMetadata, always + " secrets:get,list,watch"},
		{[]routing.Kind{routing.Secrets, routing.SecretData}, cluster.SecretsGet, always + " secrets:get"},
		{[]routing.Kind{routing.Secrets, routing.SecretData}, cluster.SecretsOff, always},
	} {
		var got []string
		for _, rule := range cluster.Rights(tc.reads, tc.access) {
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
