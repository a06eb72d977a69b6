// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// AnnotationFault is a value that ingress-nginx v1.15.1 does not accept.
type AnnotationFault struct {
	// Name is the annotation's name without prefix, or the alias that was used.
	Name string
	// Value is what it has.
	Value string
	// Outcome is what becomes of the Ingress.
	Outcome AnnotationOutcome
	// Accepted says what would be accepted: "must be a whole number".
	Accepted string
	// Risky is true where the annotation is refused for its risk, whatever its
	// value, the empty one included.
	Risky bool
	// Effect says, where a value is ignored, what is lost with it beyond that value:
	// "the whole external authentication is lost". It is empty where nothing is.
	Effect string
	// Word is the word of annotation-value-word-blocklist for which the annotation is
	// refused, empty where that is not the reason.
	Word string
}

// AnnotationFaults returns what v1.15.1 does not accept of the Ingress alone,
// sorted by name. An annotation that the controller does not read, because
// another one is absent, is no fault; Secrets and ConfigMaps are taken to exist
// and to be sound.
func AnnotationFaults(ing *networkingv1.Ingress, c ControllerSettings) []AnnotationFault {
	return ConfigOf(ing, c).Faults
}

// CanaryConfig is what the canary annotations mean.
type CanaryConfig struct {
	Enabled                                    bool
	Header, HeaderValue, HeaderPattern, Cookie string
	Weight, WeightTotal                        int
	// NotEnabled is true where there are canary-* annotations but canary is not
	// true: all of them are ignored then (semantics row I06).
	NotEnabled bool
}

// RedirectConfig is what the annotations about redirects mean.
type RedirectConfig struct {
	// URL is where requests are sent, empty where they are not. It may be relative.
	URL  string
	Code int
	// Relative is the annotation relative-redirects.
	Relative bool
	// Permanent is true where the URL is that of permanent-redirect.
	Permanent bool
}

// BasicAuthConfig is what the annotations about basic authentication mean.
type BasicAuthConfig struct {
	// Configured is true where there is an auth-type that is read.
	Configured bool
	// Type is as it was written; anything but "basic" is digest authentication.
	Type                        string
	SecretNamespace, SecretName string
	// SecretType is auth-file or auth-map.
	SecretType string
	Realm      string
}

// ExternalAuthConfig is what the annotations about external authentication mean.
type ExternalAuthConfig struct {
	// URL is empty where no external authentication takes place.
	URL string
	// Host is the host of URL without port.
	Host                           string
	SigninURL, SigninRedirectParam string
	Method                         string
	RequestRedirect                string
	CacheKey                       string
	// CacheDurations are the elements of auth-cache-duration.
	CacheDurations  []string
	ResponseHeaders []string
	Keepalive       int
}

// AuthTLSConfig is what the annotations about client certificates mean.
type AuthTLSConfig struct {
	// Secret is namespace/name, empty where no client certificate is asked for.
	Secret                           string
	VerifyClient, ErrorPage, MatchCN string
	VerifyDepth                      int
	PassCertificate                  bool
}

// ProxyConfig is what the annotations about the connection to the backend mean.
// A field is empty or zero where no accepted annotation sets it.
type ProxyConfig struct {
	ConnectTimeout, SendTimeout, ReadTimeout *int
	NextUpstreamTimeout, NextUpstreamTries   *int
	BuffersNumber                            *int
	BodySize, BufferSize, BusyBuffersSize    string
	MaxTempFileSize                          string
	CookieDomain, CookiePath                 string
	NextUpstream                             string
	RedirectFrom, RedirectTo                 string
	Buffering, RequestBuffering, HTTPVersion string
	ConnectionHeader, ClientBodyBufferSize   string
	SSLCiphers, SSLProtocols, SSLName        string
	SSLVerify, SSLServerName                 string
	SSLVerifyDepth                           int
}

// LimitConfig is what the annotations about rate limits mean.
type LimitConfig struct {
	RPS, RPM, Connections, Rate, RateAfter int
	BurstMultiplier                        int
	Allow                                  []netip.Prefix
}

// CORSConfig is what the annotations about CORS mean.
type CORSConfig struct {
	Enabled bool
	// Origins are those that are accepted where Enabled, "*" for all.
	Origins []string
}

// HashConfig is what the annotations upstream-hash-by* mean.
type HashConfig struct {
	By         string
	Subset     bool
	SubsetSize int
}

// AffinityConfig is what the annotations about session affinity mean.
type AffinityConfig struct {
	// Type is cookie or empty.
	Type                       string
	Mode, CanaryBehavior       string
	CookieName, CookiePath     string
	CookieDomain, CookieMaxAge string
}

// MirrorConfig is what the annotations about mirroring mean.
type MirrorConfig struct {
	// Target is empty where requests are not mirrored.
	Target, Host string
	// RequestBody is true unless mirror-request-body is off.
	RequestBody bool
}

// ObjectReference is an object that an annotation names.
type ObjectReference struct {
	// Annotation is the name of the annotation without prefix.
	Annotation string
	// Key names the object.
	Key Key
}

