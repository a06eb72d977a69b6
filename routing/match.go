// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// The answers of the controller that have no name in an annotation.
const (
	statusRedirect   = 308 // to HTTPS, or to the www twin
	statusNoEndpoint = 503
	acmePath         = "/.well-known/acme-challenge"
)

// Match says what the request gets, in the phases of nginx: the TLS handshake, the
// host, the location, the directives of the rewrite phase, the redirect to HTTPS,
// the balancer, access control. It never fails: a request that nginx refuses has the
// status 400.
func (t *Table) Match(r Request) *Route {
	m := &match{Table: t, request: r, route: &Route{}}
	m.run()
	return m.route
}

// Answer is Match without the Steps, for who does not show them.
func (t *Table) Answer(r Request) *Route {
	m := &match{Table: t, request: r, route: &Route{}, silent: true}
	m.run()
	return m.route
}

// match is one request on its way.
type match struct {
	*Table
	request Request
	route   *Route
	target  target
	// host is the host that nginx compares.
	host string
	// silent is true where no Steps are wanted.
	silent bool
}

func (m *match) step(kind StepKind, format string, args ...any) {
	if m.silent {
		return
	}
	m.route.Steps = append(m.route.Steps, Step{What: kind, Text: fmt.Sprintf(format, args...)})
}

// answer ends the way.
func (m *match) answer(status int, format string, args ...any) {
	m.route.Status = status
	m.step(StepAnswer, format, args...)
}

// redirect ends the way with a Location.
func (m *match) redirect(status int, location, format string, args ...any) {
	m.route.Location = location
	m.answer(status, format, args...)
}

func (m *match) undecided(format string, args ...any) {
	if m.route.Undecided == "" {
		m.route.Undecided = fmt.Sprintf(format, args...)
	}
}

func (m *match) scheme() string {
	if m.request.HTTPS {
		return "https"
	}
	return "http"
}

func (m *match) run() {
	var ok bool
	if m.host, ok = hostOf(m.request.Host); !ok {
		m.answer(400, "nginx refuses the host %q", m.request.Host)
		return
	}
	if m.request.HTTPS && m.handshake() {
		return
	}
	if m.target, ok = parseTarget(m.request.Path); !ok {
		m.answer(400, "nginx refuses the target %q", m.request.Path)
		return
	}
	if twin := m.redirects[m.host]; twin != nil {
		m.route.Server = twin
		m.step(StepHost, "from-to-www-redirect of host %q", twin.Host)
		m.redirect(statusRedirect, m.scheme()+"://"+twin.Host+strings.TrimSuffix(m.target.raw, "/"), "redirect to %s", twin.Host)
		return
	}
	s := m.findServer()
	m.route.Server = s
	if s.doubtful {
		m.undecided("the Secret of auth-tls-secret was not read")
	}
	switch {
	case s.Denied != "":
		m.answer(403, "the whole host is closed: %s", s.Denied)
		return
	case s.VerifyClient && m.request.HTTPS:
		m.step(StepAnnotation, "auth-tls-secret asks for a certificate of the client")
		m.answer(400, "no certificate of the client was sent")
		return
	}
	if m.appRoot(s) {
		return
	}
	if m.reserved(s) {
		return
	}
	loc, slash := m.findLocation(s)
	if loc == nil {
		m.answer(404, "no location of the host could be told")
		return
	}
	m.route.At = loc
	if slash {
		m.redirect(301, m.scheme()+"://"+m.request.Host+m.target.path+"/"+m.target.query, "nginx adds the slash of path %q", loc.Text)
		return
	}
	if m.answeredByLocation(loc) || m.redirectedToHTTPS(loc) {
		return
	}
	m.proxy(loc)
}

