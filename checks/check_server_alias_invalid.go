// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var serverAliasInvalid = Check{
	Name:  "server-alias-invalid",
	Title: "nginx refuses a name in the annotation server-alias",
	Text: `ingress-nginx hands the names of the annotation server-alias to nginx as they are. An asterisk may stand only for the
first or the last label, and a name that begins with a tilde must be a regular expression that PCRE can compile. If a
name is neither, nginx refuses the configuration and the controller keeps the former one: from then on no change of any
Ingress, and no change of endpoints, is applied in the whole cluster, and a controller that restarts never becomes ready.

Correct the name, or remove it.

It only warns of an expression that cannot be judged for certain. Nothing is said where older Ingresses of all the hosts
have aliases, because ingress-nginx then ignores those of this one.`,
	Example:     "regular-expression",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"server-alias"},
	Poison:      true,
	Regardless:  true,
	Run:         runServerAliasInvalid,
}

func runServerAliasInvalid(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	faults := faultsOf(ing, snap, routing.RefusalAlias)
	if len(faults) == 0 {
		return nil
	}
	table, known := snap.TableOf(ing)
	if known != routing.Present || !namesServers(ing, snap, table) {
		return nil
	}
	var findings []Finding
	for _, fault := range faults {
		f := fault.finding(ing)
		f.Field = annotationField(fault.Annotation)
		f.Fact = bounded(fault.Reason)
		f.Accepted = "must be host names, or a regular expression of PCRE after a tilde"
		if fault.Accepted != "" {
			_, value := annotationOf(ing, fault.Annotation)
			f.Fact = fmt.Sprintf("a name in %s %s", quote(value), f.Fact)
			f.Accepted = fault.Accepted
		}
		f.Subject = Subject{Object: routing.NginxAnnotation(ing, fault.Annotation)}
		findings = append(findings, f)
	}
	return findings
}

// namesServers reports whether the aliases of the Ingress count for one of its hosts
// at least: no older Ingress of that host has any.
func namesServers(ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table) bool {
	for _, host := range routing.HostsOf(ing) {
		if aliasOwner(ing, snap, table, host) == ing {
			return true
		}
	}
	return false
}

// aliasOwner is the Ingress whose aliases count for a host: the oldest that has any.
func aliasOwner(ing *networkingv1.Ingress, snap *routing.Snapshot, table *routing.Table, host string) *networkingv1.Ingress {
	owner := ing
	others, known := snap.NginxSharing(ing, host)
	if known == routing.Unread {
		return nil
	}
	for _, other := range others {
		config := table.ConfigOf(other)
		if config != nil && len(config.ServerAliases) > 0 && routing.Older(other, owner) {
			owner = other
		}
	}
	return owner
}
