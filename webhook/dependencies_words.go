// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// maxPlaces bounds the hosts and paths that a warning lists.
const maxPlaces = 3

// words tells what an Ingress loses, one line for all places that lose the same.
func (c *change) words(ing *networkingv1.Ingress, lost []checks.Finding) []string {
	var lines []string
	for len(lost) > 0 {
		says := c.loss(lost[0])
		var places []string
		rest := lost[:0:0]
		for _, f := range lost {
			if c.loss(f) != says {
				rest = append(rest, f)
			} else if place := c.placeOf(ing, f); place != "" && !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
		lost = rest
		lines = append(lines, bounded(printable(says.before+fmt.Sprintf("Ingress %s/%s", ing.Namespace, ing.Name)+listed(places)+": "+says.after)))
	}
	return lines
}

// loss is what stands before and after the name of the Ingress.
type loss struct {
	before, after string
}

func (c *change) loss(f checks.Finding) loss {
	what := fmt.Sprintf("%s %q", c.ref.Kind, c.ref.Name)
	slicesRef := routing.Ref{Kind: routing.EndpointSlices, Namespace: c.ref.Namespace, Name: c.ref.Name}
	switch {
	case c.deleted && f.Check == "service-missing":
		return loss{what + " is still routed to by ", future(f)}
	case c.deleted && strings.Contains(future(f), " will "):
		return loss{what + " is still used by ", future(f)}
	case c.deleted:
		return loss{what + " is still used by ", "without it, " + future(f)}
	case c.service != nil && c.service.orphans() && slices.Contains(f.RestsOn, slicesRef):
		return loss{"with this change, ", what + " has no selector and its endpoints stay as they are: requests will fail once the Pods are replaced"}
	}
	said := f
	said.Field, said.Outcome = nil, ""
	return loss{"with this change, ", said.String() + ": " + future(f)}
}

// future is the outcome of a finding that is not true yet.
func future(f checks.Finding) string {
	if f.Outcome == "" {
		return f.Fact
	}
	return strings.Replace(f.Outcome, " get ", " will get ", 1)
}

// placeOf is the host and path that a finding is about or, for a Secret of spec.tls, the
// hosts of its entry; empty where it is about the whole Ingress.
func (c *change) placeOf(ing *networkingv1.Ingress, f checks.Finding) string {
	if place := f.Subject.Host + f.Subject.Path; place != "" || c.secret == nil {
		return place
	}
	var hosts []string
	for _, tls := range ing.Spec.TLS {
		if f.Field != nil && strings.HasPrefix(f.Field.String(), "spec.tls") && tls.SecretName == c.ref.Name {
			hosts = append(hosts, tls.Hosts...)
		}
	}
	return strings.Join(hosts[:min(len(hosts), maxPlaces)], ", ")
}

// listed writes places in brackets, or nothing.
func listed(places []string) string {
	if len(places) == 0 {
		return ""
	}
	more := ""
	if len(places) > maxPlaces {
		more = fmt.Sprintf(" and %d more", len(places)-maxPlaces)
		places = places[:maxPlaces]
	}
	return " (" + strings.Join(places, ", ") + more + ")"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shorten leaves no more lines than are shown, and says how many are missing and how
// many Ingresses were not looked at. Where there is nothing to say, that is not said.
func (l *losses) shorten(rest int) {
	var left []string
	if len(l.lines) > policy.MaxFindings || (len(l.lines) == policy.MaxFindings && rest > 0) {
		left = append(left, fmt.Sprintf("%d more", len(l.lines)-(policy.MaxFindings-1)))
		l.lines = l.lines[:policy.MaxFindings-1]
	}
	if rest > 0 {
		left = append(left, plural(rest, "Ingress", "Ingresses")+" not looked at")
	}
	if len(l.lines) > 0 && len(left) > 0 {
		l.add("and " + strings.Join(left, ", and "))
	}
}

func (l *losses) add(line string) {
	l.lines = append(l.lines, bounded(printable(line)))
}

func (l losses) outcome() string {
	switch {
	case l.undecided != "":
		return outcomeUndecided
	case len(l.lines) > 0:
		return outcomeWarned
	}
	return outcomeAllowed
}

// auditAnnotations name the checks that found what is warned of.
func (l losses) auditAnnotations() map[string]string {
	annotations := map[string]string{}
	if len(l.checks) > 0 {
		names := slices.Sorted(slices.Values(l.checks))
		value := strings.Join(slices.Compact(names), ",")
		annotations["warned"] = value[:min(len(value), maxAnnotation)]
	}
	if l.undecided != "" {
		annotations["undecided"] = "all"
	}
	return annotations
}