// handshake chooses the certificate. It is true where the controller passes TLS
// through, so that the backend answers.
func (m *match) handshake() bool {
	name := m.request.SNI
	if name == "" {
		name = m.host
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if s := m.servers[name]; s != nil && name != "" && s.Passthrough && m.Settings.EnableSSLPassthrough {
		m.passThrough(s)
		return true
	}
	c, ok := m.certificateOf(name)
	m.route.Certificate = c
	switch {
	case c.Kind == UnreadCertificate:
		m.undecided("Secret %q was not read", c.Secret.Namespace+"/"+c.Secret.Name)
		m.step(StepCertificate, "that of Secret %q, which was not read", c.Secret.Namespace+"/"+c.Secret.Name)
	case c.Kind == OwnCertificate:
		m.step(StepCertificate, "Secret %q, for %s, until %s", c.Secret.Namespace+"/"+c.Secret.Name,
			strings.Join(c.Facts.names(), ", "), c.Facts.NotAfter.Format(time.DateOnly))
	case !ok:
		m.step(StepCertificate, "the default certificate: no Ingress of the host has a TLS section")
	default:
		m.step(StepCertificate, "the default certificate: %s", c.Reason)
	}
	return false
}

// passThrough sends the connection to the cluster IP of the root of the host (semantics
// rows J17 and J18).
func (m *match) passThrough(s *Server) {
	loc := s.PassthroughRoot()
	m.route.Server, m.route.At, m.route.Path = s, loc, m.request.Path
	m.step(StepAnnotation, "ssl-passthrough: the backend answers the handshake")
	if loc.Placeholder {
		m.answer(0, "the connection is closed: no path / has the connections of host %q", s.Host)
		return
	}
	up := loc.Upstream
	svc, known := m.snap.Service(up.Namespace, up.Service)
	endpoint := ""
	if known == Present {
		endpoint = svc.clusterEndpoint(up.Port)
	}
	if known == Unread {
		m.undecided("Service %q was not read", up.Service)
	}
	if endpoint == "" {
		m.answer(0, "the connection is closed: Service %q has no cluster IP", up.Service)
		return
	}
	m.route.Targets = []Target{{Upstream: up, Percent: 100, Endpoints: []string{endpoint}}}
	m.answer(200, "Service %q", up.Service)
}

// PassthroughRoot is the location whose Service gets all TLS connections of the host,
// where Passthrough: the first of path "/". A Placeholder leads nowhere then, not even
// to spec.defaultBackend (semantics row J17).
func (s *Server) PassthroughRoot() *Location {
	for _, loc := range s.Locations {
		if loc.Text == "/" {
			return loc
		}
	}
	// Every server is made with a root.
	return nil
}

// certificateOf is the certificate for a server name: that of the name itself, or of
// the wildcard above it. It is false where there is neither.
func (t *Table) certificateOf(name string) (Certificate, bool) {
	if name == "" {
		return Certificate{}, false
	}
	if c, ok := t.certificates[name]; ok {
		return c, true
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if c, ok := t.certificates["*."+parent]; ok {
			return c, true
		}
	}
	return Certificate{}, false
}

// findServer chooses by name: a literal one, the longest wildcard alias at the
// front, then at the end, then the first pattern (semantics row C05).
func (m *match) findServer() *Server {
	if s := m.servers[m.host]; s != nil && m.host != "" {
		m.step(StepHost, "%q", serverHost{s})
		return s
	}
	if s := m.aliases[m.host]; s != nil {
		m.step(StepHost, "%q, an alias of %q", m.host, s.Host)
		return s
	}
	if s, alias := m.wildcardAlias(); s != nil {
		m.step(StepHost, "%q, an alias of %q", alias, s.Host)
		return s
	}
	for i := range m.patterns {
		if p := &m.patterns[i]; m.fits(p) {
			m.step(StepHost, "%q", p.server.Host)
			return p.server
		}
	}
	m.step(StepHost, "none is %q: the default server answers", m.host)
	return m.servers[""]
}

func (m *match) wildcardAlias() (*Server, string) {
	if s := m.aliases["."+m.host]; s != nil {
		return s, "." + m.host
	}
	for rest := m.host; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		if s := m.aliases["*."+rest]; s != nil {
			return s, "*." + rest
		}
	}
	for head := m.host; ; {
		i := strings.LastIndexByte(head, '.')
		if i < 0 {
			return nil, ""
		}
		head = head[:i]
		if s := m.aliases[head+".*"]; s != nil {
			return s, head + ".*"
		}
	}
}

