// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var wwwRedirectSkipped = Check{
	Name:  "www-redirect-skipped",
	Title: "from-to-www-redirect has no effect: both hosts have rules",
	Text: `The annotation from-to-www-redirect makes ingress-nginx redirect www.example.com to example.com, or the other way round:
from the host that has no rules to the one that has. Where both have rules, it redirects neither and serves both.

Leave the rule for only that host which clients are to end up at. Its certificate must be for both, and spec.tls may list
both.

Nothing is said where the other host is in another Ingress.`,
	Example:     "both-hosts",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"from-to-www-redirect"},
	Run:         runWWWRedirectSkipped,
}

func runWWWRedirectSkipped(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil || !table.ConfigOf(ing).FromToWWW {
		return nil
	}
	var findings []Finding
	hosts := routing.HostsOf(ing)
	for _, host := range hosts {
		twin := routing.WWWTwin(host)
		if host == "" || strings.HasPrefix(host, "www.") || !slices.Contains(hosts, twin) {
			continue
		}
		findings = append(findings, Finding{
			Field:    annotationField("from-to-www-redirect"),
			Fact:     fmt.Sprintf("hosts %s and %s both have rules", quote(host), quote(twin)),
			Accepted: "only the one to redirect to must have rules",
			Outcome:  "both are served and none is redirected",
			Subject:  Subject{Host: twin, Object: "annotation/from-to-www-redirect"},
		})
	}
	return findings
}
