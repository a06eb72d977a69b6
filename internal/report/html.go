// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // for the parts of the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/routegate/routegate/checks"
)

// The page, its style and its script. The latter two are written as they stand here, since
// the policy of the page names their hashes.
var (
	//go:embed page.html
	pageTemplate string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

// Page is what the html format shows beside the findings.
type Page struct {
	// Title is the heading.
	Title string
	// About says what was judged, and how.
	About []Fact
	// At is the time at which it was judged.
	At time.Time
	// Notes say what could not be read, and what else there is to say, a line each.
	Notes []string
	// Routes are the paths of the Ingresses that were judged.
	Routes *Routes
}

// Fact is a name with its value.
type Fact struct {
	Name, Value string
}

// grave lists the modes, the gravest first, with how the page names the Ingresses that have
// a finding of the mode, and none of a graver one.
var grave = []struct {
	mode  checks.Mode
	title string
}{
	{checks.Deny, "Would be denied"},
	{checks.Warn, "Accepted with warnings"},
	{Undecided, "Not judged in full"},
	{Audit, "Only recorded"},
	{Ignored, "Ignored by the Ingress itself"},
}

// What becomes of the requests to a path, as the page counts it and paints it.
const (
	reached   = "ok"
	otherwise = "other"
	lost      = "lost"
	unknown   = "unknown"
)

// pageView is what the template is given. All its texts can be shown as they are, once they
// are escaped for HTML.
type pageView struct {
	Title, Version, Policy string
	Style                  template.CSS
	Script                 template.JS
	About                  []Fact
	Tiles                  []pageTile
	Problems, Notes        []string
	Namespaces             []string
	Groups                 []*pageGroup
	Routes                 *pageRoutes
}

// pageTile is a number with its name. It leads to ID where that is not empty.
type pageTile struct {
	Mode, Name, ID string
	Count          int
}

// pageGroup are the Ingresses with findings of a mode, and none of a graver one.
type pageGroup struct {
	ID, Title string
	Ingresses []*pageIngress
}

// pageIngress is an Ingress with findings.
type pageIngress struct {
	// ID is that of its place in the page.
	ID, Namespace, Name, Hosts, From string
	Findings                         []pageFinding
	Undecided                        []pageFinding
}

// pageFinding is a finding. Cause and Fix are what the check says of all its findings.
type pageFinding struct {
	Check, Mode, Title, Page, Field, Fact, Accepted, Outcome, Cause, Fix, Because, Hint, At string
}

// pageRoutes is the routing table.
type pageRoutes struct {
	Notes []string
	Tiles []pageTile
	Rows  []pageRow
	// Classes is true where the rows are of several classes, and Frozen where the
	// configuration of an installation may not be applied.
	Classes, Frozen bool
}

// pageRow is a row of it. Link is the ID of the Ingress, empty where that has no findings.
type pageRow struct {
	Kind, Namespace, Host, Path, Type, Class, Ingress, Link, Backend, Ready, Secret, TLS, Verdict, Reason string
}

// writeHTML writes one page that needs nothing beside it.
func (r *Findings) writeHTML(w io.Writer, version string) error {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	view, err := r.view(version)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := t.Execute(out, view); err != nil {
		return err
	}
	return out.Flush()
}

func (r *Findings) view(version string) (*pageView, error) {
	page := r.Page
	if page == nil {
		page = &Page{Title: "Routegate"}
	}
	v := &pageView{
		Title: printable(page.Title), Version: printable(version), Policy: pagePolicy(),
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
	}
	for _, fact := range page.About {
		v.About = append(v.About, Fact{printable(fact.Name), printable(fact.Value)})
	}
	if !page.At.IsZero() {
		v.About = append(v.About, Fact{"As of", page.At.UTC().Format("2006-01-02 15:04:05 UTC")})
	}
	for _, p := range r.Problems {
		v.Problems = append(v.Problems, printable(p.Message))
	}
	for _, note := range slices.Concat(page.Notes, r.Notes()) {
		v.Notes = append(v.Notes, printable(note))
	}
	links, err := v.addIngresses(r.Ingresses)
	if err != nil {
		return nil, err
	}
	v.addTiles(r.Summary)
	namespaces := map[string]bool{}
	for _, j := range r.Ingresses {
		namespaces[printable(j.Namespace)] = true
	}
	v.Namespaces = slices.Sorted(maps.Keys(namespaces))
	if page.Routes != nil {
		v.Routes = page.Routes.view(page.At, links)
	}
	return v, nil
}

// pagePolicy is the content security policy: nothing is loaded, and nothing but the page's
// own style and script has an effect.
func pagePolicy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(pageStyle) + "; script-src " + hash(pageScript) + "; img-src data:; base-uri 'none'; form-action 'none'"
}