// fits reports whether the name of a server that is a pattern is that of the
// request.
func (m *match) fits(p *serverPattern) bool {
	if p.err != nil {
		return false
	}
	if p.pattern == nil {
		label, parent, ok := strings.Cut(m.host, ".")
		return ok && parent == p.suffix && label != "" && !strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
		})
	}
	_, ok, err := p.pattern.Match(m.host)
	if err != nil {
		m.undecided("an alias of host %q is a regular expression that takes too long", p.server.Host)
	}
	return ok
}

// appRoot answers "/" where any location of the host has an app-root: the first in
// the file wins, whoever owns "/" (semantics row E08).
func (m *match) appRoot(s *Server) bool {
	if m.target.path != "/" {
		return false
	}
	for _, loc := range s.Locations {
		if root := loc.Config.AppRoot; root != "" {
			m.step(StepAnnotation, "app-root of Ingress %q", nameOf(loc.Ingress))
			m.redirect(302, m.scheme()+"://"+m.request.Host+root, "redirect to %s", root)
			return true
		}
	}
	return false
}

// reserved answers the paths that the controller keeps for itself on the default server,
// where no longer path takes them (semantics row C14).
func (m *match) reserved(s *Server) bool {
	if s.Host != "" || s.Regex || s.exact[m.target.path] != nil {
		return false
	}
	for prefix, status := range map[string]int{"/healthz": 200, "/nginx_status": 403} {
		if !strings.HasPrefix(m.target.path, prefix) {
			continue
		}
		if best := s.longestPrefix(m.target.path); best != nil && len(best.Name) > len(prefix) {
			continue
		}
		m.answer(status, "the controller keeps %s for itself where no rule names the host", prefix)
		return true
	}
	return false
}

// findLocation chooses the location as nginx does. The second result is true where
// nginx answers with a redirect that adds a slash.
func (m *match) findLocation(s *Server) (*Location, bool) {
	if s.Regex {
		return m.findRegex(s), false
	}
	path := m.target.path
	if loc := s.exact[path]; loc != nil {
		m.step(StepPath, "%s", described{loc})
		return loc, false
	}
	best := s.longestPrefix(path)
	if best == nil || best.Name != path {
		slash := s.exact[path+"/"]
		if slash == nil {
			slash = s.prefixes[path+"/"]
		}
		if slash != nil && m.addsSlash(slash) {
			m.step(StepPath, "%s", described{slash})
			return slash, true
		}
	}
	if best != nil {
		m.step(StepPath, "%s", &beaten{s, best})
	}
	return best, false
}

// longestPrefix returns the longest location that begins the path and is not Exact.
// The names of such locations end with a slash.
func (s *Server) longestPrefix(path string) *Location {
	for {
		if loc := s.prefixes[path]; loc != nil {
			return loc
		}
		i := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
		if i < 0 {
			return nil
		}
		path = path[:i+1]
	}
}

// addsSlash reports whether nginx redirects from the name of a location without its
// slash: not where the location answers by itself before anything is proxied.
func (m *match) addsSlash(loc *Location) bool {
	reason, _ := m.denial(loc)
	return reason == ""
}

// findRegex returns the first location whose pattern fits, in the order of the file.
func (m *match) findRegex(s *Server) *Location {
	for _, loc := range s.Locations {
		if loc.patternErr != nil {
			if errors.Is(loc.patternErr, ErrPatternUndecided) {
				m.undecided("whether path %q fits cannot be told", loc.Text)
			}
			continue
		}
		_, ok, err := loc.pattern.Match(m.target.path)
		if err != nil {
			m.undecided("path %q is a regular expression that takes too long", loc.Text)
			continue
		}
		if ok {
			m.step(StepPath, "%s, as a regular expression, as all paths of the host are", described{loc})
			return loc
		}
	}
	return nil
}

