// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// NginxRefusal is a value that ingress-nginx accepts and writes into its
// configuration, and that nginx then refuses, so that no change of any Ingress
// takes effect any more (semantics section 1.L).
type NginxRefusal struct {
	// Name is the annotation's name without prefix.
	Name string
	// Value is what it has.
	Value string
	// Fact is what is wrong, as a clause: "is more than the buffers hold".
	Fact string
	// Accepted says what would be accepted: "must be at least 2".
	Accepted string
	// Uncertain is true where it depends on what the Ingress does not show: the
	// controller's snippets, its OpenSSL, DNS, or whether a Secret exists.
	Uncertain bool
}

// NginxRefuses returns the annotations that make nginx refuse the controller's
// whole configuration, sorted by name. It takes every path of the Ingress to be
// served by this Ingress: the annotations of a path that belongs to an older
// Ingress are not written. Server aliases that are regular expressions are not
// compiled here, nor are paths.
func NginxRefuses(ing *networkingv1.Ingress, c ControllerSettings) []NginxRefusal {
	return ConfigOf(ing, c).NginxRefuses(ing, c)
}

// NginxRefuses is the function NginxRefuses for a Config that is there already.
// The Config must be that of the Ingress and settings.
func (cfg *Config) NginxRefuses(ing *networkingv1.Ingress, c ControllerSettings) []NginxRefusal {
	return cfg.nginxRefuses(ing, &c)
}

func (cfg *Config) nginxRefuses(ing *networkingv1.Ingress, c *ControllerSettings) []NginxRefusal {
	// The annotations of a canary are not written into the configuration.
	if cfg.Dropped != "" || cfg.Canary.Enabled || len(ing.Annotations) == 0 {
		return nil
	}
	r := refusals{cfg: cfg, settings: c}
	paths := false
	wildcard := ""
	for i := range ing.Spec.Rules {
		rule := &ing.Spec.Rules[i]
		if rule.HTTP == nil || len(rule.HTTP.Paths) == 0 {
			continue
		}
		paths = true
		if strings.HasPrefix(rule.Host, "*.") {
			wildcard = rule.Host
		}
	}
	if len(ing.Spec.Rules) > 0 {
		r.aliases()
	}
	if cfg.FromToWWW && wildcard != "" {
		r.add("from-to-www-redirect", "true", "redirects www."+wildcard+", which is no server name", "must not be set on a host with a wildcard")
	}
	if cfg.HostDenied == "" {
		r.server(len(ing.Spec.Rules) > 0)
		if paths || ing.Spec.DefaultBackend != nil {
			r.location(paths)
		}
	}
	slices.SortStableFunc(r.found, func(a, b NginxRefusal) int { return strings.Compare(a.Name, b.Name) })
	return r.found
}

type refusals struct {
	cfg      *Config
	settings *ControllerSettings
	found    []NginxRefusal
}

func (r *refusals) add(name, value, fact, accepted string) {
	r.found = append(r.found, NginxRefusal{Name: name, Value: value, Fact: fact, Accepted: accepted})
}

func (r *refusals) maybe(name, value, fact, accepted string) {
	r.found = append(r.found, NginxRefusal{Name: name, Value: value, Fact: fact, Accepted: accepted, Uncertain: true})
}

// single finds a value that is written without quotes and is more than one word,
// since the controller takes out the spaces before it looks at it.
func (r *refusals) single(name, value string) bool {
	if len(strings.Fields(value)) > 1 {
		r.add(name, value, "has a space in it", "must be one word")
		return false
	}
	return true
}

func (r *refusals) aliases() {
	for _, alias := range r.cfg.ServerAliases {
		if fact := badServerName(alias); fact != "" {
			r.add("server-alias", alias, fact, "must be a host name, with a * as its whole first or last label at most, or a regular expression after ~ without { }")
		}
	}
}

