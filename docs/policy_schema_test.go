// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

const policySchema = "policy.schema.json"

// TestPolicySchema compares the schema with the types that a policy file is read into.
func TestPolicySchema(t *testing.T) {
	want := schemaOfPolicy(t)
	if *update {
		if err := os.WriteFile(policySchema, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(policySchema)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/%s differs from the types of internal/policy: run go generate ./docs", policySchema)
	}
}

// TestPolicySchemaAgrees asks the schema about every policy of the page, each of which
// Routegate accepts, and about files that it refuses.
func TestPolicySchemaAgrees(t *testing.T) {
	page, err := os.ReadFile("policy.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(policySchema)
	if err != nil {
		t.Fatal(err)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource(policySchema, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(policySchema)
	if err != nil {
		t.Fatal(err)
	}
	accepts := func(file string) error {
		inJSON, err := yaml.YAMLToJSON([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		value, err := validator.UnmarshalJSON(bytes.NewReader(inJSON))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	examples := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(block[1], "kind: "+policy.Kind+"\n") {
			continue
		}
		examples++
		if err := accepts(block[1]); err != nil {
			t.Errorf("the schema refuses an example: %v\n%s", err, block[1])
		}
	}
	if examples < 5 {
		t.Errorf("found %d examples in policy.md", examples)
	}
	const header = "apiVersion: routegate.dev/v1alpha1\nkind: Policy\n"
	for _, file := range []string{
		"kind: Policy\n", "apiVersion: routegate.dev/v2\nkind: Policy\n", header + "presets: standard\n", header + "preset: lax\n",
		header + "modes: {port-missin: warn}\n", header + "modes: {port-missing: block}\n", header + "dryRun: audit\n", header + "maxFindings: 51\n",
		header + "rules: [{preset: observe}]\n", header + "rules: [{name: a, matches: {}}]\n", header + "rules: [{name: a, match: {namespaces: app}}]\n",
		header + "namespaceLabels: {allow: [deny]}\n", header + "ignore: {allowed: maybe}\n", header + "secretAccess: some\n",
	} {
		if accepts(file) == nil {
			t.Errorf("the schema accepts\n%s", file)
		}
		if _, err := policy.Parse("policy.yaml", []byte(file), checks.All()); err == nil {
			t.Errorf("Routegate accepts\n%s", file)
		}
	}
}

// schemaOfPolicy makes the schema of a policy file from the types and their comments.
func schemaOfPolicy(t *testing.T) []byte {
	t.Helper()
	// As YAML 1.1 reads it, "off" is false.
	off := []any{"off", false}
	presets := []any{string(policy.Observe), string(policy.Standard), string(policy.Strict)}
	r := jsonschema.Reflector{
		RequiredFromJSONSchemaTags: true,
		Mapper: func(of reflect.Type) *jsonschema.Schema {
			switch of {
			case reflect.TypeFor[policy.Preset]():
				return &jsonschema.Schema{Enum: presets}
			case reflect.TypeFor[checks.Mode]():
				return &jsonschema.Schema{Enum: append([]any{string(checks.Deny), string(checks.Warn), string(policy.Audit)}, off...)}
			case reflect.TypeFor[policy.OnUndecided]():
				return &jsonschema.Schema{Enum: []any{string(policy.Allow), string(policy.Fail)}}
			case reflect.TypeFor[policy.Disclosure]():
				return &jsonschema.Schema{Enum: []any{string(policy.DiscloseAlways), string(policy.DiscloseAuthorized), string(policy.DiscloseNever)}}
			case reflect.TypeFor[routing.Risk]():
				return &jsonschema.Schema{Type: "string"}
			}
			return nil
		},
	}
	for _, folder := range []string{"../internal/policy", "../routing"} {
		if err := r.AddGoComments("github.com/routegate/routegate/docs", folder, jsonschema.WithFullComment()); err != nil {
			t.Fatal(err)
		}
	}
	s := r.Reflect(policy.File{})
	s.ID = "https://github.com/routegate/routegate/blob/main/docs/" + policySchema
	s.Title = "Policy of Routegate"
	property := func(in, name string) *jsonschema.Schema {
		t.Helper()
		p, ok := s.Definitions[in].Properties.Get(name)
		if !ok {
			t.Fatalf("%s has no field %s", in, name)
		}
		return p
	}
	var names []any
	for _, c := range checks.All() {
		names = append(names, c.Name)
	}
	s.Definitions["File"].Required = []string{"apiVersion", "kind"}
	s.Definitions["Rule"].Required = []string{"name"}
	property("File", "apiVersion").Const = policy.APIVersion
	property("File", "kind").Const = policy.Kind
	property("File", "maxFindings").Minimum, property("File", "maxFindings").Maximum = "1", "50"
	property("File", "secretAccess").Enum = []any{"off", false, "get", "metadata", "full"}
	for _, in := range []string{"File", "Rule"} {
		property(in, "modes").PropertyNames = &jsonschema.Schema{Enum: names}
		property(in, "dryRun").Enum = []any{string(checks.Warn), string(checks.Deny)}
	}
	property("NamespaceLabels", "allow").Items.Enum = []any{"enforce", "warn", "audit"}
	for _, bound := range []string{"atLeast", "atMost"} {
		property("NamespaceLabels", bound).Enum = append(off, presets...)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}