// Config is what the annotations of an Ingress make ingress-nginx v1.15.1 do,
// after its own parsing: where a value is ignored, it holds the default. It must
// not be modified. When Dropped is set, the other fields say nothing about what
// is served.
type Config struct {
	// Denied says why every path of the Ingress answers 503, as a clause for people,
	// for reasons that the Ingress alone shows. It is empty where none does.
	Denied string
	// DeniedBy is the annotation of Denied.
	DeniedBy string
	// HostDenied says why every path of the hosts of the Ingress answers 403.
	HostDenied string
	// Dropped says why the Ingress is not taken up at all. An update leaves the
	// former version served, unless Removed.
	Dropped string
	// DroppedBy is the annotation of Dropped, empty where it is none.
	DroppedBy string
	// Removed is true where the Ingress is dropped and an update also ends the
	// serving of its former version.
	Removed bool
	// Faults are the values that are not accepted, sorted by name.
	Faults []AnnotationFault
	// Unknown are the names without prefix of annotations with the controller's
	// prefix that it does not know, sorted.
	Unknown []string

	Canary CanaryConfig
	// RewriteTarget is empty where there is none or it is ignored. Where it equals a
	// path, that path is not rewritten.
	RewriteTarget         string
	UseRegex              bool
	AppRoot               string
	SSLRedirect           bool
	ForceSSLRedirect      bool
	PreserveTrailingSlash bool
	Redirect              RedirectConfig
	FromToWWW             bool
	// ServerAliases are sorted and hold no name twice. Those that begin with "~" are
	// regular expressions.
	ServerAliases []string
	// BackendProtocol is as it was written, HTTP where it is absent or ignored.
	BackendProtocol string
	// ServiceUpstream is true where requests go to the cluster IP of the Service.
	ServiceUpstream bool
	// DefaultBackend is the name of the Service that answers where a backend has no
	// endpoints.
	DefaultBackend string
	// CustomHTTPErrors are those of the annotation. Where it is absent or ignored, the
	// controller uses the global ones.
	CustomHTTPErrors []int
	// SSLPassthrough is the annotation; see ControllerSettings.EnableSSLPassthrough.
	SSLPassthrough bool
	BasicAuth      BasicAuthConfig
	ExternalAuth   ExternalAuthConfig
	// EnableGlobalAuth is false where the annotation enable-global-auth is.
	EnableGlobalAuth bool
	AuthTLS          AuthTLSConfig
	// AllowList and DenyList are sorted as they were written.
	AllowList, DenyList []netip.Prefix
	// ProxySSLSecret is namespace/name of the annotation proxy-ssl-secret.
	ProxySSLSecret string
	// CustomHeaders, AuthProxySetHeaders and FastCGIParams are the ConfigMaps of the
	// annotations custom-headers, auth-proxy-set-headers and
	// fastcgi-params-configmap, with an empty name where there is none.
	CustomHeaders, AuthProxySetHeaders, FastCGIParams Key
	FastCGIIndex                                      string
	XForwardedPrefix, UpstreamVhost, Satisfy          string
	Limits                                            LimitConfig
	Affinity                                          AffinityConfig
	Hash                                              HashConfig
	LoadBalance                                       string
	HTTP2PushPreload                                  bool
	Mirror                                            MirrorConfig
	CORS                                              CORSConfig
	Proxy                                             ProxyConfig
	SSLCiphers                                        string
	DisableProxyInterceptErrors                       bool
	// Snippets are the names of snippets that take effect, sorted.
	Snippets []string

	// Secrets and ConfigMaps are those that annotations name and the controller looks
	// up, in the order in which it reads the annotations. Without their objects it
	// denies what Annotation.Outcome of the annotation says. References that it
	// refuses without a look are not here.
	Secrets    []ObjectReference
	ConfigMaps []ObjectReference
}

// ConfigOf returns what the annotations of the Ingress make the controller do.
func ConfigOf(ing *networkingv1.Ingress, c ControllerSettings) *Config {
	return configOf(ing, &c)
}

func configOf(ing *networkingv1.Ingress, c *ControllerSettings) *Config {
	p := newAnnotationParser(ing, c)
	p.dropForSpec()
	if p.read() {
		p.parse()
		p.finish()
	}
	return p.config
}

func newAnnotationParser(ing *networkingv1.Ingress, c *ControllerSettings) annotationParser {
	return annotationParser{ing: ing, settings: c, config: &Config{
		Canary:                CanaryConfig{WeightTotal: 100},
		SSLRedirect:           c.SSLRedirect == nil || *c.SSLRedirect,
		ForceSSLRedirect:      c.ForceSSLRedirect,
		PreserveTrailingSlash: c.PreserveTrailingSlash,
		BackendProtocol:       "HTTP",
		ServiceUpstream:       c.ServiceUpstream,
		EnableGlobalAuth:      true,
		Limits:                LimitConfig{BurstMultiplier: 5},
		Hash:                  HashConfig{SubsetSize: 3},
		LoadBalance:           cmp.Or(c.LoadBalance, "round_robin"),
		Mirror:                MirrorConfig{RequestBody: true},
	}}
}

// annotationValue is one annotation of the Ingress that the controller knows.
type annotationValue struct {
	annotation *Annotation
	name       string // as written, possibly an alias
	raw        string
	invalid    bool // refused by its validator
	faulted    bool
}

// annotationParser reads the annotations of one Ingress.
type annotationParser struct {
	config   *Config
	settings *ControllerSettings
	ing      *networkingv1.Ingress
	values   []annotationValue
	// hints has a bit for every name in values, so that most look-ups of absent ones
	// end there.
	hints uint64
	// sections has a bit for every section that has something to read.
	sections uint32
	// asked is told of every name that is looked up in vain, if it is set.
	asked func(name string)
}

func hint(name string) uint64 {
	return 1 << ((len(name)*5 + int(name[0]) + 3*int(name[len(name)-1])) & 63)
}

