// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// maxProbedPaths bounds the paths of one host that are tried.
const maxProbedPaths = 64

// overtaken is a path of a host of regular expressions whose requests get to another
// path.
type overtaken struct {
	server *routing.Server
	// loc is the path, winner what answers the first of the requests, request.
	loc, winner *routing.Location
	request     string
}

// overtakenPaths returns the paths of the Ingress that another path overtakes.
func overtakenPaths(ing *networkingv1.Ingress, snap *routing.Snapshot) []overtaken {
	table := tableOf(ing, snap)
	if table == nil || len(table.Refusals) > 0 {
		return nil
	}
	var all []overtaken
	for i, p := range locatedPaths(ing, snap) {
		if !p.server.Regex || i >= maxProbedPaths {
			continue
		}
		if o, ok := overtakes(table, p.server, p.loc); ok {
			all = append(all, o)
		}
	}
	return all
}

// overtakenByIngress returns the paths of other Ingresses, one for each host and Ingress,
// that keep their requests without ing and lose them with it: on hosts whose paths ing
// turns into regular expressions, or on those whose paths were so before.
func overtakenByIngress(ing *networkingv1.Ingress, snap *routing.Snapshot, turned bool) []overtaken {
	table := tableOf(ing, snap)
	if table == nil || len(table.Refusals) > 0 {
		return nil
	}
	var all []overtaken
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		if server == nil || !server.Regex || !sharesHost(server, ing) {
			continue
		}
		without, known := snap.TableWithout(ing)
		if known != routing.Present {
			return nil
		}
		if before := without.ServerOf(host); before != nil && before.Regex != turned {
			all = append(all, losersOf(ing, table, without, server, before)...)
		}
	}
	return all
}

func losersOf(ing *networkingv1.Ingress, table, without *routing.Table, server, before *routing.Server) []overtaken {
	var all []overtaken
	named := map[*networkingv1.Ingress]bool{}
	probed := 0
	for _, loc := range server.Locations {
		if loc.Ingress == ing || !isOrdinary(loc) || named[loc.Ingress] || probed >= maxProbedPaths || (!before.Regex && !isPlain(loc.Text)) {
			continue
		}
		probed++
		o, ok := overtakes(table, server, loc)
		// Where the host had regular expressions before, ing is to blame for its own paths
		// alone.
		if !ok || (before.Regex && (o.winner.Ingress != ing || isOvertaken(without, before, loc))) {
			continue
		}
		named[loc.Ingress] = true
		all = append(all, o)
	}
	return all
}

func isOvertaken(table *routing.Table, server *routing.Server, loc *routing.Location) bool {
	_, ok := overtakes(table, server, loc)
	return ok
}

// sharesHost reports whether an Ingress other than ing has a path of the host.
func sharesHost(server *routing.Server, ing *networkingv1.Ingress) bool {
	for _, loc := range server.Locations {
		if loc.Ingress != ing && isOrdinary(loc) {
			return true
		}
	}
	return false
}

// isOrdinary reports whether the location is a path of an Ingress with a backend.
func isOrdinary(loc *routing.Location) bool {
	return !loc.Placeholder && loc.Rule >= 0 && loc.Upstream != nil
}

// overtakes sends requests that stand for those of a path, and reports whether all of
// them surely get to another backend.
func overtakes(table *routing.Table, server *routing.Server, loc *routing.Location) (overtaken, bool) {
	var first overtaken
	for _, request := range samplesOf(server, loc) {
		at, ok := table.LocationOf(server, request)
		if !ok || at.Upstream == loc.Upstream || isSamePath(at, loc) {
			return overtaken{}, false
		}
		if first.loc == nil {
			first = overtaken{server, loc, at, request}
		}
	}
	return first, first.loc != nil
}

func isSamePath(a, b *routing.Location) bool {
	return a.Ingress == b.Ingress && a.Rule == b.Rule && a.Path == b.Path
}

// samplesOf returns requests that stand for those of a path: of a plain path itself and
// what is below it, of a regular expression some that it matches.
func samplesOf(server *routing.Server, loc *routing.Location) []string {
	if part, _ := unmatchable(loc.Text); (part != "" && part != "?") || strings.ContainsAny(loc.Text, " %#") || !strings.HasPrefix(loc.Text, "/") {
		return nil
	}
	if !isPlain(loc.Text) {
		return matchesOf(loc)
	}
	if loc.Type == networkingv1.PathTypeExact {
		return []string{loc.Text}
	}
	below := strings.TrimSuffix(loc.Text, "/") + "/" + probedLabel
	if hasExact(server, loc.Text) {
		return []string{below}
	}
	return []string{loc.Text, below}
}

// isPlain reports whether a path has no sign of a regular expression but perhaps dots,
// which are as likely meant literally.
func isPlain(path string) bool {
	return routing.PatternIsLiteral(strings.ReplaceAll(path, ".", ""))
}

// hasExact reports whether the host has an Exact path of that spelling.
func hasExact(server *routing.Server, path string) bool {
	for _, loc := range server.Locations {
		if loc.Text == path && loc.Type == networkingv1.PathTypeExact && !loc.Placeholder {
			return true
		}
	}
	return false
}

// sampleEnds are what may follow the literal start of a regular expression.
var sampleEnds = []string{"", "/", "/x", "x", "/y", "y", "/1", "1", "/2", "2", "/x/y"}

// matchesOf returns a few requests that a regular expression surely matches, if it is
// easy to find some.
func matchesOf(loc *routing.Location) []string {
	pattern, err := routing.CompilePattern("^"+loc.Name, true)
	if err != nil {
		return nil
	}
	var requests []string
	start := literalStart(loc.Text)
	for _, end := range sampleEnds {
		request := start + end
		if strings.Contains(request, "//") {
			continue
		}
		if _, ok, err := pattern.Match(request); err == nil && ok {
			requests = append(requests, request)
		}
	}
	return requests
}

// asksForRegex reports whether the annotations make the paths of a host regular
// expressions.
func asksForRegex(config *routing.Config) bool {
	return config.UseRegex || config.RewriteTarget != ""
}

// fate says where the first request goes, in words for people.
func (o overtaken) fate(ing *networkingv1.Ingress) string {
	switch {
	case o.winner.Upstream == nil:
		return "gets 404"
	case !isOrdinary(o.winner):
		return "goes to a spec.defaultBackend"
	case o.winner.Ingress == ing:
		return "goes to path " + quote(o.winner.Text) + " of this Ingress"
	}
	return "goes to path " + quote(o.winner.Text) + " of Ingress " + quote(ingressName(o.winner.Ingress))
}

// finding is what both checks say of it.
func (o overtaken) finding(ing, other *networkingv1.Ingress) Finding {
	f := Finding{
		Outcome:   "a request for " + quote(o.request) + " " + o.fate(ing),
		Subject:   Subject{Host: o.server.Host, Path: o.loc.Text, Type: o.loc.Type, Object: "Ingress/" + ingressName(other)},
		Mentions:  ingressRefs(o.winner.Ingress),
		Tentative: true,
	}
	if other != ing {
		f.RestsOn = []routing.Ref{ingressRef(other)}
	}
	return f
}
