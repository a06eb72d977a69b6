// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/routegate/routegate/checks"
)

// paged is the sample with all that the html format shows beside it.
func paged() *Findings {
	r := sample()
	r.Ingresses[0].Hosts = []string{"a.example", ""}
	ready, total := 1, 2
	until := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	expired := until.AddDate(0, -2, 0)
	r.Page = &Page{
		Title: "Routegate " + nasty, About: []Fact{{"Cluster", nasty}}, At: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), Notes: []string{nasty},
		Routes: &Routes{
			Items: []Row{
				{Host: "a.example", Path: "/", Type: "Prefix", Class: "nginx", Ingress: "shop/web", Service: "web", Port: "80", Ready: &ready, Total: &total, Verdict: "ok",
					TLS: &Certificate{Kind: CertificateOwn, Secret: "shop/cert", NotAfter: &until}},
				{Host: "a.example", Path: nasty, Type: "Exact", Class: "nginx", Ingress: "shop/good", Service: "web", Port: "81", Verdict: "503", Reason: nasty,
					TLS: &Certificate{Kind: CertificateOwn, Secret: "shop/old", NotAfter: &expired}},
				{Host: "b.example", Path: "/", Type: "Prefix", Class: "nginx", Ingress: "shop/good", Service: "web", Port: "80", Verdict: "308 to https://b.example", Reason: "redirect"},
				{Host: "b.example", Path: "/x", Type: "Prefix", Class: "nginx", Ingress: "shop/good", Service: "web", Port: "80", Verdict: "undecided", Reason: "not read",
					TLS: &Certificate{Kind: CertificateUnread}},
				{Class: "other" + nasty, Ingress: "shop/web", Verdict: "not served", Reason: "names no class"},
			},
			notes: []string{"1 Ingress of another controller is not shown"},
		},
	}
	return r
}

// parsed is the page as a browser reads it.
func parsed(t *testing.T, r *Findings) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(write(t, r, HTML)))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// all are the elements below a node that are wanted.
func all(root *html.Node, wanted func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && wanted(n) {
			found = append(found, n)
		}
	}
	return found
}

func tag(names ...string) func(*html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(names, n.Data) }
}