// addIngresses adds those with findings, in groups, and returns the IDs that they have, by
// "namespace/name".
func (v *pageView) addIngresses(all []Judged) (map[string]string, error) {
	explained := map[string]checks.Check{}
	for _, check := range checks.All() {
		explained[check.Name] = check
	}
	groups := map[checks.Mode]*pageGroup{}
	links := map[string]string{}
	for i := range all {
		j := &all[i]
		if len(j.Findings) == 0 {
			continue
		}
		ing := &pageIngress{
			ID: fmt.Sprintf("ingress-%d", i+1), Namespace: printable(j.Namespace), Name: printable(j.Name),
			Hosts: hostTexts(j.Hosts), From: printable(strings.TrimSpace(from(j.Source))),
		}
		for k := range j.Findings {
			f := &j.Findings[k]
			check, ok := explained[f.Check]
			if !ok {
				return nil, fmt.Errorf("there is no check %q", f.Check)
			}
			if f.Mode == Undecided {
				ing.Undecided = append(ing.Undecided, f.view(check))
			} else {
				ing.Findings = append(ing.Findings, f.view(check))
			}
		}
		mode := j.gravest()
		if groups[mode] == nil {
			groups[mode] = &pageGroup{ID: string(mode)}
		}
		groups[mode].Ingresses = append(groups[mode].Ingresses, ing)
		links[j.Namespace+"/"+j.Name] = ing.ID
	}
	for _, g := range grave {
		if group := groups[g.mode]; group != nil {
			group.Title = g.title
			v.Groups = append(v.Groups, group)
		}
	}
	return links, nil
}

// gravest is the gravest mode of the findings.
func (j *Judged) gravest() checks.Mode {
	for _, g := range grave {
		if slices.ContainsFunc(j.Findings, func(f Finding) bool { return f.Mode == g.mode }) {
			return g.mode
		}
	}
	return Ignored
}

func (f *Finding) view(check checks.Check) pageFinding {
	// Two paragraphs of every check: what happens, and how to fix it.
	cause, rest, _ := strings.Cut(check.Text, "\n\n")
	fix, _, _ := strings.Cut(rest, "\n\n")
	view := pageFinding{
		Check: f.Check, Mode: string(f.Mode), Title: check.Title, Page: checkPages + f.Check + ".md", Field: printable(f.Field),
		Fact: printable(f.Fact), Accepted: printable(f.Accepted), Outcome: printable(f.Outcome),
		Cause: cause, Fix: fix, Because: printable(f.Because), Hint: printable(f.Hint),
	}
	if f.Source != nil && f.Source.Line > 0 {
		view.At = printable(f.Source.String())
	}
	return view
}

// hostTexts are the hosts as the page shows them, to look for one of them.
func hostTexts(hosts []string) string {
	texts := make([]string, 0, len(hosts))
	for _, host := range hosts {
		texts = append(texts, printable(orElse(host, "*")))
	}
	return strings.Join(texts, " ")
}

// addTiles adds the counts of the summary. Those of a mode lead to the Ingresses of which it
// is the gravest.
func (v *pageView) addTiles(s Summary) {
	add := func(mode checks.Mode, name string, count int, always bool) {
		if count == 0 && !always {
			return
		}
		tile := pageTile{Mode: string(mode), Name: name, Count: count}
		if slices.ContainsFunc(v.Groups, func(g *pageGroup) bool { return g.ID == tile.Mode }) {
			tile.ID = tile.Mode
		}
		v.Tiles = append(v.Tiles, tile)
	}
	add("", one(s.Ingresses, "Ingress judged", "Ingresses judged"), s.Ingresses, true)
	add(checks.Deny, one(s.Deny, "finding denies", "findings deny"), s.Deny, true)
	add(checks.Warn, one(s.Warn, "finding warns", "findings warn"), s.Warn, true)
	add(Undecided, "without a verdict", s.Undecided, false)
	add(Audit, "only recorded", s.Audit, false)
	add(Ignored, "ignored", s.Ignored, false)
	add("", "in the baseline", s.Known, false)
}

func one(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// view is the table as the page shows it, with links to the Ingresses that have some.
func (r *Routes) view(now time.Time, links map[string]string) *pageRoutes {
	v := &pageRoutes{Frozen: len(r.Frozen) > 0}
	for _, note := range r.Notes() {
		v.Notes = append(v.Notes, printable(note))
	}
	counts, classes := map[string]int{}, map[string]bool{}
	for i := range r.Items {
		row := &r.Items[i]
		namespace, _, _ := strings.Cut(row.Ingress, "/")
		kind := row.kind()
		counts[kind]++
		classes[row.Class] = true
		shown := pageRow{
			Kind: kind, Namespace: printable(namespace), Host: printable(orElse(row.Host, "*")), Path: printable(row.Path), Type: printable(row.Type),
			Class: printable(row.Class), Ingress: printable(row.Ingress), Link: links[row.Ingress],
			Backend: printable(row.backend()), Ready: row.readiness(), TLS: row.tls(now), Verdict: printable(row.Verdict), Reason: printable(row.Reason),
		}
		if row.TLS != nil {
			shown.Secret = printable(row.TLS.Secret)
			if row.TLS.Kind == CertificateOwn && !row.TLS.NotAfter.Before(now) {
				shown.TLS = "until " + shown.TLS
			}
		}
		v.Rows = append(v.Rows, shown)
	}
	v.Classes = len(classes) > 1
	for _, kind := range []struct{ name, one, many string }{
		{reached, "path reaches its backend", "paths reach their backend"},
		{lost, "path does not reach it", "paths do not reach it"},
		{otherwise, "path is redirected or shared", "paths are redirected or shared"},
		{unknown, "path is not known", "paths are not known"},
	} {
		if n := counts[kind.name]; n > 0 || kind.name == reached || kind.name == lost {
			v.Tiles = append(v.Tiles, pageTile{Mode: kind.name, Name: one(n, kind.one, kind.many), Count: n})
		}
	}
	return v
}

// kind is what becomes of the requests to the path.
func (r *Row) kind() string {
	switch {
	case r.Verdict == "ok":
		return reached
	case r.Verdict == "undecided":
		return unknown
	case r.Verdict == "canary", strings.HasPrefix(r.Verdict, "3"):
		return otherwise
	}
	return lost
}