// badServerName follows ngx_http_core_server_name, ngx_hash_add_key and the
// reading of a word in the configuration.
func badServerName(name string) string {
	switch {
	case name[0] == '}':
		return "starts with }"
	case endsAtBrace(name):
		return "has a { that ends the word"
	case name[0] == '~':
		if name == "~" {
			return "is an empty regular expression"
		}
		return ""
	case name[0] == '*' && (len(name) < 3 || name[1] != '.'), name == ".":
		return "is no server name"
	case strings.Contains(name, ".."):
		return "has an empty label"
	}
	switch stars := strings.Count(name, "*"); {
	case stars > 1:
		return "has more than one *"
	case stars == 0 || name[0] == '.' || len(name) > 2 && (name[0] == '*' || strings.HasSuffix(name, ".*")):
		return ""
	}
	return "has a * in the middle"
}

// endsAtBrace reports whether an unquoted word holds a { that nginx takes for
// the begin of a block.
func endsAtBrace(word string) bool {
	for i := range len(word) {
		if word[i] == '{' && (i == 0 || word[i-1] != '$') {
			return true
		}
	}
	return false
}

func (r *refusals) server(rules bool) {
	cfg := r.cfg
	if rules && cfg.SSLCiphers != "" && r.single("ssl-ciphers", cfg.SSLCiphers) && !knownCipher(cfg.SSLCiphers) {
		r.add("ssl-ciphers", cfg.SSLCiphers, "names no cipher that OpenSSL is known to have", "must name ciphers of OpenSSL, separated by colons")
	}
	if cn := cfg.AuthTLS.MatchCN; cn != "" && (strings.ContainsAny(cn, " \t\n;\"'") || endsAtBrace(cn)) {
		r.maybe("auth-tls-match-cn", cn, "has a space, ; or { in it", "must be one word without ; and {")
	}
	if name := cfg.Proxy.SSLName; name != "" {
		if endsAtBrace(name) || name[0] == '}' {
			r.maybe("proxy-ssl-name", name, "has a { or } that ends the word", "must have no { and }")
		} else {
			r.variables("proxy-ssl-name", name)
		}
	}
	if cfg.Proxy.SSLCiphers != "" && len(strings.Fields(cfg.Proxy.SSLCiphers)) > 1 {
		r.maybe("proxy-ssl-ciphers", cfg.Proxy.SSLCiphers, "has a space in it", "must be one word")
	}
}

func (r *refusals) location(paths bool) {
	cfg := r.cfg
	if paths {
		r.variables("app-root", cfg.AppRoot)
	}
	r.mirror()
	r.externalAuth()
	if cfg.Denied != "" {
		return
	}
	if paths && cfg.RewriteTarget != "" {
		r.variables("rewrite-target", cfg.RewriteTarget)
		r.variables("x-forwarded-prefix", cfg.XForwardedPrefix)
	}
	r.variables("upstream-vhost", cfg.UpstreamVhost)
	r.single("connection-proxy-header", cfg.Proxy.ConnectionHeader)
	r.timeouts()
	r.buffers()
	r.cookies()
	r.nextUpstream()
	r.proxyRedirect()
	r.limits()
	for _, code := range cfg.CustomHTTPErrors {
		switch {
		case code == 499:
			r.add("custom-http-errors", strconv.Itoa(code), "is a code that nginx keeps for itself", "must not hold 499")
		case code < 300 || code > 599:
			r.add("custom-http-errors", strconv.Itoa(code), "is no status code", "must be codes from 400 to 599 with a comma between them")
		}
	}
	// Sizes that are not sizes to nginx are left out by the template.
	if size, ok := nginxSize(cfg.Proxy.BodySize, true); ok && size < 0 {
		r.add("proxy-body-size", cfg.Proxy.BodySize, "is too large a number", "must be less than 8 exbibytes")
	}
	if size, ok := nginxSize(cfg.Proxy.ClientBodyBufferSize, false); ok && size < 0 {
		r.add("client-body-buffer-size", cfg.Proxy.ClientBodyBufferSize, "is too large a number", "must be less than 8 exbibytes")
	}
}

