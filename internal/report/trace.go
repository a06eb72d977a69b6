// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// Trace is what a request gets, and why.
type Trace struct {
	URL    string `json:"url"`
	Method string `json:"method"`
	SNI    string `json:"sni,omitempty"`
	Client string `json:"client,omitempty"`
	// Controller is spec.controller of the installation that was asked.
	Controller string `json:"controller"`

	// Status is 200 where the request goes to a backend, whatever that answers, and 0
	// where the connection is closed.
	Status int `json:"status"`
	// Location is where a redirect leads.
	Location string `json:"location,omitempty"`
	// Host is the host of the server that answers, empty for the default server.
	Host string `json:"host"`
	// Path is what the backend is asked for.
	Path string `json:"path,omitempty"`
	// Match is the path that the request was matched with, absent where no Ingress has
	// one.
	Match *PathMatch `json:"match,omitempty"`
	// Certificate is what an HTTPS client is shown.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Backends are where the request can go.
	Backends []Backend `json:"backends,omitempty"`
	// Steps say how the answer came about.
	Steps []Step `json:"steps"`
	// Undecided is why the answer is not certain, empty where it is.
	Undecided string `json:"undecided,omitempty"`

	// Hints say what was probably meant, or what is wrong with the Service.
	Hints []string `json:"hints,omitempty"`
	// UnknownHost is true where no Ingress has the host and none is for all hosts.
	UnknownHost bool `json:"unknownHost,omitempty"`
	// NearestHost is the host that was probably meant, empty if there is none.
	NearestHost string `json:"nearestHost,omitempty"`
	// Frozen says why the configuration is not applied.
	Frozen []Frozen `json:"frozen,omitempty"`
	// Unserved are the Ingresses with a rule for the host of which nothing is served.
	Unserved []Unserved `json:"unserved,omitempty"`
	// Against is what a real request got.
	Against *Against `json:"against,omitempty"`

	frozen bool
}

// Step is one step on the way to the answer.
type Step struct {
	What string `json:"what"`
	Text string `json:"text"`
}

// PathMatch is a path of an Ingress.
type PathMatch struct {
	Ingress string `json:"ingress"`
	// Rule and Index are those of the path in the Ingress, -1 for spec.defaultBackend.
	Rule  int    `json:"rule"`
	Index int    `json:"index"`
	Type  string `json:"type"`
	Path  string `json:"path"`
}

// Backend is a Service and port with what stands behind it.
type Backend struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Port      string `json:"port"`
	// Percent is its share of such requests.
	Percent   int      `json:"percent"`
	Endpoints []string `json:"endpoints,omitempty"`
}