func class(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(strings.Fields(attribute(n, "class")), name) }
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is the text below a node, with one space between words.
func textOf(n *html.Node) string {
	var b strings.Builder
	for n := range n.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func textsOf(nodes []*html.Node) []string {
	texts := make([]string, 0, len(nodes))
	for _, n := range nodes {
		texts = append(texts, textOf(n))
	}
	return texts
}

// TestHTML wants each finding and each path once, in an order that tells the gravest first.
func TestHTML(t *testing.T) {
	root := parsed(t, paged())
	same(t, "tiles", textsOf(all(root, class("tile"))), []string{
		"5 Ingresses judged", "2 findings deny", "3 findings warn", "1 without a verdict", "1 in the baseline",
		"1 path reaches its backend", "2 paths do not reach it", "1 path is redirected or shared", "1 path is not known",
	})
	same(t, "Ingresses", textsOf(all(root, tag("h3", "h4"))), []string{
		"What could not be judged", "What to know", "Would be denied", "shop/ web (dir/my web.yaml)",
		"Accepted with warnings", "shop/ piped (standard input, from shop/templates/a.yaml)", "shop/ bare (standard input)",
	})
	same(t, "findings", textsOf(all(root, tag("summary"))), []string{
		"deny " + printable(nasty) + " : requests get 503 port-missing", "deny gone : requests get 503 service-missing",
		"warn old : requests get 503 tls-expired", "undecided 1 without a verdict",
		"warn no port : requests get 503 port-missing", "warn no port : requests get 503 port-missing",
	})
	same(t, "findings in all", textsOf(all(root, func(n *html.Node) bool { return n.Data == "li" && class("finding")(n) })),
		[]string{"no-ready-endpoints : EndpointSlice: forbidden"})

	check, err := checks.Find("service-missing")
	if err != nil {
		t.Fatal(err)
	}
	paragraphs := strings.Split(check.Text, "\n\n")
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	same(t, "a finding that is opened", textsOf(all(all(root, tag("details"))[1], func(n *html.Node) bool { return n.Data == "div" })), []string{
		"Field spec.defaultBackend.service.port", "Place dir/my web.yaml:12:7", "Cause " + words(paragraphs[0]), "Fix " + words(paragraphs[1]),
		"Hint say so", "Check service-missing : " + check.Title,
	})
	same(t, "why it only warns", textsOf(all(all(root, tag("details"))[2], func(n *html.Node) bool { return n.Data == "div" }))[1:2], []string{"Mode not denied: not certain"})

	rows := [][]string{}
	for _, row := range all(root, tag("tr")) {
		rows = append(rows, textsOf(all(row, tag("th", "td"))))
	}
	for i, want := range [][]string{
		{"Host", "Path", "Type", "Ingress", "Backend", "Ready", "TLS Secret", "Verdict"},
		{"a.example", "/", "Prefix", "shop/web class nginx", "web:80", "1/2", "shop/cert until 2026-12-01", "ok"},
		{"a.example", printable(nasty), "Exact", "shop/good class nginx", "web:81", "-", "shop/old expired 2026-10-01", "503 " + printable(nasty)},
		{"b.example", "/", "Prefix", "shop/good class nginx", "web:80", "-", "-", "308 to https://b.example redirect"},
		{"b.example", "/x", "Prefix", "shop/good class nginx", "web:80", "-", "not read", "undecided not read"},
		{"*", "-", "-", "shop/web class other" + printable(nasty), "-", "-", "-", "not served names no class"},
	} {
		same(t, "row", rows[i], want)
	}
	if len(rows) != 6 {
		t.Errorf("got %d rows, want the head and 5", len(rows))
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHTMLTakesNoOrders wants whatever comes from a cluster to be text, and the policy of the
// page to allow its own style and script alone.
func TestHTMLTakesNoOrders(t *testing.T) {
	const order = `</script></style></title>"'><script>alert(1)</script><img src=x onerror=alert(1)>` + "\x00\x1b[31m\u202e\xff"
	r := paged()
	r.Problems = append(r.Problems, Problem{Message: order})
	r.Ingresses[0].Namespace, r.Ingresses[0].Name, r.Ingresses[0].Hosts = order, order, []string{order}
	r.Ingresses[0].Source = &Source{File: order, Line: 1, Template: order}
	f := &r.Ingresses[0].Findings[0]
	f.Field, f.Fact, f.Accepted, f.Outcome, f.Because, f.Hint, f.Source = order, order, order, order, order, order, r.Ingresses[0].Source
	r.Ingresses[0].Findings[3].Fact = order
	r.Page.Title, r.Page.About, r.Page.Notes = order, []Fact{{order, order}}, []string{order}
	r.Page.Routes.notes = []string{order}
	r.Page.Routes.Items[0] = Row{
		Host: order, Path: order, Type: order, Class: order, Ingress: order + "/" + order, Service: order, Port: order,
		TLS: &Certificate{Secret: order}, Verdict: order, Reason: order,
	}
	root := parsed(t, r)
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || (a.Key == "style") {
				t.Errorf("the attribute %s of %s is an order", a.Key, n.Data)
			}
			if strings.ContainsAny(a.Val, "\x00\x1b\u202e\ufffd") {
				t.Errorf("the attribute %s of %s has a character that nobody sees: %q", a.Key, n.Data, a.Val)
			}
		}
		if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\x00\x1b\u202e\ufffd") {
			t.Errorf("a text has a character that nobody sees: %q", n.Data)
		}
	}
	if images := all(root, tag("img")); len(images) > 0 {
		t.Error("a value has become an image")
	}
	scripts, styles := all(root, tag("script")), all(root, tag("style"))
	if len(scripts) != 1 || len(styles) != 1 {
		t.Fatalf("got %d scripts and %d styles, want one of each", len(scripts), len(styles))
	}
	policy := ""
	for _, meta := range all(root, tag("meta")) {
		if attribute(meta, "http-equiv") == "Content-Security-Policy" {
			policy = attribute(meta, "content")
		}
	}
	hash := func(n *html.Node) string {
		sum := sha256.Sum256([]byte(n.FirstChild.Data))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	if want := "default-src 'none'; style-src " + hash(styles[0]) + "; script-src " + hash(scripts[0]) + "; img-src data:; base-uri 'none'; form-action 'none'"; policy != want {
		t.Errorf("got the policy\n%s\nwant\n%s", policy, want)
	}
	if got := strings.Count(textOf(root), printable(order)); got < 20 {
		t.Errorf("the value stands there %d times; must be wherever it was put", got)
	}
}

// TestHTMLCanBeFollowed wants every link within the page to lead somewhere, each ID to be
// there once, and every other link to be one to the page of a check.
func TestHTMLCanBeFollowed(t *testing.T) {
	for name, r := range map[string]*Findings{"sample": paged(), "without a page": sample(), "empty": {Page: &Page{Title: "x", Routes: &Routes{}}}} {
		root := parsed(t, r)
		ids := map[string]int{}
		for _, n := range all(root, func(n *html.Node) bool { return attribute(n, "id") != "" }) {
			ids[attribute(n, "id")]++
		}
		for id, n := range ids {
			if n > 1 {
				t.Errorf("%s: %d elements have the ID %s", name, n, id)
			}
		}
		for _, n := range all(root, func(*html.Node) bool { return true }) {
			if by := attribute(n, "aria-labelledby"); by != "" && ids[by] == 0 {
				t.Errorf("%s: there is no %s to name a %s", name, by, n.Data)
			}
			if src := attribute(n, "src"); src != "" {
				t.Errorf("%s: %s is loaded", name, src)
			}
			href := attribute(n, "href")
			if id, within := strings.CutPrefix(href, "#"); within {
				if ids[id] == 0 {
					t.Errorf("%s: there is no %s to go to", name, id)
				}
			} else if href != "" && href != "data:," && (n.Data != "a" || !strings.HasPrefix(href, checkPages)) {
				t.Errorf("%s: a %s leads to %s", name, n.Data, href)
			}
		}
		first, again := write(t, r, HTML), write(t, r, HTML)
		if first != again {
			t.Errorf("%s: the page differs from one time to the next", name)
		}
	}
}

func TestHTMLOfAnUnknownCheck(t *testing.T) {
	r := &Findings{Ingresses: []Judged{{Namespace: "a", Name: "b", Findings: []Finding{{Check: "no-such-check", Mode: checks.Deny}}}}}
	if err := r.Write(new(strings.Builder), HTML, "", false); err == nil || !strings.Contains(err.Error(), `"no-such-check"`) {
		t.Errorf("got %v", err)
	}
}
