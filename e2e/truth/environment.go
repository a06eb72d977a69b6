// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha1" // a format of passwords that nginx reads
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// environment is what answered on the machine that recorded, behind the
// controller: the setup of the recordings as data.
type environment struct {
	// addresses exist; where nothing listens they refuse.
	addresses map[string]bool
	// listeners are by address and port.
	listeners map[string]listener
	// names is all that the resolver knows.
	names map[string]string
	// client is the address from which all requests came.
	client netip.Addr
	// ports are those of the controller, by scheme; it gives them in some redirects
	// where they are not the usual ones.
	ports map[string]string
}

// listener is one port of a backend.
type listener struct {
	backend string
	port    string
	speaks  protocol
}

// protocol is what a server speaks.
type protocol int

const (
	plainHTTP protocol = iota
	overTLS
	plainHTTP2
)

// recordingMachine returns the machine of the recordings.
func recordingMachine() environment {
	e := environment{
		addresses: map[string]bool{"10.99.0.99": true, "10.97.0.102": true},
		listeners: map[string]listener{},
		names:     map[string]string{"ext.example.test": "10.99.0.7", "auth.example.test": "10.99.0.8"},
		client:    netip.AddrFrom4([4]byte{127, 0, 0, 1}),
		ports:     map[string]string{"http": "18080", "https": "18443"},
	}
	listen := func(address, port, backend string, speaks protocol) {
		e.addresses[address] = true
		e.listeners[net.JoinHostPort(address, port)] = listener{backend, port, speaks}
	}
	for i := 1; i <= 8; i++ {
		address, backend := fmt.Sprintf("10.99.0.%d", i), fmt.Sprintf("b%d", i)
		listen(address, "8080", backend, plainHTTP)
		listen(address, "8081", backend, plainHTTP)
		listen(address, "8443", backend, overTLS)
		listen(address, "9090", backend, plainHTTP2)
	}
	listen("10.99.0.7", "80", "b7", plainHTTP)
	listen("fd00:99::1", "8080", "b1v6", plainHTTP)
	listen("10.97.0.101", "80", "vip1", plainHTTP)
	return e
}

// answer is what a client gets. Without a backend, the status is the controller's
// or that of a server which did not understand.
type answer struct {
	status        int
	backend, port string
	location      string
}

func (a answer) String() string {
	text := fmt.Sprint(a.status)
	switch {
	case a.backend != "" && a.port != "":
		text += " " + a.backend + ":" + a.port
	case a.backend != "":
		text += " " + a.backend
	case a.location != "":
		text += " to " + a.location
	}
	return text
}

// forecast is what a client can get, by the model and the environment.
type forecast struct {
	// answers are the possible ones, the likeliest first.
	answers []answer
	// path is what the backend is asked for.
	path        string
	certificate routing.Certificate
	// undecided is why nothing is certain, empty where something is.
	undecided string
}

// undecide adds a reason.
func (f *forecast) undecide(format string, args ...any) {
	if f.undecided == "" {
		f.undecided = fmt.Sprintf(format, args...)
	}
}

// objects are what a Route does not tell of the cluster.
type objects interface {
	// readSecret returns an entry of a Secret, nil if it is not there.
	readSecret(secret routing.Key, entry string) []byte
	// external reports whether a Service is an ExternalName.
	external(service routing.Key) bool
}

// forecast says what a client of the recording gets who is given the Route.
func (e environment) forecast(r request, route *routing.Route, from objects) forecast {
	f := forecast{path: route.Path, certificate: route.Certificate, undecided: route.Undecided}
	if f.certificate.Kind == routing.UnreadCertificate && r.Scheme == "https" {
		f.undecide("the certificate depends on Secret %s/%s", f.certificate.Secret.Namespace, f.certificate.Secret.Name)
	}
	if len(route.Targets) == 0 {
		f.answers = []answer{{status: route.Status, location: route.Location}}
		return f
	}
	if refusal := e.authorize(r, route, from, &f); refusal != nil {
		f.answers = []answer{*refusal}
		return f
	}
	for _, target := range route.Targets {
		if target.Percent > 0 {
			f.add(e.reach(r, route, target, from, &f)...)
		}
	}
	ing := routedBy(route)
	limited := func(name string) bool { return annotation(ing, name) != "" }
	if r.Repeat > 1 && (limited("limit-rps") || limited("limit-rpm") || limited("limit-connections")) {
		// How many get this depends on how fast they come.
		f.add(answer{status: 503})
	}
	return f
}