// What a Step says is made of these where it is wanted, and not where it is not.
type (
	serverHost struct{ *Server }
	described  struct{ *Location }
	beaten     struct {
		server *Server
		best   *Location
	}
)

func (s serverHost) String() string { return s.Host }

// String names the location.
func (d described) String() string {
	loc := d.Location
	if loc.Placeholder {
		if loc.Upstream != nil {
			return fmt.Sprintf("no path fits: spec.defaultBackend of Ingress %q", nameOf(loc.Ingress))
		}
		return "no path fits"
	}
	if loc.Rule < 0 {
		return fmt.Sprintf("spec.defaultBackend of Ingress %q", nameOf(loc.Ingress))
	}
	return fmt.Sprintf("%s %q of Ingress %q", loc.Type, loc.Text, nameOf(loc.Ingress))
}

// String names the best location and the one that it is longer than.
func (b *beaten) String() string {
	text := described{b.best}.String()
	if b.best.Placeholder {
		return text
	}
	second := b.server.longestPrefix(strings.TrimSuffix(b.best.Name, "/"))
	if second != nil && !second.Placeholder {
		text += ", longer than " + described{second}.String()
	}
	return text
}

func nameOf(ing *networkingv1.Ingress) string {
	if ing == nil {
		return ""
	}
	return ing.Namespace + "/" + ing.Name
}

// answeredByLocation is the rewrite phase: what denies the location, redirects, or
// rewrites to an absolute URL.
func (m *match) answeredByLocation(loc *Location) bool {
	reason, known := m.denial(loc)
	if known == Unread {
		m.undecided("%s", reason)
		reason = ""
	}
	if reason != "" {
		m.answer(statusNoEndpoint, "the location is closed: %s", reason)
		return true
	}
	if url := loc.Config.Redirect.URL; url != "" {
		m.step(StepAnnotation, "redirect of Ingress %q", nameOf(loc.Ingress))
		m.redirect(loc.Config.Redirect.Code, m.expandVariables(url), "redirect to %s", url)
		return true
	}
	return m.rewrite(loc)
}

// rewrite computes the path that the backend is asked for. It is true where the
// rewrite itself answers.
func (m *match) rewrite(loc *Location) bool {
	m.route.Path = m.target.raw
	if !rewrites(loc) {
		return false
	}
	pattern, err := m.pattern(loc.Name, true)
	if err != nil {
		m.undecided("path %q cannot be taken for a regular expression", loc.Text)
		return false
	}
	groups, ok, err := pattern.Match(m.target.path)
	if err != nil {
		m.undecided("path %q is a regular expression that takes too long", loc.Text)
	}
	if err != nil || !ok {
		return false
	}
	rewritten := expandGroups(loc.Config.RewriteTarget, groups)
	switch {
	case isRedirect(loc.Config.RewriteTarget):
		m.step(StepRewrite, "rewrite-target %q is a URL", loc.Config.RewriteTarget)
		m.redirect(302, rewritten, "redirect to %s", rewritten)
		return true
	case rewritten == "":
		m.step(StepRewrite, "rewrite-target %q leaves nothing", loc.Config.RewriteTarget)
		m.answer(500, "nginx fails on a path of no length")
		return true
	}
	m.route.Path = escapePath(rewritten) + m.target.query
	m.step(StepRewrite, "%q by rewrite-target %q", rewritten, loc.Config.RewriteTarget)
	return false
}

// isRedirect reports whether nginx takes the target of a rewrite for a redirect.
func isRedirect(target string) bool {
	return strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "$scheme")
}

