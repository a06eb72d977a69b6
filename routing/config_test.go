// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// annotated is an Ingress in the namespace app with a rule for a.example and
// these annotations, given as "name: value" without prefix.
func annotated(annotations ...string) *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web"}}
	ing.Spec.Rules = []networkingv1.IngressRule{{Host: "a.example"}}
	ing.Spec.Rules[0].HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/"}}}
	for _, a := range annotations {
		name, value, _ := strings.Cut(a, ":")
		metav1.SetMetaDataAnnotation(&ing.ObjectMeta, NginxPrefix+name, strings.TrimPrefix(value, " "))
	}
	return ing
}

func outcomeName(o AnnotationOutcome) string {
	return [...]string{"ignored", "503", "403", "dropped"}[o]
}

// TestConfigOutcomes says of annotations what becomes of their Ingress: the
// faults as "name outcome", and which of Denied, HostDenied and Dropped is set.
func TestConfigOutcomes(t *testing.T) {
	critical, medium := RiskCritical, RiskMedium
	tests := []struct {
		name        string
		annotations []string
		settings    ControllerSettings
		faults      string
		state       string
	}{
		// Recorded scenarios, by their name.
		{name: "ann-auth-secret-missing", annotations: []string{"auth-type: basic", "auth-secret: auth"}},
		{name: "ann-auth-snippet", annotations: []string{"auth-snippet: proxy_set_header A b;"}, faults: "auth-snippet dropped", state: "dropped"},
		{name: "ann-auth-tls-secret-missing", annotations: []string{"auth-tls-secret: app/ca", "auth-tls-verify-client: on"}},
		{name: "ann-auth-tls-secret-no-namespace", annotations: []string{"auth-tls-secret: ca"}, faults: "auth-tls-secret 403", state: "403"},
		{name: "ann-auth-type-invalid", annotations: []string{"auth-type: oauth", "auth-secret: auth"}, faults: "auth-type dropped", state: "dropped"},
		{name: "ann-auth-type-only", annotations: []string{"auth-type: basic"}, state: "503"},
		{name: "ann-auth-url-empty", annotations: []string{"auth-url: "}},
		{name: "ann-auth-url-invalid", annotations: []string{"auth-url: auth.example.test/ok"}, faults: "auth-url 503", state: "503"},
		{name: "ann-auth-url-ok", annotations: []string{"auth-url: http://auth.example.test:8080/ok"}},
		{name: "ann-configuration-snippet", annotations: []string{"configuration-snippet: add_header X-A b;"}, faults: "configuration-snippet dropped", state: "dropped"},
		{name: "ann-custom-headers-missing", annotations: []string{"custom-headers: app/gone"}},
		{name: "ann-denylist-invalid", annotations: []string{"denylist-source-range: nowhere"}, faults: "denylist-source-range 503", state: "503"},
		{name: "ann-fastcgi-params-missing", annotations: []string{"backend-protocol: FCGI", "fastcgi-params-configmap: app/gone"}},
		{name: "ann-invalid-affinity", annotations: []string{"affinity: sticky"}, faults: "affinity ignored"},
		{name: "ann-invalid-body-size", annotations: []string{"proxy-body-size: abc"}, faults: "proxy-body-size ignored"},
		{name: "ann-invalid-limit-rps", annotations: []string{"limit-rps: many"}, faults: "limit-rps dropped", state: "dropped"},
		{name: "ann-invalid-proxy-buffer-size", annotations: []string{"proxy-buffer-size: big"}, faults: "proxy-buffer-size ignored"},
		{name: "ann-invalid-timeout", annotations: []string{"proxy-read-timeout: 10s"}, faults: "proxy-read-timeout ignored"},
		{name: "ann-invalid-use-regex", annotations: []string{"use-regex: yes"}, faults: "use-regex ignored"},
		{name: "ann-limit-rps", annotations: []string{"limit-rps: 1", "limit-burst-multiplier: 1"}},
		{name: "ann-load-balance-ip-hash", annotations: []string{"load-balance: ip_hash"}, faults: "load-balance dropped", state: "dropped"},
		{name: "ann-permanent-redirect-code", annotations: []string{"permanent-redirect: https://www.example.org/", "permanent-redirect-code: 200"}},
		{name: "ann-permanent-redirect-invalid", annotations: []string{"permanent-redirect: not a url"}, faults: "permanent-redirect dropped", state: "dropped"},
		{name: "ann-proxy-http-version", annotations: []string{"proxy-http-version: 3"}, faults: "proxy-http-version ignored"},
		{name: "ann-proxy-next-upstream-invalid", annotations: []string{"proxy-next-upstream: sometimes"}, faults: "proxy-next-upstream ignored"},
		{name: "ann-satisfy-invalid", annotations: []string{"satisfy: maybe"}, faults: "satisfy ignored"},
		{name: "ann-server-snippet", annotations: []string{"server-snippet: return 418;"}, faults: "server-snippet dropped", state: "dropped"},
		{name: "ann-ssl-redirect-invalid", annotations: []string{"ssl-redirect: yes"}, faults: "ssl-redirect ignored"},
		{name: "ann-upstream-hash-by", annotations: []string{"upstream-hash-by: $request_uri"}},
		{name: "ann-use-regex-capital", annotations: []string{"use-regex: True"}},
		{name: "life-good-turns-invalid-annotation", annotations: []string{"whitelist-source-range: 300.0.0.0/8"}, faults: "whitelist-source-range 503", state: "503"},

		// What is not read is no fault.
		{name: "auth without type", annotations: []string{"auth-realm: a!", "auth-secret-type: x", "auth-secret: a!"}},
		{name: "auth with type", annotations: []string{"auth-type: basic", "auth-secret: auth", "auth-realm: a!"}, faults: "auth-realm dropped", state: "dropped"},
		{name: "auth secret type before secret", annotations: []string{"auth-type: basic", "auth-secret: a!", "auth-secret-type: x"}, faults: "auth-secret-type dropped", state: "dropped"},
		{name: "auth-tls without secret", annotations: []string{"auth-tls-match-cn: x", "auth-tls-verify-depth: x"}},
		{name: "auth-tls with bad secret", annotations: []string{"auth-tls-secret: other/ca", "auth-tls-match-cn: x"}, faults: "auth-tls-secret 403", state: "403"},
		{name: "auth-tls with secret", annotations: []string{"auth-tls-secret: app/ca", "auth-tls-match-cn: x", "auth-tls-verify-depth: x"}, faults: "auth-tls-match-cn dropped, auth-tls-verify-depth ignored", state: "dropped"},
		{name: "auth-tls secret of odd characters", annotations: []string{"auth-tls-secret: app/c!"}, faults: "auth-tls-secret dropped", state: "dropped"},
		{name: "proxy-ssl without secret", annotations: []string{"proxy-ssl-verify: x"}},
		{name: "proxy-ssl with secret", annotations: []string{"proxy-ssl-secret: app/s", "proxy-ssl-verify: x"}, faults: "proxy-ssl-verify ignored"},
		{name: "proxy-ssl with bare secret", annotations: []string{"proxy-ssl-secret: s", "proxy-ssl-verify: x"}, faults: "proxy-ssl-secret 503", state: "503"},
		{name: "auth without url", annotations: []string{"auth-method: FETCH", "auth-response-headers: a.b"}},
		{name: "auth with url", annotations: []string{"auth-url: http://x/", "auth-method: FETCH", "auth-response-headers: a.b"}, faults: "auth-method 503", state: "503"},
		{name: "auth-url with odd characters", annotations: []string{"auth-url: http://x/#a"}, faults: "auth-url dropped", state: "dropped"},
		{name: "auth-url with dots", annotations: []string{"auth-url: http://x..y/"}, faults: "auth-url 503", state: "503"},
		{name: "auth cache duration without time", annotations: []string{"auth-url: http://x/", "auth-cache-duration: 200 202"}, faults: "auth-cache-duration 503", state: "503"},
		{name: "auth cache duration of odd characters", annotations: []string{"auth-url: http://x/", "auth-cache-duration: 200;5m"}, faults: "auth-cache-duration ignored"},
		{name: "auth headers from bare map", annotations: []string{"auth-url: http://x/", "auth-proxy-set-headers: m"}, faults: "auth-proxy-set-headers 503", state: "503"},
		{name: "auth headers from another namespace", annotations: []string{"auth-url: http://x/", "auth-proxy-set-headers: other/m"}, faults: "auth-proxy-set-headers 503", state: "503"},
		{name: "session cookie without affinity", annotations: []string{"session-cookie-max-age: x"}},
		{name: "session cookie with affinity", annotations: []string{"affinity: cookie", "session-cookie-max-age: x"}, faults: "session-cookie-max-age ignored"},
		{name: "telemetry off", annotations: []string{"enable-opentelemetry: false", "opentelemetry-operation-name: a b!"}},
		{name: "telemetry on", annotations: []string{"enable-opentelemetry: true", "opentelemetry-operation-name: a b!"}, faults: "opentelemetry-operation-name dropped", state: "dropped"},
		{name: "temporal hides permanent", annotations: []string{"temporal-redirect: http://x/", "permanent-redirect: a b", "permanent-redirect-code: x"}},
		{name: "temporal without scheme", annotations: []string{"temporal-redirect: x.example", "permanent-redirect: a b"}, faults: "temporal-redirect ignored"},
		{name: "permanent without scheme", annotations: []string{"permanent-redirect: /x"}},

		// References.
		{name: "secret of another namespace", annotations: []string{"auth-type: basic", "auth-secret: other/auth"}, faults: "auth-secret 503", state: "503"},
		{name: "secret of another namespace, allowed", annotations: []string{"auth-type: basic", "auth-secret: other/auth"}, settings: ControllerSettings{AllowCrossNamespace: true}},
		{name: "secret with two slashes", annotations: []string{"auth-type: basic", "auth-secret: a/b/c"}, faults: "auth-secret 503", state: "503"},
		{name: "custom headers bare", annotations: []string{"custom-headers: m"}, faults: "custom-headers 503", state: "503"},
		{name: "fastcgi map of another namespace", annotations: []string{"fastcgi-params-configmap: other/m"}, faults: "fastcgi-params-configmap ignored"},

		// Values that pass the validator.
		{name: "codes with spaces", annotations: []string{"custom-http-errors: 404, 503"}, faults: "custom-http-errors ignored"},
		{name: "app-root without slash", annotations: []string{"app-root: app"}, faults: "app-root ignored"},
		{name: "allowlist with an address", annotations: []string{"allowlist-source-range: 10.0.0.1, fd00::/8"}},
		{name: "empty allowlist", annotations: []string{"allowlist-source-range: "}, state: "503"},
		{name: "empty whitelist", annotations: []string{"whitelist-source-range: "}},
		{name: "alias is second", annotations: []string{"allowlist-source-range: 10.0.0.1", "whitelist-source-range: x"}},
		{name: "alias is read", annotations: []string{"allowlist-source-range: ", "whitelist-source-range: x"}, faults: "whitelist-source-range 503", state: "503"},

		// Settings.
		{name: "validation off", annotations: []string{"limit-rps: many", "load-balance: ip_hash", "ssl-ciphers: a b c ;"}, settings: ControllerSettings{DisableAnnotationValidation: true}, faults: "limit-rps ignored"},
		{name: "validation off, sources", annotations: []string{"denylist-source-range: nowhere"}, settings: ControllerSettings{DisableAnnotationValidation: true}, faults: "denylist-source-range 503", state: "503"},
		{name: "snippets at risk critical", annotations: []string{"server-snippet: return 418;"}, settings: ControllerSettings{AnnotationsRiskLevel: &critical}},
		{name: "alias at risk medium", annotations: []string{"server-alias: b.example"}, settings: ControllerSettings{AnnotationsRiskLevel: &medium}, faults: "server-alias dropped", state: "dropped"},
		{name: "whitelist has no risk", annotations: []string{"whitelist-source-range: 10.0.0.0/8"}, settings: ControllerSettings{AnnotationsRiskLevel: new(Risk)}},
		{name: "empty snippet", annotations: []string{"server-snippet: "}, faults: "server-snippet dropped", state: "dropped"},
		{name: "blocklist", annotations: []string{"no-such: a load_module b"}, settings: ControllerSettings{WordBlocklist: []string{"load_module", ""}}, faults: "no-such dropped", state: "dropped"},
		{name: "other prefix", annotations: []string{"limit-rps: many"}, settings: ControllerSettings{AnnotationsPrefix: "my.example"}},
		{name: "unknown", annotations: []string{"proxy-body-sizes: x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ing := annotated(test.annotations...)
			cfg := ConfigOf(ing, test.settings)
			var faults []string
			for _, f := range cfg.Faults {
				faults = append(faults, f.Name+" "+outcomeName(f.Outcome))
				if !strings.HasPrefix(f.Accepted, "must ") {
					t.Errorf("Accepted of %s is %q", f.Name, f.Accepted)
				}
			}
			if got := strings.Join(faults, ", "); got != test.faults {
				t.Errorf("faults %q, want %q", got, test.faults)
			}
			state := ""
			switch {
			case cfg.Dropped != "":
				state = "dropped"
			case cfg.HostDenied != "":
				state = "403"
			case cfg.Denied != "":
				state = "503"
			}
			if state != test.state {
				t.Errorf("state %q, want %q (%q %q %q)", state, test.state, cfg.Dropped, cfg.HostDenied, cfg.Denied)
			}
			if !reflect.DeepEqual(AnnotationFaults(ing, test.settings), cfg.Faults) {
				t.Error("AnnotationFaults is not the Faults of the Config")
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	no := false
	tests := []struct {
		name        string
		annotations []string
		settings    ControllerSettings
		field       func(*Config) any
		want        string
	}{
		{"defaults", nil, ControllerSettings{}, func(c *Config) any {
			return []any{c.SSLRedirect, c.ForceSSLRedirect, c.BackendProtocol, c.ServiceUpstream, c.LoadBalance, c.Canary.WeightTotal, c.EnableGlobalAuth}
		}, "[true false HTTP false round_robin 100 true]"},
		{"settings", nil, ControllerSettings{SSLRedirect: &no, ForceSSLRedirect: true, ServiceUpstream: true}, func(c *Config) any {
			return []any{c.SSLRedirect, c.ForceSSLRedirect, c.ServiceUpstream}
		}, "[false true true]"},
		{"service-upstream invalid is false", []string{"service-upstream: yes"}, ControllerSettings{ServiceUpstream: true}, func(c *Config) any { return c.ServiceUpstream }, "false"},
		{"service-upstream empty is false", []string{"service-upstream: "}, ControllerSettings{ServiceUpstream: true}, func(c *Config) any { return c.ServiceUpstream }, "false"},
		{"canary", []string{"canary: true", "canary-weight: 20", "canary-by-header: X-C"}, ControllerSettings{}, func(c *Config) any { return c.Canary }, "{true X-C    20 100 false}"},
		{"canary not enabled", []string{"canary: yes", "canary-weight: 20"}, ControllerSettings{}, func(c *Config) any { return c.Canary }, "{false     0 100 true}"},
		{"rewrite", []string{"rewrite-target: /$2"}, ControllerSettings{}, func(c *Config) any { return c.RewriteTarget }, "/$2"},
		{"rewrite ignored", []string{"rewrite-target: /$2?a=b"}, ControllerSettings{}, func(c *Config) any { return c.RewriteTarget }, ""},
		{"temporal first", []string{"temporal-redirect: http://x/", "temporal-redirect-code: 307", "permanent-redirect: http://y/"}, ControllerSettings{}, func(c *Config) any { return c.Redirect }, "{http://x/ 307 false false}"},
		{"code out of range", []string{"permanent-redirect: http://y/", "permanent-redirect-code: 200"}, ControllerSettings{}, func(c *Config) any { return c.Redirect }, "{http://y/ 301 false true}"},
		{"an empty temporal redirect loses the permanent one", []string{"temporal-redirect: ", "permanent-redirect: http://y/", "from-to-www-redirect: true"}, ControllerSettings{}, func(c *Config) any { return []any{c.Redirect.URL, c.FromToWWW} }, "[ false]"},
		{"temporal without scheme loses www", []string{"temporal-redirect: x", "from-to-www-redirect: true"}, ControllerSettings{}, func(c *Config) any { return []any{c.Redirect.URL, c.FromToWWW} }, "[ false]"},
		{"aliases", []string{"server-alias: c.example, b.example,,b.example,~^x$"}, ControllerSettings{}, func(c *Config) any { return c.ServerAliases }, "[b.example c.example ~^x$]"},
		{"protocol keeps its case", []string{"backend-protocol: grpc"}, ControllerSettings{}, func(c *Config) any { return c.BackendProtocol }, "grpc"},
		{"protocol invalid", []string{"backend-protocol: AJP"}, ControllerSettings{}, func(c *Config) any { return c.BackendProtocol }, "HTTP"},
		{"basic auth", []string{"auth-type: basic", "auth-secret: s", "auth-secret-type: auth-map"}, ControllerSettings{}, func(c *Config) any { return c.BasicAuth }, "{true basic app s auth-map }"},
		{"references", []string{"auth-type: basic", "auth-secret: s", "auth-tls-secret: app/t", "proxy-ssl-secret: app/u"}, ControllerSettings{}, func(c *Config) any { return c.Secrets }, "[{auth-secret {app s}} {auth-tls-secret {app t}} {proxy-ssl-secret {app u}}]"},
		{"config maps", []string{"auth-url: http://x/", "auth-proxy-set-headers: app/h", "custom-headers: other/c", "fastcgi-params-configmap: f"}, ControllerSettings{}, func(c *Config) any { return c.ConfigMaps }, "[{auth-proxy-set-headers {app h}} {custom-headers {other c}} {fastcgi-params-configmap {app f}}]"},
		{"no reference that is refused", []string{"auth-type: basic", "auth-secret: other/s"}, ControllerSettings{}, func(c *Config) any { return c.Secrets }, "[]"},
		{"whitelist", []string{"whitelist-source-range: 10.1.2.3/8, ::1"}, ControllerSettings{}, func(c *Config) any { return c.AllowList }, "[10.0.0.0/8 ::1/128]"},
		{"external auth is lost", []string{"auth-url: http://x/", "auth-request-redirect: a;b"}, ControllerSettings{}, func(c *Config) any { return c.ExternalAuth.URL }, ""},
		{"mirror", []string{"mirror-target: http://m.example$request_uri"}, ControllerSettings{}, func(c *Config) any { return c.Mirror }, "{http://m.example$request_uri m.example true}"},
		{"hash", []string{"upstream-hash-by: $host"}, ControllerSettings{}, func(c *Config) any { return c.Hash }, "{$host false 3}"},
		{"hash is lost", []string{"upstream-hash-by: $host", "upstream-hash-by-subset: "}, ControllerSettings{}, func(c *Config) any { return c.Hash.By }, ""},
		{"snippets need the setting", []string{"server-snippet: x;"}, ControllerSettings{AnnotationsRiskLevel: ptr(RiskCritical)}, func(c *Config) any { return c.Snippets }, "[]"},
		{"snippets", []string{"server-snippet: x;", "stream-snippet: "}, ControllerSettings{AnnotationsRiskLevel: ptr(RiskCritical), AllowSnippets: true}, func(c *Config) any { return c.Snippets }, "[server-snippet]"},
		{"unknown", []string{"zz: x", "secure-backends: true"}, ControllerSettings{}, func(c *Config) any { return c.Unknown }, "[secure-backends zz]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := fmt.Sprint(test.field(ConfigOf(annotated(test.annotations...), test.settings))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// TestRiskWithoutPrefix is about annotations that are not the controller's: its
// test of risks forgets to ask for the prefix.
func TestRiskWithoutPrefix(t *testing.T) {
	ing := annotated()
	ing.Annotations = map[string]string{"server-snippet": "x"}
	if ConfigOf(ing, ControllerSettings{}).Dropped == "" {
		t.Error("not dropped")
	}
	ing.Annotations = map[string]string{"other.example/server-snippet": "x", "limit-rps": "x"}
	if got := ConfigOf(ing, ControllerSettings{}); got.Dropped != "" || len(got.Faults) > 0 {
		t.Errorf("dropped: %q %v", got.Dropped, got.Faults)
	}
}

func TestDropForSpec(t *testing.T) {
	ing := annotated()
	ing.Spec.DefaultBackend = &networkingv1.IngressBackend{}
	if got := ConfigOf(ing, ControllerSettings{}); got.Dropped != "" {
		t.Errorf("dropped: %s", got.Dropped)
	}
	if got := ConfigOf(ing, ControllerSettings{DisableCatchAll: true}); got.Dropped == "" || !got.Removed {
		t.Error("a catch-all is not dropped")
	}
	ing = annotated()
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"a.example"}, SecretName: "x_by_lua"}}
	if ConfigOf(ing, ControllerSettings{}).Dropped == "" || ConfigOf(ing, ControllerSettings{DisableDeepInspect: true}).Dropped != "" {
		t.Error("the deep inspection is wrong")
	}
	for text, want := range map[string]bool{
		"/": false, "/alias": false, "/alias;": true, "/;alias": false, "/webroot/x;y": true, "/etc/nginx-docs": true,
		"/etc/hosts": false, "/etc/x/etc/passwd": true, "/var/run/secrets": true, "/a_by_luab": true, "/a;b": false, "/;root;": true,
	} {
		if got := Suspicious(text); (got != "") != want {
			t.Errorf("Suspicious(%q) = %q", text, got)
		}
	}
}

func TestNginxRefuses(t *testing.T) {
	tests := []struct {
		name        string
		annotations []string
		want        string // names, with a "?" behind the uncertain ones
	}{
		{"nothing", nil, ""},
		{"recorded: buffer sizes", []string{"proxy-buffer-size: 64k", "proxy-buffers-number: 4", "proxy-busy-buffers-size: 16k"}, "proxy-busy-buffers-size"},
		{"recorded: cookie path", []string{"proxy-cookie-path: /one"}, "proxy-cookie-path"},
		{"recorded: ciphers", []string{"ssl-ciphers: NOSUCHCIPHER"}, "ssl-ciphers"},
		{"ciphers", []string{"ssl-ciphers: ECDHE-ECDSA-AES128-GCM-SHA256:!aNULL"}, ""},
		{"ciphers with a space", []string{"ssl-ciphers: HIGH !aNULL"}, "ssl-ciphers"},
		{"two buffers", []string{"proxy-buffers-number: 2"}, "proxy-buffers-number"},
		{"two buffers and one busy", []string{"proxy-buffers-number: 2", "proxy-busy-buffers-size: 4k"}, ""},
		{"one buffer", []string{"proxy-buffers-number: 1"}, "proxy-buffers-number"},
		{"three buffers", []string{"proxy-buffers-number: 3"}, ""},
		{"busy at the limit", []string{"proxy-buffer-size: 64k", "proxy-busy-buffers-size: 192k"}, ""},
		{"busy above the limit", []string{"proxy-buffer-size: 64k", "proxy-busy-buffers-size: 193k"}, "proxy-busy-buffers-size"},
		{"buffer of a gigabyte", []string{"proxy-buffer-size: 1g"}, "proxy-buffer-size"},
		{"buffer of zero", []string{"proxy-buffer-size: 0"}, "proxy-buffer-size"},
		{"buffer with a space", []string{"proxy-buffer-size: 4 k"}, "proxy-buffer-size"},
		{"temporary file too small", []string{"proxy-max-temp-file-size: 1k"}, "proxy-max-temp-file-size"},
		{"no temporary file", []string{"proxy-max-temp-file-size: 0"}, ""},
		{"temporary file left out", []string{"proxy-max-temp-file-size: 1b"}, ""},
		{"negative timeout", []string{"proxy-read-timeout: -1"}, "proxy-read-timeout"},
		{"no timeout", []string{"proxy-read-timeout: 0"}, ""},
		{"huge timeout", []string{"proxy-read-timeout: 9223372036854775807"}, "proxy-read-timeout"},
		{"negative tries", []string{"proxy-next-upstream-tries: -1"}, "proxy-next-upstream-tries"},
		{"conditions without space", []string{"proxy-next-upstream: errortimeout"}, "proxy-next-upstream"},
		{"codes without comma", []string{"custom-http-errors: 404500"}, "custom-http-errors"},
		{"code 499", []string{"custom-http-errors: 404,499"}, "custom-http-errors"},
		{"codes", []string{"custom-http-errors: 404,599"}, ""},
		{"cookie path", []string{"proxy-cookie-path: /a /b"}, ""},
		{"cookie path off", []string{"proxy-cookie-path: off"}, ""},
		{"cookie domain", []string{"proxy-cookie-domain: a b c"}, "proxy-cookie-domain"},
		{"proxy redirect", []string{"proxy-redirect-from: http://a/", "proxy-redirect-to: /"}, ""},
		{"proxy redirect of two words", []string{"proxy-redirect-from: http://a/ b", "proxy-redirect-to: /"}, "proxy-redirect-from"},
		{"proxy redirect without target", []string{"proxy-redirect-from: http://a/ b"}, ""},
		{"proxy redirect default and grpc", []string{"proxy-redirect-from: default", "backend-protocol: GRPC"}, "proxy-redirect-from"},
		{"no burst", []string{"limit-rps: 1", "limit-burst-multiplier: 0"}, "limit-burst-multiplier"},
		{"no burst and no limit", []string{"limit-burst-multiplier: 0"}, ""},
		{"connections", []string{"limit-connections: 65536"}, "limit-connections"},
		{"unknown variable", []string{"upstream-vhost: $nosuch"}, "upstream-vhost?"},
		{"variable without name", []string{"upstream-vhost: a$"}, "upstream-vhost"},
		{"variable without end", []string{"upstream-vhost: ${host"}, "upstream-vhost"},
		{"variables", []string{"upstream-vhost: ${host}-$arg_x-$HTTP_host-$service_name"}, ""},
		{"captures", []string{"rewrite-target: /$1/$2x"}, ""},
		{"rewrite to nothing", []string{"rewrite-target: /$/x"}, "rewrite-target"},
		{"prefix without rewrite", []string{"x-forwarded-prefix: /$nosuch"}, ""},
		{"prefix with rewrite", []string{"rewrite-target: /$1", "x-forwarded-prefix: /$nosuch"}, "x-forwarded-prefix?"},
		{"app-root", []string{"app-root: /$nosuch"}, "app-root?"},
		{"mirror", []string{"mirror-target: http://m.example/$request_uri"}, ""},
		{"mirror to a name", []string{"mirror-target: http://m.example/"}, "mirror-target?"},
		{"mirror to an address", []string{"mirror-target: http://10.0.0.1:8080/"}, ""},
		{"mirror without scheme", []string{"mirror-target: m.example", "mirror-host: m"}, "mirror-target"},
		{"mirror without host", []string{"mirror-target: m.example"}, ""},
		{"auth-url with a space", []string{"auth-url: http://x/a b"}, "auth-url"},
		{"signin with a space", []string{"auth-url: http://x/", "auth-signin: http://x/a b"}, "auth-signin"},
		{"signin without auth", []string{"auth-signin: http://x/a b"}, ""},
		{"method", []string{"auth-url: http://x/", "auth-method: GET; x"}, "auth-method, auth-method"},
		{"two times", []string{"auth-url: http://x/", "auth-cache-key: $host", "auth-cache-duration: 200 1h 30m"}, "auth-cache-duration"},
		{"two times without key", []string{"auth-url: http://x/", "auth-cache-duration: 200 1h 30m"}, ""},
		{"denied", []string{"denylist-source-range: x", "proxy-buffers-number: 1"}, ""},
		{"host denied", []string{"auth-tls-secret: x", "proxy-buffers-number: 1", "server-alias: a*b"}, "server-alias"},
		{"dropped", []string{"limit-rps: x", "proxy-buffers-number: 1"}, ""},
		{"canary", []string{"canary: true", "proxy-buffers-number: 1"}, ""},
		{"www", []string{"from-to-www-redirect: true"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, r := range NginxRefuses(annotated(test.annotations...), ControllerSettings{}) {
				if r.Uncertain {
					r.Name += "?"
				}
				if r.Fact == "" || !strings.HasPrefix(r.Accepted, "must ") {
					t.Errorf("%s: fact %q, accepted %q", r.Name, r.Fact, r.Accepted)
				}
				got = append(got, r.Name)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	wild := annotated("from-to-www-redirect: true")
	wild.Spec.Rules[0].Host = "*.a.example"
	if got := NginxRefuses(wild, ControllerSettings{}); len(got) != 1 || got[0].Name != "from-to-www-redirect" || got[0].Uncertain {
		t.Errorf("www before a wildcard: %v", got)
	}
}

// TestServerNames holds what nginx itself said to each name, with another server
// at the same address.
func TestServerNames(t *testing.T) {
	good := strings.Fields(`*.foo.com foo.* .foo a/b $foo a$ =a (a) .* a. a:80 a+? .a.* .*.a [a] $ _ ~^a$`)
	bad := strings.Fields(`foo*bar.com a..b a.*.b *.a.* ..foo www.*.x a.*. *.* x.*.a.* *.a..b *. *.*.a a..* * *foo.com . **.a }a a{b ~^a{2}$ ~`)
	for _, name := range slices.Concat(good, bad) {
		if got, want := badServerName(name) == "", slices.Contains(good, name); got != want {
			t.Errorf("%s: good is %v (%s)", name, got, badServerName(name))
		}
	}
}

func FuzzConfigOf(f *testing.F) {
	for _, a := range annotationTable {
		f.Add(a.Name, "true", "auth-url", "http://x/$a", "/a", true)
	}
	f.Add("server-alias", "a*b,}x,~", "mirror-target", "http://$", "/etc/nginx;root;", false)
	f.Add("proxy-buffers-number", "9223372036854775807", "proxy-buffer-size", "9223372036854775807m", "", false)
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, path string, off bool) {
		ing := annotated()
		ing.Annotations = map[string]string{NginxPrefix + n1: v1, NginxPrefix + n2: v2, n1: v2,
			NginxPrefix + "auth-type": "basic", NginxPrefix + "auth-tls-secret": "app/x"}
		ing.Spec.Rules[0].HTTP.Paths[0].Path = path
		c := ControllerSettings{DisableAnnotationValidation: off, AnnotationsRiskLevel: ptr(RiskCritical), AllowSnippets: true}
		cfg := ConfigOf(ing, c)
		cfg.NginxRefuses(ing, c)
		for _, fault := range cfg.Faults {
			if fault.Value == "" && !fault.Risky {
				t.Errorf("the empty value of %s is a fault", fault.Name)
			}
			if fault.Outcome == AnnotationDrops && cfg.Dropped == "" {
				t.Errorf("%s drops the Ingress, and it is not dropped", fault.Name)
			}
		}
	})
}

func BenchmarkConfigOf(b *testing.B) {
	for name, ing := range map[string]*networkingv1.Ingress{
		"none": annotated(),
		"some": annotated("rewrite-target: /$2", "use-regex: true", "proxy-body-size: 8m", "proxy-read-timeout: 600", "whitelist-source-range: 10.0.0.0/8"),
		"many": annotated("rewrite-target: /$2", "use-regex: true", "proxy-body-size: 8m", "proxy-read-timeout: 600", "whitelist-source-range: 10.0.0.0/8",
			"auth-url: http://x/$request_uri", "auth-signin: http://x/", "enable-cors: true", "cors-allow-origin: https://a.example,https://b.example",
			"limit-rps: 10", "affinity: cookie", "session-cookie-max-age: 100", "proxy-buffer-size: 8k", "custom-http-errors: 404,503", "ssl-redirect: true"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ConfigOf(ing, ControllerSettings{}).NginxRefuses(ing, ControllerSettings{})
			}
		})
	}
}

// TestSections holds what is read of each annotation alone against what all sections
// read of it together, for values of all kinds.
func TestSections(t *testing.T) {
	critical := RiskCritical
	for name, settings := range map[string]ControllerSettings{
		"defaults": {},
		"lenient":  {DisableAnnotationValidation: true, AllowSnippets: true, AllowCrossNamespace: true, AnnotationsRiskLevel: &critical},
	} {
		for _, a := range Annotations() {
			data, err := os.ReadFile(filepath.Join("testdata", "annotations", a.Name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var values struct{ Accepted, Refused []string }
			if err := yaml.UnmarshalStrict(data, &values); err != nil {
				t.Fatal(err)
			}
			for _, value := range append(append(values.Accepted, values.Refused...), "") {
				ing := annotated(a.Name + ": " + value)
				p := newAnnotationParser(ing, &settings)
				if p.read() {
					for _, section := range sections {
						section(&p)
					}
					p.finish()
				}
				if own := ConfigOf(ing, settings); !reflect.DeepEqual(own, p.config) {
					t.Errorf("%s: %s: %q: read as %+v, by all sections as %+v", name, a.Name, value, own, p.config)
				}
			}
		}
	}
}

// TestSharedConfigs holds what a Table takes the annotations of many Ingresses for
// against what they mean for each alone: in another namespace, and with a spec for
// which an Ingress is dropped.
func TestSharedConfigs(t *testing.T) {
	settings := ControllerSettings{DisableCatchAll: true}
	for _, a := range Annotations() {
		data, err := os.ReadFile(filepath.Join("testdata", "annotations", a.Name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var values struct{ Accepted, Refused []string }
		if err := yaml.UnmarshalStrict(data, &values); err != nil {
			t.Fatal(err)
		}
		for _, value := range append(append(values.Accepted, values.Refused...), "", "app/web", "other/web") {
			first, namespace, catchAll := annotated(a.Name+": "+value), annotated(a.Name+": "+value), annotated(a.Name+": "+value)
			// Without it auth-secret is not read.
			first.Annotations[NginxPrefix+"auth-type"] = "basic"
			namespace.Annotations, catchAll.Annotations = first.Annotations, first.Annotations
			namespace.Namespace = "other"
			catchAll.Name, catchAll.Spec.DefaultBackend = "all", &networkingv1.IngressBackend{}
			all := []*networkingv1.Ingress{first, namespace, catchAll}
			table := NewTable(&Snapshot{}, settings, all)
			for _, ing := range all {
				want := ConfigOf(ing, settings)
				if want.Dropped != "" {
					if table.Dropped[ing] != want.Dropped || table.ConfigOf(ing) != nil {
						t.Errorf("%s: %q: dropped for %q, want %q", a.Name, value, table.Dropped[ing], want.Dropped)
					}
				} else if got := table.ConfigOf(ing); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %q: %s/%s: read as %+v, alone as %+v", a.Name, value, ing.Namespace, ing.Name, got, want)
				}
			}
		}
	}
}