// Certificate is what an HTTPS client is shown.
type Certificate struct {
	// Kind is "own", "default" or "unread".
	Kind     string     `json:"kind"`
	Secret   string     `json:"secret,omitempty"`
	DNSNames []string   `json:"dnsNames,omitempty"`
	NotAfter *time.Time `json:"notAfter,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

// The kinds of certificate.
const (
	CertificateOwn     = "own"
	CertificateDefault = "default"
	CertificateUnread  = "unread"
)

// NewTrace asks the installation what the request gets. The Ingresses are all there
// are, of whatever class.
func NewTrace(url string, request routing.Request, in *Installation, snap *routing.Snapshot, ingresses []*networkingv1.Ingress) *Trace {
	route := in.Table.Match(request)
	t := &Trace{
		URL:        url,
		Method:     request.Method,
		SNI:        request.SNI,
		Controller: in.Controller,
		Status:     route.Status,
		Location:   route.Location,
		Path:       route.Path,
		Undecided:  route.Undecided,
		Steps:      []Step{},
	}
	if request.Client.IsValid() {
		t.Client = request.Client.String()
	}
	if request.HTTPS {
		t.Certificate = certificateOf(route.Certificate)
	}
	for _, step := range route.Steps {
		t.Steps = append(t.Steps, Step{What: string(step.What), Text: step.Text})
	}
	for _, target := range route.Targets {
		if target.Upstream == nil {
			continue
		}
		t.Backends = append(t.Backends, Backend{
			Namespace: target.Upstream.Namespace, Service: target.Upstream.Service, Port: routing.BackendPort(target.Upstream.Port),
			Percent: target.Percent, Endpoints: target.Endpoints,
		})
	}
	if route.Server != nil {
		t.Host = route.Server.Host
	}
	if at := route.At; at != nil && at.Ingress != nil && !at.Placeholder {
		t.Match = &PathMatch{Ingress: nameOf(at.Ingress), Rule: at.Rule, Index: at.Path, Type: string(at.Type), Path: at.Text}
		if at.Rule < 0 {
			t.Match.Index = -1
		}
	}
	t.Frozen, t.frozen = in.frozen()
	host := hostname(request.Host)
	for _, ing := range ingresses {
		if u, unserved := in.unserved(snap, ing); unserved && claims(ing, host) {
			t.Unserved = append(t.Unserved, u)
		}
	}
	switch {
	case route.Server != nil && route.Status == 404:
		t.explain404(in.Table, route, host, request.Path)
	case route.Status == 503 && route.At != nil && route.At.Upstream != nil && !closed(snap, route.At):
		t.Hints = serviceHints(snap, route.At.Upstream)
	}
	return t
}

// closed reports whether the location answers 503 whatever its backend.
func closed(snap *routing.Snapshot, loc *routing.Location) bool {
	if loc.Ingress == nil {
		return false
	}
	denial, known := snap.DenialOf(loc.Ingress.Namespace, loc.Config)
	return denial.Reason != "" && known == routing.Present
}

func certificateOf(c routing.Certificate) *Certificate {
	certificate := &Certificate{Kind: CertificateDefault, Reason: c.Reason}
	if c.Secret.Name != "" {
		certificate.Secret = c.Secret.Namespace + "/" + c.Secret.Name
	}
	switch c.Kind {
	case routing.OwnCertificate:
		certificate.Kind = CertificateOwn
	case routing.UnreadCertificate:
		certificate.Kind = CertificateUnread
	}
	if c.Facts != nil {
		certificate.DNSNames = c.Facts.DNSNames
		certificate.NotAfter = &c.Facts.NotAfter
	}
	return certificate
}

// hostname is the host without port, in small letters.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// claims reports whether a rule of the Ingress is for the host.
func claims(ing *networkingv1.Ingress, host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(ing.Spec.Rules, func(rule networkingv1.IngressRule) bool {
		return strings.EqualFold(rule.Host, host) || strings.EqualFold(rule.Host, "*."+parent)
	})
}

// maxShown bounds what a hint lists.
const maxShown = 5

// explain404 says what was probably meant.
func (t *Trace) explain404(table *routing.Table, route *routing.Route, host, target string) {
	if route.Server.Host == "" {
		var hosts []string
		for _, server := range table.Servers() {
			if server.Host != "" {
				hosts = append(hosts, server.Host)
				hosts = append(hosts, server.Aliases...)
			}
		}
		t.NearestHost = checks.Nearest(host, hosts)
		t.UnknownHost = route.At == nil || route.At.Ingress == nil
		if t.NearestHost != "" {
			t.Hints = append(t.Hints, "did you mean the host "+t.NearestHost+"?")
		}
		if t.UnknownHost {
			return
		}
	}
	if route.At != nil && !route.At.Placeholder {
		// The path was found, and its backend is the controller's own 404.
		return
	}
	path, _, _ := strings.Cut(target, "?")
	var paths []string
	for _, loc := range route.Server.Locations {
		if loc.Ingress != nil && !loc.Placeholder && !slices.Contains(paths, loc.Text) {
			paths = append(paths, loc.Text)
		}
	}
	switch near := checks.Nearest(path, paths); {
	case near != "":
		t.Hints = append(t.Hints, fmt.Sprintf("did you mean the path %s?", near))
	case len(paths) == 0:
		t.Hints = append(t.Hints, "the host has no paths")
	default:
		t.Hints = append(t.Hints, "the host has the paths "+listed(paths))
	}
}

// listed joins the first values.
func listed(values []string) string {
	if len(values) > maxShown {
		return fmt.Sprintf("%s and %d more", strings.Join(values[:maxShown], ", "), len(values)-maxShown)
	}
	return strings.Join(values, ", ")
}

// serviceHints say what state the Service behind an upstream is in.
func serviceHints(snap *routing.Snapshot, up *routing.Upstream) []string {
	name := up.Namespace + "/" + up.Service
	svc, known := snap.Service(up.Namespace, up.Service)
	switch known {
	case routing.Unread:
		return []string{fmt.Sprintf("Service %s was not read: %s", name, snap.CoverageOf(routing.Ref{Kind: routing.Services, Namespace: up.Namespace, Name: up.Service}).Reason)}
	case routing.Absent:
		there := snap.Names[routing.Ref{Kind: routing.Services, Namespace: up.Namespace}]
		if near := checks.Nearest(up.Service, there); near != "" {
			return []string{fmt.Sprintf("Service %s does not exist; did you mean %s?", name, near)}
		}
		if len(there) == 0 {
			return []string{fmt.Sprintf("the namespace %s has no Services", up.Namespace)}
		}
		return []string{fmt.Sprintf("the namespace %s has the Services %s", up.Namespace, listed(there))}
	}
	if svc.External() {
		return []string{fmt.Sprintf("Service %s is of type ExternalName and leads to %s", name, svc.ExternalName)}
	}
	port := svc.MatchPort(up.Port)
	if port == nil {
		var ports []string
		for i := range svc.Ports {
			text := fmt.Sprint(svc.Ports[i].Port)
			if svc.Ports[i].Name != "" {
				text += " (" + svc.Ports[i].Name + ")"
			}
			ports = append(ports, text)
		}
		if len(ports) == 0 {
			return []string{fmt.Sprintf("Service %s has no ports", name)}
		}
		return []string{fmt.Sprintf("Service %s has no port %s; it has %s", name, routing.BackendPort(up.Port), strings.Join(ports, ", "))}
	}
	slices, known := snap.SlicesOf(up.Namespace, up.Service)
	if known == routing.Unread {
		return []string{fmt.Sprintf("the endpoints of Service %s are not known", name)}
	}
	e := routing.Resolve(svc, port, slices)
	if pods, known := snap.PodsOf(up.Namespace, up.Service); known == routing.Present && e.Ready == 0 {
		fact, nearest := checks.PodsFact(svc, pods, e.NotReady > 0)
		switch {
		case nearest != "":
			return []string{fact, nearest}
		case fact != "":
			return []string{fact}
		}
	}
	switch {
	case e.Ready+e.NotReady == 0 && svc.Selecting():
		return []string{fmt.Sprintf("Service %s has no endpoints: its selector fits no Pod", name)}
	case e.Ready+e.NotReady == 0:
		return []string{fmt.Sprintf("Service %s has no endpoints, and no selector that would find any", name)}
	case e.Ready == 0:
		return []string{fmt.Sprintf("Service %s has %s, none of them ready", name, countOf(e.NotReady, "endpoint", "endpoints"))}
	}
	return []string{fmt.Sprintf("Service %s has %d of %s ready, but none that serves port %s", name, e.Ready, countOf(e.Ready+e.NotReady, "endpoint", "endpoints"), routing.BackendPort(up.Port))}
}
