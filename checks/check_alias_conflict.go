// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var aliasConflict = Check{
	Name:  "alias-conflict",
	Title: "an alias of a host goes to another host, or is ignored",
	Text: `The names of the annotation server-alias give way. If any Ingress has a rule for such a name, ingress-nginx drops the
alias. If two hosts have the same alias, nginx keeps that of the host which comes first in the alphabet. And of several
Ingresses of one host, only the aliases of the oldest that has any count.

Choose another alias, add it to the oldest Ingress of the host, or write a rule for the name.

It only warns, since the aliases of other Ingresses may have been refused.`,
	Example:     "host-of-another",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"server-alias"},
	Run:         runAliasConflict,
}

func runAliasConflict(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table, known := snap.TableOf(ing)
	if known != routing.Present {
		return nil
	}
	config := table.ConfigOf(ing)
	if config == nil || config.Canary.Enabled {
		return nil
	}
	var findings []Finding
	hosts := routing.HostsOf(ing)
	for _, alias := range config.ServerAliases {
		// A name that the Ingress has a rule for is served by that.
		if alias == "" || isAmong(hosts, alias) {
			continue
		}
		if owner := table.ServerOf(alias); owner != nil {
			if owner.Oldest != nil && owner.Oldest != ing {
				findings = append(findings, aliasFinding(alias, fmt.Sprintf("Ingress %s has a rule for %s", quote(ingressName(owner.Oldest)), quote(alias)), owner.Oldest))
			}
			continue
		}
		served := table.AliasOf(alias)
		for _, host := range hosts {
			server := table.ServerOf(host)
			if server == nil || server == served {
				continue
			}
			if !isAmong(server.Aliases, alias) {
				if owner := aliasOwner(ing, snap, table, host); owner != nil && owner != ing {
					f := aliasFinding(alias, fmt.Sprintf("the aliases of %s are those of the older Ingress %s", ofHost(host), quote(ingressName(owner))), owner)
					f.Accepted = "must be in that Ingress"
					f.Outcome = fmt.Sprintf("%s is no alias", quote(alias))
					findings = append(findings, f)
					break
				}
				continue
			}
			if served != nil && served.Oldest != nil && !isAmong(hosts, served.Host) {
				owner := served.Oldest
				findings = append(findings, aliasFinding(alias, fmt.Sprintf("%s is also an alias in Ingress %s, whose host comes first in the alphabet", quote(alias), quote(ingressName(owner))), owner))
				break
			}
		}
	}
	return findings
}

// isAmong reports whether a list, which is sorted, has the name.
func isAmong(sorted []string, name string) bool {
	_, found := slices.BinarySearch(sorted, name)
	return found
}

func aliasFinding(alias, fact string, owner *networkingv1.Ingress) Finding {
	return Finding{
		Field:     annotationField("server-alias"),
		Fact:      fact,
		Accepted:  "must be a name of its own",
		Outcome:   fmt.Sprintf("requests for %s do not go to this Ingress", quote(alias)),
		Subject:   Subject{Host: alias, Object: "Ingress/" + ingressName(owner)},
		RestsOn:   []routing.Ref{ingressRef(owner)},
		Tentative: routing.MayBeRefused(owner),
	}
}