// read collects the known annotations and reports whether there are any.
func (p *annotationParser) read() bool {
	prefix := p.settings.prefix()
	for key, raw := range p.ing.Annotations {
		name, ours := strings.CutPrefix(key, prefix)
		annotation := annotationIndex[name]
		if annotation == nil {
			if ours {
				p.config.Unknown = append(p.config.Unknown, name)
			}
			if ours && len(p.settings.WordBlocklist) > 0 {
				p.blocklisted(name, raw)
			}
			continue
		}
		// The test of risks looks at the name alone: it counts without a value, and even
		// without the prefix, but not under an alias.
		if annotation.Name == name && annotation.Risk > p.settings.RiskLevel() {
			p.config.Faults = append(p.config.Faults, AnnotationFault{Name: name, Value: raw, Outcome: AnnotationDrops, Risky: true,
				Accepted: "must not be set: its risk is " + annotation.Risk.String() +
					" and this controller takes " + p.settings.RiskLevel().String() + " at most"})
		}
		if !ours {
			continue
		}
		if len(p.settings.WordBlocklist) > 0 {
			p.blocklisted(name, raw)
		}
		if p.values == nil {
			p.values = make([]annotationValue, 0, min(len(p.ing.Annotations), 16))
		}
		p.hints |= hint(annotation.Name)
		p.sections |= sectionsOf[annotation]
		p.values = append(p.values, annotationValue{annotation: annotation, name: name, raw: raw,
			invalid: raw != "" && !p.settings.DisableAnnotationValidation && !annotation.accepts(raw)})
	}
	slices.Sort(p.config.Unknown)
	return len(p.values) > 0 || len(p.config.Faults) > 0
}

func (p *annotationParser) blocklisted(name, raw string) {
	for _, word := range p.settings.WordBlocklist {
		if word != "" && strings.Contains(raw, word) {
			p.config.Faults = append(p.config.Faults, AnnotationFault{Name: name, Value: raw, Outcome: AnnotationDrops,
				Accepted: "must not contain " + strconv.Quote(word), Word: word})
			return
		}
	}
}

// finish puts the faults in order and says what they come to.
func (p *annotationParser) finish() {
	c := p.config
	slices.SortStableFunc(c.Faults, func(a, b AnnotationFault) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Accepted, b.Accepted))
	})
	for _, f := range c.Faults {
		if f.Outcome == AnnotationDrops && c.Dropped == "" {
			c.Dropped, c.DroppedBy = "annotation "+f.Name+" "+f.Accepted, f.Name
		}
	}
}

// find returns the value of an annotation as the controller sees it: under its
// name, or under an alias where the name has none.
func (p *annotationParser) find(name string) *annotationValue {
	if p.hints&hint(name) == 0 {
		if p.asked != nil {
			p.asked(name)
		}
		return nil
	}
	var found *annotationValue
	for i := range p.values {
		v := &p.values[i]
		if v.annotation.Name != name {
			continue
		}
		if v.name == name && v.raw != "" {
			return v
		}
		if found == nil || v.raw != "" || (v.name == name && found.raw == "") {
			found = v
		}
	}
	return found
}

// readStatus is how the controller's reading of an annotation ends.
type readStatus int

const (
	valueMissing readStatus = iota // absent
	valueGarbage                   // empty, or not of its type though the validator let it pass
	valueRefused                   // by its validator
	valueFine
)

func (p *annotationParser) fault(v *annotationValue, outcome AnnotationOutcome, accepted, effect string) {
	if v.faulted || v.raw == "" {
		return
	}
	v.faulted = true
	p.config.Faults = append(p.config.Faults, AnnotationFault{Name: v.name, Value: v.raw, Outcome: outcome, Accepted: accepted, Effect: effect})
}

func mustBe(a *Annotation) string { return "must be " + a.Type }

func (p *annotationParser) check(name string) (*annotationValue, readStatus) {
	v := p.find(name)
	switch {
	case v == nil, v.raw == "" && v.name != name:
		// An alias counts only where it has a value.
		return nil, valueMissing
	case v.invalid:
		return v, valueRefused
	}
	return v, valueFine
}

// refuse notes the fault of a value that its validator refused.
func (p *annotationParser) refuse(v *annotationValue, s readStatus) readStatus {
	if s == valueRefused {
		p.fault(v, v.annotation.Outcome, mustBe(v.annotation), "")
	}
	return s
}

// rawString is the value of an annotation, without a note of a fault.
func (p *annotationParser) rawString(name string) (*annotationValue, string, readStatus) {
	v, s := p.check(name)
	if s != valueFine {
		return v, "", s
	}
	text := trimLines(v.raw)
	if text == "" {
		return v, "", valueGarbage
	}
	return v, text, valueFine
}

// usable is rawString with a note of the fault, whose outcome is not the usual one of
// the annotation. The last result reports whether there is a value to go on with.
func (p *annotationParser) usable(name string, refused AnnotationOutcome) (*annotationValue, string, bool) {
	v, text, s := p.rawString(name)
	if s == valueRefused {
		p.fault(v, refused, mustBe(v.annotation), "")
	}
	return v, text, s == valueFine
}

func (p *annotationParser) str(name string) (string, readStatus) {
	v, text, s := p.rawString(name)
	return text, p.refuse(v, s)
}

// text is str for annotations of which the default is the empty string.
func (p *annotationParser) text(name string) string {
	text, _ := p.str(name)
	return text
}

func (p *annotationParser) boolean(name string) (bool, readStatus) {
	v, s := p.check(name)
	if p.refuse(v, s) != valueFine {
		return false, s
	}
	on, err := strconv.ParseBool(v.raw)
	if err != nil {
		p.fault(v, AnnotationIgnored, mustBe(v.annotation), "")
		return false, valueGarbage
	}
	return on, valueFine
}

// flag is boolean for annotations of which the default is def.
func (p *annotationParser) flag(name string, def bool) bool {
	if on, s := p.boolean(name); s == valueFine {
		return on
	}
	return def
}

func (p *annotationParser) integer(name string) (int, readStatus) {
	v, s := p.check(name)
	if p.refuse(v, s) != valueFine {
		return 0, s
	}
	n, err := strconv.Atoi(v.raw)
	if err != nil {
		p.fault(v, AnnotationIgnored, mustBe(v.annotation), "")
		return 0, valueGarbage
	}
	return n, valueFine
}