// add adds answers that are not there yet.
func (f *forecast) add(answers ...answer) {
	for _, a := range answers {
		if !slices.Contains(f.answers, a) {
			f.answers = append(f.answers, a)
		}
	}
}

// reach lists what a target can answer. nginx tries the next endpoint where one
// does not answer, three in all.
func (e environment) reach(r request, route *routing.Route, target routing.Target, from objects, f *forecast) []answer {
	if len(target.Endpoints) == 0 {
		return []answer{{status: 503}}
	}
	const tries = 3
	external := target.Upstream != nil && from.external(routing.Key{Namespace: target.Upstream.Namespace, Name: target.Upstream.Service})
	var answers []answer
	dead := 0
	for _, endpoint := range target.Endpoints {
		a := e.dial(spoken(r, route), route.Path, endpoint, external, f)
		if a.status == 502 {
			dead++
		} else if !slices.Contains(answers, a) {
			answers = append(answers, a)
		}
	}
	if dead >= tries || len(answers) == 0 {
		answers = append(answers, answer{status: 502})
	}
	return answers
}

// dial is what one endpoint makes of a request in that protocol. Names are resolved
// for an ExternalName only; in an EndpointSlice they are no addresses.
func (e environment) dial(protocol, path, endpoint string, external bool, f *forecast) answer {
	bad := answer{status: 502}
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return bad
	}
	address, ok := e.resolve(host)
	if _, err := netip.ParseAddr(host); err != nil && !external {
		return bad
	}
	if !ok {
		return answer{status: 503}
	}
	if l, ok := e.listeners[net.JoinHostPort(address, port)]; ok {
		return l.answer(protocol, path, f)
	}
	if !e.addresses[address] {
		f.undecide("nothing is known of the address %s", address)
	}
	return bad
}

// resolve returns the address of a host, as written in listeners.
func (e environment) resolve(host string) (string, bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), true
	}
	address, ok := e.names[strings.ToLower(strings.TrimSuffix(host, "."))]
	return address, ok
}

// spoken is the protocol in which nginx talks to the backend: the annotation
// backend-protocol, where it is valid.
func spoken(r request, route *routing.Route) string {
	switch value := strings.ToUpper(annotation(routedBy(route), "backend-protocol")); value {
	case "AUTO_HTTP":
		return strings.ToUpper(r.Scheme)
	case "HTTPS", "GRPC", "GRPCS", "FCGI":
		return value
	}
	return "HTTP"
}

// answer is what a server makes of a protocol: 502 is what nginx says where the
// two do not understand each other.
func (l listener) answer(spoken, path string, f *forecast) answer {
	good, bad := answer{200, l.backend, l.port, ""}, answer{status: 502}
	if path != "" && !strings.HasPrefix(path, "/") {
		// All are servers of Go, which refuses such a request line.
		good = answer{status: 400}
	}
	switch spoken {
	case "HTTP":
		switch l.speaks {
		case overTLS:
			return answer{status: 400}
		case plainHTTP2:
			f.undecide("whether the servers on port %s speak HTTP/1.1 as well was not recorded", l.port)
		}
		return good
	case "HTTPS":
		if l.speaks == overTLS {
			return good
		}
	case "GRPC":
		if l.speaks == plainHTTP2 {
			return good
		}
	case "GRPCS":
		if l.speaks == overTLS {
			f.undecide("whether the servers on port %s speak HTTP/2 as well was not recorded", l.port)
			return good
		}
	}
	return bad
}

// authorize asks for permission what the annotations of the location name. It
// returns nil where the request may pass.
func (e environment) authorize(r request, route *routing.Route, from objects, f *forecast) *answer {
	ing := routedBy(route)
	if to := annotation(ing, "auth-url"); to != "" && mentions(route, "auth-url") {
		switch status := e.ask(to, f); status {
		case 200:
		case 401:
			if signin := annotation(ing, "auth-signin"); signin != "" {
				return &answer{status: 302, location: signinURL(ing.Annotations[routing.NginxPrefix+"auth-signin-redirect-param"], signin, r)}
			}
			return &answer{status: 401}
		default:
			return &answer{status: status}
		}
	}
	credentials, sent := r.header("Authorization")
	if !sent || annotation(ing, "auth-type") != "basic" {
		return nil
	}
	if file, ok := authFile(ing.Namespace, annotation(ing, "auth-secret"), annotation(ing, "auth-secret-type"), from); ok {
		switch known, right := checkPassword(file, credentials); {
		case !known:
		case right:
			f.undecided = ""
		default:
			f.undecided = ""
			return &answer{status: 401}
		}
	}
	return nil
}