// expandGroups replaces $1 to $9 by what the groups matched, nothing where there is
// no such group (semantics row D11).
func expandGroups(target string, groups []string) string {
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		if target[i] == '$' && i+1 < len(target) && '0' <= target[i+1] && target[i+1] <= '9' {
			if n := int(target[i+1] - '0'); n < len(groups) {
				b.WriteString(groups[n])
			}
			i++
			continue
		}
		b.WriteByte(target[i])
	}
	return b.String()
}

// expandVariables replaces the variables of nginx that are known from the request.
func (m *match) expandVariables(text string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	return strings.NewReplacer("$scheme", m.scheme(), "$http_host", m.request.Host, "$best_http_host", m.request.Host,
		"$host", m.host, "$request_uri", m.target.raw, "$uri", m.target.path).Replace(text)
}

// escapePath writes a decoded path as nginx sends it.
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '?' || c == '#' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// redirectedToHTTPS is the redirect of hosts with a certificate, be it the default
// one (semantics row K06).
func (m *match) redirectedToHTTPS(loc *Location) bool {
	if m.request.HTTPS || m.exempt(loc, m.Settings.NoTLSRedirectLocations) {
		return false
	}
	_, served := m.certificateOf(m.host)
	switch {
	case loc.Config.ForceSSLRedirect:
		m.step(StepAnnotation, "force-ssl-redirect")
	case !served || !loc.Config.SSLRedirect:
		return false
	default:
		m.step(StepAnnotation, "ssl-redirect, because the host has a TLS section")
	}
	uri := m.target.raw
	if !loc.Config.PreserveTrailingSlash {
		uri = strings.TrimSuffix(uri, "/")
	}
	host, _, _ := strings.Cut(m.request.Host, ":")
	m.redirect(statusRedirect, "https://"+host+uri, "redirect to HTTPS")
	return true
}

// exempt reports whether a location is in a list of the controller's ConfigMap, by
// default that of the paths of ACME challenges.
func (m *match) exempt(loc *Location, list []string) bool {
	if list == nil {
		list = []string{acmePath}
	}
	return slices.ContainsFunc(list, func(prefix string) bool { return prefix != "" && strings.HasPrefix(loc.Name, prefix) })
}

// proxy chooses the backend and controls access to it.
func (m *match) proxy(loc *Location) {
	if loc.Upstream == nil {
		if m.allowed(loc) {
			m.notFound()
		}
		return
	}
	up, endpoints, ok := m.liveUpstream(loc)
	if !ok {
		return
	}
	if !m.allowed(loc) {
		return
	}
	m.route.Targets = m.targets(up, endpoints)
	for i := 0; i < len(m.route.Targets) && !m.silent; i++ {
		target := &m.route.Targets[i]
		m.step(StepBackend, "Service %q, port %s, %d %%, %s: %s", target.Upstream.Namespace+"/"+target.Upstream.Service, BackendPort(target.Upstream.Port),
			target.Percent, count(len(target.Endpoints), "endpoint"), strings.Join(target.Endpoints[:min(len(target.Endpoints), 5)], ", "))
	}
	if m.unusable() {
		m.answer(502, "nginx cannot connect to %s", strings.Join(m.route.Targets[0].Endpoints, ", "))
		return
	}
	if !strings.HasPrefix(m.route.Path, "/") {
		m.answer(400, "the backend is asked for %q, which is no path", m.route.Path)
		return
	}
	m.answer(200, "whatever the backend answers")
}

