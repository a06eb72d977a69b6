// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var aliasWildcardPrecedence = Check{
	Name:  "alias-wildcard-precedence",
	Title: "an alias with a wildcard takes the requests of a host with a wildcard",
	Text: `An alias such as *.example.com, of the annotation server-alias, stands for any number of labels: it is for a.example.com
and for a.b.example.com. nginx tries such aliases before the hosts with a wildcard of rules. So the host *.b.example.com of
a rule gets no requests at all, and the host with the alias gets them.

Write an alias for each name instead of the one with the wildcard, or a rule for each host.`,
	Example:     "above",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runAliasWildcardPrecedence,
}

func runAliasWildcardPrecedence(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	var findings []Finding
	seen := map[string]bool{}
	for i := range ing.Spec.Rules {
		host := ing.Spec.Rules[i].Host
		if seen[host] {
			continue
		}
		seen[host] = true
		alias, winner := aliasAbove(table, host)
		if winner == nil || winner.Host == host || winner.Oldest == nil {
			continue
		}
		f := Finding{
			Field: field.NewPath("spec", "rules").Index(i).Child("host"),
			Fact: fmt.Sprintf("%s is an alias of %s of Ingress %s, and comes before host %s",
				quote(alias), ofHost(winner.Host), quote(ingressName(winner.Oldest)), quote(host)),
			Accepted:  "must be a host without wildcard",
			Outcome:   "requests go to the host with the alias",
			Subject:   Subject{Host: host, Object: "Ingress/" + ingressName(winner.Oldest)},
			Tentative: true,
		}
		if winner.Oldest != ing {
			f.RestsOn = []routing.Ref{ingressRef(winner.Oldest)}
		}
		findings = append(findings, f)
	}
	return findings
}

// aliasAbove returns the longest alias with a wildcard that is for all names of a host
// with a wildcard, and the server that has it.
func aliasAbove(table *routing.Table, host string) (string, *routing.Server) {
	parent, ok := strings.CutPrefix(host, "*.")
	for ok {
		if server := table.AliasOf("*." + parent); server != nil {
			return "*." + parent, server
		}
		_, parent, ok = strings.Cut(parent, ".")
	}
	return "", nil
}
