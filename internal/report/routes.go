// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/routegate/routegate/routing"
)

// Routes is the routing table as people want to see it.
type Routes struct {
	// Items are the paths in the order in which nginx tries them, those of which nothing
	// is served last.
	Items []Row `json:"items"`
	// Frozen says for each installation why its configuration is not applied.
	Frozen map[string][]Frozen `json:"frozen,omitempty"`

	notes []string
}

// Row is one path of one Ingress, or its spec.defaultBackend.
type Row struct {
	// Host is empty for a rule without one.
	Host string `json:"host"`
	// Path is empty for an Ingress of which nothing is served.
	Path       string `json:"path,omitempty"`
	Type       string `json:"type,omitempty"`
	Class      string `json:"class,omitempty"`
	Controller string `json:"controller,omitempty"`
	Ingress    string `json:"ingress"`
	// Service and Port are the backend, in the namespace of the Ingress.
	Service string `json:"service,omitempty"`
	Port    string `json:"port,omitempty"`
	// Ready of Total endpoints get requests; both are absent where that is not known or
	// does not apply.
	Ready     *int     `json:"ready,omitempty"`
	Total     *int     `json:"total,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	// TLS is the certificate of the host, absent where it has no TLS section.
	TLS *Certificate `json:"tls,omitempty"`
	// Verdict is what a request to the path gets: "ok", a status, "shadowed by
	// NAMESPACE/NAME", "dropped", "frozen", "canary", "undecided" or "not served".
	Verdict string `json:"verdict"`
	// Reason explains the Verdict, empty for "ok".
	Reason string `json:"reason,omitempty"`
}

// Filter says which rows are wanted. The zero value wants all.
type Filter struct {
	// Namespace is that of the Ingress.
	Namespace string
	// Host is that of the rule.
	Host string
	// Ingresses names the Ingresses, each as "namespace/name"; nil wants all.
	Ingresses map[string]bool
}

func (f Filter) wants(ing *networkingv1.Ingress, host string) bool {
	return f.wantsIngress(ing) && (f.Host == "" || strings.EqualFold(f.Host, host))
}

func (f Filter) wantsIngress(ing *networkingv1.Ingress) bool {
	return (f.Namespace == "" || ing.Namespace == f.Namespace) && (f.Ingresses == nil || f.Ingresses[nameOf(ing)])
}

// NewRoutes makes the table of the installations. The Ingresses are all there are, of
// whatever class.
func NewRoutes(installations []*Installation, snap *routing.Snapshot, ingresses []*networkingv1.Ingress, filter Filter) *Routes {
	r := &Routes{Items: []Row{}}
	served := map[*networkingv1.Ingress]bool{}
	for _, in := range installations {
		b := &rowBuilder{in: in, snap: snap, filter: filter}
		list, certain := in.frozen()
		if b.frozen = certain; len(list) > 0 {
			if r.Frozen == nil {
				r.Frozen = map[string][]Frozen{}
			}
			r.Frozen[in.Controller] = list
			r.notes = append(r.notes, in.Controller+": "+frozenText(list, certain))
		}
		r.Items = append(r.Items, b.rows()...)
		for _, ing := range in.Ingresses {
			if _, dropped := in.Table.Dropped[ing]; !dropped {
				served[ing] = true
			}
		}
	}
	foreign := 0
	for _, ing := range ingresses {
		if served[ing] {
			continue
		}
		u, dropped := unservedByAll(installations, snap, ing)
		if u.Foreign {
			if filter.wantsIngress(ing) {
				foreign++
			}
			continue
		}
		verdict := "not served"
		if dropped {
			verdict = "dropped"
		}
		for _, host := range hostsOf(ing) {
			if filter.wants(ing, host) {
				r.Items = append(r.Items, Row{Host: host, Class: snap.ClassOf(ing).Name, Ingress: u.Ingress, Verdict: verdict, Reason: u.Reason})
			}
		}
	}
	switch {
	case foreign == 1:
		r.notes = append(r.notes, "1 Ingress of another controller is not shown")
	case foreign > 1:
		r.notes = append(r.notes, fmt.Sprintf("%d Ingresses of other controllers are not shown", foreign))
	}
	return r
}

// Notes are what there is to say beside the table, one line each.
func (r *Routes) Notes() []string {
	return r.notes
}

// unservedByAll says why no installation serves the Ingress, and whether its own one
// dropped it.
func unservedByAll(installations []*Installation, snap *routing.Snapshot, ing *networkingv1.Ingress) (u Unserved, dropped bool) {
	none := &Installation{Table: &routing.Table{}}
	u, _ = none.unserved(snap, ing)
	for _, in := range installations {
		if _, dropped := in.Table.Dropped[ing]; dropped {
			u, _ = in.unserved(snap, ing)
			return u, true
		}
	}
	return u, false
}

func hostsOf(ing *networkingv1.Ingress) []string {
	if hosts := routing.ReferencesOf(ing).Hosts; len(hosts) > 0 {
		return hosts
	}
	return []string{""}
}

// rowBuilder makes the rows of one installation.
type rowBuilder struct {
	in     *Installation
	snap   *routing.Snapshot
	filter Filter
	frozen bool

	upstreams map[backendID]*routing.Upstream
}

// backendID is a Service and port.
type backendID struct {
	namespace, service, port string
}

// pathID is a path of an Ingress; rule is -1 for spec.defaultBackend.
type pathID struct {
	ing        *networkingv1.Ingress
	rule, path int
}

func (b *rowBuilder) rows() []Row {
	var rows []Row
	byHost := map[string][]pathID{}
	for _, ing := range b.in.Ingresses {
		if _, dropped := b.in.Table.Dropped[ing]; dropped {
			continue
		}
		for i := range ing.Spec.Rules {
			rule := &ing.Spec.Rules[i]
			for j := 0; rule.HTTP != nil && j < len(rule.HTTP.Paths); j++ {
				byHost[rule.Host] = append(byHost[rule.Host], pathID{ing, i, j})
			}
		}
		if ing.Spec.DefaultBackend != nil && len(ing.Spec.Rules) == 0 {
			byHost[""] = append(byHost[""], pathID{ing, -1, -1})
		}
	}
	done := map[string]bool{}
	for _, server := range b.in.Table.Servers() {
		done[server.Host] = true
		rows = append(rows, b.rowsOf(server, byHost[server.Host])...)
	}
	// Hosts of canaries alone have no server.
	var rest []string
	for host := range byHost {
		if !done[host] {
			rest = append(rest, host)
		}
	}
	slices.Sort(rest)
	for _, host := range rest {
		rows = append(rows, b.rowsOf(nil, byHost[host])...)
	}
	return rows
}

// rowsOf are the rows of one host: those with a location in the order in which nginx
// tries them, each followed by what it shadows.
func (b *rowBuilder) rowsOf(server *routing.Server, paths []pathID) []Row {
	place := map[pathID]int{}
	type location struct {
		text string
		kind networkingv1.PathType
	}
	owner := map[location]int{}
	var locations []*routing.Location
	if server != nil {
		for i, loc := range server.Locations {
			if loc.Ingress == nil || loc.Placeholder {
				continue
			}
			id := pathID{loc.Ingress, loc.Rule, loc.Path}
			if loc.Rule < 0 {
				id.path = -1
			}
			if _, twin := place[id]; !twin {
				place[id] = i
				if _, taken := owner[location{loc.Text, loc.Type}]; !taken {
					owner[location{loc.Text, loc.Type}] = i
				}
			}
		}
		locations = server.Locations
	}
	type placed struct {
		row   Row
		at    int
		owner bool
	}
	var all []placed
	for _, id := range paths {
		host := ""
		if id.rule >= 0 {
			host = id.ing.Spec.Rules[id.rule].Host
		}
		if !b.filter.wants(id.ing, host) {
			continue
		}
		row, backend := b.row(server, id, host)
		at, has := place[id]
		var winner *routing.Location
		if !has {
			at = len(locations)
			if i, ok := owner[location{row.Path, networkingv1.PathType(row.Type)}]; ok {
				at, winner = i, locations[i]
			}
		}
		b.judge(&row, server, id, backend, winner)
		all = append(all, placed{row, at, has})
	}
	regex := server != nil && server.Regex
	slices.SortStableFunc(all, func(x, y placed) int {
		if !regex {
			// nginx looks for the longest one, wherever it stands.
			if c := cmp.Or(cmp.Compare(len(y.row.Path), len(x.row.Path)), cmp.Compare(x.row.Path, y.row.Path), cmp.Compare(x.row.Type, y.row.Type)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(x.at, y.at); c != 0 {
			return c
		}
		switch {
		case x.owner == y.owner:
			return 0
		case x.owner:
			return -1
		}
		return 1
	})
	rows := make([]Row, 0, len(all))
	for _, p := range all {
		rows = append(rows, p.row)
	}
	return rows
}

// row is what there is to say about a path without asking the model.
func (b *rowBuilder) row(server *routing.Server, id pathID, host string) (Row, *networkingv1.IngressBackend) {
	backend := id.ing.Spec.DefaultBackend
	row := Row{
		Host: host, Path: "/", Type: string(networkingv1.PathTypePrefix), Class: b.snap.ClassOf(id.ing).Name,
		Controller: b.in.Controller, Ingress: nameOf(id.ing),
	}
	if id.rule >= 0 {
		p := &id.ing.Spec.Rules[id.rule].HTTP.Paths[id.path]
		row.Path, row.Type, backend = routing.EffectivePath(p.Path), string(routing.EffectiveType(p.PathType)), &p.Backend
	}
	if server != nil && server.TLS.Kind != routing.NoCertificate {
		row.TLS = certificateOf(server.TLS)
	}
	if backend != nil && backend.Service != nil {
		row.Service, row.Port = backend.Service.Name, routing.BackendPort(backend.Service.Port)
	}
	return row, backend
}

// judge asks the model what a request to the path gets. The winner is the location of
// another path that is the same, nil if there is none.
func (b *rowBuilder) judge(row *Row, server *routing.Server, id pathID, backend *networkingv1.IngressBackend, winner *routing.Location) {
	upstream := b.upstream(id.ing, backend)
	b.count(row, upstream, backend)
	switch {
	case b.frozen:
		row.Verdict, row.Reason = "frozen", "the configuration is not applied"
		return
	case winner != nil && !routing.IsCanary(id.ing):
		row.Verdict = "shadowed by " + nameOf(winner.Ingress)
		row.Reason = fmt.Sprintf("Ingress %s is older and has the path %s of type %s", nameOf(winner.Ingress), winner.Text, winner.Type)
		if winner.Ingress == id.ing {
			row.Reason = fmt.Sprintf("the Ingress has the path %s of type %s before", winner.Text, winner.Type)
		}
		return
	case backend == nil || backend.Service == nil:
		row.Verdict, row.Reason = "404", "ingress-nginx serves only Services as backends"
		return
	}
	var route *routing.Route
	for _, request := range b.requests(row, server) {
		got := b.in.Table.Match(request)
		own := got.At != nil && got.At.Ingress == id.ing && got.At.Rule == id.rule && (got.At.Path == id.path || id.rule < 0)
		if route == nil || own {
			route = got
		}
		if own {
			break
		}
	}
	b.conclude(row, id, route, upstream)
}

// conclude turns a Route into a verdict.
func (b *rowBuilder) conclude(row *Row, id pathID, route *routing.Route, upstream *routing.Upstream) {
	last := ""
	if n := len(route.Steps); n > 0 {
		last = route.Steps[n-1].Text
		if n > 1 && route.Steps[n-2].What == routing.StepBackend && route.Status == 503 {
			last = route.Steps[n-2].Text
		}
	}
	switch {
	case routing.IsCanary(id.ing):
		row.Verdict = "canary"
		share := slices.IndexFunc(route.Targets, func(t routing.Target) bool { return upstream != nil && t.Upstream == upstream })
		switch {
		case share >= 0:
			row.Reason = fmt.Sprintf("gets %d %% of plain requests", route.Targets[share].Percent)
		case route.At != nil && route.At.Upstream != nil && upstream != nil && slices.Contains(route.At.Upstream.Alternatives, upstream):
			row.Reason = "gets no plain requests"
		default:
			row.Verdict, row.Reason = "404", "a canary without an Ingress that has the same path is not served"
		}
	case route.Undecided != "":
		row.Verdict, row.Reason = "undecided", route.Undecided
	case route.At != nil && route.At.Ingress != nil && !route.At.Placeholder && (route.At.Ingress != id.ing || (id.rule >= 0 && (route.At.Rule != id.rule || route.At.Path != id.path))):
		row.Verdict = "shadowed by " + nameOf(route.At.Ingress)
		row.Reason = fmt.Sprintf("the path %s of type %s of Ingress %s takes its requests", route.At.Text, route.At.Type, nameOf(route.At.Ingress))
	case len(route.Targets) > 0:
		row.Verdict = "ok"
	case route.Location != "":
		row.Verdict, row.Reason = fmt.Sprintf("%d to %s", route.Status, route.Location), last
	case route.Status == 0:
		row.Verdict, row.Reason = "closed", last
	default:
		row.Verdict, row.Reason = fmt.Sprint(route.Status), last
	}
}

// upstream finds that of a backend among those that the installation made.
func (b *rowBuilder) upstream(ing *networkingv1.Ingress, backend *networkingv1.IngressBackend) *routing.Upstream {
	if backend == nil || backend.Service == nil {
		return nil
	}
	if b.upstreams == nil {
		b.upstreams = map[backendID]*routing.Upstream{}
		add := func(u *routing.Upstream) {
			id := backendID{u.Namespace, u.Service, routing.BackendPort(u.Port)}
			if _, ok := b.upstreams[id]; !ok {
				b.upstreams[id] = u
			}
		}
		for _, server := range b.in.Table.Servers() {
			for _, loc := range server.Locations {
				if loc.Upstream == nil {
					continue
				}
				add(loc.Upstream)
				for _, alternative := range loc.Upstream.Alternatives {
					add(alternative)
				}
			}
		}
	}
	return b.upstreams[backendID{ing.Namespace, backend.Service.Name, routing.BackendPort(backend.Service.Port)}]
}

// count fills in the endpoints.
func (b *rowBuilder) count(row *Row, upstream *routing.Upstream, backend *networkingv1.IngressBackend) {
	if upstream != nil {
		row.Endpoints, _, _ = b.in.Table.Endpoints(upstream)
	}
	namespace, _, _ := strings.Cut(row.Ingress, "/")
	if backend == nil || backend.Service == nil {
		return
	}
	svc, known := b.snap.Service(namespace, row.Service)
	if known != routing.Present || svc.External() {
		return
	}
	eps, known := b.snap.SlicesOf(namespace, row.Service)
	port := svc.MatchPort(backend.Service.Port)
	if known == routing.Unread {
		return
	}
	var e routing.Endpoints
	for _, slice := range eps {
		for _, endpoint := range slice.Endpoints {
			if !endpoint.Ready {
				e.NotReady += len(endpoint.Addresses)
			} else {
				e.Ready += len(endpoint.Addresses)
			}
		}
	}
	ready, total := 0, e.Ready+e.NotReady
	if port != nil {
		ready = min(routing.Resolve(svc, port, eps).Usable, total)
	}
	row.Ready, row.Total = &ready, &total
}

// requests are examples of what the path is meant for. For a regular expression
// there are several, of which some may miss it.
func (b *rowBuilder) requests(row *Row, server *routing.Server) []routing.Request {
	request := routing.Request{Method: "GET", Host: row.Host, HTTPS: row.TLS != nil}
	switch {
	case row.Host == "":
		request.Host = "any-other-host.invalid"
	case strings.HasPrefix(row.Host, "*."):
		request.Host = "any-other-host" + row.Host[1:]
	}
	paths := []string{row.Path}
	if server != nil && server.Regex {
		paths = examples(row.Path)
	}
	requests := make([]routing.Request, 0, len(paths))
	for _, path := range paths {
		request.Path = escapedPath(path)
		requests = append(requests, request)
	}
	return requests
}

// columns of the table. The last ones are for wide output.
var columns, wideColumns = []string{"HOST", "PATH", "TYPE", "CLASS", "INGRESS", "BACKEND", "READY", "TLS", "VERDICT"},
	[]string{"REASON", "CONTROLLER", "ENDPOINTS"}

// WriteTable writes the table for people.
func (r *Routes) WriteTable(w io.Writer, wide bool, now time.Time) error {
	table := printers.GetNewTabWriter(w)
	head := columns
	if wide {
		head = append(slices.Clone(columns), wideColumns...)
	}
	if _, err := fmt.Fprintln(table, strings.Join(head, "\t")); err != nil {
		return err
	}
	for i := range r.Items {
		row := &r.Items[i]
		cells := []string{orElse(row.Host, "*"), orElse(row.Path, "-"), orElse(row.Type, "-"), orElse(row.Class, "-"), row.Ingress, row.backend(), row.readiness(), row.tls(now), row.Verdict}
		if wide {
			cells = append(cells, orElse(row.Reason, "-"), orElse(row.Controller, "-"), row.endpoints())
		}
		for j := range cells {
			cells[j] = printable(cells[j])
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}

func orElse(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}

func (r *Row) backend() string {
	if r.Service == "" {
		return "-"
	}
	return r.Service + ":" + r.Port
}

func (r *Row) readiness() string {
	if r.Ready == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", *r.Ready, *r.Total)
}

func (r *Row) tls(now time.Time) string {
	switch {
	case r.TLS == nil:
		return "-"
	case r.TLS.Kind == CertificateUnread:
		return "not read"
	case r.TLS.NotAfter == nil || r.TLS.Kind == CertificateDefault:
		return "default certificate"
	case r.TLS.NotAfter.Before(now):
		return "expired " + r.TLS.NotAfter.Format(time.DateOnly)
	}
	return r.TLS.NotAfter.Format(time.DateOnly)
}

func (r *Row) endpoints() string {
	const shown = 3
	switch n := len(r.Endpoints); {
	case n == 0:
		return "-"
	case n > shown:
		return fmt.Sprintf("%s + %d more", strings.Join(r.Endpoints[:shown], ","), n-shown)
	}
	return strings.Join(r.Endpoints, ",")
}
