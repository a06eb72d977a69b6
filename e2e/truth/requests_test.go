// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/routegate/routegate/routing"
)

func TestRequests(t *testing.T) {
	own := routing.Certificate{Kind: routing.OwnCertificate, Facts: &routing.CertificateFacts{CommonName: "a", DNSNames: []string{"b", "a"}}}
	b1 := answer{200, "b1", "8080", ""}
	seenB1 := observation{Status: 200, Backend: "b1", BackendPort: 8080}
	for name, test := range map[string]struct {
		request  request
		forecast forecast
		recorded recordedRequest
		want     string
	}{
		"as foretold":         {request{}, forecast{answers: []answer{b1}}, recordedRequest{Observed: seenB1}, "agree"},
		"one of two":          {request{}, forecast{answers: []answer{{status: 502}, b1}}, recordedRequest{Observed: seenB1}, "agree"},
		"undecided":           {request{}, forecast{answers: []answer{b1}, undecided: "who knows"}, recordedRequest{Observed: seenB1}, "undecided: who knows"},
		"a port not recorded": {request{}, forecast{answers: []answer{b1}}, recordedRequest{Observed: observation{Status: 200, Backend: "b1"}}, "agree"},
		"another status":      {request{}, forecast{answers: []answer{{status: 503}}}, recordedRequest{Observed: observation{Status: 404}}, "differ: status"},
		"another backend":     {request{}, forecast{answers: []answer{{200, "b2", "8080", ""}}}, recordedRequest{Observed: seenB1}, "differ: backend"},
		"another port":        {request{}, forecast{answers: []answer{{200, "b1", "8081", ""}}}, recordedRequest{Observed: seenB1}, "differ: port"},
		"another location": {request{}, forecast{answers: []answer{{status: 308, location: "https://a/"}}},
			recordedRequest{Observed: observation{Status: 308, Location: "https://a"}}, "differ: location"},
		"the recording's port": {request{}, forecast{answers: []answer{{status: 308, location: "https://a"}}},
			recordedRequest{Observed: observation{Status: 308, Location: "https://a:18443"}}, "agree"},
		"another path": {request{}, forecast{answers: []answer{b1}, path: "/x"},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", BackendPath: "/"}}, "differ: path"},
		"repeated": {request{}, forecast{answers: []answer{b1, {status: 503}}},
			recordedRequest{Observed: seenB1, Distribution: map[string]int{"b1:8080 200": 2, "503": 18}}, "agree"},
		"repeated, one not foretold": {request{}, forecast{answers: []answer{b1}},
			recordedRequest{Observed: seenB1, Distribution: map[string]int{"b1:8080 200": 2, "b2:8080 200": 18}}, "differ: answer b2:8080 200"},
		"repeated, not understood": {request{}, forecast{answers: []answer{b1}},
			recordedRequest{Observed: seenB1, Distribution: map[string]int{"timeout": 1}}, "differ: answer timeout"},
		"its own certificate": {request{Scheme: "https"}, forecast{answers: []answer{b1}, certificate: own},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", Certificate: &observedCertificate{CN: "a", SANs: []string{"a", "b"}}}}, "agree"},
		"another name": {request{Scheme: "https"}, forecast{answers: []answer{b1}, certificate: own},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", Certificate: &observedCertificate{CN: "a", SANs: []string{"a"}}}}, "differ: certificate"},
		"fake instead of its own": {request{Scheme: "https"}, forecast{answers: []answer{b1}, certificate: own},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", Certificate: &observedCertificate{Fake: true}}}, "differ: certificate"},
		"fake": {request{Scheme: "https"}, forecast{answers: []answer{b1}, certificate: routing.Certificate{Kind: routing.DefaultCertificate}},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", Certificate: &observedCertificate{Fake: true}}}, "agree"},
		"its own instead of fake": {request{Scheme: "https"}, forecast{answers: []answer{b1}},
			recordedRequest{Observed: observation{Status: 200, Backend: "b1", Certificate: &observedCertificate{CN: "a"}}}, "differ: certificate"},
		"gRPC, little recorded": {request{Scheme: "https", GRPC: true}, forecast{answers: []answer{{status: 308, location: "https://a"}}},
			recordedRequest{Observed: observation{Status: 308}}, "agree"},
	} {
		x := exchange{request: test.request, forecast: test.forecast, recorded: test.recorded}
		x.compare(recordingMachine())
		got := string(x.state)
		if x.why != "" {
			got += ": " + x.why
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// madeUpExchanges are one request in each state.
func madeUpExchanges() []row {
	made := func(scenario, phase string, index int, s state) exchange {
		return exchange{
			request: request{Scheme: "http", Host: "a.example", Path: "/"}, scenario: scenario, phase: phase, index: index, state: s,
			forecast: forecast{answers: []answer{{status: 404}}}, recorded: recordedRequest{Observed: observation{Status: 404}},
		}
	}
	return []row{
		{scenario: &scenario{Name: "one"}, opinion: opinion{exchanges: []exchange{made("one", before, 0, agree), made("one", "", 0, differ)}}},
		{scenario: &scenario{Name: "two"}, opinion: opinion{exchanges: []exchange{made("two", "", 0, undecided)}}},
	}
}

func TestRequestTable(t *testing.T) {
	rows := madeUpExchanges()
	if got, want := requestTotals(rows), "requests: total=3 agree=1 differ=1 undecided=1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for all, want := range map[bool][]string{false: {"REQUEST", "one/0", "two/0"}, true: {"REQUEST", "one/before/0", "one/0", "two/0"}} {
		var out bytes.Buffer
		printRequests(&out, rows, all)
		var got []string
		for line := range strings.Lines(out.String()) {
			if fields := strings.Fields(line); len(fields) > 0 {
				got = append(got, fields[0])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("all=%v: got %q, want %q", all, got, want)
		}
	}
	var out bytes.Buffer
	if printRequests(&out, nil, false); out.Len() > 0 {
		t.Errorf("a table of nothing: %s", out.String())
	}
}

func TestFaultsOfDiffers(t *testing.T) {
	for name, test := range map[string]struct {
		differs map[string]string
		want    map[string]string
	}{
		"nothing listed": {nil, map[string]string{
			"one": "request one/0: differ: correct the model, or explain it in differs.yaml: ",
			"two": "request two/0: undecided: correct the model, or explain it in differs.yaml: ",
		}},
		"all listed": {map[string]string{"one/0": "why", "two/0": "why"}, nil},
		"too many": {map[string]string{"one/before/0": "why", "one/0": "why", "two/0": "why", "two/1": "why"}, map[string]string{
			"one":   "request one/before/0 agrees: take it out of differs.yaml",
			"two/1": "differs.yaml names it, but there is no such request",
		}},
		"without a reason": {map[string]string{"one/0": "", "two/0": "why"}, map[string]string{
			"one": "request one/0: differ: correct the model, or explain it in differs.yaml: ",
		}},
	} {
		faults := madeUpEngine().faults(madeUpExchanges(), lists{Differs: test.differs})
		for key, want := range test.want {
			if got := strings.Join(faults[key], "; "); got != want {
				t.Errorf("%s: %s: got %q, want %q", name, key, got, want)
			}
		}
		if len(faults) != len(test.want) {
			t.Errorf("%s: got %q, want %q", name, faults, test.want)
		}
	}
}

// TestRequestsOfAnotherLength reads a result that is not about the requests of its
// scenario.
func TestRequestsOfAnotherLength(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(madeUp)); err != nil {
		t.Fatal(err)
	}
	result := `{"applied": [{"outcome": "created"}, {"outcome": "api-rejected"}], "requests": [{"observed": {"status": 404}}]}`
	if err := os.WriteFile(filepath.Join(dir, "results", "skip-refused.json"), []byte(result), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(dir)
	if want := "skip-refused: its result is about 1 requests: must be 0"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
