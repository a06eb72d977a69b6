// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/routegate/routegate/internal/cluster"
)

// scenario is one recording: what was written, what is asked about it, and what
// a verdict owes it.
type scenario struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Subject     reference         `json:"subject"`
	Objects     []json.RawMessage `json:"objects"`
	Delete      []reference       `json:"delete"`
	Requests    []json.RawMessage `json:"requests"`

	requests []request
	expected expectation
	// recorded is nil where there is no result file.
	recorded *recording
}

// reference names an object. It is comparable.
type reference struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (r reference) String() string {
	return r.Kind + " " + path.Join(r.Namespace, r.Name)
}

// recording is the part of a result file that is read here.
type recording struct {
	Applied []struct {
		Outcome string `json:"outcome"`
	} `json:"applied"`
	Verdict string   `json:"verdict"`
	Flags   []string `json:"flags"`
	// Before and Requests are the answers before anything was deleted, where that
	// was to be, and at the end, in the order of the scenario's requests.
	Before   []recordedRequest `json:"before"`
	Requests []recordedRequest `json:"requests"`
}

// owed is what a verdict owes a scenario; the head of expect.yaml explains the
// words.
type owed string

const (
	owedFlag     owed = "flag"
	owedWarn     owed = "warn"
	owedNone     owed = "none"
	owedOptional owed = "optional"
	owedRuntime  owed = "runtime"
	owedOrder    owed = "order"
	owedSkip     owed = "skip"
)

var allOwed = []owed{owedFlag, owedWarn, owedNone, owedOptional, owedRuntime, owedOrder, owedSkip}

// expectation is one line of expect.yaml.
type expectation struct {
	Owed   owed     `json:"owed"`
	Causes []string `json:"causes"`
}

// load reads a folder: scenarios, expect.yaml and, where there are any, results.
// The scenarios are sorted by name. Everything that is wrong is reported at once.
func load(dir string) ([]*scenario, error) {
	files, err := os.ReadDir(filepath.Join(dir, "scenarios"))
	if err != nil {
		return nil, err
	}
	expect := map[string]expectation{}
	if err := readYAML(filepath.Join(dir, "expect.yaml"), &expect); err != nil {
		return nil, err
	}
	var scenarios []*scenario
	var errs []error
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), ".yaml")
		if !ok {
			continue
		}
		s, err := loadScenario(dir, name, expect)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		scenarios = append(scenarios, s)
	}
	if len(files) == 0 {
		errs = append(errs, fmt.Errorf("%s: there are no scenarios", dir))
	}
	return scenarios, errors.Join(errs...)
}

func loadScenario(dir, name string, expect map[string]expectation) (*scenario, error) {
	s := &scenario{}
	if err := readYAML(filepath.Join(dir, "scenarios", name+".yaml"), s); err != nil {
		return nil, err
	}
	if s.Name != name {
		return nil, fmt.Errorf("its file says name: %s", s.Name)
	}
	s.Subject.Kind = "Ingress"
	for i, raw := range s.Requests {
		var r request
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("requests[%d]: %w", i, err)
		}
		s.requests = append(s.requests, r)
	}

	var listed bool
	if s.expected, listed = expect[name]; !listed {
		return nil, errors.New("expect.yaml does not say what is owed to it")
	}
	if !slices.Contains(allOwed, s.expected.Owed) {
		return nil, fmt.Errorf("expect.yaml says owed: %s, which is none of %q", s.expected.Owed, allOwed)
	}
	// A cause without a row in the catalogue is the name of a check all the same.
	for i, cause := range s.expected.Causes {
		s.expected.Causes[i] = strings.TrimPrefix(cause, "new:")
	}

	data, err := os.ReadFile(filepath.Join(dir, "results", name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.recorded = &recording{}
	if err := json.Unmarshal(data, s.recorded); err != nil {
		return nil, fmt.Errorf("its result: %w", err)
	}
	if n := len(s.recorded.Applied); n != len(s.Objects) {
		return nil, fmt.Errorf("its result is about %d objects: must be %d", n, len(s.Objects))
	}
	for _, part := range [][]recordedRequest{s.recorded.Before, s.recorded.Requests} {
		if n := len(part); part != nil && n != len(s.requests) {
			return nil, fmt.Errorf("its result is about %d requests: must be %d", n, len(s.requests))
		}
	}
	return s, nil
}

// rejected reports whether the API server refused the i-th object when the
// scenario was recorded.
func (s *scenario) rejected(i int) bool {
	return s.recorded != nil && s.recorded.Applied[i].Outcome == "api-rejected"
}

func readYAML(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := utilyaml.UnmarshalStrict(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// head returns what names an object in a manifest.
func head(raw json.RawMessage) (reference, error) {
	var h struct {
		Kind     string    `json:"kind"`
		Metadata reference `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return reference{}, err
	}
	h.Metadata.Kind = h.Kind
	return h.Metadata, nil
}

// decode reads one manifest. What the API server would drop is dropped, with a
// note: a fault of the scenario that could hide its point. The object is nil
// where the API server would refuse the manifest, or where its kind is unknown
// here and so can have no effect.
func decode(raw json.RawMessage) (obj metav1.Object, note string) {
	objs, err := cluster.Decode(bytes.NewReader(raw))
	if cause := errors.Unwrap(err); runtime.IsStrictDecodingError(cause) {
		note = cause.Error()
		var kept runtime.Object
		if kept, _, err = scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil); err == nil {
			if raw, err = json.Marshal(kept); err == nil {
				objs, err = cluster.Decode(bytes.NewReader(raw))
			}
		}
	}
	if err != nil {
		return nil, strings.TrimPrefix(err.Error(), "document 1: ")
	}
	if len(objs) == 1 {
		if obj, ok := objs[0].(metav1.Object); ok {
			return obj, note
		}
	}
	return nil, "not one object with metadata"
}
