// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"net/http"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// Judgement is what is said of one Ingress as it is in the cluster.
type Judgement struct {
	// Verdict is what would become of the Ingress if it were created now.
	Verdict policy.Verdict
	// Routable says whether requests get to what the Ingress declares.
	Routable Routable
	// Until is when time alone may change the Judgement; zero where it does not.
	Until time.Time
	// Certificates are those that spec.tls names.
	Certificates []Certificate
}

// Routable says whether the requests for which an Ingress has rules get to its
// backends, or to an answer that it asks for.
type Routable string

// The values of Routable.
const (
	Yes     Routable = "true"
	No      Routable = "false"   // for at least one path they do not
	Unknown Routable = "unknown" // it is not known, as where the controller is not ingress-nginx
)

// Certificate is the certificate of one host of an Ingress.
type Certificate struct {
	Host   string
	Secret string
	Expiry time.Time
}

// Judge judges an Ingress of the cluster at the time of the Snapshot.
func Judge(rules *policy.Rules, ing *networkingv1.Ingress, snap *routing.Snapshot) Judgement {
	ns, _ := snap.Namespace(ing.Namespace)
	var labels map[string]string
	if ns != nil {
		labels = ns.Labels
	}
	verdict, p := rules.Judge(ing, snap, labels)
	ignore, _ := rules.Ignore(ing.Annotations, snap.Now)
	return Judgement{
		Verdict:      verdict,
		Routable:     routable(ing, snap),
		Until:        until(p.GracePeriod, ignore, ns, snap),
		Certificates: certificates(ing, snap),
	}
}

// until is the next time at which a certificate begins or ceases to be valid, the
// namespace ceases to be new, or findings cease to be ignored.
func until(grace time.Duration, ignore policy.Ignore, ns *routing.Namespace, snap *routing.Snapshot) time.Time {
	var next time.Time
	at := func(t time.Time) {
		if t.After(snap.Now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, facts := range snap.Secrets {
		if c := facts.Certificate; c != nil {
			at(c.NotBefore)
			// It is valid at that time still.
			at(c.NotAfter.Add(time.Nanosecond))
		}
	}
	if ns != nil && grace > 0 {
		at(ns.CreationTimestamp.Add(grace))
	}
	at(ignore.Until)
	return next
}

// certificates are those of the hosts of spec.tls.
func certificates(ing *networkingv1.Ingress, snap *routing.Snapshot) []Certificate {
	var found []Certificate
	for i := range ing.Spec.TLS {
		entry := &ing.Spec.TLS[i]
		facts, known := snap.Secret(ing.Namespace, entry.SecretName)
		if entry.SecretName == "" || known != routing.Present || facts.Certificate == nil {
			continue
		}
		hosts := entry.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			found = append(found, Certificate{Host: host, Secret: entry.SecretName, Expiry: facts.Certificate.NotAfter})
		}
	}
	return found
}

// routable asks the model for one request for each path, as far as it knows the
// controller.
func routable(ing *networkingv1.Ingress, snap *routing.Snapshot) Routable {
	snap = snap.Remembering(nil)
	switch snap.ClassOf(ing).State {
	case routing.ClassMissing, routing.ClassUnknown:
		// Whom the name of the class means nobody knows.
		return No
	}
	table, known := snap.TableOf(ing)
	if known != routing.Present || table == nil || routing.IsCanary(ing) || routing.IsSolver(ing) || routing.AnswersItself(ing) {
		return Unknown
	}
	if len(table.Refusals) > 0 {
		return No
	}
	result := Yes
	if backend := ing.Spec.DefaultBackend; backend != nil && len(ing.Spec.Rules) == 0 {
		return pathRoutable(ing, table, "", &networkingv1.HTTPIngressPath{Path: "/", Backend: *backend})
	}
	for i := range ing.Spec.Rules {
		rule := &ing.Spec.Rules[i]
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			switch path := &rule.HTTP.Paths[j]; pathRoutable(ing, table, rule.Host, path) {
			case No:
				return No
			case Unknown:
				result = Unknown
			}
		}
	}
	return result
}

// pathRoutable asks for one path of a host, as it is written.
func pathRoutable(ing *networkingv1.Ingress, table *routing.Table, host string, path *networkingv1.HTTPIngressPath) Routable {
	target := strings.ReplaceAll(routing.EffectivePath(path.Path), " ", "%20")
	server := table.ServerOf(host)
	if path.Backend.Service == nil || !strings.HasPrefix(target, "/") || server == nil {
		return No
	}
	if server.Regex && !routing.PatternIsLiteral(strings.ReplaceAll(target, ".", "")) {
		// Which request would match is not worked out.
		return Unknown
	}
	request := routing.Request{HTTPS: server.TLS.Kind != routing.NoCertificate, Host: host, Path: target}
	switch {
	case host == "":
		request.Host = "routegate-probe.invalid"
	case strings.HasPrefix(host, "*."):
		request.Host = "routegate-probe" + host[1:]
	}
	route := table.Answer(request)
	switch {
	case route.Undecided != "":
		return Unknown
	case route.Status == 0 || route.Status == http.StatusForbidden || route.Status == http.StatusNotFound || route.Status >= 500:
		return No
	case route.Status >= 300:
		// A redirect, or what the backend is not asked for on purpose.
		return Yes
	case route.At == nil || route.At.Upstream == nil:
		return No
	}
	up := route.At.Upstream
	if up.Namespace == ing.Namespace && up.Service == path.Backend.Service.Name && up.Port == path.Backend.Service.Port {
		return Yes
	}
	return No
}
