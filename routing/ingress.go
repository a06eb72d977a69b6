// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// ClassAnnotation is the annotation that named the class before
// spec.ingressClassName existed.
const ClassAnnotation = "kubernetes.io/ingress.class"

// NginxPrefix begins the annotations of ingress-nginx under its default
// --annotations-prefix.
const NginxPrefix = "nginx.ingress.kubernetes.io/"

const (
	solverLabel = "acme.cert-manager.io/http01-solver"
	acmePrefix  = "/.well-known/acme-challenge/"
	solverPort  = 8089
)

// References are the objects that Ingresses of one namespace name. Slices are
// sorted and hold no name twice. All IngressClasses of the cluster count as
// referred to, whatever the Ingress says.
type References struct {
	Namespace string
	// Services are those of backends and of the annotation default-backend;
	// their EndpointSlices are referred to as well.
	Services []string
	// Secrets are those of spec.tls, and those of the same namespace that annotations
	// of ingress-nginx name.
	Secrets []string
	// ConfigMaps are those of the same namespace that annotations of ingress-nginx name.
	ConfigMaps []string
	// Hosts are those of the rules, "" for a rule without one. All Ingresses that
	// name one of them, in a rule or as an alias, are referred to.
	Hosts []string
	// Near are other hosts, whose Ingresses are referred to as well: the aliases, the
	// hosts of spec.tls, the wildcard above each host and alias, all wildcards above a
	// wildcard, and the twin with or without "www.". For an Ingress that answers where no rule names the host,
	// they are CatchAllHost and "", for the others that do.
	Near []string
	// Upstreams are the names of the upstreams of the backends. All Ingresses that name
	// one of them are referred to.
	Upstreams []string
}

// ReferencesOf returns what the Ingresses refer to together. They must be of
// one namespace; nil ones are skipped.
func ReferencesOf(ingresses ...*networkingv1.Ingress) References {
	var r References
	var last *networkingv1.Ingress
	for _, ing := range ingresses {
		if ing == nil {
			continue
		}
		r.Namespace = ing.Namespace
		if name := DefaultBackendAnnotation(ing); name != "" {
			r.Services = append(r.Services, name)
		}
		if last != nil && sharesSpec(last, ing) {
			continue
		}
		last = ing
		backend := func(b *networkingv1.IngressBackend) {
			if b != nil && b.Service != nil {
				r.Services = append(r.Services, b.Service.Name)
				r.Upstreams = append(r.Upstreams, UpstreamName(ing.Namespace, b.Service))
			}
		}
		backend(ing.Spec.DefaultBackend)
		for i := range ing.Spec.Rules {
			r.Hosts = append(r.Hosts, ing.Spec.Rules[i].Host)
			if http := ing.Spec.Rules[i].HTTP; http != nil {
				for j := range http.Paths {
					backend(&http.Paths[j].Backend)
				}
			}
		}
		for _, tls := range ing.Spec.TLS {
			if tls.SecretName != "" {
				r.Secrets = append(r.Secrets, tls.SecretName)
			}
		}
	}
	for i := range ingresses {
		if ingresses[i] != nil {
			r.addAnnotated(ingresses[i])
		}
	}
	slices.Sort(r.Services)
	r.Services = slices.Compact(r.Services)
	slices.Sort(r.Secrets)
	r.Secrets = slices.Compact(r.Secrets)
	slices.Sort(r.Hosts)
	r.Hosts = slices.Compact(r.Hosts)
	slices.Sort(r.Upstreams)
	r.Upstreams = slices.Compact(r.Upstreams)
	r.Near = nearHosts(r.Hosts, ingresses)
	return r
}

