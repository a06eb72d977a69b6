// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var deadPath = Check{
	Name:  "dead-path",
	Title: "no request for the path gets to its backend",
	Text: `Routegate works out what ingress-nginx does with requests for each path: the path itself, the path with a slash
at its end, and something below it. None of these gets to the Service of the path. The finding says what the first gets
instead, and whose path takes it.

What to do depends on that: choose another host or path, or change the annotation or the Ingress that is named.

This is said only of paths of which no other check has anything to say, and only where the answer is certain. It says
nothing of canaries, or where the annotation canary is "false" and another Ingress of the namespace has the path, of
Services without endpoints, or of answers that annotations of the Ingress itself ask for, such as redirects and
authentication.`,
	Example:     "alien-pattern",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services, routing.EndpointSlices},
	Controllers: []string{routing.Nginx},
	Fallback:    true,
	Run:         runDeadPath,
}

func runDeadPath(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil || len(table.Refusals) > 0 || routing.AnswersItself(ing) {
		return nil
	}
	var findings []Finding
	for _, b := range backends(ing, snap) {
		if b.path == nil || b.Service == nil || b.shadowed || routing.IsSolverPath(b.path) || !readForProbe(ing, snap, b) {
			continue
		}
		server := table.ServerOf(b.subject.Host)
		request, route := probe(table, server, ing, b)
		if route == nil || (standsBy(ing) && route.At != nil && route.At.Ingress != nil && route.At.Ingress.Namespace == ing.Namespace) {
			continue
		}
		findings = append(findings, Finding{
			Field:     b.pathField,
			Fact:      fmt.Sprintf("no request for path %s of host %s gets to Service %s", quote(b.subject.Path), quote(b.subject.Host), quote(b.Service.Name)),
			Outcome:   quote(request) + " " + fate(route, ing, b),
			Subject:   b.about("Service/" + b.Service.Name + ":" + routing.BackendPort(b.Service.Port)),
			Mentions:  namedByFate(route),
			Tentative: true,
		})
	}
	return findings
}

// readForProbe reports whether what stands behind the path was read; what was not is
// noted.
func readForProbe(ing *networkingv1.Ingress, snap *routing.Snapshot, b backend) bool {
	svc, known := snap.Service(ing.Namespace, b.Service.Name)
	if known == routing.Present && !svc.External() {
		_, known = snap.SlicesOf(ing.Namespace, b.Service.Name)
	}
	return known != routing.Unread
}

// probe sends requests that stand for those of the path. It returns nothing as soon
// as one of them ends as the Ingress asks for, or where that is not certain; else
// the first request and what it gets.
func probe(table *routing.Table, server *routing.Server, ing *networkingv1.Ingress, b backend) (string, *routing.Route) {
	path := b.subject.Path
	if !strings.HasPrefix(path, "/") || (server != nil && server.Regex && !routing.PatternIsLiteral(strings.ReplaceAll(path, ".", ""))) {
		return "", nil
	}
	r := routing.Request{
		HTTPS: server != nil && server.TLS.Kind != routing.NoCertificate,
		Host:  probedHost(b.subject.Host),
	}
	if server == nil || !server.Passthrough || !table.Settings.EnableSSLPassthrough {
		// The certificate is other checks' matter: none that is to be read is asked for.
		r.SNI = probedLabel + ".invalid"
	}
	sent := strings.ReplaceAll(path, " ", "%20")
	targets := [...]string{sent, strings.TrimSuffix(sent, "/") + "/", strings.TrimSuffix(sent, "/") + "/" + probedLabel}
	some := targets[:]
	if b.subject.Type == networkingv1.PathTypeExact {
		some = targets[:1]
	}
	var first *routing.Route
	for i, target := range some {
		if slices.Contains(some[:i], target) {
			continue
		}
		r.Path = target
		route := table.Answer(r)
		if route.Undecided != "" || asMeant(table, route, ing, b) {
			return "", nil
		}
		if first == nil {
			first = route
		}
	}
	return sent, first
}

// probedLabel is part of hosts and paths that nobody else has.
const probedLabel = "routegate-probe"

// probedHost is a host to which the rules for a host apply.
func probedHost(host string) string {
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		return probedLabel + "." + rest
	}
	if host == "" {
		return probedLabel + ".invalid"
	}
	return host
}

// asMeant reports whether a request got to the backend of the path, to one that
// stands in for it, or got an answer that is for other checks to judge.
func asMeant(table *routing.Table, route *routing.Route, ing *networkingv1.Ingress, b backend) bool {
	if route.At == nil {
		switch route.Status {
		case 302:
			// The root of the application, as this Ingress may ask for.
			return table.ConfigOf(ing).AppRoot != ""
		case 403:
			return route.Server.DeniedBy == ing
		case 400:
			// A target that nginx refuses, or a client without certificate.
			return true
		}
		return false
	}
	if isPathOf(route.At, ing, b) {
		// 400 and 500 are what a rewrite to no path ends in.
		return route.Status != 400 && route.Status != 500
	}
	up := route.At.Upstream
	return up != nil && up.Namespace == ing.Namespace && up.Service == b.Service.Name && up.Port == b.Service.Port
}

// fate says in few words what becomes of a request. Of the backend of another path it
// says no more than whose it is.
func fate(route *routing.Route, ing *networkingv1.Ingress, b backend) string {
	loc := route.At
	switch {
	case loc == nil && route.Server != nil && route.Server.Denied != "" && route.Server.DeniedBy != nil:
		return fmt.Sprintf("gets %d, since Ingress %s closes the whole host", route.Status, quote(ingressName(route.Server.DeniedBy)))
	case route.Location != "":
		return fmt.Sprintf("gets %d to %s", route.Status, quote(route.Location))
	case route.Status == 0:
		return "finds the connection closed"
	case loc == nil || loc.Upstream == nil || isPathOf(loc, ing, b):
		return fmt.Sprintf("gets %d", route.Status)
	case loc.Placeholder || loc.Rule < 0:
		return fmt.Sprintf("goes to spec.defaultBackend of Ingress %s", quote(ingressName(loc.Ingress)))
	case loc.Ingress == ing:
		return fmt.Sprintf("goes to path %s of this Ingress", quote(loc.Text))
	}
	return fmt.Sprintf("goes to path %s of Ingress %s", quote(loc.Text), quote(ingressName(loc.Ingress)))
}

// namedByFate are the Ingresses that fate may name.
func namedByFate(route *routing.Route) []routing.Ref {
	switch {
	case route.At != nil:
		return ingressRefs(route.At.Ingress)
	case route.Server != nil:
		return ingressRefs(route.Server.DeniedBy)
	}
	return nil
}