func (r *refusals) mirror() {
	target := r.cfg.Mirror.Target
	if target == "" || !r.variables("mirror-target", target) || strings.Contains(target, "$") {
		return
	}
	u, err := url.Parse(target)
	switch {
	case !strings.HasPrefix(strings.ToLower(target), "http://") && !strings.HasPrefix(strings.ToLower(target), "https://"):
		r.add("mirror-target", target, "is no URL that nginx can ask", "must start with http:// or https://")
	case err != nil:
		r.maybe("mirror-target", target, "is no URL", "must be a URL")
	default:
		if _, err := netip.ParseAddr(u.Hostname()); err != nil && u.Hostname() != "localhost" {
			r.maybe("mirror-target", target, "has a host that must resolve whenever nginx loads its configuration", "must have an address as host, or a variable in it, such as $request_uri at the end")
		}
	}
}

func (r *refusals) externalAuth() {
	auth := &r.cfg.ExternalAuth
	if auth.URL == "" {
		return
	}
	if r.single("auth-url", auth.URL) {
		r.variables("auth-url", auth.URL)
	}
	r.single("auth-request-redirect", auth.RequestRedirect)
	r.single("auth-method", auth.Method)
	if auth.Method != "" && strings.ContainsAny(auth.Method, ";{}") {
		r.add("auth-method", auth.Method, "ends the directive it is in", "must be an HTTP method")
	}
	if auth.CacheKey != "" {
		r.variables("auth-cache-key", auth.CacheKey)
		for _, duration := range auth.CacheDurations {
			if fact := badCacheDuration(duration); fact != "" {
				r.add("auth-cache-duration", duration, fact, "must be status codes and then one time, such as 200 202 10m")
			}
		}
	}
	if r.cfg.Denied == "" && auth.SigninURL != "" && r.single("auth-signin", auth.SigninURL) {
		r.variables("auth-signin", auth.SigninURL)
		r.single("auth-signin-redirect-param", auth.SigninRedirectParam)
	}
	// The location that asks for authentication has the buffers of the others.
	if r.cfg.Proxy.BuffersNumber != nil && *r.cfg.Proxy.BuffersNumber == 2 && r.cfg.Proxy.BusyBuffersSize != "" {
		r.maybe("proxy-buffers-number", "2", "is too few for the location that asks for authentication", "must be at least 3")
	}
}

func badCacheDuration(duration string) string {
	elements := strings.Fields(duration)
	if len(elements) == 0 {
		return ""
	}
	for _, code := range elements[:len(elements)-1] {
		n, err := strconv.Atoi(code)
		if code != "any" && (err != nil || n < 100 || n > 599) {
			return "has " + strconv.Quote(code) + ", which is no status code"
		}
	}
	last := elements[len(elements)-1]
	if !cacheTime.MatchString(last) && !digitSet.only(last) {
		return "does not end with a time"
	}
	return ""
}

func (r *refusals) timeouts() {
	p := &r.cfg.Proxy
	for _, t := range [...]struct {
		name  string
		value *int
		limit int
	}{
		{"proxy-connect-timeout", p.ConnectTimeout, math.MaxInt64 / 1000},
		{"proxy-send-timeout", p.SendTimeout, math.MaxInt64 / 1000},
		{"proxy-read-timeout", p.ReadTimeout, math.MaxInt64 / 1000},
		{"proxy-next-upstream-timeout", p.NextUpstreamTimeout, math.MaxInt64 / 1000},
		{"proxy-next-upstream-tries", p.NextUpstreamTries, math.MaxInt64},
	} {
		if t.value == nil {
			continue
		}
		if *t.value < 0 {
			r.add(t.name, strconv.Itoa(*t.value), "is negative", "must be 0 or more")
		} else if *t.value >= t.limit {
			r.add(t.name, strconv.Itoa(*t.value), "is too large a number", "must be less than "+strconv.Itoa(t.limit))
		}
	}
}