// sharesSpec reports whether the two have one and the same specification, as those of an
// update may where it changes none of it.
func sharesSpec(a, b *networkingv1.Ingress) bool {
	x, y := &a.Spec, &b.Spec
	return x.DefaultBackend == y.DefaultBackend && sameSlice(x.Rules, y.Rules) && sameSlice(x.TLS, y.TLS)
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// HostsOf returns the hosts of the rules, sorted and each once; that of a rule
// without one is "".
func HostsOf(ing *networkingv1.Ingress) []string {
	hosts := make([]string, len(ing.Spec.Rules))
	for i := range ing.Spec.Rules {
		hosts[i] = ing.Spec.Rules[i].Host
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// addAnnotated adds the Secrets and ConfigMaps that annotations name, as name or as
// namespace/name.
func (r *References) addAnnotated(ing *networkingv1.Ingress) {
	if len(ing.Annotations) == 0 {
		return
	}
	add := func(to *[]string, annotations ...string) {
		for _, name := range annotations {
			value := NginxAnnotation(ing, name)
			if namespace, object, ok := strings.Cut(value, "/"); ok && namespace == ing.Namespace {
				value = object
			}
			if value != "" && !strings.Contains(value, "/") && !slices.Contains(*to, value) {
				*to = append(*to, value)
			}
		}
	}
	add(&r.Secrets, "auth-secret", "auth-tls-secret", "proxy-ssl-secret")
	add(&r.ConfigMaps, "custom-headers", "auth-proxy-set-headers", "fastcgi-params-configmap")
	slices.Sort(r.ConfigMaps)
	value := NginxAnnotation(ing, "auth-url")
	if value == "" {
		return
	}
	if u, err := url.Parse(value); err == nil {
		if name := ServiceOfHost(ing.Namespace, u.Hostname()); name != "" {
			r.Services = append(r.Services, name)
		}
	}
}

// ServiceOfHost returns the name of the Service that a host of the form
// service.namespace.svc, with a domain behind it or none, stands for; nothing where
// the host has another form or is in another namespace.
func ServiceOfHost(namespace, host string) string {
	labels := strings.Split(host, ".")
	if len(labels) < 3 || labels[1] != namespace || labels[2] != "svc" {
		return ""
	}
	return labels[0]
}

// nearHosts are the hosts beside those of the rules, which are sorted, that can take
// requests from them, lose requests to them or lend them a certificate.
func nearHosts(hosts []string, ingresses []*networkingv1.Ingress) []string {
	var near []string
	for _, host := range hosts {
		if host == "" {
			continue
		}
		if _, parent, ok := strings.Cut(host, "."); ok {
			near = append(near, "*."+parent)
		}
		near = append(near, WWWTwin(host))
		if rest, ok := strings.CutPrefix(host, "*."); ok {
			for _, parent, found := strings.Cut(rest, "."); found; _, parent, found = strings.Cut(parent, ".") {
				near = append(near, "*."+parent)
			}
		}
	}
	if slices.Contains(hosts, "") {
		near = append(near, CatchAllHost)
	}
	for _, ing := range ingresses {
		if ing == nil {
			continue
		}
		if IsCatchAll(ing) {
			near = append(near, CatchAllHost, "")
		}
		for i := range ing.Spec.TLS {
			near = append(near, ing.Spec.TLS[i].Hosts...)
		}
		for _, alias := range AliasesOf(ing) {
			near = append(near, alias)
			if _, parent, ok := strings.Cut(alias, "."); ok && !strings.ContainsAny(alias, "~*") {
				near = append(near, "*."+parent)
			}
		}
	}
	slices.Sort(near)
	return slices.DeleteFunc(slices.Compact(near), func(host string) bool {
		_, named := slices.BinarySearch(hosts, host)
		return named
	})
}

// CatchAllHost stands for no host of a rule, but for the Ingresses that IsCatchAll
// tells of.
const CatchAllHost = "*"

// IsCatchAll reports whether the Ingress has a spec.defaultBackend and no rules, so
// that ingress-nginx sends it the requests for hosts that nobody names, if it is the
// oldest of its kind (semantics row C10).
func IsCatchAll(ing *networkingv1.Ingress) bool {
	return ing.Spec.DefaultBackend != nil && len(ing.Spec.Rules) == 0
}

// AliasesOf are the names that the annotation server-alias gives to the hosts of an
// Ingress, whether or not the controller accepts it.
func AliasesOf(ing *networkingv1.Ingress) []string {
	value := NginxAnnotation(ing, "server-alias")
	if value == "" {
		return nil
	}
	var aliases []string
	for alias := range strings.SplitSeq(value, ",") {
		if alias = strings.TrimSpace(alias); alias != "" {
			aliases = append(aliases, alias)
		}
	}
	return aliases
}

// SameRouting reports whether nothing differs between the two that could change
// how requests are routed: same spec, and the same labels and annotations of
// those that are read here.
func SameRouting(a, b *networkingv1.Ingress) bool {
	return sameWhere(readsAnnotation, a.Annotations, b.Annotations) &&
		sameWhere(func(label string) bool { return label == solverLabel }, a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(&a.Spec, &b.Spec)
}

// sameWhere reports whether the two have the same values for those keys.
func sameWhere(counts func(key string) bool, a, b map[string]string) bool {
	var inA, inB int
	for key, value := range a {
		if counts(key) {
			if other, ok := b[key]; !ok || other != value {
				return false
			}
			inA++
		}
	}
	for key := range b {
		if counts(key) {
			inB++
		}
	}
	return inA == inB
}

// ReadLabels returns those labels of an Ingress that can change a verdict, nil
// when there are none.
func ReadLabels(labels map[string]string) map[string]string {
	if value, ok := labels[solverLabel]; ok {
		return map[string]string{solverLabel: value}
	}
	return nil
}

// ReadAnnotations returns those annotations of an Ingress that can change a
// verdict, nil when there are none, as readsAnnotation has it.
func ReadAnnotations(annotations map[string]string) map[string]string {
	var read map[string]string
	for key, value := range annotations {
		if readsAnnotation(key) {
			if read == nil {
				read = make(map[string]string)
			}
			read[key] = value
		}
	}
	return read
}

// readsAnnotation reports whether an annotation can change a verdict. It errs on the side
// of more: every annotation with "ingress" or "cert-manager" in its key, those that ask for
// a certificate, those of Routegate, and under any prefix, which the operator of
// ingress-nginx chooses, those whose names that knows.
func readsAnnotation(key string) bool {
	if strings.Contains(key, "ingress") || strings.Contains(key, "cert-manager") || strings.HasPrefix(key, "routegate.dev/") ||
		key == tlsACMEAnnotation || key == gardenerAnnotation || slices.Contains(requestAnnotations, key) {
		return true
	}
	_, name, prefixed := strings.Cut(key, "/")
	return prefixed && annotationIndex[name] != nil
}

// IsSolver reports whether the Ingress is one that cert-manager makes to solve
// an ACME HTTP-01 challenge: by its label, and because every path it routes is a
// challenge for the solver's port. cert-manager creates it before its Pod is
// ready and deletes it soon after (semantics section 1.O).
func IsSolver(ing *networkingv1.Ingress) bool {
	if !IsSolverObject(ing.Labels) || ing.Spec.DefaultBackend != nil || len(ing.Spec.Rules) == 0 {
		return false
	}
	for i := range ing.Spec.Rules {
		http := ing.Spec.Rules[i].HTTP
		if http == nil || len(http.Paths) == 0 {
			return false
		}
		for j := range http.Paths {
			if !IsSolverPath(&http.Paths[j]) {
				return false
			}
		}
	}
	return true
}

// IsSolverObject reports whether an object with these labels is cert-manager's, for as
// long as an ACME HTTP-01 challenge takes.
func IsSolverObject(labels map[string]string) bool {
	return labels[solverLabel] == "true"
}

// IsSolverPath reports whether a path routes an ACME challenge to cert-manager's
// solver, as in a solver Ingress or where cert-manager edits the user's own.
func IsSolverPath(p *networkingv1.HTTPIngressPath) bool {
	return strings.HasPrefix(p.Path, acmePrefix) && p.Backend.Service != nil && p.Backend.Service.Port.Number == solverPort
}

const (
	tlsACMEAnnotation  = "kubernetes.io/tls-acme"
	gardenerAnnotation = "cert.gardener.cloud/purpose"
)

// requestAnnotations are those by which, whatever their value, a certificate is asked for.
var requestAnnotations = []string{
	"cert-manager.io/issuer", "cert-manager.io/cluster-issuer",
	"certmanager.k8s.io/issuer", "certmanager.k8s.io/cluster-issuer",
	"kubernetes.azure.com/tls-cert-keyvault-uri",
}

// CertificateRequested reports whether annotations of the Ingress ask
// cert-manager, its predecessor or a tool like it to obtain the certificates of
// spec.tls, so that a missing or outdated Secret is normal for some minutes
// (semantics row J01).
func CertificateRequested(ing *networkingv1.Ingress) bool {
	return isTrue(ing.Annotations[tlsACMEAnnotation]) || ing.Annotations[gardenerAnnotation] == "managed" ||
		slices.ContainsFunc(requestAnnotations, func(key string) bool { return ing.Annotations[key] != "" })
}

// EffectiveType is the path type that ingress-nginx uses: Exact, or Prefix for
// everything else (semantics section 0.1, line 3).
func EffectiveType(p *networkingv1.PathType) networkingv1.PathType {
	if p != nil && *p == networkingv1.PathTypeExact {
		return networkingv1.PathTypeExact
	}
	return networkingv1.PathTypePrefix
}

// EffectivePath is the path that ingress-nginx uses: "/" where none is given.
func EffectivePath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// LastWritten is when the Ingress was last created or changed, as far as its
// metadata tell.
func LastWritten(ing *networkingv1.Ingress) time.Time {
	last := ing.CreationTimestamp.Time
	for _, entry := range ing.ManagedFields {
		if entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}

// Older reports whether ingress-nginx puts a before b: by creation time, which
// the API keeps in whole seconds; of the same second, the greater
// "namespace/name" comes first. An Ingress without creation time is the newest.
func Older(a, b *networkingv1.Ingress) bool {
	at, bt := a.CreationTimestamp, b.CreationTimestamp
	switch {
	case at.IsZero() != bt.IsZero():
		return bt.IsZero()
	case !at.Equal(&bt):
		return at.Before(&bt)
	}
	return a.Namespace+"/"+a.Name > b.Namespace+"/"+b.Name
}

// NginxAnnotation returns the value of an annotation of ingress-nginx by its
// name without prefix. Empty and absent are the same to the controller.
func NginxAnnotation(ing *networkingv1.Ingress, name string) string {
	if len(ing.Annotations) == 0 {
		return ""
	}
	// Concatenated on the stack: this is asked for often.
	var buffer [96]byte
	key := append(append(buffer[:0], NginxPrefix...), name...)
	return ing.Annotations[string(key)]
}

// refusable are annotations for the sake of whose value, or at all, ingress-nginx
// drops an Ingress or keeps serving its former version (semantics rows B01, B02
// and the class DROP of section 1.N). Every snippet belongs here too.
var refusable = []string{
	"auth-realm", "auth-secret-type", "auth-tls-error-page", "auth-tls-match-cn",
	"auth-tls-pass-certificate-to-upstream", "auth-tls-secret", "auth-type", "auth-url", "client-body-buffer-size",
	"connection-proxy-header", "custom-http-errors", "default-backend", "fastcgi-index", "fastcgi-params-configmap",
	"from-to-www-redirect", "http2-push-preload", "limit-allowlist", "limit-connections", "limit-rpm", "limit-rps",
	"limit-whitelist", "load-balance", "opentelemetry-operation-name", "permanent-redirect", "permanent-redirect-code",
	"proxy-ssl-secret", "relative-redirects", "server-alias", "ssl-ciphers", "ssl-passthrough", "temporal-redirect",
	"temporal-redirect-code", "upstream-hash-by", "upstream-hash-by-subset", "upstream-hash-by-subset-size",
	"upstream-vhost", "x-forwarded-prefix",
}

// MayBeRefused reports whether ingress-nginx may have refused the Ingress for an
// annotation or a suspicious path, so that it serves nothing or a former version
// of it. It does not look at values: what it reports supports no denial.
func MayBeRefused(ing *networkingv1.Ingress) bool {
	for key, value := range ing.Annotations {
		name, ours := strings.CutPrefix(key, NginxPrefix)
		if ours && value != "" && (slices.Contains(refusable, name) || strings.HasSuffix(name, "-snippet")) {
			return true
		}
	}
	for i := range ing.Spec.Rules {
		http := ing.Spec.Rules[i].HTTP
		for j := 0; http != nil && j < len(http.Paths); j++ {
			if path := http.Paths[j].Path; strings.ContainsAny(path, ";{}") || strings.Contains(path, "_by_lua") ||
				strings.Contains(path, "/etc/") || strings.Contains(path, "/var/run/secrets") {
				return true
			}
		}
	}
	return false
}

// IsCanary reports whether ingress-nginx treats the Ingress as a canary, which
// adds to the backends of another Ingress and never answers alone.
func IsCanary(ing *networkingv1.Ingress) bool {
	return boolAnnotation(ing, "canary")
}

// ServiceUpstream reports whether the annotation service-upstream makes
// ingress-nginx send requests to the Service's cluster IP instead of its
// endpoints.
func ServiceUpstream(ing *networkingv1.Ingress) bool {
	return boolAnnotation(ing, "service-upstream")
}

func boolAnnotation(ing *networkingv1.Ingress, name string) bool {
	return isTrue(NginxAnnotation(ing, name))
}

// isTrue reports whether the controller reads the value as true.
func isTrue(value string) bool {
	if value == "" {
		// The usual case: an error would be allocated.
		return false
	}
	on, err := strconv.ParseBool(value)
	return err == nil && on
}

// AnswersItself reports whether annotations may make ingress-nginx answer the
// paths of the Ingress without asking a backend: with a redirect (semantics
// section 1.F, F-exceptions), or by a snippet, where the controller allows them.
func AnswersItself(ing *networkingv1.Ingress) bool {
	if NginxAnnotation(ing, "permanent-redirect") != "" {
		return true
	}
	for _, name := range []string{"configuration-snippet", "server-snippet"} {
		if answering.MatchString(NginxAnnotation(ing, name)) {
			return true
		}
	}
	return isAbsoluteURL(NginxAnnotation(ing, "temporal-redirect")) || isRedirect(strings.TrimSpace(NginxAnnotation(ing, "rewrite-target")))
}

// answering matches the nginx directives that answer a request, or send it
// elsewhere than to the backend. Those that only set headers or limits are left
// out.
var answering = regexp.MustCompile(`\b(return|rewrite|error_page|try_files|root|alias|\w+_pass|\w+_by_lua\w*)\b`)

// PassesTLSThrough reports whether the Ingress asks ingress-nginx to pass TLS on
// to its backend, which then brings the certificate. Whether the controller was
// started so that it does cannot be seen.
func PassesTLSThrough(ing *networkingv1.Ingress) bool {
	return boolAnnotation(ing, "ssl-passthrough")
}

func isAbsoluteURL(value string) bool {
	if value == "" {
		return false
	}
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// DefaultBackendAnnotation returns the name of the Service in the annotation
// default-backend, which answers for a backend without endpoints. It is empty
// when the annotation is absent.
func DefaultBackendAnnotation(ing *networkingv1.Ingress) string {
	return NginxAnnotation(ing, "default-backend")
}