// number is integer for annotations of which the default is def.
func (p *annotationParser) number(name string, def int) int {
	if n, s := p.integer(name); s == valueFine {
		return n
	}
	return def
}

func (p *annotationParser) optional(name string) *int {
	n, s := p.integer(name)
	if s != valueFine {
		return nil
	}
	found := n
	return &found
}

// deny notes why every path answers 503. Of several reasons the first counts.
func (p *annotationParser) deny(v *annotationValue, name, clause, accepted string) {
	if v != nil {
		p.fault(v, AnnotationDenies, accepted, "")
	}
	if p.config.Denied == "" {
		p.config.Denied, p.config.DeniedBy = clause, name
	}
}

func (p *annotationParser) secret(annotation, namespace, name string) {
	p.config.Secrets = append(p.config.Secrets, ObjectReference{annotation, Key{namespace, name}})
}

func (p *annotationParser) configMap(annotation, namespace, name string) Key {
	key := Key{namespace, name}
	p.config.ConfigMaps = append(p.config.ConfigMaps, ObjectReference{annotation, key})
	return key
}

// foreign reports whether the controller refuses what is in another namespace.
func (p *annotationParser) foreign(namespace string) bool {
	return !p.settings.AllowCrossNamespace && namespace != p.ing.Namespace
}

// splitKey is namespace/name or a name alone.
func splitKey(value string) (namespace, name string, ok bool) {
	namespace, name, found := strings.Cut(value, "/")
	if !found {
		return "", value, true
	}
	return namespace, name, !strings.Contains(name, "/")
}

// sections read the annotations, in the order of the controller. One that finds none
// of those that it looks up first changes nothing.
var sections = []func(*annotationParser){
	(*annotationParser).parseRewrite,
	(*annotationParser).parseRedirect,
	(*annotationParser).parseCanary,
	(*annotationParser).parseServer,
	(*annotationParser).parseBackend,
	(*annotationParser).parseSources,
	(*annotationParser).parseBasicAuth,
	(*annotationParser).parseExternalAuth,
	(*annotationParser).parseAuthTLS,
	(*annotationParser).parseProxySSL,
	(*annotationParser).parseConfigMaps,
	(*annotationParser).parseProxy,
	(*annotationParser).parseLimits,
	(*annotationParser).parseUpstream,
	(*annotationParser).parseRest,
}

// sectionsOf has, for each annotation, a bit for every section that looks it up first.
var sectionsOf = func() map[*Annotation]uint32 {
	bits := make(map[*Annotation]uint32, len(annotationTable))
	for i, section := range sections {
		p := annotationParser{config: &Config{}, settings: &ControllerSettings{}, ing: &networkingv1.Ingress{}}
		p.asked = func(name string) { bits[annotationIndex[name]] |= 1 << i }
		section(&p)
	}
	return bits
}()

// parse runs the sections that have something to read.
func (p *annotationParser) parse() {
	for i, section := range sections {
		if p.sections&(1<<i) != 0 {
			section(p)
		}
	}
}

func (p *annotationParser) parseRewrite() {
	c := p.config
	c.RewriteTarget = p.text("rewrite-target")
	c.UseRegex = p.flag("use-regex", false)
	c.SSLRedirect = p.flag("ssl-redirect", c.SSLRedirect)
	c.ForceSSLRedirect = p.flag("force-ssl-redirect", c.ForceSSLRedirect)
	c.PreserveTrailingSlash = p.flag("preserve-trailing-slash", c.PreserveTrailingSlash)
	if v, root, s := p.rawString("app-root"); p.refuse(v, s) == valueFine {
		if u, err := url.ParseRequestURI(root); err != nil || u.IsAbs() {
			p.fault(v, AnnotationIgnored, "must be a path that starts with a slash", "")
		} else {
			c.AppRoot = root
		}
	}
}

// parseRedirect follows the controller's order: temporal before permanent, and
// whatever is wrong before the end loses all of it.
func (p *annotationParser) parseRedirect() {
	const lost = "no redirect of this Ingress is made at all"
	www, s := p.boolean("from-to-www-redirect")
	if s > valueMissing && s < valueFine {
		return
	}
	relative, s := p.boolean("relative-redirects")
	if s > valueMissing && s < valueFine {
		return
	}
	v, target, s := p.rawString("temporal-redirect")
	if s = p.refuse(v, s); s > valueMissing && s < valueFine {
		return
	}
	code, s := p.integer("temporal-redirect-code")
	if s > valueMissing && s < valueFine {
		return
	}
	c := p.config
	if target != "" {
		u, err := url.Parse(target)
		if err != nil || !strings.HasPrefix(u.Scheme, "http") {
			p.fault(v, AnnotationIgnored, "must be a URL that starts with http:// or https://", lost)
			return
		}
		c.Redirect = RedirectConfig{URL: target, Code: redirectCode(code, 302), Relative: relative}
		c.FromToWWW = www
		return
	}
	v, target, s = p.rawString("permanent-redirect")
	if s = p.refuse(v, s); s > valueMissing && s < valueFine {
		return
	}
	code, s = p.integer("permanent-redirect-code")
	if s > valueMissing && s < valueFine {
		return
	}
	c.FromToWWW = www
	c.Redirect.Relative = relative
	if target != "" {
		c.Redirect.URL, c.Redirect.Code, c.Redirect.Permanent = target, redirectCode(code, 301), true
	}
}

func redirectCode(code, def int) int {
	if code < 300 || code > 308 {
		return def
	}
	return code
}

