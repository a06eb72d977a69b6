// SPDX-License-Identifier: Apache-2.0

package routing

import "net/netip"

// Request is one request of a client.
type Request struct {
	// Method is GET where empty.
	Method string
	// HTTPS is true for a request over TLS.
	HTTPS bool
	// Host is the value of the header Host, with or without a port.
	Host string
	// SNI is the server name that the client asks for in the TLS handshake; empty means
	// that of Host.
	SNI string
	// Path is the target as sent, with query.
	Path string
	// Headers are the other headers, by name in any case.
	Headers map[string]string
	// Client is the address of the client. Where it is not valid, lists of addresses are
	// taken to let the request pass.
	Client netip.Addr
}

// Route is what a Request gets.
type Route struct {
	// Status is the status code that the controller answers with, or 200 where the
	// request goes to a backend, whatever that answers.
	Status int
	// Location is where a redirect leads, as in the header of that name.
	Location string
	// Targets are the backends that the request can go to; empty where the controller
	// answers itself. There are two where a canary gets a share.
	Targets []Target
	// Path is the path and query that the backend is asked for.
	Path string
	// Server is the host that answers, At the location. Both are nil where the request is
	// refused before.
	Server *Server
	At     *Location
	// Certificate is what an HTTPS client is shown. Its Kind is NoCertificate where that
	// is the default one because nobody asked for another.
	Certificate Certificate
	// Steps say how the answer came about, in order.
	Steps []Step
	// Undecided is why the answer is not certain: something was not read, or took too
	// long. It is empty where it is. The other fields then hold the likeliest answer.
	Undecided string
}

// Target is one backend of a Route.
type Target struct {
	Upstream *Upstream
	// Percent is the share of the requests, 100 where it gets all.
	Percent int
	// Endpoints are the addresses with ports, "10.0.0.1:8080", or a host and port for an
	// ExternalName Service.
	Endpoints []string
}

// Step is one step on the way to an answer.
type Step struct {
	// What is one of the Step constants, Text a clause for people.
	What StepKind
	Text string
}

// StepKind names what a Step is about.
type StepKind string

// The kinds of step, in their order.
const (
	StepCertificate StepKind = "certificate"
	StepHost        StepKind = "host"
	StepPath        StepKind = "path"
	StepAnnotation  StepKind = "annotation"
	StepRewrite     StepKind = "rewrite"
	StepBackend     StepKind = "backend"
	StepAnswer      StepKind = "answer"
)
