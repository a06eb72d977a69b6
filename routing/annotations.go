// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// AnnotationOutcome is what becomes of an Ingress when ingress-nginx does not
// accept the value of an annotation.
type AnnotationOutcome int

// The outcomes, the mildest first.
const (
	AnnotationIgnored    AnnotationOutcome = iota // the value is ignored and a default used
	AnnotationDenies                              // every path of the Ingress answers 503
	AnnotationDeniesHost                          // every path of its hosts answers 403, those of other Ingresses too
	AnnotationDrops                               // the Ingress is not taken up; after an update its former version stays served
)

// Risk is how dangerous ingress-nginx rates an annotation.
type Risk int

// The risks. An annotation above the controller's annotations-risk-level makes
// it drop the Ingress.
const (
	RiskLow Risk = iota
	RiskMedium
	RiskHigh
	RiskCritical
)

// String returns the risk as annotations-risk-level names it.
func (r Risk) String() string {
	if r < RiskLow || r > RiskCritical {
		return "unknown"
	}
	return [...]string{"Low", "Medium", "High", "Critical"}[r]
}

// MarshalText writes the risk as String does.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String writes.
func (r *Risk) UnmarshalText(text []byte) error {
	for risk := RiskLow; risk <= RiskCritical; risk++ {
		if risk.String() == string(text) {
			*r = risk
			return nil
		}
	}
	return fmt.Errorf("%q: must be Low, Medium, High or Critical", text)
}

// Annotation is an annotation that ingress-nginx v1.15.1 knows. It must not be
// modified.
type Annotation struct {
	// Name is its name without prefix.
	Name string
	// Aliases are other names, read where there is no value under Name.
	Aliases []string
	// Risk is how ingress-nginx rates it.
	Risk Risk
	// Outcome is what a value that is not accepted does. Where the outcome depends on
	// what is wrong with the value, AnnotationFault knows better.
	Outcome AnnotationOutcome
	// Type is what is accepted, for people: "a boolean (true or false)". Empty
	// means that everything is.
	Type string

	accepts func(string) bool
}

// Accepts reports whether the validator of the annotation accepts the value.
// Empty values are never validated. Some values are refused later on: see
// AnnotationFaults.
func (a Annotation) Accepts(value string) bool { return value == "" || a.accepts(value) }

const (
	typeBool     = "a boolean (true or false)"
	typeInt      = "a whole number"
	typeSize     = "a size, such as 8k or 1m"
	typeOnOff    = "on or off"
	typePlain    = "letters, digits and . _ ~ / : - only"
	typeRegex    = "letters, digits and the characters of a regular expression only"
	typeURL      = "letters, digits and . _ ~ / : - , ? & = only"
	typeVarURL   = "a URL of letters, digits and . _ ~ / : - , ? & = $ only"
	typePath     = "a path of letters, digits and . _ ~ / : - $ only"
	typeVariable = "letters, digits and - _ $ { } only"
	typeCIDRs    = "a comma-separated list of addresses or networks, such as 10.0.0.0/8"
	typeConfig   = "the namespace/name of a ConfigMap"
	typeSecret   = "the namespace/name of a Secret"
)

func boolean(name string, risk Risk, outcome AnnotationOutcome) Annotation {
	return Annotation{Name: name, Risk: risk, Outcome: outcome, Type: typeBool, accepts: isBool}
}

func integer(name string, outcome AnnotationOutcome) Annotation {
	return Annotation{Name: name, Outcome: outcome, Type: typeInt, accepts: isInt}
}

func size(name string, risk Risk, outcome AnnotationOutcome) Annotation {
	return Annotation{Name: name, Risk: risk, Outcome: outcome, Type: typeSize, accepts: isSize}
}

func snippet(name string) Annotation {
	return Annotation{Name: name, Risk: RiskCritical, accepts: anything}
}