func (p *annotationParser) parseCanary() {
	canary := CanaryConfig{
		Enabled:       p.flag("canary", false),
		Weight:        p.number("canary-weight", 0),
		WeightTotal:   p.number("canary-weight-total", 100),
		Header:        p.text("canary-by-header"),
		HeaderValue:   p.text("canary-by-header-value"),
		HeaderPattern: p.text("canary-by-header-pattern"),
		Cookie:        p.text("canary-by-cookie"),
	}
	if !canary.Enabled && (canary.Weight > 0 || canary.Header+canary.HeaderValue+canary.HeaderPattern+canary.Cookie != "") {
		canary = CanaryConfig{WeightTotal: 100, NotEnabled: true}
	}
	p.config.Canary = canary
}

func (p *annotationParser) parseServer() {
	c := p.config
	for alias := range strings.SplitSeq(p.text("server-alias"), ",") {
		if alias = strings.TrimSpace(alias); alias != "" {
			c.ServerAliases = append(c.ServerAliases, alias)
		}
	}
	slices.Sort(c.ServerAliases)
	c.ServerAliases = slices.Compact(c.ServerAliases)
	c.SSLCiphers = p.text("ssl-ciphers")
	p.flag("ssl-prefer-server-ciphers", false)
	c.SSLPassthrough = p.flag("ssl-passthrough", false)
	for _, name := range []string{"auth-snippet", "configuration-snippet", "modsecurity-snippet", "server-snippet", "stream-snippet"} {
		if p.find(name) != nil && p.settings.AllowSnippets && p.text(name) != "" {
			c.Snippets = append(c.Snippets, name)
		}
	}
}

func (p *annotationParser) parseBackend() {
	c := p.config
	if protocol, s := p.str("backend-protocol"); s == valueFine {
		c.BackendProtocol = protocol
	}
	// Whatever is wrong with service-upstream means false, even where true is the
	// controller's default.
	if on, s := p.boolean("service-upstream"); s != valueMissing {
		c.ServiceUpstream = on
	}
	c.DefaultBackend = p.text("default-backend")
	if v, codes, s := p.rawString("custom-http-errors"); p.refuse(v, s) == valueFine {
		for part := range strings.SplitSeq(codes, ",") {
			code, err := strconv.Atoi(part)
			if err != nil {
				p.fault(v, AnnotationIgnored, "must be status codes separated by commas alone, without spaces", "")
				c.CustomHTTPErrors = nil
				break
			}
			c.CustomHTTPErrors = append(c.CustomHTTPErrors, code)
		}
	}
	c.DisableProxyInterceptErrors = p.flag("disable-proxy-intercept-errors", false)
	c.UpstreamVhost = p.text("upstream-vhost")
	c.XForwardedPrefix = p.text("x-forwarded-prefix")
	if satisfy := p.text("satisfy"); satisfy == "any" || satisfy == "all" {
		c.Satisfy = satisfy
	}
}

func (p *annotationParser) parseSources() {
	p.config.AllowList = p.source("allowlist-source-range")
	p.config.DenyList = p.source("denylist-source-range")
}

