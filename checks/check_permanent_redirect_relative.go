// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var permanentRedirectRelative = Check{
	Name:  "permanent-redirect-relative",
	Title: "permanent-redirect names a host without scheme, so clients stay here",
	Text: `ingress-nginx sends the value of the annotation permanent-redirect as it is. Without http:// or https:// a client takes a
host for a path, and asks the same host for it: /www.example.com instead of www.example.com. Before two slashes at the
beginning, nginx puts the host of the request.

Write the whole URL, such as https://www.example.com/new.

Nothing is said of a path, which is a redirect within the host, or of a canary, whose annotations do not count.`,
	Example:     "host",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"permanent-redirect"},
	Run:         runPermanentRedirectRelative,
}

func runPermanentRedirectRelative(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	const name = "permanent-redirect"
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	redirect := table.ConfigOf(ing).Redirect
	_, owns := ownsLocation(table, ing)
	if !owns || !redirect.Permanent || !missesScheme(redirect) {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, name)),
		Fact:     fmt.Sprintf("value %s names a host without http:// or https:// before it", quote(redirect.URL)),
		Accepted: "must be a URL with scheme, or a path that starts with a slash",
		Outcome:  "clients are redirected to a path of the host that they asked",
		Subject:  Subject{Object: "annotation/" + name + "/" + redirect.URL},
	}}
}

// missesScheme reports whether a redirect seems to be meant for a host, and has no
// scheme before it.
func missesScheme(redirect routing.RedirectConfig) bool {
	switch {
	case strings.HasPrefix(redirect.URL, "//"):
		return !redirect.Relative
	case strings.Contains(redirect.URL, "://"):
		return false
	}
	first, _, _ := strings.Cut(redirect.URL, "/")
	first, _, _ = strings.Cut(first, "?")
	return strings.ContainsAny(strings.TrimLeft(first, "."), ".:")
}
