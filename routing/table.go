// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"sync/atomic"

	networkingv1 "k8s.io/api/networking/v1"
)

// Table is what one installation of ingress-nginx v1.15.1 makes of the Ingresses
// that it sees: servers, their locations in the order in which nginx tries them,
// upstreams and certificates (semantics section 0.1).
//
// A Table is built once and read-only afterwards; several goroutines may ask it.
// It refers to the Snapshot that it was built from for Services, endpoints and
// Secrets, and is as complete as that one: where something was not read, a Route
// says so.
type Table struct {
	// Settings are those of the installation.
	Settings ControllerSettings
	// Refusals say why nginx refuses this configuration. Where there are any, it is
	// not installed: what was installed before keeps serving, for every host.
	Refusals []Refusal
	// Dropped are the Ingresses that the controller does not take up because of an
	// annotation or a field, with the reason; nil where there are none. It serves nothing
	// of them or, after an update, goes on with their former version.
	Dropped map[*networkingv1.Ingress]string

	snap *Snapshot
	// steps is what is left of those that matches may take.
	steps     *atomic.Int64
	servers   map[string]*Server
	upstreams map[string]*Upstream
	configs   map[*networkingv1.Ingress]*Config
	// patterns are the names of servers that are regular expressions, in the order
	// in which nginx tries them.
	patterns []serverPattern
	// aliases are the other literal names of servers, redirects the hosts that only
	// redirect to their www twin.
	aliases   map[string]*Server
	redirects map[string]*Server
	// certificates are those that the controller handed to nginx, by name. Those of
	// hosts that are gone stay there (see Follow).
	certificates map[string]Certificate
}

// Server is one host.
type Server struct {
	// Host is the host of the rules, "" for the rules without one.
	Host string
	// Oldest is the oldest Ingress with a rule for the host, nil for a default server
	// that nobody names.
	Oldest *networkingv1.Ingress
	// Aliases are its other names, sorted.
	Aliases []string
	// Regex is true where rewrite-target or use-regex of any Ingress of the host makes
	// nginx take all paths of the host for regular expressions.
	Regex bool
	// Locations are in the order of the configuration file.
	Locations []*Location
	// TLS is the certificate that the controller chose for the host. Its Kind is
	// NoCertificate where no Ingress of the host has a TLS section.
	TLS Certificate
	// TLSOwner is the Ingress whose TLS section decided, nil if there is none.
	TLSOwner *networkingv1.Ingress
	// Denied is why the whole host answers 403, empty if it does not (semantics row
	// E07), and DeniedBy the Ingress that is to blame.
	Denied   string
	DeniedBy *networkingv1.Ingress
	// VerifyClient is true where HTTPS requests need a certificate of the client.
	VerifyClient bool
	// Passthrough is true where the Ingress that made the server asks for TLS
	// passthrough.
	Passthrough bool
	redirectWWW bool
	// byText is the first location of each path, while the Table is built; exact and
	// prefixes are the rendered ones by name, where the server is not Regex.
	byText          map[string]int
	exact, prefixes map[string]*Location
	verifiedBy      *networkingv1.Ingress
	// doubtful is true where the Secret of auth-tls-secret was not read.
	doubtful bool
}

// Location is one location block of nginx: a path of an Ingress, or the root of a
// host that no Ingress routes.
type Location struct {
	// Ingress is whose path this is, with the indexes of its rule and path. For a
	// Placeholder it is the Ingress whose annotations apply, which may be nil.
	Ingress    *networkingv1.Ingress
	Rule, Path int
	// Placeholder is true for the root of a host that no path of an Ingress routes: it
	// goes to spec.defaultBackend of the oldest Ingress, or answers 404.
	Placeholder bool
	// Text is the path as written in the Ingress, Name what nginx compares: with a
	// slash at the end for the subtree of a Prefix.
	Text, Name string
	// Exact is true where nginx compares the whole path.
	Exact bool
	// Type is the path type that the controller uses: Exact or Prefix.
	Type networkingv1.PathType
	// Upstream is where requests go, nil for the controller's own 404.
	Upstream *Upstream
	// Config is what the annotations of Ingress say, never nil.
	Config *Config
	// pattern is set where the server is Regex. A nil pattern with patternErr could not
	// be compiled.
	pattern    *Pattern
	patternErr error
}

