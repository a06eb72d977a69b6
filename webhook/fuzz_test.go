// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// FuzzServeHTTP sends arbitrary bodies. Whatever they are, nothing panics, the status is
// one of few, a review is answered by a review of the same uid whose texts are short and
// tame, and what is no object is never denied.
func FuzzServeHTTP(f *testing.F) {
	for i, object := range recordedIngresses(f) {
		operation, old := admissionv1.Create, (*networkingv1.Ingress)(nil)
		if i%2 == 1 {
			operation, old = admissionv1.Update, ingress("web")
		}
		r, err := newReview(operation, nil, old)
		if err != nil {
			f.Fatal(err)
		}
		r.Request.Object.Raw = object
		body, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("application/json", "10s", body)
	}
	f.Add("text/plain", "", []byte("{}"))
	f.Add("application/json; charset=utf-8", "-1s", []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`))
	f.Add("application/json", "1e9h", []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"\xff","operation":"CREATE","object":[],`+
		`"kind":{"group":"networking.k8s.io","version":"v1","kind":"Ingress"}}}`))
	handler, err := plainHandler()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, contentType, timeout string, body []byte) {
		// The handler may overwrite what it reads.
		sent := bytes.Clone(body)
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?timeout="+url.QueryEscape(timeout), bytes.NewReader(body))
		request.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		switch answer.Code {
		case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
			return
		case http.StatusOK:
		default:
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		}
		var asked, got admissionv1.AdmissionReview
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || got.Response == nil {
			t.Fatalf("no review (%v): %s", err, answer.Body)
		}
		if !json.Valid(sent) {
			t.Fatalf("answered what is no JSON: %s", answer.Body)
		}
		// What Routegate does not read of a review may be anything, and of two members of
		// one name it takes the last, which says less of what was asked.
		strict, err := kjson.UnmarshalStrict(sent, &asked, kjson.DisallowDuplicateFields)
		if err != nil || len(strict) > 0 {
			if err := tame(answer.Body.Bytes()); err != nil {
				t.Error(err)
			}
			return
		}
		if asked.Request == nil {
			t.Fatalf("answered what asks nothing: %s", answer.Body)
		}
		if got.Response.UID != asked.Request.UID || got.APIVersion != asked.APIVersion || got.Kind != asked.Kind {
			t.Errorf("not the answer to %q: %s", asked.Request.UID, answer.Body)
		}
		if err := tame(answer.Body.Bytes()); err != nil {
			t.Error(err)
		}
		if got.Response.Allowed {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(asked.Request.Object.Raw, &object); err != nil {
			t.Errorf("denied what is no object (%v): %s", err, answer.Body)
		}
		if asked.Request.Operation != admissionv1.Create && asked.Request.Operation != admissionv1.Update {
			t.Errorf("denied the operation %q: %s", asked.Request.Operation, answer.Body)
		}
		if got.Response.Result == nil || got.Response.Result.Message == "" {
			t.Error("denied without a word")
		}
	})
}

// recordedIngresses are those of the recorded scenarios, of which the API server refuses
// some.
func recordedIngresses(f *testing.F) []json.RawMessage {
	f.Helper()
	paths, err := filepath.Glob("../e2e/testdata/truth/scenarios/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no scenarios: %v", err)
	}
	var all []json.RawMessage
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var scenario struct {
			Objects []json.RawMessage `json:"objects"`
		}
		if err := yaml.Unmarshal(text, &scenario); err != nil {
			f.Fatal(err)
		}
		for _, object := range scenario.Objects {
			var head metav1.TypeMeta
			if err := json.Unmarshal(object, &head); err != nil {
				f.Fatal(err)
			}
			if head.Kind == "Ingress" {
				all = append(all, object)
			}
		}
	}
	return all
}