// unusable reports whether all endpoints are names that nobody looks up: nginx is given
// them as IPv6 addresses (semantics row G04). So it is where the port is 0.
func (m *match) unusable() bool {
	named := false
	for _, target := range m.route.Targets {
		svc, _ := m.snap.Service(target.Upstream.Namespace, target.Upstream.Service)
		resolved := svc == nil || (svc.External() && !target.Upstream.unresolved)
		for _, endpoint := range target.Endpoints {
			if strings.HasSuffix(endpoint, ":0") {
				named = true
				continue
			}
			if resolved {
				return false
			}
			if _, err := netip.ParseAddrPort(endpoint); err == nil {
				return false
			}
			named = true
		}
	}
	return named
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// notFound is the answer of the controller's own server.
func (m *match) notFound() {
	if service := m.Settings.DefaultBackendService; service != "" {
		m.undecided("the default backend %q of the controller answers", service)
	}
	m.answer(404, "the controller's own page")
}

// liveUpstream is the upstream that gets the requests of a location: its own or, where
// that has no endpoints, that of the annotation default-backend.
func (m *match) liveUpstream(loc *Location) (*Upstream, []string, bool) {
	endpoints, known, reason := m.Endpoints(loc.Upstream)
	if known == Present {
		return loc.Upstream, endpoints, true
	}
	if known == Unread {
		m.undecided("%s", reason)
		return loc.Upstream, nil, true
	}
	rescuer, endpoints, known := m.rescuer(loc)
	if known == Unread {
		m.undecided("the Service of the annotation default-backend was not read")
	}
	if known == Present {
		m.step(StepBackend, "%s: the annotation default-backend answers", reason)
		return rescuer, endpoints, true
	}
	m.step(StepBackend, "%s", reason)
	m.fail(loc, statusNoEndpoint, "the controller has nowhere to send it")
	return nil, nil, false
}

// fail answers with an error of nginx's own, or with what the default backend of the
// controller makes of it where custom-http-errors lists it.
func (m *match) fail(loc *Location, status int, why string) {
	codes := loc.Config.CustomHTTPErrors
	if len(codes) == 0 {
		codes = m.Settings.CustomHTTPErrors
	}
	if !slices.Contains(codes, status) {
		m.answer(status, "%s", why)
		return
	}
	m.step(StepAnnotation, "custom-http-errors has the default backend answer the %d: %s", status, why)
	if loc.Upstream != nil && len(loc.Config.CustomHTTPErrors) > 0 {
		if rescuer, endpoints, known := m.rescuer(loc); known == Present {
			m.route.Targets = []Target{{Upstream: rescuer, Percent: 100, Endpoints: endpoints}}
			m.answer(200, "whatever the default backend answers")
			return
		}
	}
	m.notFound()
}

// rescuer is the upstream of the annotation default-backend: the first port of a
// Service that has endpoints (semantics row F15). The type of the Service that has none
// decides whether these endpoints are looked up as names.
func (t *Table) rescuer(loc *Location) (*Upstream, []string, Known) {
	name := loc.Config.DefaultBackend
	if name == "" || loc.Ingress == nil {
		return nil, nil, Absent
	}
	dead, known := t.snap.Service(loc.Upstream.Namespace, loc.Upstream.Service)
	if known == Unread {
		return nil, nil, Unread
	}
	named := known == Present && dead.External()
	if named && !t.Settings.DisableExternalName && dead.reaches() {
		// The controller sees an endpoint, which is lost when its name is looked up.
		return nil, nil, Absent
	}
	svc, known := t.snap.Service(loc.Ingress.Namespace, name)
	if known != Present || len(svc.Ports) == 0 {
		return nil, nil, known.orAbsent()
	}
	up := &Upstream{
		Name: "custom-default-backend-" + svc.Namespace + "-" + svc.Name, Namespace: svc.Namespace, Service: svc.Name, First: loc.Ingress,
		Port: networkingv1.ServiceBackendPort{Number: svc.Ports[0].Port}, Alternatives: loc.Upstream.Alternatives,
	}
	if svc.External() {
		if !svc.reaches() || (named && svc.isAddress()) {
			return nil, nil, Absent
		}
		up.unresolved = !named
		return up, []string{net.JoinHostPort(svc.ExternalName, strconv.Itoa(int(svc.externalPort(up.Port))))}, Present
	}
	if named {
		// An address is no name that can be looked up.
		return nil, nil, Absent
	}
	endpoints, known, _ := t.snap.endpointsOfPort(svc, &svc.Ports[0])
	return up, endpoints, known
}

// orAbsent is Absent for what is Present but of no use.
func (k Known) orAbsent() Known {
	return min(k, Absent)
}

// allowed is the access phase. Where it answers, it is false.
func (m *match) allowed(loc *Location) bool {
	c := loc.Config
	if m.request.Client.IsValid() {
		inside := func(list []netip.Prefix) bool {
			return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(m.request.Client.Unmap()) })
		}
		denied := inside(c.DenyList) || (len(c.AllowList) > 0 && !inside(c.AllowList))
		if denied && (c.Satisfy != "any" || !c.BasicAuth.Configured) {
			m.step(StepAnnotation, "the address %s is not let in", m.request.Client)
			m.fail(loc, 403, "forbidden")
			return false
		}
		if !denied && c.Satisfy == "any" && len(c.AllowList) > 0 {
			return true
		}
	} else if len(c.DenyList)+len(c.AllowList) > 0 {
		m.step(StepAnnotation, "only some addresses are let in")
	}
	if m.exempt(loc, nil) {
		return true
	}
	if c.ExternalAuth.URL != "" {
		m.step(StepAnnotation, "auth-url: %s must let it in", c.ExternalAuth.URL)
	}
	if c.BasicAuth.Configured {
		if !m.hasHeader("Authorization") {
			m.step(StepAnnotation, "auth-type %s", c.BasicAuth.Type)
			m.fail(loc, 401, "no credentials were sent")
			return false
		}
		m.undecided("the credentials are not checked here")
	}
	return true
}

