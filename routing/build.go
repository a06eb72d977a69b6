// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	networkingv1 "k8s.io/api/networking/v1"
)

// NewTable builds the Table of the Ingresses, all of which one installation of
// ingress-nginx sees; [Snapshot.ClassOf] tells whether it does. The order of the
// Ingresses does not matter. Ingresses that the installation sees and that are not
// given are taken not to exist.
func NewTable(s *Snapshot, settings ControllerSettings, ingresses []*networkingv1.Ingress) *Table {
	t := &Table{
		Settings:  settings,
		snap:      s,
		steps:     &atomic.Int64{},
		servers:   map[string]*Server{},
		upstreams: make(map[string]*Upstream, len(ingresses)),
		configs:   make(map[*networkingv1.Ingress]*Config, len(ingresses)),
	}
	t.steps.Store(maxTableSteps)
	seen := t.takeUp(ingresses)
	t.makeUpstreams(seen)
	t.makeServers(seen)
	t.chooseCertificates(seen)
	t.makeLocations(seen)
	t.mergeCanaries(seen)
	servers := t.Servers()
	for _, server := range servers {
		t.render(server)
	}
	t.refuseValues(seen)
	t.nameServers(servers)
	return t
}

// takeUp returns the Ingresses that make it into the model, oldest first.
func (t *Table) takeUp(ingresses []*networkingv1.Ingress) []*networkingv1.Ingress {
	seen := make([]*networkingv1.Ingress, 0, len(ingresses))
	// Ingresses that share a host often have the same annotations; like is one whose
	// Config is that of all such.
	var like *networkingv1.Ingress
	for _, ing := range ingresses {
		var config *Config
		if like != nil && maps.Equal(like.Annotations, ing.Annotations) && !t.Settings.dropsSpec(ing) {
			config = t.configs[like]
		} else if config = configOf(ing, &t.Settings); config.ofAnnotationsAlone() {
			like = ing
		}
		if config.Dropped != "" {
			put(&t.Dropped, ing, config.Dropped)
			continue
		}
		if param := t.snap.RefusedParam(config); param != "" {
			put(&t.Dropped, ing, fmt.Sprintf("ConfigMap %q of fastcgi-params-configmap has a refused character in %q", config.FastCGIParams.Name, param))
			continue
		}
		t.configs[ing] = config
		seen = append(seen, ing)
	}
	slices.SortFunc(seen, func(a, b *networkingv1.Ingress) int {
		switch {
		case a == b:
			return 0
		case Older(a, b):
			return -1
		}
		return 1
	})
	return seen
}

// UpstreamName is how the controller names the upstream of a backend: two backends
// of one name share it (semantics row E11).
func UpstreamName(namespace string, backend *networkingv1.IngressServiceBackend) string {
	return namespace + "-" + backend.Name + "-" + BackendPort(backend.Port)
}

// upstream returns the upstream of a backend, nil if there is none. Its name is put together
// on the stack: this is asked for often.
func (t *Table) upstream(namespace string, backend *networkingv1.IngressServiceBackend) *Upstream {
	var buffer [128]byte
	name := append(append(append(append(buffer[:0], namespace...), '-'), backend.Name...), '-')
	name = append(name, BackendPort(backend.Port)...)
	return t.upstreams[string(name)]
}

// makeUpstreams makes an upstream for each backend. The first Ingress that names it
// in a path decides about it; naming it in spec.defaultBackend starts it anew.
func (t *Table) makeUpstreams(seen []*networkingv1.Ingress) {
	for _, ing := range seen {
		config := t.configs[ing]
		if b := ing.Spec.DefaultBackend; b != nil && b.Service != nil {
			up := newUpstream(ing, config, b.Service)
			t.upstreams[up.Name] = up
		}
		for i := range ing.Spec.Rules {
			http := ing.Spec.Rules[i].HTTP
			for j := 0; http != nil && j < len(http.Paths); j++ {
				if service := http.Paths[j].Backend.Service; service != nil {
					if t.upstream(ing.Namespace, service) == nil {
						up := newUpstream(ing, config, service)
						t.upstreams[up.Name] = up
					}
				}
			}
		}
	}
}

func newUpstream(ing *networkingv1.Ingress, config *Config, service *networkingv1.IngressServiceBackend) *Upstream {
	return &Upstream{
		Name:            UpstreamName(ing.Namespace, service),
		Namespace:       ing.Namespace,
		Service:         service.Name,
		Port:            service.Port,
		First:           ing,
		ServiceUpstream: config.ServiceUpstream,
		Serverless:      config.Canary.Enabled,
		Canary:          config.Canary,
	}
}