// source denies for whatever is wrong with the value: an empty one too, though
// the controller validates none.
func (p *annotationParser) source(name string) []netip.Prefix {
	v, s := p.check(name)
	if s == valueMissing {
		return nil
	}
	if v.raw == "" {
		p.deny(nil, name, "annotation "+name+" is empty", "")
		return nil
	}
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(trimLines(v.raw), ",") {
		prefix, ok := parseCIDR(part)
		if s == valueRefused || !ok {
			p.deny(v, v.name, "annotation "+v.name+" is no list of addresses or networks", mustBe(v.annotation))
			return nil
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}

func (p *annotationParser) parseBasicAuth() {
	v, kind, s := p.rawString("auth-type")
	if p.refuse(v, s) != valueFine {
		return
	}
	auth := &p.config.BasicAuth
	auth.Configured, auth.Type, auth.SecretType = true, kind, "auth-file"
	if !v.annotation.accepts(kind) {
		p.deny(v, "auth-type", "annotation auth-type is neither basic nor digest", mustBe(v.annotation))
		return
	}
	tv, secretType, ts := p.rawString("auth-secret-type")
	if p.refuse(tv, ts) == valueRefused {
		return
	}
	if ts == valueFine {
		auth.SecretType = secretType
	}
	sv, secret, ss := p.rawString("auth-secret")
	if ss != valueFine {
		p.deny(sv, "auth-secret", "annotation auth-type needs annotation auth-secret, which names no Secret", "must be the name of a Secret in the same namespace")
		return
	}
	namespace, name, ok := splitKey(secret)
	if !ok || name == "" {
		p.deny(sv, "auth-secret", "annotation auth-secret names no Secret", mustBe(sv.annotation))
		return
	}
	if namespace == "" {
		namespace = p.ing.Namespace
	}
	if p.foreign(namespace) {
		p.deny(sv, "auth-secret", "annotation auth-secret names a Secret in another namespace", mustBe(sv.annotation))
		return
	}
	auth.SecretNamespace, auth.SecretName = namespace, name
	p.secret("auth-secret", namespace, name)
	auth.Realm = p.text("auth-realm")
	if auth.SecretType != "auth-file" && auth.SecretType != "auth-map" {
		p.deny(tv, "auth-secret-type", "annotation auth-secret-type is neither auth-file nor auth-map", mustBe(tv.annotation))
	}
}

func (p *annotationParser) parseExternalAuth() {
	const lost = "the whole external authentication is lost: requests are not authenticated"
	v, address, s := p.rawString("auth-url")
	if p.refuse(v, s) != valueFine {
		return
	}
	u, ok := parseAuthURL(address)
	if !ok {
		p.deny(v, "auth-url", "annotation auth-url is no absolute URL", "must be a URL with scheme and host, such as http://auth.example.com/check")
		return
	}
	auth := ExternalAuthConfig{URL: address, Host: u.Hostname()}
	mv, method, s := p.rawString("auth-method")
	if s == valueRefused {
		p.deny(mv, "auth-method", "annotation auth-method is no HTTP method", mustBe(mv.annotation))
		return
	}
	auth.Method = method
	auth.SigninURL = p.text("auth-signin")
	auth.SigninRedirectParam = p.text("auth-signin-redirect-param")
	auth.CacheKey = p.text("auth-cache-key")
	auth.Keepalive = p.number("auth-keepalive", 0)
	p.flag("auth-keepalive-share-vars", false)
	if p.number("auth-keepalive-requests", 1000) <= 0 || auth.Keepalive < 0 || strings.IndexByte(u.Host, '$') >= 0 {
		auth.Keepalive = 0
	}
	if p.number("auth-keepalive-timeout", 60) <= 0 {
		auth.Keepalive = 0
	}
	dv, durations, s := p.rawString("auth-cache-duration")
	if s == valueRefused {
		p.fault(dv, AnnotationIgnored, mustBe(dv.annotation), lost)
		return
	}
	if durations != "" && !cacheDurations(durations) {
		p.deny(dv, "auth-cache-duration", "annotation auth-cache-duration is no list of cache times", mustBe(dv.annotation))
		return
	}
	for duration := range strings.SplitSeq(durations, ",") {
		if duration = strings.TrimSpace(duration); duration != "" {
			auth.CacheDurations = append(auth.CacheDurations, duration)
		}
	}
	hv, headers, s := p.rawString("auth-response-headers")
	if s == valueRefused {
		p.deny(hv, "auth-response-headers", "annotation auth-response-headers is no list of header names", mustBe(hv.annotation))
		return
	}
	for header := range strings.SplitSeq(headers, ",") {
		if header = strings.TrimSpace(header); header == "" {
			continue
		}
		if !headerSet.only(header) {
			p.deny(hv, "auth-response-headers", "annotation auth-response-headers is no list of header names", mustBe(hv.annotation))
			return
		}
		auth.ResponseHeaders = append(auth.ResponseHeaders, header)
	}
	if !p.authProxySetHeaders() {
		return
	}
	rv, redirect, s := p.rawString("auth-request-redirect")
	if s == valueRefused {
		p.fault(rv, AnnotationIgnored, mustBe(rv.annotation), lost)
		return
	}
	auth.RequestRedirect = redirect
	if cv, s := p.check("auth-always-set-cookie"); s == valueRefused {
		p.fault(cv, AnnotationIgnored, mustBe(cv.annotation), lost)
		return
	}
	p.config.ExternalAuth = auth
}

// authProxySetHeaders reports whether the reading of the external authentication
// goes on.
func (p *annotationParser) authProxySetHeaders() bool {
	const name = "auth-proxy-set-headers"
	v, text, s := p.rawString(name)
	if s == valueRefused {
		p.fault(v, AnnotationIgnored, mustBe(v.annotation), "")
		return true
	}
	if text == "" {
		return true
	}
	namespace, object, ok := splitKey(text)
	switch {
	case !ok:
		p.deny(v, name, "annotation "+name+" names no ConfigMap", mustBe(v.annotation))
	case namespace != "" && p.foreign(namespace):
		p.deny(v, name, "annotation "+name+" names a ConfigMap in another namespace", "must be the namespace/name of a ConfigMap in the same namespace")
	case namespace == "" || object == "":
		p.deny(v, name, "annotation "+name+" has no namespace before the name", mustBe(v.annotation))
	default:
		p.config.AuthProxySetHeaders = p.configMap(name, namespace, object)
		return true
	}
	return false
}

// denyHost notes why every path of the hosts answers 403.
func (p *annotationParser) denyHost(v *annotationValue, clause, accepted string) {
	p.fault(v, AnnotationDeniesHost, accepted, "")
	p.config.HostDenied = clause
}

func (p *annotationParser) parseAuthTLS() {
	v, secret, ok := p.usable("auth-tls-secret", AnnotationDrops)
	if !ok {
		return
	}
	namespace, name, ok := strings.Cut(secret, "/")
	switch {
	case !ok || strings.Contains(name, "/"):
		p.denyHost(v, "annotation auth-tls-secret is not the namespace/name of a Secret", mustBe(v.annotation))
		return
	case namespace != "" && p.foreign(namespace):
		p.denyHost(v, "annotation auth-tls-secret names a Secret in another namespace", "must be the namespace/name of a Secret in the same namespace")
		return
	case namespace == "" || name == "":
		p.denyHost(v, "annotation auth-tls-secret is not the namespace/name of a Secret", mustBe(v.annotation))
		return
	}
	p.secret("auth-tls-secret", namespace, name)
	auth := AuthTLSConfig{Secret: secret, VerifyClient: "on", VerifyDepth: 1}
	if verify, s := p.str("auth-tls-verify-client"); s == valueFine && slices.Contains([]string{"on", "off", "optional", "optional_no_ca"}, verify) {
		auth.VerifyClient = verify
	}
	if depth := p.number("auth-tls-verify-depth", 1); depth != 0 {
		auth.VerifyDepth = depth
	}
	auth.ErrorPage = p.text("auth-tls-error-page")
	auth.PassCertificate = p.flag("auth-tls-pass-certificate-to-upstream", false)
	auth.MatchCN = p.text("auth-tls-match-cn")
	p.config.AuthTLS = auth
}

func (p *annotationParser) parseProxySSL() {
	v, secret, ok := p.usable("proxy-ssl-secret", AnnotationDrops)
	if !ok {
		return
	}
	namespace, name, ok := strings.Cut(secret, "/")
	switch {
	case !ok || name == "" || strings.Contains(name, "/"):
		p.deny(v, "proxy-ssl-secret", "annotation proxy-ssl-secret is not the namespace/name of a Secret", mustBe(v.annotation))
		return
	case p.foreign(namespace):
		p.deny(v, "proxy-ssl-secret", "annotation proxy-ssl-secret names a Secret in another namespace", "must be the namespace/name of a Secret in the same namespace")
		return
	}
	p.config.ProxySSLSecret = secret
	p.secret("proxy-ssl-secret", namespace, name)
	proxy := &p.config.Proxy
	proxy.SSLCiphers = p.text("proxy-ssl-ciphers")
	proxy.SSLProtocols = p.text("proxy-ssl-protocols")
	proxy.SSLName = p.text("proxy-ssl-name")
	proxy.SSLVerify = p.text("proxy-ssl-verify")
	proxy.SSLServerName = p.text("proxy-ssl-server-name")
	proxy.SSLVerifyDepth = p.number("proxy-ssl-verify-depth", 1)
}

func (p *annotationParser) parseConfigMaps() {
	p.parseCustomHeaders()
	index, s := p.str("fastcgi-index")
	if s == valueRefused {
		return
	}
	v, text, s := p.rawString("fastcgi-params-configmap")
	if p.refuse(v, s) == valueRefused {
		return
	}
	p.config.FastCGIIndex = index
	if s != valueFine {
		return
	}
	namespace, name, ok := splitKey(text)
	switch {
	case !ok:
		p.config.FastCGIIndex = ""
		p.deny(v, "fastcgi-params-configmap", "annotation fastcgi-params-configmap names no ConfigMap", mustBe(v.annotation))
	case namespace != "" && p.foreign(namespace):
		p.config.FastCGIIndex = ""
		p.fault(v, AnnotationIgnored, mustBe(v.annotation), "fastcgi-index and the FastCGI parameters are lost")
	default:
		// It is looked up in the namespace of the Ingress, whatever was written.
		p.config.FastCGIParams = p.configMap("fastcgi-params-configmap", p.ing.Namespace, name)
	}
}

// parseCustomHeaders has no rule against other namespaces, since the controller
// has none.
func (p *annotationParser) parseCustomHeaders() {
	v, text, ok := p.usable("custom-headers", AnnotationIgnored)
	if !ok {
		return
	}
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		p.deny(v, "custom-headers", "annotation custom-headers is not the namespace/name of a ConfigMap", mustBe(v.annotation))
		return
	}
	p.config.CustomHeaders = p.configMap("custom-headers", namespace, name)
}

func (p *annotationParser) parseProxy() {
	proxy := &p.config.Proxy
	proxy.ConnectTimeout = p.optional("proxy-connect-timeout")
	proxy.SendTimeout = p.optional("proxy-send-timeout")
	proxy.ReadTimeout = p.optional("proxy-read-timeout")
	proxy.NextUpstreamTimeout = p.optional("proxy-next-upstream-timeout")
	proxy.NextUpstreamTries = p.optional("proxy-next-upstream-tries")
	proxy.BuffersNumber = p.optional("proxy-buffers-number")
	proxy.BodySize = p.text("proxy-body-size")
	proxy.BufferSize = p.text("proxy-buffer-size")
	proxy.BusyBuffersSize = p.text("proxy-busy-buffers-size")
	proxy.MaxTempFileSize = p.text("proxy-max-temp-file-size")
	proxy.CookieDomain = p.text("proxy-cookie-domain")
	proxy.CookiePath = p.text("proxy-cookie-path")
	proxy.NextUpstream = p.text("proxy-next-upstream")
	proxy.RedirectFrom = p.text("proxy-redirect-from")
	proxy.RedirectTo = p.text("proxy-redirect-to")
	proxy.Buffering = p.text("proxy-buffering")
	proxy.RequestBuffering = p.text("proxy-request-buffering")
	proxy.HTTPVersion = p.text("proxy-http-version")
	proxy.ConnectionHeader = p.text("connection-proxy-header")
	proxy.ClientBodyBufferSize = p.text("client-body-buffer-size")
}

func (p *annotationParser) parseLimits() {
	limits := LimitConfig{
		Rate:            p.number("limit-rate", 0),
		RateAfter:       p.number("limit-rate-after", 0),
		RPM:             p.number("limit-rpm", 0),
		RPS:             p.number("limit-rps", 0),
		Connections:     p.number("limit-connections", 0),
		BurstMultiplier: p.number("limit-burst-multiplier", 5),
	}
	if v, text, s := p.rawString("limit-allowlist"); p.refuse(v, s) == valueFine {
		for part := range strings.SplitSeq(text, ",") {
			prefix, ok := parseCIDR(part)
			if !ok {
				p.fault(v, AnnotationIgnored, mustBe(v.annotation), "no limit is applied at all")
				return
			}
			limits.Allow = append(limits.Allow, prefix)
		}
	}
	p.config.Limits = limits
}

func (p *annotationParser) parseUpstream() {
	c := p.config
	if balance, s := p.str("load-balance"); s == valueFine {
		c.LoadBalance = balance
	}
	by, s1 := p.str("upstream-hash-by")
	subset, s2 := p.boolean("upstream-hash-by-subset")
	size, s3 := p.integer("upstream-hash-by-subset-size")
	if (s1 == valueMissing || s1 == valueFine) && (s2 == valueMissing || s2 == valueFine) && (s3 == valueMissing || s3 == valueFine) {
		if size == 0 {
			size = 3
		}
		c.Hash = HashConfig{By: by, Subset: subset, SubsetSize: size}
	}
	c.Affinity = AffinityConfig{
		Type:           p.text("affinity"),
		Mode:           p.text("affinity-mode"),
		CanaryBehavior: p.text("affinity-canary-behavior"),
	}
	if c.Affinity.Type != "cookie" {
		return
	}
	c.Affinity.CookieName = cmp.Or(p.text("session-cookie-name"), "INGRESSCOOKIE")
	c.Affinity.CookiePath = p.text("session-cookie-path")
	c.Affinity.CookieDomain = p.text("session-cookie-domain")
	c.Affinity.CookieMaxAge = p.text("session-cookie-max-age")
	p.text("session-cookie-expires")
	p.text("session-cookie-samesite")
	p.flag("session-cookie-secure", false)
	p.flag("session-cookie-partitioned", false)
	p.flag("session-cookie-conditional-samesite-none", false)
	p.flag("session-cookie-change-on-failure", false)
}

func (p *annotationParser) parseRest() {
	c := p.config
	c.HTTP2PushPreload = p.flag("http2-push-preload", false)
	c.EnableGlobalAuth = p.flag("enable-global-auth", true)
	for _, name := range []string{"enable-access-log", "enable-rewrite-log", "use-port-in-redirects", "enable-modsecurity", "enable-owasp-core-rules"} {
		p.flag(name, false)
	}
	p.text("modsecurity-transaction-id")
	if on, s := p.boolean("enable-opentelemetry"); s == valueFine && on {
		p.flag("opentelemetry-trust-incoming-span", false)
		p.text("opentelemetry-operation-name")
	}
	p.parseMirror()
	p.parseCORS()
}

func (p *annotationParser) parseMirror() {
	body, _ := p.str("mirror-request-body")
	mirror := MirrorConfig{RequestBody: body != "off", Target: p.text("mirror-target")}
	host, s := p.str("mirror-host")
	if s != valueFine && mirror.Target != "" {
		before, _, _ := strings.Cut(mirror.Target, "$")
		if u, ok := parseAuthURL(before); ok {
			host = u.Hostname()
		}
	}
	mirror.Host = host
	// Without a host nothing is mirrored.
	if mirror.Host == "" {
		mirror.Target = ""
	}
	p.config.Mirror = mirror
}

func (p *annotationParser) parseCORS() {
	cors := CORSConfig{Enabled: p.flag("enable-cors", false)}
	origins, s := p.str("cors-allow-origin")
	if s != valueFine && cors.Enabled {
		cors.Origins = []string{"*"}
	}
	for origin := range strings.SplitSeq(origins, ",") {
		origin = strings.TrimSpace(origin)
		if origin == "*" {
			cors.Origins = []string{"*"}
			break
		}
		if origin != "" && (origin == "null" || strings.Contains(origin, "://")) {
			cors.Origins = append(cors.Origins, origin)
		}
	}
	p.config.CORS = cors
	for _, name := range []string{"cors-allow-headers", "cors-allow-methods", "cors-expose-headers"} {
		p.text(name)
	}
	p.flag("cors-allow-credentials", true)
	p.number("cors-max-age", 0)
}

// dropForSpec notes what makes the controller drop the Ingress for its spec.
func (p *annotationParser) dropForSpec() {
	p.config.Dropped, p.config.Removed = p.settings.dropForSpec(&p.ing.Spec)
}

// dropForSpec says why the controller drops an Ingress for its spec, and whether an
// update that is dropped also ends the serving of the former version.
func (c *ControllerSettings) dropForSpec(spec *networkingv1.IngressSpec) (reason string, removed bool) {
	if !c.DisableDeepInspect {
		if what, text := inspect(spec); what != "" {
			return what + " " + strconv.Quote(text) + " looks like an attack to the controller", false
		}
	}
	if c.DisableCatchAll && spec.DefaultBackend != nil {
		return "spec.defaultBackend is refused by --disable-catch-all", true
	}
	return "", false
}

// dropsSpec reports whether the controller drops the Ingress for its spec.
func (c *ControllerSettings) dropsSpec(ing *networkingv1.Ingress) bool {
	reason, _ := c.dropForSpec(&ing.Spec)
	return reason != ""
}

// ofAnnotationsAlone reports whether an Ingress of any namespace with the same
// annotations has this Config, unless it is dropped for its spec.
func (c *Config) ofAnnotationsAlone() bool {
	return c.Dropped == "" && len(c.Faults) == 0 && len(c.Secrets) == 0 && len(c.ConfigMaps) == 0
}

// inspect returns the first text that the controller takes for an attack, and
// what it is, or nothing (semantics row B04).
func inspect(spec *networkingv1.IngressSpec) (what, text string) {
	for i := range spec.Rules {
		rule := &spec.Rules[i]
		if Suspicious(rule.Host) != "" {
			return "the host", rule.Host
		}
		for j := 0; rule.HTTP != nil && j < len(rule.HTTP.Paths); j++ {
			if path := rule.HTTP.Paths[j].Path; Suspicious(path) != "" {
				return "the path", path
			}
		}
	}
	for i := range spec.TLS {
		if Suspicious(spec.TLS[i].SecretName) != "" {
			return "the Secret name", spec.TLS[i].SecretName
		}
		for _, host := range spec.TLS[i].Hosts {
			if Suspicious(host) != "" {
				return "the TLS host", host
			}
		}
	}
	return "", ""
}

// Suspicious says for the sake of what the controller drops an Ingress with such a
// host, path, TLS host or Secret name, unless it runs with --deep-inspect=false. It is
// empty where it does not.
func Suspicious(text string) string {
	if end := strings.LastIndexByte(text, ';'); end >= 0 {
		switch before := text[:end]; {
		case strings.Contains(before, "alias"):
			return `"alias" before a semicolon`
		case strings.Contains(before, "root"):
			return `"root" before a semicolon`
		}
	}
	_, etc, ok := strings.Cut(text, "/etc/")
	for ok {
		for _, name := range [...]string{"passwd", "shadow", "group", "nginx", "ingress-controller"} {
			if strings.HasPrefix(etc, name) {
				return strconv.Quote("/etc/" + name)
			}
		}
		_, etc, ok = strings.Cut(etc, "/etc/")
	}
	for _, part := range [...]string{"/var/run/secrets", "_by_lua"} {
		if strings.Contains(text, part) {
			return strconv.Quote(part)
		}
	}
	return ""
}