// buffers follows the checks of nginx, which do not depend on proxy-buffering:
// busy is at least the size of one buffer and at most that of all but one, two
// buffers by default; temporary files hold one buffer at least.
func (r *refusals) buffers() {
	p := &r.cfg.Proxy
	if p.BufferSize == "" && p.BuffersNumber == nil && p.BusyBuffersSize == "" && p.MaxTempFileSize == "" {
		return
	}
	number := cmp.Or(r.settings.ProxyBuffersNumber, 4)
	if p.BuffersNumber != nil {
		number = *p.BuffersNumber
	}
	if number < 2 {
		r.add("proxy-buffers-number", strconv.Itoa(number), "is too few", "must be at least 3")
		return
	}
	one := cmp.Or(p.BufferSize, r.settings.ProxyBufferSize, "4k")
	size, ok := r.bufferSize("proxy-buffer-size", one)
	if !ok {
		return
	}
	// What a value of many digits comes to does not matter.
	if int64(number) > math.MaxInt64/size {
		return
	}
	most := (int64(number) - 1) * size
	busy := 2 * size
	if p.BusyBuffersSize != "" {
		if busy, ok = r.bufferSize("proxy-busy-buffers-size", p.BusyBuffersSize); !ok {
			return
		}
	}
	switch {
	case busy < size:
		r.add("proxy-busy-buffers-size", p.BusyBuffersSize, "is less than one buffer of "+one, "must be at least proxy-buffer-size, "+one)
	case busy > most && p.BusyBuffersSize == "":
		r.add("proxy-buffers-number", strconv.Itoa(number), "is too few: two buffers may be busy and one is kept", "must be at least 3")
	case busy > most:
		r.add("proxy-busy-buffers-size", p.BusyBuffersSize, "is more than all buffers but one", "must be at most "+strconv.FormatInt(most, 10)+", that is (proxy-buffers-number - 1) * proxy-buffer-size")
	}
	file, ok := nginxSize(cmp.Or(p.MaxTempFileSize, r.settings.ProxyMaxTempFileSize, "1024m"), true)
	switch {
	case !ok:
	case file < 0:
		r.add("proxy-max-temp-file-size", p.MaxTempFileSize, "is too large a number", "must be less than 8 exbibytes")
	case file != 0 && file < size && p.MaxTempFileSize != "":
		r.add("proxy-max-temp-file-size", p.MaxTempFileSize, "is less than one buffer of "+one, "must be 0, or at least proxy-buffer-size, "+one)
	case file != 0 && file < size:
		r.add("proxy-buffer-size", p.BufferSize, "is more than a temporary file may hold", "must be at most proxy-max-temp-file-size")
	}
}

func (r *refusals) bufferSize(name, value string) (int64, bool) {
	if !r.single(name, value) {
		return 0, false
	}
	size, ok := nginxSize(value, false)
	if !ok || size <= 0 {
		r.add(name, value, "is no size to nginx", "must be a number more than 0, with k or m behind it or nothing")
		return 0, false
	}
	return size, true
}