// noConfig is that of the default server that nobody names.
var noConfig = &Config{}

// makeServers makes a server for each host, with a placeholder as its root.
func (t *Table) makeServers(seen []*networkingv1.Ingress) {
	fallback := &Server{TLS: Certificate{Kind: DefaultCertificate}}
	fallback.Locations = []*Location{{Placeholder: true, Text: "/", Type: networkingv1.PathTypePrefix, Config: noConfig}}
	t.servers[""] = fallback
	for _, ing := range seen {
		config := t.configs[ing]
		if config.Canary.Enabled {
			continue
		}
		var up *Upstream
		if b := ing.Spec.DefaultBackend; b != nil && b.Service != nil {
			up = t.upstream(ing.Namespace, b.Service)
			if root := fallback.Locations[0]; root.Placeholder && len(ing.Spec.Rules) == 0 {
				// Redirects and rewrites are left out (semantics row C13).
				annotated := *config
				annotated.Redirect, annotated.RewriteTarget, annotated.UseRegex, annotated.AppRoot = RedirectConfig{}, "", false, ""
				annotated.SSLRedirect, annotated.ForceSSLRedirect = false, false
				*root = Location{Ingress: ing, Rule: -1, Text: "/", Type: networkingv1.PathTypePrefix, Upstream: up, Config: &annotated}
			}
		}
		for i := range ing.Spec.Rules {
			host := ing.Spec.Rules[i].Host
			server := t.servers[host]
			if server == nil {
				server = &Server{Host: host, Passthrough: config.SSLPassthrough}
				server.Locations = []*Location{{
					Ingress: ing, Rule: i, Path: -1, Placeholder: true, Text: "/", Type: networkingv1.PathTypePrefix, Upstream: up, Config: config,
				}}
				t.servers[host] = server
			}
			if server.Oldest == nil {
				server.Oldest = ing
			}
			if len(server.Aliases) == 0 {
				server.Aliases = config.ServerAliases
			}
		}
	}
	for host, server := range t.servers {
		var kept []string
		for _, alias := range server.Aliases {
			if alias != host && alias != "" && t.servers[alias] == nil {
				kept = append(kept, alias)
			}
		}
		slices.Sort(kept)
		server.Aliases = slices.Compact(kept)
	}
}

// chooseCertificates gives each host the certificate of the oldest Ingress with a
// TLS section (semantics row J10).
func (t *Table) chooseCertificates(seen []*networkingv1.Ingress) {
	for _, ing := range seen {
		if len(ing.Spec.TLS) == 0 || t.configs[ing].Canary.Enabled {
			continue
		}
		section := t.tlsSectionOf(ing)
		for i := range ing.Spec.Rules {
			server := t.servers[ing.Spec.Rules[i].Host]
			if server.TLS.Kind == NoCertificate {
				server.TLS, server.TLSOwner = section.certificateFor(server.Host), ing
			}
		}
	}
}

// tlsSection is spec.tls of an Ingress, for asking about many hosts.
type tlsSection struct {
	snap *Snapshot
	ing  *networkingv1.Ingress
	// listed are the Secrets of the first entries that list a host, by the host in lower
	// case.
	listed map[string]string
	// others are the Secrets that may have a certificate for a host that no entry lists,
	// in their order. They are looked for when they are first needed.
	others []secretOfSection
	looked bool
}

// secretOfSection is a Secret with a usable certificate, or one that was not read.
type secretOfSection struct {
	name  string
	facts *CertificateFacts
}

func (t *Table) tlsSectionOf(ing *networkingv1.Ingress) *tlsSection {
	s := &tlsSection{snap: t.snap, ing: ing, listed: map[string]string{}}
	for i := range ing.Spec.TLS {
		for _, host := range ing.Spec.TLS[i].Hosts {
			host = strings.ToLower(host)
			if _, ok := s.listed[host]; !ok {
				s.listed[host] = ing.Spec.TLS[i].SecretName
			}
		}
	}
	return s
}

