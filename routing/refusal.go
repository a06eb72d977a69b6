// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// compile makes the regular expressions of a server's locations. One that PCRE
// refuses makes nginx refuse the configuration (semantics row L04).
func (t *Table) compile(s *Server) {
	for _, loc := range s.Locations {
		loc.pattern, loc.patternErr = t.pattern("^"+loc.Name, true)
		if loc.patternErr == nil || loc.Ingress == nil || loc.Path < 0 {
			continue
		}
		t.Refusals = append(t.Refusals, Refusal{
			Kind: RefusalRegex, Ingress: loc.Ingress, Rule: loc.Rule, Path: loc.Path, Other: s.regexCause(loc), Host: s.Host,
			Reason:    whyNotCompiled("it", loc.patternErr),
			Uncertain: errors.Is(loc.patternErr, ErrPatternUndecided),
		})
	}
}

// whyNotCompiled says what keeps nginx, or may keep it, from compiling what is named.
func whyNotCompiled(what string, err error) string {
	if why, undecided := strings.CutPrefix(err.Error(), ErrPatternUndecided.Error()+": "); undecided {
		return "whether nginx compiles " + what + " as a regular expression cannot be judged: " + why
	}
	return "nginx cannot compile " + what + " as a regular expression: " + err.Error()
}

// pattern compiles an expression whose matches count for the Table.
func (t *Table) pattern(expr string, caseless bool) (*Pattern, error) {
	p, err := CompilePattern(expr, caseless)
	if err == nil {
		p.within = t.steps
	}
	return p, err
}

// regexCause is a location that makes the server Regex: loc itself where its own
// Ingress does.
func (s *Server) regexCause(loc *Location) *Location {
	var cause *Location
	for _, other := range s.Locations {
		if !rewrites(other) && !other.Config.UseRegex {
			continue
		}
		if other.Ingress == loc.Ingress {
			return loc
		}
		if cause == nil {
			cause = other
		}
	}
	return cause
}

// index notes the locations of a server without regular expressions by name. nginx
// allows each but once; those that stand twice are refused.
func (t *Table) index(s *Server) {
	s.exact, s.prefixes = nil, nil
	for _, loc := range s.Locations {
		names := &s.prefixes
		if loc.Exact {
			names = &s.exact
		}
		first := (*names)[loc.Name]
		if first == nil {
			put(names, loc.Name, loc)
			continue
		}
		later, earlier := loc, first
		if later.Ingress == nil || (earlier.Ingress != nil && later.Ingress != earlier.Ingress && Older(later.Ingress, earlier.Ingress)) {
			later, earlier = earlier, later
		}
		r := Refusal{Ingress: later.Ingress, Rule: later.Rule, Path: later.Path, Other: earlier, Host: s.Host}
		switch {
		case later.Text != earlier.Text:
			r.Kind = RefusalDupLocation
			r.Reason = fmt.Sprintf("paths %q and %q of type Prefix both become the location %q", earlier.Text, later.Text, later.Name)
		case later.Text == "/":
			r.Kind = RefusalDupExactRoot
			r.Reason = `two paths "/" of type Exact both become locations`
		default:
			r.Kind = RefusalThirdRule
			r.Reason = fmt.Sprintf("path %q stands twice with type %s beside one of the other type, and both become locations", later.Text, later.Type)
		}
		t.Refusals = append(t.Refusals, r)
	}
}

// refuseValues finds annotation values that nginx refuses, of Ingresses that are
// part of the configuration.
func (t *Table) refuseValues(seen []*networkingv1.Ingress) {
	for _, ing := range seen {
		config := t.configs[ing]
		if config.Canary.Enabled {
			continue
		}
		for _, r := range config.nginxRefuses(ing, &t.Settings) {
			if !t.writes(seen, ing, r.Name, r.Value) {
				continue
			}
			t.Refusals = append(t.Refusals, Refusal{
				Kind: kindOf(r.Name, r.Fact), Ingress: ing, Rule: -1, Path: -1, Annotation: r.Name,
				Reason: r.Fact, Accepted: r.Accepted, Uncertain: r.Uncertain,
			})
		}
		for _, alias := range config.ServerAliases {
			expr, ok := strings.CutPrefix(alias, "~")
			if !ok || !t.writes(seen, ing, "server-alias", alias) {
				continue
			}
			if _, err := CompilePattern(expr, strings.ContainsFunc(expr, isUpper)); err != nil {
				t.Refusals = append(t.Refusals, Refusal{
					Kind: RefusalAlias, Ingress: ing, Rule: -1, Path: -1, Annotation: "server-alias",
					Reason:    whyNotCompiled(strconv.Quote(alias), err),
					Uncertain: errors.Is(err, ErrPatternUndecided),
				})
			}
		}
	}
}

// writes reports whether the value of an annotation gets into the configuration: not
// that of a path that belongs to an older Ingress, nor of a host of which an older one
// decides.
func (t *Table) writes(seen []*networkingv1.Ingress, ing *networkingv1.Ingress, annotation, value string) bool {
	switch annotation {
	case "server-alias":
		return slices.ContainsFunc(ing.Spec.Rules, func(rule networkingv1.IngressRule) bool {
			return slices.Contains(t.servers[rule.Host].Aliases, value)
		})
	case "ssl-ciphers":
		return slices.ContainsFunc(ing.Spec.Rules, func(rule networkingv1.IngressRule) bool {
			first := slices.IndexFunc(seen, func(other *networkingv1.Ingress) bool {
				config := t.configs[other]
				return !config.Canary.Enabled && config.SSLCiphers != "" && hasRule(other, rule.Host)
			})
			return seen[first] == ing
		})
	case "auth-tls-match-cn", "proxy-ssl-ciphers", "proxy-ssl-name":
		// They are the host's too.
		return true
	}
	for _, s := range t.servers {
		if slices.ContainsFunc(s.Locations, func(loc *Location) bool { return loc.Ingress == ing }) {
			return true
		}
	}
	return false
}

// kindOf is the row that an annotation value which nginx refuses belongs to.
func kindOf(annotation, fact string) RefusalKind {
	switch {
	case annotation == "server-alias":
		return RefusalAlias
	case annotation == "from-to-www-redirect":
		return RefusalWWWWildcard
	case annotation == "ssl-ciphers":
		return RefusalCiphers
	case strings.HasSuffix(annotation, "-snippet"):
		return RefusalSnippet
	case strings.Contains(fact, "variable"):
		return RefusalVariable
	}
	return RefusalDirective
}

// DependsOnDefaults reports whether a size is refused for another that the annotations
// leave to the controller's ConfigMap.
func (r *Refusal) DependsOnDefaults(c *Config) bool {
	proxy := &c.Proxy
	switch {
	case strings.Contains(r.Reason, "temporary file"), r.Annotation == "proxy-max-temp-file-size" && strings.Contains(r.Reason, "one buffer"):
		return proxy.BufferSize == "" || proxy.MaxTempFileSize == ""
	case strings.Contains(r.Reason, "one buffer"):
		return proxy.BufferSize == ""
	case strings.Contains(r.Reason, "all buffers"):
		return proxy.BufferSize == "" || proxy.BuffersNumber == nil
	}
	return false
}