// nginxSize reads a size. Only where large is true may it end with g. A size that
// is too large is -1.
func nginxSize(value string, large bool) (size int64, ok bool) {
	if value == "" {
		return 0, false
	}
	factor := int64(1)
	switch value[len(value)-1] {
	case 'k', 'K':
		factor = 1 << 10
	case 'm', 'M':
		factor = 1 << 20
	case 'g', 'G':
		if !large {
			return 0, false
		}
		factor = 1 << 30
	}
	if factor > 1 {
		value = value[:len(value)-1]
	}
	if value == "" || !digitSet.only(value) {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > math.MaxInt64/factor {
		return -1, true
	}
	return n * factor, true
}

func (r *refusals) cookies() {
	for _, c := range [...]struct{ name, value string }{
		{"proxy-cookie-domain", r.cfg.Proxy.CookieDomain}, {"proxy-cookie-path", r.cfg.Proxy.CookiePath},
	} {
		words := strings.Fields(c.value)
		if len(words) > 0 && len(words) != 2 && !slices.Equal(words, []string{"off"}) {
			r.add(c.name, c.value, "is not two words", "must be what to replace and what to put there, with a space between them, or off")
		}
	}
}

func (r *refusals) nextUpstream() {
	for _, word := range strings.Fields(r.cfg.Proxy.NextUpstream) {
		switch word {
		case "error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404", "http_429", "non_idempotent", "off":
		default:
			r.add("proxy-next-upstream", r.cfg.Proxy.NextUpstream, "has "+strconv.Quote(word)+", which nginx does not know", "must be conditions with a space between them")
			return
		}
	}
}

func (r *refusals) proxyRedirect() {
	from, to := r.cfg.Proxy.RedirectFrom, r.cfg.Proxy.RedirectTo
	protocol := strings.ToUpper(r.cfg.BackendProtocol)
	if from == "default" {
		if protocol == "AUTO_HTTP" || protocol == "GRPC" || protocol == "GRPCS" || protocol == "FCGI" {
			r.add("proxy-redirect-from", from, "does not go with backend-protocol "+r.cfg.BackendProtocol, "must not be default there")
		}
		return
	}
	if from == "" || from == "off" || to == "" || to == "off" {
		return
	}
	if r.single("proxy-redirect-from", from) {
		r.single("proxy-redirect-to", to)
		r.variables("proxy-redirect-to", to)
	}
}

func (r *refusals) limits() {
	l := &r.cfg.Limits
	if l.BurstMultiplier <= 0 && (l.RPS > 0 || l.RPM > 0) {
		r.add("limit-burst-multiplier", strconv.Itoa(l.BurstMultiplier), "leaves no burst", "must be at least 1")
	}
	if l.Connections > math.MaxUint16 {
		r.add("limit-connections", strconv.Itoa(l.Connections), "is too many", "must be at most 65535")
	}
	for _, rate := range [...]struct {
		name  string
		value int
	}{{"limit-rate", l.Rate}, {"limit-rate-after", l.RateAfter}} {
		if rate.value > math.MaxInt64>>10 {
			r.add(rate.name, strconv.Itoa(rate.value), "is too large a number", "must be less than 8 exbibytes")
		}
	}
}

// variables finds what nginx cannot expand, and reports whether all is well. A
// name that nginx and the controller do not know may be one of the operator's
// own, so that it is uncertain; what is no name is not.
func (r *refusals) variables(name, value string) bool {
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			return true
		}
		braces := strings.HasPrefix(after, "{")
		if braces {
			after = after[1:]
		}
		end := 0
		for end < len(after) && nginxNameSet.has(after[end]) {
			end++
		}
		variable := after[:end]
		switch {
		case !braces && after != "" && after[0] >= '1' && after[0] <= '9':
			rest = after[1:]
			continue
		case variable == "":
			r.add(name, value, "has a $ without the name of a variable", "must have a variable of nginx after each $")
			return false
		case braces && !strings.HasPrefix(after[end:], "}"):
			r.add(name, value, "has a ${ without its }", "must close each ${ with }")
			return false
		case !knownVariable(variable):
			r.maybe(name, value, "has the variable $"+variable+", which nginx does not know by default", "must have only variables that nginx knows")
			return false
		}
		rest = after[end:]
	}
}

var variablePrefixes = []string{
	"arg_", "authHeader", "cookie_", "http_", "jwt_", "opentelemetry_", "opentracing_", "proxy_protocol_tlv_",
	"sent_http_", "sent_trailer_", "upstream_cookie_", "upstream_http_", "upstream_trailer_", "geoip_", "geoip2_", "limit_", "allowlist_",
}