// certificateFor is the certificate that the section brings for a host of the rules.
func (s *tlsSection) certificateFor(host string) Certificate {
	name, known := s.secretFor(host)
	secret := Key{s.ing.Namespace, name}
	switch {
	case known == Unread:
		return Certificate{Kind: UnreadCertificate, Secret: secret}
	case name == "":
		return Certificate{Kind: DefaultCertificate, Reason: "no entry of spec.tls with a Secret is for the host"}
	}
	facts, known := s.snap.Secret(s.ing.Namespace, name)
	switch {
	case known == Unread && s.snap.SecretExists(s.ing.Namespace, name) != Absent:
		return Certificate{Kind: UnreadCertificate, Secret: secret}
	case known != Present:
		return Certificate{Kind: DefaultCertificate, Secret: secret, Reason: "the Secret does not exist"}
	case facts.Unusable != "":
		return Certificate{Kind: DefaultCertificate, Secret: secret, Reason: "the Secret " + facts.Unusable}
	case !facts.Certificate.Covers(host):
		return Certificate{Kind: DefaultCertificate, Secret: secret, Reason: "the certificate in the Secret does not cover the host"}
	}
	return Certificate{Kind: OwnCertificate, Secret: secret, Facts: facts.Certificate}
}

// secretFor is the name of the Secret for a host: of the first entry that lists the
// host, else of the first whose certificate covers it by a DNS name. It is Unread
// where the latter cannot be told.
func (s *tlsSection) secretFor(host string) (string, Known) {
	if name, ok := s.listed[strings.ToLower(host)]; ok {
		return name, Present
	}
	if !s.looked {
		s.look()
	}
	for _, other := range s.others {
		switch {
		case other.facts == nil:
			return other.name, Unread
		case other.facts.coversByDNSName(host):
			return other.name, Present
		}
	}
	return "", Present
}

// look finds the others. What comes after one that was not read is never reached.
func (s *tlsSection) look() {
	s.looked = true
	seen := map[string]bool{"": true}
	for i := range s.ing.Spec.TLS {
		name := s.ing.Spec.TLS[i].SecretName
		if seen[name] {
			continue
		}
		seen[name] = true
		facts, known := s.snap.Secret(s.ing.Namespace, name)
		switch {
		case known == Unread && s.snap.SecretExists(s.ing.Namespace, name) != Absent:
			s.others = append(s.others, secretOfSection{name: name})
			return
		case known == Present && facts.Unusable == "":
			s.others = append(s.others, secretOfSection{name, facts.Certificate})
		}
	}
}

// makeLocations gives every path its location, where no older path has it.
func (t *Table) makeLocations(seen []*networkingv1.Ingress) {
	for _, ing := range seen {
		config := t.configs[ing]
		for i := range ing.Spec.Rules {
			rule := &ing.Spec.Rules[i]
			server := t.servers[rule.Host]
			if server == nil {
				// Only canaries name the host. What of them is no canary leaks to every host
				// (semantics row I05).
				server = t.servers[""]
			}
			if rule.HTTP == nil && rule.Host != "" {
				continue
			}
			t.authenticate(server, ing, config)
			for j := 0; rule.HTTP != nil && j < len(rule.HTTP.Paths); j++ {
				p := &rule.HTTP.Paths[j]
				if p.Backend.Service == nil {
					continue
				}
				up := t.upstream(ing.Namespace, p.Backend.Service)
				if up.Serverless {
					continue
				}
				server.add(&Location{
					Ingress: ing, Rule: i, Path: j,
					Text: EffectivePath(p.Path), Type: EffectiveType(p.PathType),
					Upstream: up, Config: config,
				})
			}
		}
	}
}

// authenticate notes what auth-tls-secret means for the whole server.
func (t *Table) authenticate(server *Server, ing *networkingv1.Ingress, config *Config) {
	reason, verify, known := t.clientCertificates(ing.Namespace, config)
	server.doubtful = server.doubtful || known == Unread
	if server.Denied == "" && reason != "" {
		server.Denied, server.DeniedBy = reason, ing
	}
	if verify && server.verifiedBy == nil {
		server.VerifyClient, server.verifiedBy = true, ing
	}
}

// add adds a location unless an older one has its path and type. Only the first
// location of that path is compared, which is how a third rule slips through
// (semantics row L03). A placeholder gives way.
func (s *Server) add(loc *Location) {
	if s.byText == nil {
		// A new server has but its root.
		s.byText = map[string]int{"/": 0}
	}
	i, found := s.byText[loc.Text]
	if !found {
		s.byText[loc.Text] = len(s.Locations)
	} else {
		if first := s.Locations[i]; first.Type == loc.Type {
			if first.Placeholder {
				s.Locations[i] = loc
				s.redirectWWW = s.redirectWWW || loc.Config.FromToWWW
			}
			return
		}
	}
	s.Locations = append(s.Locations, loc)
	s.redirectWWW = s.redirectWWW || loc.Config.FromToWWW
}