// routedBy is the Ingress whose annotations count, nil if there is none.
func routedBy(route *routing.Route) *networkingv1.Ingress {
	if route.At == nil {
		return nil
	}
	return route.At.Ingress
}

// mentions reports whether an annotation had a part in the Route.
func mentions(route *routing.Route, name string) bool {
	return slices.ContainsFunc(route.Steps, func(s routing.Step) bool {
		return s.What == routing.StepAnnotation && strings.Contains(s.Text, name)
	})
}

// ask returns what nginx makes of the answer of an authenticating server: 200, 401,
// 403, or 500 for all others.
func (e environment) ask(target string, f *forecast) int {
	u, err := url.Parse(target)
	if err != nil || strings.Contains(target, "$") {
		f.undecide("auth-url %s is not understood", target)
		return 200
	}
	address, ok := e.resolve(u.Hostname())
	if !ok {
		return 500
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	l, ok := e.listeners[net.JoinHostPort(address, port)]
	if !ok && !e.addresses[address] {
		f.undecide("nothing is known of the address %s", address)
	}
	if !ok || l.answer(strings.ToUpper(u.Scheme), "", f).status != 200 {
		return 500
	}
	if u.Path == "/auth-deny" {
		return 401
	}
	return 200
}

// signinURL is where auth-signin leads, with the way back.
func signinURL(parameter, signin string, r request) string {
	if parameter = strings.TrimSpace(parameter); parameter == "" {
		parameter = "rd"
	}
	escaped := strings.ReplaceAll(url.QueryEscape(r.Path), "+", "%20")
	signin = strings.NewReplacer(
		"$escaped_request_uri", escaped, "$request_uri", r.Path, "$pass_access_scheme", r.Scheme, "$scheme", r.Scheme,
		"$http_host", r.Host, "$best_http_host", r.Host, "$host", r.Host,
	).Replace(signin)
	u, err := url.Parse(signin)
	if err != nil || u.Query().Has(parameter) {
		return signin
	}
	separator := "?"
	if u.RawQuery != "" {
		separator = "&"
	}
	return signin + separator + parameter + "=" + r.Scheme + "://" + r.Host + escaped
}

// authFile returns the file of passwords that an auth-secret holds.
func authFile(namespace, secret, kind string, from objects) (string, bool) {
	file := from.readSecret(keyIn(namespace, secret), "auth")
	return string(file), len(file) > 0 && (kind == "" || kind == "auth-file")
}

// checkPassword looks for the credentials of a header Authorization in a file of
// passwords. It does not know the hashes of crypt.
func checkPassword(file, header string) (known, right bool) {
	encoded, ok := strings.CutPrefix(header, "Basic ")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	user, password, colon := strings.Cut(string(decoded), ":")
	if !ok || err != nil || !colon {
		return true, false
	}
	for line := range strings.Lines(file) {
		name, stored, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != user {
			continue
		}
		stored, _, _ = strings.Cut(stored, ":")
		if plain, ok := strings.CutPrefix(stored, "{PLAIN}"); ok {
			return true, plain == password
		}
		if hash, ok := strings.CutPrefix(stored, "{SHA}"); ok {
			sum := sha1.Sum([]byte(password))
			return true, hash == base64.StdEncoding.EncodeToString(sum[:])
		}
		if apr1, ok := strings.CutPrefix(stored, "$apr1$"); ok {
			salt, _, _ := strings.Cut(apr1, "$")
			return true, stored == hashAPR1(password, salt)
		}
		return false, false
	}
	return true, false
}

// usual takes the port of the recording's controller out of a redirect.
func (e environment) usual(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Port() == "" || u.Port() != e.ports[u.Scheme] {
		return location
	}
	return strings.Replace(location, ":"+u.Port(), "", 1)
}
