// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Each alert has a fixture in testdata/alerts, in the format of "promtool test
// rules", in which it is quiet, fires and is quiet again.
func TestAlertsFireAndClear(t *testing.T) {
	dir := t.TempDir()
	names := rulesFile(t, filepath.Join(dir, "rules.yaml"))
	fixtures, err := filepath.Glob(filepath.Join("testdata", "alerts", "*"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{filepath.Join(dir, "rules.yaml")}
	for _, fixture := range fixtures {
		name := strings.TrimSuffix(filepath.Base(fixture), ".yaml")
		if !names[name] {
			t.Errorf("%s: there is no alert %s", fixture, name)
		}
		delete(names, name)
		content := read(t, fixture)
		var tests struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string
					ExpAlerts []any `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal([]byte(content), &tests); err != nil {
			t.Fatalf("%s: %v", fixture, err)
		}
		var fires []bool
		for _, test := range tests.Tests {
			for _, at := range test.AlertRuleTest {
				if at.Alertname != name {
					t.Errorf("%s: tests the alert %q", fixture, at.Alertname)
				}
				fires = append(fires, len(at.ExpAlerts) > 0)
			}
		}
		if !slices.Equal(fires, []bool{false, true, false}) {
			t.Errorf("%s: the alert must be quiet, fire and be quiet again", fixture)
		}
		path := filepath.Join(dir, filepath.Base(fixture))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	for name := range maps.Keys(names) {
		t.Errorf("testdata/alerts has no %s.yaml", name)
	}
	if !t.Failed() {
		tool(t, "ruletest", args...)
	}
}

// rulesFile writes the alerts for Prometheus and returns their names.
func rulesFile(t *testing.T, path string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, object := range render(t, "--set=prometheusRule.enabled=true") {
		if object.GetKind() != "PrometheusRule" {
			continue
		}
		groups, _, err := unstructured.NestedSlice(object.Object, "spec", "groups")
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			for _, rule := range group.(map[string]any)["rules"].([]any) {
				rule := rule.(map[string]any)
				names[rule["alert"].(string)] = true
				// TestAlerts has looked at it, and fixtures are easier to read without.
				unstructured.RemoveNestedField(rule, "annotations", "runbook_url")
			}
		}
		text, err := yaml.Marshal(map[string]any{"groups": groups})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names
}