// mergeCanaries adds the upstreams of canaries to those that they stand in for. One
// that finds none is removed.
func (t *Table) mergeCanaries(seen []*networkingv1.Ingress) {
	isCanary := func(ing *networkingv1.Ingress) bool { return t.configs[ing].Canary.Enabled }
	if !slices.ContainsFunc(seen, func(ing *networkingv1.Ingress) bool { return !isCanary(ing) }) {
		return
	}
	for _, ing := range seen {
		if !isCanary(ing) {
			continue
		}
		if b := ing.Spec.DefaultBackend; b != nil && b.Service != nil {
			t.mergeCanary(UpstreamName(ing.Namespace, b.Service), t.servers[""], func(*Location) bool { return true })
		}
		for i := range ing.Spec.Rules {
			rule := &ing.Spec.Rules[i]
			if rule.HTTP == nil {
				t.Refusals = append(t.Refusals, Refusal{
					Kind: RefusalCanaryWithout, Ingress: ing, Rule: i, Path: -1, Host: rule.Host, Crashes: true,
					Reason: "a canary Ingress has a rule without paths, on which the controller crashes",
				})
				continue
			}
			server := t.servers[rule.Host]
			for j := range rule.HTTP.Paths {
				p := &rule.HTTP.Paths[j]
				if p.Backend.Service == nil || server == nil {
					continue
				}
				text, kind := EffectivePath(p.Path), EffectiveType(p.PathType)
				t.mergeCanary(UpstreamName(ing.Namespace, p.Backend.Service), server, func(loc *Location) bool {
					return loc.Text == text && loc.Type == kind
				})
			}
		}
	}
}

func (t *Table) mergeCanary(name string, server *Server, fits func(*Location) bool) {
	alternative := t.upstreams[name]
	if alternative == nil || alternative.deleted {
		return
	}
	merged := false
	for _, loc := range server.Locations {
		primary := loc.Upstream
		if primary == nil {
			continue
		}
		if primary == alternative {
			return
		}
		if primary.Serverless || !fits(loc) {
			continue
		}
		merged = true
		if !slices.Contains(primary.Alternatives, alternative) {
			primary.Alternatives = append(primary.Alternatives, alternative)
		}
	}
	if !merged {
		alternative.deleted = true
	}
}

// render brings the locations of a server into the order of the configuration file
// and gives them the names that nginx compares (semantics section 0.1, lines 7
// and 8).
func (t *Table) render(s *Server) {
	slices.SortStableFunc(s.Locations, func(a, b *Location) int {
		return cmp.Or(cmp.Compare(len(b.Text), len(a.Text)), strings.Compare(b.Text, a.Text))
	})
	var exact map[string]bool
	for _, loc := range s.Locations {
		if loc.Type == networkingv1.PathTypeExact {
			if exact == nil {
				exact = map[string]bool{}
			}
			exact[loc.Text] = true
		}
	}
	rendered := make([]*Location, 0, 2*len(s.Locations))
	for _, loc := range s.Locations {
		loc.Name, loc.Exact = loc.Text, loc.Type == networkingv1.PathTypeExact
		rendered = append(rendered, loc)
		if loc.Text == "/" || loc.Exact || rewrites(loc) || loc.Config.UseRegex {
			continue
		}
		if !strings.HasSuffix(loc.Name, "/") {
			loc.Name += "/"
		}
		if !exact[loc.Text] {
			twin := *loc
			twin.Name, twin.Exact = loc.Text, true
			rendered = append(rendered, &twin)
		}
	}
	s.Locations = rendered
	s.Regex = slices.ContainsFunc(rendered, func(loc *Location) bool { return rewrites(loc) || loc.Config.UseRegex })
	s.byText = nil
	if s.Regex {
		t.compile(s)
	} else {
		t.index(s)
	}
}

// rewrites reports whether the rewrite-target of a location changes anything.
func rewrites(loc *Location) bool {
	return loc.Config.RewriteTarget != "" && loc.Config.RewriteTarget != loc.Name
}