func knownVariable(name string) bool {
	name = strings.ToLower(name)
	if _, ok := nginxVariables[name]; ok {
		return true
	}
	return slices.ContainsFunc(variablePrefixes, func(p string) bool { return strings.HasPrefix(name, strings.ToLower(p)) })
}

// nginxVariables are those of nginx 1.27 with the modules of ingress-nginx, and
// those that its template sets.
var nginxVariables = func() map[string]struct{} {
	set := map[string]struct{}{}
	for name := range strings.FieldsSeq(`
args auth_cookie balancer_ewma_score best_http_host binary_remote_addr block_ref block_ua body_bytes_sent bytes_sent
cache_key connection connection_requests connection_time connection_upgrade connections_active connections_reading
connections_waiting connections_writing content_length content_type cors date_gmt date_local document_root document_uri
escaped_request_uri fastcgi_path_info fastcgi_script_name full_x_forwarded_for global_rate_limit_exceeding gzip_ratio
brotli_ratio host hostname http2 http3 https ingress_name invalid_referer is_args literal_dollar location_path loggable
memcached_key modern_browser ancient_browser msec msie namespace nginx_version pass_access_scheme pass_port pass_server_port pid
pipe proxy_add_x_forwarded_for proxy_alternative_upstream_name proxy_host proxy_internal_body_length
proxy_internal_chunked proxy_port proxy_protocol_addr proxy_protocol_port proxy_protocol_server_addr
proxy_protocol_server_port proxy_upstream_name query_string realip_remote_addr realip_remote_port realpath_root
remote_addr remote_port remote_user req_id request request_body request_body_file request_completion request_filename
request_id request_length request_method request_time request_uri scheme secure_link secure_link_expires server_addr
server_name server_port server_protocol service_name service_port slice_range ssl_alpn_protocol ssl_cipher ssl_ciphers
ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn ssl_client_i_dn_legacy ssl_client_raw_cert
ssl_client_s_dn ssl_client_s_dn_legacy ssl_client_serial ssl_client_v_end ssl_client_v_remain ssl_client_v_start
ssl_client_verify ssl_curve ssl_curves ssl_early_data ssl_preread_alpn_protocols ssl_protocol ssl_server_name
ssl_session_id ssl_session_reused status target tcpinfo_rcv_space tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd
the_real_ip time_iso8601 time_local tmp_cache_key uid_got uid_reset uid_set upstream_addr upstream_bytes_received
upstream_bytes_sent upstream_cache_status upstream_connect_time upstream_header_time upstream_last_server_name
upstream_queue_time upstream_response_length upstream_response_time upstream_status uri userid
session_log_id modsecurity_transaction_id quic
`) {
		set[name] = struct{}{}
	}
	return set
}()

// knownCipher reports whether some part of the list looks like a cipher, a group
// of ciphers or a command of OpenSSL.
func knownCipher(list string) bool {
	for part := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == ':' || c == ',' || c == ' ' }) {
		if part[0] == '!' || part[0] == '-' || part[0] == '@' {
			continue
		}
		for word := range strings.SplitSeq(strings.TrimPrefix(part, "+"), "+") {
			word = strings.ToUpper(word)
			for _, known := range [...]string{
				"AES", "CHACHA", "CAMELLIA", "ARIA", "SEED", "DES", "RC4", "SHA", "GCM", "CCM", "HIGH", "MEDIUM", "LOW", "ALL",
				"DEFAULT", "EECDH", "ECDHE", "ECDH", "KEDH", "EDH", "DHE", "ADH", "RSA", "ECDSA", "DSS", "PSK", "SRP", "TLS", "SSL",
				"SUITEB", "NULL", "FIPS", "GOST", "PROFILE", "COMPLEMENTOFDEFAULT", "COMPLEMENTOFALL", "POLY1305",
				"DH", "MD5", "IDEA", "RC2", "KUZNYECHIK", "MAGMA", "SM4", "ECC",
			} {
				if strings.Contains(word, known) {
					return true
				}
			}
		}
	}
	return false
}
