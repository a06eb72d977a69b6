// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/routegate/routegate/routing"
)

// request is one request of a scenario.
type request struct {
	Scheme  string            `json:"scheme"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	SNI     string            `json:"sni"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Repeat  int               `json:"repeat"`
	GRPC    bool              `json:"grpc"`
}

func (r request) String() string {
	text := r.Scheme + "://" + r.Host + r.Path
	if r.Method != "" && r.Method != "GET" {
		text = r.Method + " " + text
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		text += " " + name + ": " + r.Headers[name]
	}
	if r.SNI != "" {
		text += " sni=" + r.SNI
	}
	if r.Repeat > 1 {
		text += fmt.Sprintf(" x%d", r.Repeat)
	}
	return text
}

func (r request) header(name string) (string, bool) {
	for key, value := range r.Headers {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

// recordedRequest is what answered a request when it was recorded.
type recordedRequest struct {
	Observed observation `json:"observed"`
	// Distribution counts the answers where the request was repeated.
	Distribution map[string]int `json:"distribution"`
}

// observation is what a client saw. What is empty was not there or not recorded.
type observation struct {
	Status      int                  `json:"status"`
	Backend     string               `json:"backend"`
	BackendPort int                  `json:"backendPort"`
	BackendPath string               `json:"backendPath"`
	Location    string               `json:"location"`
	Certificate *observedCertificate `json:"certificate"`
}

type observedCertificate struct {
	CN   string   `json:"cn"`
	SANs []string `json:"sans"`
	Fake bool     `json:"fake"`
}

// exchange is one request that was recorded, with what the model says of it and
// what that is worth.
type exchange struct {
	request
	scenario, phase string
	index           int
	forecast
	recorded recordedRequest
	state    state
	why      string
}

// before is the phase of requests that were made before something was deleted.
const before = "before"

// key names a request in differs.yaml.
func (x *exchange) key() string {
	if x.phase != "" {
		return fmt.Sprintf("%s/%s/%d", x.scenario, x.phase, x.index)
	}
	return fmt.Sprintf("%s/%d", x.scenario, x.index)
}

// ask asks the model for the answers to the requests of a scenario, and compares
// them with those recorded.
func (w *world) ask(s *scenario, phase string, recorded []recordedRequest) []exchange {
	machine := recordingMachine()
	exchanges := make([]exchange, 0, len(recorded))
	for i := range recorded {
		r := s.requests[i]
		route := w.controller.installed.Match(routing.Request{
			Method: r.Method, HTTPS: r.Scheme == "https", Host: r.Host, SNI: r.SNI, Path: r.Path, Headers: r.Headers, Client: machine.client,
		})
		x := exchange{
			request: r, scenario: s.Name, phase: phase, index: i,
			forecast: machine.forecast(r, route, w), recorded: recorded[i],
		}
		x.compare(machine)
		exchanges = append(exchanges, x)
	}
	return exchanges
}

// readSecret implements objects.
func (w *world) readSecret(key routing.Key, entry string) []byte {
	secret, ok := w.objects[reference{string(routing.Secrets), key.Namespace, key.Name}].(*corev1.Secret)
	if !ok {
		return nil
	}
	return secret.Data[entry]
}

// external implements objects.
func (w *world) external(key routing.Key) bool {
	svc, ok := w.objects[reference{string(routing.Services), key.Namespace, key.Name}].(*corev1.Service)
	return ok && svc.Spec.Type == corev1.ServiceTypeExternalName
}

// compare sets the state of an exchange.
func (x *exchange) compare(machine environment) {
	if x.undecided != "" {
		x.state, x.why = undecided, x.undecided
		return
	}
	x.state = agree
	if wrong := x.differences(machine); len(wrong) > 0 {
		x.state, x.why = differ, strings.Join(wrong, ", ")
	}
}

// differences names what is not as the model says.
func (x *exchange) differences(machine environment) []string {
	var wrong []string
	seen := x.recorded.Observed
	if len(x.recorded.Distribution) > 0 {
		for _, outcome := range slices.Sorted(maps.Keys(x.recorded.Distribution)) {
			got, err := parseOutcome(outcome)
			if err != nil || !slices.ContainsFunc(x.answers, got.fits) {
				wrong = append(wrong, "answer "+outcome)
			}
		}
	} else if got := seen.answer(machine); !slices.ContainsFunc(x.answers, got.fits) {
		wrong = append(wrong, x.answers[0].differences(got)...)
	}
	if seen.BackendPath != "" && seen.BackendPath != x.path {
		wrong = append(wrong, "path")
	}
	// Of requests by gRPC only status and backend were recorded.
	if x.Scheme == "https" && !x.GRPC && !sameCertificate(x.certificate, seen.Certificate) {
		wrong = append(wrong, "certificate")
	}
	return wrong
}

// answer is the part of an observation that the model and the machine foretell.
func (o observation) answer(machine environment) answer {
	a := answer{status: o.Status, backend: o.Backend, location: machine.usual(o.Location)}
	if o.BackendPort != 0 {
		a.port = strconv.Itoa(o.BackendPort)
	}
	return a
}

// parseOutcome reads a key of a distribution: "b1:8080 200", or "503".
func parseOutcome(outcome string) (answer, error) {
	var a answer
	backend, status, found := strings.Cut(outcome, " ")
	if !found {
		backend, status = "", outcome
	}
	a.backend, a.port, _ = strings.Cut(backend, ":")
	var err error
	a.status, err = strconv.Atoi(status)
	return a, err
}

// fits reports whether an answer that was observed is the one that was foretold.
func (a answer) fits(foretold answer) bool {
	return len(foretold.differences(a)) == 0
}

// differences names what is not as foretold. A port or location that was not
// recorded does not count.
func (a answer) differences(observed answer) []string {
	var wrong []string
	if a.status != observed.status {
		wrong = append(wrong, "status")
	}
	if a.backend != observed.backend {
		wrong = append(wrong, "backend")
	}
	if observed.port != "" && a.port != observed.port {
		wrong = append(wrong, "port")
	}
	if observed.location != "" && a.location != observed.location {
		wrong = append(wrong, "location")
	}
	return wrong
}

// sameCertificate compares by the names, and by whether it is the controller's own
// one, which has none of interest.
func sameCertificate(c routing.Certificate, seen *observedCertificate) bool {
	if seen == nil {
		return false
	}
	own := c.Kind == routing.OwnCertificate && c.Facts != nil
	if seen.Fake || !own {
		return seen.Fake && !own
	}
	return seen.CN == c.Facts.CommonName &&
		slices.Equal(slices.Sorted(slices.Values(seen.SANs)), slices.Sorted(slices.Values(c.Facts.DNSNames)))
}

// cells are the entries of each column.
func (x *exchange) cells() [][]string {
	var model, observed []string
	for _, a := range x.answers {
		model = append(model, a.String())
	}
	if len(x.recorded.Distribution) > 0 {
		for _, outcome := range slices.Sorted(maps.Keys(x.recorded.Distribution)) {
			observed = append(observed, fmt.Sprintf("%s (%d)", outcome, x.recorded.Distribution[outcome]))
		}
	} else {
		observed = append(observed, x.recorded.Observed.answer(recordingMachine()).String())
	}
	if path := x.recorded.Observed.BackendPath; path != "" && path != x.path {
		model, observed = append(model, "asked for "+x.path), append(observed, "asked for "+path)
	}
	if x.Scheme == "https" && !x.GRPC {
		name := "fake certificate"
		if x.certificate.Kind == routing.OwnCertificate && x.certificate.Facts != nil {
			name = fmt.Sprintf("certificate %s %v", x.certificate.Facts.CommonName, x.certificate.Facts.DNSNames)
		}
		model = append(model, name)
		switch seen := x.recorded.Observed.Certificate; {
		case seen == nil:
			observed = append(observed, "no certificate")
		case seen.Fake:
			observed = append(observed, "fake certificate")
		default:
			observed = append(observed, fmt.Sprintf("certificate %s %v", seen.CN, seen.SANs))
		}
	}
	return [][]string{{x.key()}, {short(x.String())}, model, observed, {string(x.state)}, {short(x.why)}}
}

// requestTotals returns the line about requests.
func requestTotals(rows []row) string {
	count := map[state]int{}
	total := 0
	for _, r := range rows {
		for i := range r.exchanges {
			count[r.exchanges[i].state]++
			total++
		}
	}
	return fmt.Sprintf("requests: total=%d agree=%d differ=%d undecided=%d", total, count[agree], count[differ], count[undecided])
}