// nameServers decides which server answers for which name, and which certificate it
// is served with.
func (t *Table) nameServers(servers []*Server) {
	t.aliases, t.redirects, t.certificates = nil, nil, map[string]Certificate{}
	for _, s := range servers {
		if s.redirectWWW && s.Host != "" {
			if twin := WWWTwin(s.Host); t.servers[twin] == nil {
				put(&t.redirects, twin, s)
				t.serveTLS(twin, s)
			}
		}
		if s.TLS.Kind != NoCertificate {
			t.certificates[s.Host] = s.TLS
		}
		if suffix, ok := strings.CutPrefix(s.Host, "*."); ok {
			t.patterns = append(t.patterns, serverPattern{server: s, suffix: suffix})
		}
		for _, alias := range s.Aliases {
			t.serveTLS(alias, s)
			if expr, ok := strings.CutPrefix(alias, "~"); ok {
				pattern, err := t.pattern(expr, strings.ContainsFunc(expr, isUpper))
				t.patterns = append(t.patterns, serverPattern{server: s, pattern: pattern, err: err})
				continue
			}
			// nginx reads names in lower case, and takes ".x" for both "x" and "*.x".
			name := strings.ToLower(alias)
			names := []string{name}
			if suffix, ok := strings.CutPrefix(name, "."); ok {
				names = []string{name, "*." + suffix}
			}
			for _, name := range names {
				if _, taken := t.aliases[name]; !taken {
					put(&t.aliases, name, s)
				}
			}
		}
	}
}

// put adds to a map that may be nil. Most Tables have nothing to put into some of theirs.
func put[K comparable, T any](m *map[K]T, key K, value T) {
	if *m == nil {
		*m = make(map[K]T)
	}
	(*m)[key] = value
}

// serveTLS has another name of a server served with its certificate, if that covers
// the name.
func (t *Table) serveTLS(name string, s *Server) {
	switch c := s.TLS; {
	case c.Kind == OwnCertificate && c.Facts.Names(name):
		t.certificates[name] = c
	case c.Kind == UnreadCertificate:
		t.certificates[name] = c
	}
}

// WWWTwin is the host that from-to-www-redirect redirects from.
func WWWTwin(host string) string {
	if rest, ok := strings.CutPrefix(host, "www."); ok {
		return rest
	}
	return "www." + host
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// serverPattern is a name of a server that is a regular expression: that of an
// alias, or of a wildcard host, which stands for one label before the suffix.
type serverPattern struct {
	server  *Server
	suffix  string
	pattern *Pattern
	err     error
}

// Servers returns all servers in the order of the configuration file: the default
// server, whose host is "", as if it were named "_".
func (t *Table) Servers() []*Server {
	servers := make([]*Server, 0, len(t.servers))
	for _, s := range t.servers {
		servers = append(servers, s)
	}
	slices.SortFunc(servers, func(a, b *Server) int { return strings.Compare(serverName(a), serverName(b)) })
	return servers
}

func serverName(s *Server) string {
	if s.Host == "" {
		return "_"
	}
	return s.Host
}

// ServerOf returns the server that the rules of a host made, nil if there is none.
// Other names of servers are not looked at.
func (t *Table) ServerOf(host string) *Server {
	return t.servers[host]
}

// UpstreamOf returns the upstream of a backend, nil if no Ingress names it.
func (t *Table) UpstreamOf(namespace string, backend *networkingv1.IngressServiceBackend) *Upstream {
	return t.upstream(namespace, backend)
}

// ConfigOf returns what the annotations of an Ingress of the Table say, nil for one
// that was dropped or not given.
func (t *Table) ConfigOf(ing *networkingv1.Ingress) *Config {
	return t.configs[ing]
}

// Installed reports whether nginx takes this configuration: no Refusal is certain.
func (t *Table) Installed() bool {
	return !slices.ContainsFunc(t.Refusals, func(r Refusal) bool { return !r.Uncertain })
}

// Follow returns the Table that serves after the installation went from previous,
// which may be nil, to t: previous itself where nginx refuses t, else t with the
// certificates that previous leaves behind for names that are gone. They stay in
// nginx's memory until it is restarted.
func (t *Table) Follow(previous *Table) *Table {
	if !t.Installed() {
		if previous == nil {
			return NewTable(t.snap, t.Settings, nil)
		}
		return previous
	}
	if previous == nil {
		return t
	}
	next := *t
	next.certificates = maps.Clone(t.certificates)
	for name, certificate := range previous.certificates {
		if !t.names(name) {
			next.certificates[name] = certificate
		}
	}
	return &next
}

// names reports whether the configuration names a host, as that of a server, an
// alias or a redirect.
func (t *Table) names(host string) bool {
	if t.servers[host] != nil || t.redirects[host] != nil {
		return true
	}
	for _, s := range t.servers {
		if slices.Contains(s.Aliases, host) {
			return true
		}
	}
	return false
}