// annotationTable follows the validators of ingress-nginx v1.15.1 and, for the
// outcomes, what its parsers do with an error of theirs (semantics section 1.N).
var annotationTable = []Annotation{
	{Name: "affinity", Type: "cookie", accepts: oneOf("cookie")},
	{Name: "affinity-canary-behavior", Type: "sticky or legacy", accepts: oneOf("sticky", "legacy")},
	{Name: "affinity-mode", Risk: RiskMedium, Type: "balanced or persistent", accepts: oneOf("balanced", "persistent")},
	{Name: "allowlist-source-range", Aliases: []string{"whitelist-source-range"}, Risk: RiskMedium, Outcome: AnnotationDenies, Type: typeCIDRs, accepts: isCIDRs},
	{Name: "app-root", Risk: RiskMedium, Type: typePath, accepts: onlyOf(captureSet)},
	boolean("auth-always-set-cookie", RiskLow, AnnotationIgnored),
	{Name: "auth-cache-duration", Risk: RiskMedium, Outcome: AnnotationDenies, Type: "comma-separated cache times, each with status codes before it, such as 200 202 10m", accepts: onlyOf(listSet)},
	{Name: "auth-cache-key", Risk: RiskMedium, Type: typeVariable, accepts: onlyOf(variableSet)},
	integer("auth-keepalive", AnnotationIgnored),
	integer("auth-keepalive-requests", AnnotationIgnored),
	boolean("auth-keepalive-share-vars", RiskLow, AnnotationIgnored),
	integer("auth-keepalive-timeout", AnnotationIgnored),
	{Name: "auth-method", Outcome: AnnotationDenies, Type: "an HTTP method, such as GET", accepts: containsOne("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")},
	{Name: "auth-proxy-set-headers", Risk: RiskMedium, Outcome: AnnotationDenies, Type: typeConfig, accepts: onlyOf(plainSet)},
	{Name: "auth-realm", Risk: RiskMedium, Outcome: AnnotationDrops, Type: "letters, digits, spaces and . _ ~ / : - only", accepts: onlyOf(plainSet)},
	{Name: "auth-request-redirect", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(spacedURLSet)},
	{Name: "auth-response-headers", Risk: RiskMedium, Outcome: AnnotationDenies, Type: "a comma-separated list of header names", accepts: onlyOf(headerListSet)},
	{Name: "auth-secret", Risk: RiskMedium, Outcome: AnnotationDenies, Type: "the name of a Secret in the same namespace", accepts: onlyOf(plainSet)},
	{Name: "auth-secret-type", Outcome: AnnotationDrops, Type: "auth-file or auth-map", accepts: containsOne("auth-file", "auth-map")},
	{Name: "auth-signin", Risk: RiskHigh, Type: typeVarURL, accepts: onlyOf(variableURL)},
	{Name: "auth-signin-redirect-param", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(spacedURLSet)},
	snippet("auth-snippet"),
	{Name: "auth-tls-error-page", Risk: RiskHigh, Outcome: AnnotationDrops, Type: "a URL, a path or a named location", accepts: matchesSpaceless(`^(@[A-Za-z0-9_-]+|((https?://)?[A-Za-z0-9\-.]+(:\d+)?)?(/[A-Za-z0-9\-_.]+)*/?)$`)},
	{Name: "auth-tls-match-cn", Risk: RiskHigh, Outcome: AnnotationDrops, Type: "a regular expression that starts with CN=", accepts: isCommonName},
	boolean("auth-tls-pass-certificate-to-upstream", RiskLow, AnnotationDrops),
	{Name: "auth-tls-secret", Risk: RiskMedium, Outcome: AnnotationDeniesHost, Type: typeSecret, accepts: onlyOf(plainSet)},
	{Name: "auth-tls-verify-client", Risk: RiskMedium, Type: "on, off, optional or optional_no_ca", accepts: spacelessOneOf("on", "off", "optional", "optional_no_ca")},
	integer("auth-tls-verify-depth", AnnotationIgnored),
	{Name: "auth-type", Outcome: AnnotationDrops, Type: "basic or digest", accepts: containsOne("basic", "digest")},
	{Name: "auth-url", Risk: RiskHigh, Outcome: AnnotationDrops, Type: typeVarURL, accepts: onlyOf(variableURL)},
	{Name: "backend-protocol", Type: "HTTP, HTTPS, AUTO_HTTP, GRPC, GRPCS or FCGI", accepts: oneOfFold("auto_http", "http", "https", "grpc", "grpcs", "fcgi")},
	boolean("canary", RiskLow, AnnotationIgnored),
	{Name: "canary-by-cookie", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	{Name: "canary-by-header", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	{Name: "canary-by-header-pattern", Risk: RiskMedium, Type: typeRegex, accepts: onlyOf(regexSet)},
	{Name: "canary-by-header-value", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	integer("canary-weight", AnnotationIgnored),
	integer("canary-weight-total", AnnotationIgnored),
	size("client-body-buffer-size", RiskLow, AnnotationDrops),
	snippet("configuration-snippet"),
	{Name: "connection-proxy-header", Outcome: AnnotationDrops, Type: "close or keep-alive", accepts: spacelessOneOf("close", "keep-alive")},
	boolean("cors-allow-credentials", RiskLow, AnnotationIgnored),
	{Name: "cors-allow-headers", Risk: RiskMedium, Type: "a comma-separated list of header names", accepts: onlyOf(headerListSet)},
	{Name: "cors-allow-methods", Risk: RiskMedium, Type: "a comma-separated list of methods", accepts: matchesSpaceless(`^([A-Za-z]+,?\s?)+$`)},
	{Name: "cors-allow-origin", Risk: RiskMedium, Type: "a comma-separated list of origins, such as https://*.example.com:8443, or *", accepts: matchesSpaceless(`^((((([a-z]+://)?(\*\.)?[A-Za-z0-9\-.]*(:\d+)?,?)|null)+)|\*)?$`)},
	{Name: "cors-expose-headers", Risk: RiskMedium, Type: "a comma-separated list of header names, or *", accepts: matchesSpaceless(`^(([A-Za-z0-9\-_]+|\*),?\s?)+$`)},
	integer("cors-max-age", AnnotationIgnored),
	{Name: "custom-headers", Risk: RiskMedium, Outcome: AnnotationDenies, Type: typeConfig, accepts: onlyOf(plainSet)},
	{Name: "custom-http-errors", Outcome: AnnotationDrops, Type: "a comma-separated list of status codes from 400 to 599", accepts: matchesSpaceless(`^(?:[4,5]\d{2},?)*$`)},
	{Name: "default-backend", Outcome: AnnotationDrops, Type: "the name of a Service in the same namespace", accepts: isServiceName},
	{Name: "denylist-source-range", Risk: RiskMedium, Outcome: AnnotationDenies, Type: typeCIDRs, accepts: isCIDRs},
	boolean("disable-proxy-intercept-errors", RiskLow, AnnotationIgnored),
	boolean("enable-access-log", RiskLow, AnnotationIgnored),
	boolean("enable-cors", RiskLow, AnnotationIgnored),
	boolean("enable-global-auth", RiskLow, AnnotationIgnored),
	boolean("enable-modsecurity", RiskLow, AnnotationIgnored),
	boolean("enable-opentelemetry", RiskLow, AnnotationIgnored),
	boolean("enable-owasp-core-rules", RiskLow, AnnotationIgnored),
	boolean("enable-rewrite-log", RiskLow, AnnotationIgnored),
	{Name: "fastcgi-index", Risk: RiskMedium, Outcome: AnnotationDrops, Type: "a file name", accepts: func(v string) bool { return fileNameSet.only(v) && strings.Trim(v, " ") != "" }},
	{Name: "fastcgi-params-configmap", Risk: RiskMedium, Outcome: AnnotationDrops, Type: "the name of a ConfigMap in the same namespace", accepts: onlyOf(plainSet)},
	boolean("force-ssl-redirect", RiskMedium, AnnotationIgnored),
	boolean("from-to-www-redirect", RiskLow, AnnotationDrops),
	boolean("http2-push-preload", RiskLow, AnnotationDrops),
	{Name: "limit-allowlist", Aliases: []string{"limit-whitelist"}, Outcome: AnnotationDrops, Type: typeCIDRs, accepts: isCIDRs},
	integer("limit-burst-multiplier", AnnotationIgnored),
	integer("limit-connections", AnnotationDrops),
	integer("limit-rate", AnnotationIgnored),
	integer("limit-rate-after", AnnotationIgnored),
	integer("limit-rpm", AnnotationDrops),
	integer("limit-rps", AnnotationDrops),
	{Name: "load-balance", Outcome: AnnotationDrops, Type: "round_robin, ewma, chash, chashsubset, sticky_balanced or sticky_persistent", accepts: oneOf("round_robin", "chash", "chashsubset", "sticky_balanced", "sticky_persistent", "ewma")},
	{Name: "mirror-host", Risk: RiskHigh, Type: typeRegex, accepts: isTrimmedRegexChars},
	{Name: "mirror-request-body", Type: typeOnOff, accepts: spacelessOneOf("on", "off")},
	{Name: "mirror-target", Risk: RiskHigh, Type: typeRegex, accepts: isTrimmedRegexChars},
	snippet("modsecurity-snippet"),
	{Name: "modsecurity-transaction-id", Risk: RiskHigh, Type: typeVariable, accepts: onlyOf(variableSet)},
	{Name: "opentelemetry-operation-name", Risk: RiskMedium, Outcome: AnnotationDrops, Type: "letters, digits, _ and - only", accepts: onlyOf(wordSet)},
	boolean("opentelemetry-trust-incoming-span", RiskLow, AnnotationIgnored),
	{Name: "permanent-redirect", Risk: RiskMedium, Outcome: AnnotationDrops, Type: typeURL, accepts: onlyOf(urlSet)},
	integer("permanent-redirect-code", AnnotationDrops),
	boolean("preserve-trailing-slash", RiskMedium, AnnotationIgnored),
	size("proxy-body-size", RiskMedium, AnnotationIgnored),
	size("proxy-buffer-size", RiskLow, AnnotationIgnored),
	{Name: "proxy-buffering", Type: typeOnOff, accepts: oneOf("on", "off")},
	integer("proxy-buffers-number", AnnotationIgnored),
	size("proxy-busy-buffers-size", RiskLow, AnnotationIgnored),
	integer("proxy-connect-timeout", AnnotationIgnored),
	{Name: "proxy-cookie-domain", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	{Name: "proxy-cookie-path", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(spacedURLSet)},
	{Name: "proxy-http-version", Type: "1.0 or 1.1", accepts: oneOf("1.0", "1.1")},
	size("proxy-max-temp-file-size", RiskLow, AnnotationIgnored),
	{Name: "proxy-next-upstream", Risk: RiskMedium, Type: "conditions of proxy_next_upstream, such as error timeout", accepts: matchesWhole(`^((error|timeout|invalid_header|http_500|http_502|http_503|http_504|http_403|http_404|http_429|non_idempotent|off)\s?)+$`)},
	integer("proxy-next-upstream-timeout", AnnotationIgnored),
	integer("proxy-next-upstream-tries", AnnotationIgnored),
	integer("proxy-read-timeout", AnnotationIgnored),
	{Name: "proxy-redirect-from", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(redirectURL)},
	{Name: "proxy-redirect-to", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(redirectURL)},
	{Name: "proxy-request-buffering", Type: typeOnOff, accepts: oneOf("on", "off")},
	integer("proxy-send-timeout", AnnotationIgnored),
	{Name: "proxy-ssl-ciphers", Risk: RiskMedium, Type: "a cipher list of letters, digits and + : _ - ! only", accepts: onlyOf(cipherSet)},
	{Name: "proxy-ssl-name", Risk: RiskHigh, Type: typeRegex, accepts: isTrimmedRegexChars},
	{Name: "proxy-ssl-protocols", Type: "TLSv1.2, TLSv1.3 or both", accepts: matchesSpaceless(`^(TLSv1\.2|TLSv1\.3| )*$`)},
	{Name: "proxy-ssl-secret", Risk: RiskMedium, Outcome: AnnotationDenies, Type: typeSecret, accepts: onlyOf(plainSet)},
	{Name: "proxy-ssl-server-name", Type: typeOnOff, accepts: spacelessOneOf("on", "off")},
	{Name: "proxy-ssl-verify", Type: typeOnOff, accepts: spacelessOneOf("on", "off")},
	integer("proxy-ssl-verify-depth", AnnotationIgnored),
	boolean("relative-redirects", RiskLow, AnnotationDrops),
	{Name: "rewrite-target", Risk: RiskMedium, Type: typePath, accepts: onlyOf(captureSet)},
	{Name: "satisfy", Type: "any or all", accepts: oneOf("any", "all")},
	{Name: "server-alias", Risk: RiskHigh, Outcome: AnnotationDrops, Type: "a comma-separated list of server names", accepts: isServerNames},
	snippet("server-snippet"),
	boolean("service-upstream", RiskLow, AnnotationIgnored),
	boolean("session-cookie-change-on-failure", RiskLow, AnnotationIgnored),
	boolean("session-cookie-conditional-samesite-none", RiskLow, AnnotationIgnored),
	{Name: "session-cookie-domain", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	{Name: "session-cookie-expires", Risk: RiskMedium, Type: "a number of seconds", accepts: matchesSpaceless(`(^0|-?[1-9]\d*$)`)},
	{Name: "session-cookie-max-age", Risk: RiskMedium, Type: "a number of seconds", accepts: matchesWhole(`(^0|-?[1-9]\d*$)`)},
	{Name: "session-cookie-name", Risk: RiskMedium, Type: typePlain, accepts: onlyOf(plainSet)},
	boolean("session-cookie-partitioned", RiskLow, AnnotationIgnored),
	{Name: "session-cookie-path", Risk: RiskMedium, Type: typeURL, accepts: onlyOf(spacedURLSet)},
	{Name: "session-cookie-samesite", Type: "None, Lax or Strict", accepts: oneOfFold("none", "lax", "strict")},
	boolean("session-cookie-secure", RiskLow, AnnotationIgnored),
	{Name: "ssl-ciphers", Outcome: AnnotationDrops, Type: "a cipher list of OpenSSL", accepts: matchesSpaceless(`^(?:[A-Za-z0-9!:+\-]|@STRENGTH|@SECLEVEL=[0-5])*$`)},
	boolean("ssl-passthrough", RiskLow, AnnotationDrops),
	boolean("ssl-prefer-server-ciphers", RiskLow, AnnotationIgnored),
	boolean("ssl-redirect", RiskLow, AnnotationIgnored),
	snippet("stream-snippet"),
	{Name: "temporal-redirect", Risk: RiskMedium, Outcome: AnnotationDrops, Type: typeURL, accepts: onlyOf(urlSet)},
	integer("temporal-redirect-code", AnnotationDrops),
	{Name: "upstream-hash-by", Risk: RiskHigh, Outcome: AnnotationDrops, Type: typeVariable, accepts: onlyOf(variableSet)},
	boolean("upstream-hash-by-subset", RiskLow, AnnotationDrops),
	integer("upstream-hash-by-subset-size", AnnotationDrops),
	{Name: "upstream-vhost", Outcome: AnnotationDrops, Type: typeRegex, accepts: isTrimmedRegexChars},
	boolean("use-port-in-redirects", RiskLow, AnnotationIgnored),
	boolean("use-regex", RiskLow, AnnotationIgnored),
	{Name: "x-forwarded-prefix", Risk: RiskMedium, Outcome: AnnotationDrops, Type: typePath, accepts: onlyOf(spacedCapture)},
}

// annotationIndex finds an annotation by name or alias.
var annotationIndex = func() map[string]*Annotation {
	index := make(map[string]*Annotation, len(annotationTable)+2)
	for i := range annotationTable {
		a := &annotationTable[i]
		index[a.Name] = a
		for _, alias := range a.Aliases {
			index[alias] = a
		}
	}
	return index
}()

// Annotations returns all annotations that ingress-nginx v1.15.1 knows, sorted by
// name.
func Annotations() []Annotation { return slices.Clone(annotationTable) }

// AnnotationNamed returns the annotation with that name without prefix, or with
// that alias.
func AnnotationNamed(name string) (Annotation, bool) {
	if a, ok := annotationIndex[name]; ok {
		return *a, true
	}
	return Annotation{}, false
}

// AnnotationNames returns the names, without prefix and for an alias that of the
// annotation, of the annotations of the Ingress that an ingress-nginx v1.15.1 may read:
// the operator chooses its prefix. They are in no order.
func AnnotationNames(ing *networkingv1.Ingress) []string {
	var names []string
	for key := range ing.Annotations {
		if a := annotationIndex[key[strings.LastIndexByte(key, '/')+1:]]; a != nil {
			names = append(names, a.Name)
		}
	}
	return names
}

// RemovedAnnotations returns the names of annotations, without prefix, that
// former versions of ingress-nginx knew and v1.15.1 ignores, each with what does
// the same today, empty where nothing does. The caller owns the map.
func RemovedAnnotations() map[string]string { return maps.Clone(removedAnnotations) }

var removedAnnotations = map[string]string{
	"add-base-url":                              "",
	"base-url-scheme":                           "",
	"enable-influxdb":                           "",
	"influxdb-host":                             "",
	"influxdb-measurement":                      "",
	"influxdb-port":                             "",
	"influxdb-server-name":                      "",
	"enable-opentracing":                        "enable-opentelemetry",
	"opentracing-trust-incoming-span":           "opentelemetry-trust-incoming-span",
	"opentracing-operation-name":                "opentelemetry-operation-name",
	"opentracing-location-operation-name":       "opentelemetry-operation-name",
	"global-rate-limit":                         "limit-rps",
	"global-rate-limit-header-name":             "",
	"global-rate-limit-ignored-cidrs":           "limit-allowlist",
	"global-rate-limit-key":                     "",
	"global-rate-limit-window":                  "limit-rpm",
	"grpc-backend":                              "backend-protocol",
	"secure-backends":                           "backend-protocol",
	"secure-verify-ca-secret":                   "proxy-ssl-secret",
	"session-cookie-hash":                       "",
	"upstream-fail-timeout":                     "",
	"upstream-max-fails":                        "",
	"lua-resty-waf":                             "enable-modsecurity",
	"lua-resty-waf-allow-unknown-content-types": "",
	"lua-resty-waf-debug":                       "",
	"lua-resty-waf-extra-rules":                 "",
	"lua-resty-waf-ignore-rulesets":             "",
	"lua-resty-waf-process-multipart-body":      "",
	"lua-resty-waf-score-threshold":             "",
}
