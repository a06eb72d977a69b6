// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"net/url"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var redirectLoop = Check{
	Name:  "redirect-loop",
	Title: "a redirect leads to a path that it redirects again",
	Text: `The annotations permanent-redirect and temporal-redirect replace the answer of every path of the Ingress. Where such a path
also takes the requests for the URL that clients are sent to, they are redirected again and again, until they give up.

Redirect to another host, or give the Ingress only the paths that are to be redirected.

It only warns. It says nothing where the URL begins with https:// and no Ingress gives the host a certificate, because
something else may serve HTTPS there, or where the URL names a port.`,
	Example:     "below",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"permanent-redirect", "temporal-redirect"},
	Run:         runRedirectLoop,
}

func runRedirectLoop(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	redirect := table.ConfigOf(ing).Redirect
	name := "temporal-redirect"
	if redirect.Permanent {
		name = "permanent-redirect"
	}
	for _, host := range routing.HostsOf(ing) {
		if redirect.URL == "" || !ownsPathOf(table, ing, host) {
			continue
		}
		first := redirectTarget(redirect, host)
		if first == nil || !comesBack(table, ing, first) {
			continue
		}
		return []Finding{{
			Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, name)),
			Fact:     fmt.Sprintf("whoever is sent to %s is redirected there again", quote(first.String())),
			Accepted: "must lead to what this Ingress does not redirect",
			Outcome:  "clients are redirected for ever",
			Subject:  Subject{Object: "annotation/" + name + "/" + redirect.URL},
		}}
	}
	return nil
}

// redirectTarget is where clients of the host are sent, nil where that is unclear.
func redirectTarget(redirect routing.RedirectConfig, host string) *url.URL {
	target := redirect.URL
	if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") {
		target = "http://" + probedHost(host) + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

// maxRedirects is after how many redirects a client is taken to get somewhere.
const maxRedirects = 5

// comesBack reports whether a client that is sent to the URL is sent there again, by
// the paths of the Ingress among others.
func comesBack(table *routing.Table, ing *networkingv1.Ingress, first *url.URL) bool {
	at, own := first, false
	for range maxRedirects {
		secure := at.Scheme == "https"
		if server := table.ServerOf(at.Hostname()); at.Port() != "" || server == nil || (secure && server.TLS.Kind == routing.NoCertificate) {
			return false
		}
		route := table.Answer(routing.Request{HTTPS: secure, SNI: probedLabel + ".invalid", Host: at.Host, Path: at.RequestURI()})
		if route.Undecided != "" || route.Location == "" {
			return false
		}
		own = own || (route.At != nil && route.At.Ingress == ing)
		next, err := at.Parse(route.Location)
		if err != nil {
			return false
		}
		// nginx takes the slash at the end off, when it redirects to HTTPS.
		if strings.TrimSuffix(next.String(), "/") == strings.TrimSuffix(first.String(), "/") {
			return own
		}
		at = next
	}
	return false
}