// Refusal is one reason why nginx refuses the configuration, or why the controller
// crashes, so that nothing changes any more for anybody (semantics section 1.L).
type Refusal struct {
	Kind RefusalKind
	// Ingress is to blame, with the indexes of rule and path, or -1 where it is about
	// an annotation, named by Annotation.
	Ingress    *networkingv1.Ingress
	Rule, Path int
	Annotation string
	// Other is the location of another path that is part of the fault, nil if there is
	// none. It may be of the same Ingress.
	Other *Location
	// Host is the host concerned, "" for the default server.
	Host string
	// Reason is a clause for people, Accepted what would be accepted, where there is
	// more to say of it.
	Reason, Accepted string
	// Uncertain is true where it depends on what cannot be seen.
	Uncertain bool
	// Crashes is true where the controller's process ends and starts again for ever.
	Crashes bool
}

// RefusalKind names a row of semantics section 1.L.
type RefusalKind string

// The kinds, named as their rows are.
const (
	RefusalDupLocation   RefusalKind = "dup-location-slash"
	RefusalDupExactRoot  RefusalKind = "dup-exact-root"
	RefusalThirdRule     RefusalKind = "dup-third-rule"
	RefusalRegex         RefusalKind = "regex-path-uncompilable"
	RefusalAlias         RefusalKind = "server-alias-invalid"
	RefusalWWWWildcard   RefusalKind = "www-redirect-on-wildcard"
	RefusalVariable      RefusalKind = "unknown-nginx-variable"
	RefusalDirective     RefusalKind = "directive-out-of-range"
	RefusalCiphers       RefusalKind = "ssl-ciphers-no-match"
	RefusalSnippet       RefusalKind = "snippet-syntax"
	RefusalCanaryWithout RefusalKind = "canary-rule-without-http"
	RefusalSlicePortNil  RefusalKind = "slice-port-nil"
)

// CertificateKind says which certificate a host gets.
type CertificateKind int

// The kinds of certificate.
const (
	NoCertificate      CertificateKind = iota // none chosen: the default one, or that of the wildcard above
	DefaultCertificate                        // the default one, because the host's own cannot be used
	OwnCertificate                            // that of a Secret
	UnreadCertificate                         // it depends on a Secret that was not read
)

// Certificate is the certificate that a host is served with.
type Certificate struct {
	Kind CertificateKind
	// Secret holds an OwnCertificate. For the other kinds it names the Secret that was
	// meant, empty if none was.
	Secret Key
	// Facts are those of an OwnCertificate.
	Facts *CertificateFacts
	// Reason is why the default certificate is served, as a clause.
	Reason string
}

// Upstream is where the requests of a location go: a Service and port, as the
// controller tells them apart (semantics section 0.1, line 4).
type Upstream struct {
	// Name is "namespace-service-port". Two different Services can have one name
	// (semantics row E11); the first Ingress decides.
	Name      string
	Namespace string
	Service   string
	Port      networkingv1.ServiceBackendPort
	// First is the Ingress that named it first.
	First *networkingv1.Ingress
	// ServiceUpstream is true where requests go to the cluster IP.
	ServiceUpstream bool
	// Serverless is true for an upstream of canaries only: no location leads there
	// (semantics row I04).
	Serverless bool
	// Canary is how requests are diverted here, where the upstream is an Alternative.
	Canary CanaryConfig
	// Alternatives are the upstreams of canaries that were merged into this one. Only
	// the first gets requests (semantics row I03).
	Alternatives []*Upstream
	deleted      bool
	// unresolved is true where endpoints that are names are taken for addresses.
	unresolved bool
}