func (m *match) header(name string) (string, bool) {
	for key, value := range m.request.Headers {
		if strings.EqualFold(strings.ReplaceAll(key, "-", "_"), strings.ReplaceAll(name, "-", "_")) {
			return value, true
		}
	}
	return "", false
}

func (m *match) hasHeader(name string) bool {
	_, ok := m.header(name)
	return ok
}

// targets shares the requests between an upstream and the first of its canaries,
// which gets none if it has no endpoints.
func (m *match) targets(up *Upstream, endpoints []string) []Target {
	primary := Target{Upstream: up, Percent: 100, Endpoints: endpoints}
	if len(up.Alternatives) == 0 {
		return []Target{primary}
	}
	canary := up.Alternatives[0]
	canaryEndpoints, known, reason := m.Endpoints(canary)
	switch known {
	case Absent:
		m.step(StepBackend, "the canary gets nothing: %s", reason)
		return []Target{primary}
	case Unread:
		m.undecided("%s", reason)
	}
	percent := m.diverted(canary.Canary)
	alternative := Target{Upstream: canary, Percent: percent, Endpoints: canaryEndpoints}
	primary.Percent = 100 - percent
	switch percent {
	case 0:
		return []Target{primary}
	case 100:
		return []Target{alternative}
	}
	return []Target{primary, alternative}
}

// diverted is the share of such requests that a canary gets, in percent.
func (m *match) diverted(c CanaryConfig) int {
	if value, ok := m.header(c.Header); ok && c.Header != "" {
		switch {
		case c.HeaderValue != "":
			if value == c.HeaderValue {
				return 100
			}
		case c.HeaderPattern != "":
			pattern, err := m.pattern(c.HeaderPattern, false)
			if err != nil {
				return 0
			}
			if _, ok, err := pattern.Match(value); err != nil {
				m.undecided("canary-by-header-pattern takes too long")
			} else if ok {
				return 100
			}
		case value == "always":
			return 100
		case value == "never":
			return 0
		}
	}
	if c.Cookie != "" {
		switch value, _ := m.cookie(c.Cookie); value {
		case "always":
			return 100
		case "never":
			return 0
		}
	}
	return min(100, max(0, c.Weight)*100/max(100, c.WeightTotal))
}

func (m *match) cookie(name string) (string, bool) {
	header, _ := m.header("Cookie")
	for part := range strings.SplitSeq(header, ";") {
		if key, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}
