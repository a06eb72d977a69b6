// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	parser "github.com/joshdk/go-junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

// nasty is what a value from a user can do to a format.
const nasty = "a%25:,b\r\n::error::c]]>\"<&\x1b[31m \u202e"

// sample has all that Findings can hold.
func sample() *Findings {
	r := &Findings{Problems: []Problem{{File: "b,ad:%.yaml", Line: 3, Message: "b,ad:%.yaml, document 2: " + nasty}, {Message: "stopped"}}}
	none := func(string) bool { return false }
	port := field.NewPath("spec", "defaultBackend", "service", "port")
	found := func(name string, mode checks.Mode, fact string, at *Source) Finding {
		f := NewFinding(checks.Finding{Check: name, Field: port, Fact: fact, Outcome: "requests get 503"}, mode, "shop", "web")
		f.Source, f.Fails = at, mode == checks.Deny
		return f
	}
	at := &Source{File: "dir/my web.yaml", Document: 2, Line: 12, Column: 7, EndColumn: 11}
	hinted := found("service-missing", checks.Deny, "gone", at)
	hinted.Hint = "say so"
	spared := found("tls-expired", checks.Warn, "old", nil)
	spared.Because = "not denied: not certain"
	r.Add(Judged{Namespace: "shop", Name: "web", Source: at, Findings: []Finding{
		found("port-missing", checks.Deny, nasty, at), hinted, spared,
		found("no-ready-endpoints", Undecided, "EndpointSlice: forbidden", at),
	}}, none)
	r.Add(Judged{Namespace: "shop", Name: "good", Source: &Source{File: "good.yaml", Line: 1, Column: 1}}, none)
	piped := found("port-missing", checks.Warn, "no port", &Source{File: "standard input", Line: 40, Column: 3, Template: "shop/templates/a.yaml"})
	r.Add(Judged{Namespace: "shop", Name: "piped", Source: piped.Source, Findings: []Finding{piped}}, none)
	bare := found("port-missing", checks.Warn, "no port", &Source{File: "standard input", Line: 50, Column: 3})
	r.Add(Judged{Namespace: "shop", Name: "bare", Source: bare.Source, Findings: []Finding{bare}}, none)
	r.Add(Judged{Namespace: "shop", Name: "known", Findings: []Finding{found("port-missing", checks.Deny, "x", nil)}}, func(string) bool { return true })
	return r
}

func write(t *testing.T, r *Findings, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write(&out, format, "v1.2.3", false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestNotes(t *testing.T) {
	unread := func(kind routing.Kind, name string, reason string) checks.Unread {
		return checks.Unread{Ref: routing.Ref{Kind: kind, Namespace: "shop", Name: name}, Reason: reason}
	}
	r := &Findings{}
	for i, found := range [][]checks.Finding{
		{{Fact: "the check failed: x"}, {Unread: []checks.Unread{unread(routing.Secrets, "b", "forbidden"), unread(routing.Secrets, "a", "forbidden")}}},
		{{Unread: []checks.Unread{unread(routing.Secrets, "b", "forbidden")}}, {Unread: []checks.Unread{unread(routing.Secrets, "b", "forbidden"), unread(routing.Secrets, "c", "no answer")}}},
		{{Unread: []checks.Unread{unread(routing.Services, "a", "forbidden"), unread(routing.Ingresses, "", "forbidden")}}},
	} {
		j := Judged{Namespace: "shop", Name: fmt.Sprint(i)}
		for _, f := range found {
			j.Findings = append(j.Findings, NewFinding(f, Undecided, j.Namespace, j.Name))
		}
		r.Add(j, func(string) bool { return false })
	}
	want := []string{
		`No verdict on parts of 1 Ingress: Ingress: forbidden`,
		`No verdict on parts of 1 Ingress: Secret "c": no answer`,
		`No verdict on parts of 1 Ingress: Service "a": forbidden`,
		`No verdict on parts of 1 Ingress: the check failed: x`,
		`No verdict on parts of 2 Ingresses: Secret "a" and 1 more: forbidden`,
	}
	if got := r.Notes(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nmust be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTable(t *testing.T) {
	out := write(t, sample(), Table)
	want := `shop/web (dir/my web.yaml)
  deny spec.defaultBackend.service.port: a%25:,b\r\n::error::c]]>"<&\x1b[31m \u202e (port-missing): requests get 503
       at dir/my web.yaml:12:7
  deny spec.defaultBackend.service.port: gone (service-missing): requests get 503
       at dir/my web.yaml:12:7
       hint: say so
  warn spec.defaultBackend.service.port: old (tls-expired): requests get 503 [not denied: not certain]

shop/piped (standard input, from shop/templates/a.yaml)
  warn spec.defaultBackend.service.port: no port (port-missing): requests get 503
       at standard input:40:3

shop/bare (standard input)
  warn spec.defaultBackend.service.port: no port (port-missing): requests get 503
       at standard input:50:3

5 Ingresses judged, 2 would be denied, 3 warnings, 1 in the baseline, 1 without a verdict
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	var coloured bytes.Buffer
	if err := sample().Write(&coloured, Table, "", true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), red+"deny"+reset) || !strings.Contains(coloured.String(), yellow+"warn"+reset) {
		t.Errorf("the modes have no colours: %q", coloured.String())
	}
	if got := (&Findings{}).Summary.String(); got != "There is no Ingress to judge" {
		t.Errorf("got %q", got)
	}
}

func TestWide(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(write(t, sample(), Wide)), "\n")
	if len(lines) != 7 {
		t.Fatalf("got %d lines, want a head and 6 findings: %q", len(lines), lines)
	}
	if got := strings.Join(strings.Fields(lines[2]), " "); got != "deny shop/web service-missing dir/my web.yaml:12:7 spec.defaultBackend.service.port gone - requests get 503" {
		t.Errorf("got %q", got)
	}
}

// TestIgnoredAndRecorded wants what neither denies nor warns where everything is listed,
// and only there.
func TestIgnoredAndRecorded(t *testing.T) {
	for _, mode := range []checks.Mode{Ignored, Audit} {
		f := NewFinding(checks.Finding{Check: "port-missing", Fact: "no such port"}, mode, "shop", "web")
		r := &Findings{}
		r.Add(Judged{Namespace: "shop", Name: "web", Findings: []Finding{f}}, func(string) bool { return false })
		for _, format := range FindingFormats() {
			listed := format != Table && format != SARIF && format != GitHub
			if got := strings.Contains(write(t, r, format), "no such port"); got != listed {
				t.Errorf("%s of mode %s: listed is %v, want %v", format, mode, got, listed)
			}
		}
		if r.Summary.Audit+r.Summary.Ignored != 1 || len(NewBaseline(r).Findings) != 0 {
			t.Errorf("mode %s: got %+v and the baseline %+v", mode, r.Summary, NewBaseline(r))
		}
	}
}

// TestSARIF validates the log against the schema of SARIF 2.1.0, which the library
// holds, and reads it back.
func TestSARIF(t *testing.T) {
	for name, r := range map[string]*Findings{"sample": sample(), "empty": {}} {
		log, err := sarif.FromBytes([]byte(write(t, r, SARIF)), sarif.WithStrictValidation())
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	log, err := sarif.FromString(write(t, sample(), SARIF))
	if err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	var got []string
	for _, result := range run.Results {
		at := result.Locations[0]
		text := fmt.Sprintf("%s %s %s", *run.Tool.Driver.Rules[result.RuleIndex].ID, result.Level, *at.LogicalLocations[0].FullyQualifiedName)
		if *result.RuleID != *run.Tool.Driver.Rules[result.RuleIndex].ID {
			t.Errorf("%s has the rule of another check", *result.RuleID)
		}
		if p := at.PhysicalLocation; p != nil {
			text += " " + *p.ArtifactLocation.URI
			if region := p.Region; region != nil {
				text += fmt.Sprintf(" %d:%d-%d:%d", *region.StartLine, *region.StartColumn, *region.EndLine, *region.EndColumn)
			}
		}
		got = append(got, text)
	}
	want := []string{
		"port-missing error shop/web dir/my%20web.yaml 12:7-12:11", "service-missing error shop/web dir/my%20web.yaml 12:7-12:11",
		"tls-expired warning shop/web", "port-missing warning shop/piped shop/templates/a.yaml", "port-missing warning shop/bare",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if invocation := run.Invocations[0]; *invocation.ExecutionSuccessful || len(invocation.ToolExecutionNotifications) != 2 {
		t.Errorf("got %+v, want a failed invocation with two notifications", invocation)
	}
	// The schema does catch what is wrong.
	*run.Results[0].Locations[0].PhysicalLocation.Region.StartLine = 0
	if log.Validate() == nil {
		t.Error("a region that begins in line 0 is valid")
	}
}

func TestURI(t *testing.T) {
	for file, want := range map[string]string{
		"./a/b.yaml": "a/b.yaml", "/tmp/a b.yaml": "file:///tmp/a%20b.yaml", "../x.yaml": "../x.yaml", "a:b.yaml": "./a:b.yaml", "https://example.com/a?b": "https://example.com/a?b",
	} {
		if got := uriOf(file); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

func TestJUnit(t *testing.T) {
	suites, err := parser.Ingest([]byte(write(t, sample(), JUnit)))
	if err != nil {
		t.Fatal(err)
	}
	if len(suites) != 1 || suites[0].Totals.Tests != 7 || suites[0].Totals.Failed != 1 || suites[0].Totals.Error != 2 {
		t.Fatalf("got %+v", suites)
	}
	tests := suites[0].Tests
	if tests[0].Classname != "b,ad:%.yaml" || tests[0].Status != parser.StatusError || tests[1].Classname != "input" {
		t.Errorf("got %+v, %+v", tests[0], tests[1])
	}
	failure := parser.Error{}
	if !errors.As(tests[2].Error, &failure) {
		t.Errorf("got the error %v", tests[2].Error)
	}
	lines := strings.Split(failure.Body, "\n")
	if tests[2].Name != "Ingress shop/web" || tests[2].Classname != "dir/my web.yaml" || failure.Type != "port-missing" || len(lines) != 2 {
		t.Errorf("got %+v", tests[2])
	}
	if want := `dir/my web.yaml:12:7: deny: spec.defaultBackend.service.port: a%25:,b\r\n::error::c]]>"<&\x1b[31m \u202e (port-missing): requests get 503`; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
	}
	if !strings.Contains(tests[2].SystemOut, "tls-expired") || tests[3].Status != parser.StatusPassed || tests[4].Status != parser.StatusPassed {
		t.Errorf("got %+v", tests[2:5])
	}
}

// TestGitHub reads the commands as the runner of GitHub Actions does (ActionCommand
// in actions/runner).
func TestGitHub(t *testing.T) {
	out := write(t, sample(), GitHub)
	if strings.Count(out, "\n") != 7 {
		t.Fatalf("a value has broken a line: %q", out)
	}
	var got []string
	for line := range strings.Lines(out) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "::")
		info, data, both := strings.Cut(rest, "::")
		if !ok || !both {
			t.Fatalf("%q is no command", line)
		}
		name, properties, _ := strings.Cut(info, " ")
		text := name
		for _, property := range strings.Split(properties, ",") {
			key, value, ok := strings.Cut(property, "=")
			if !ok {
				t.Fatalf("%q is no property", property)
			}
			text += " " + key + "=" + strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(value)
		}
		got = append(got, text+" | "+strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(data))
	}
	want := []string{
		"error file=b,ad:%.yaml line=3 title=Routegate | b,ad:%.yaml, document 2: " + printable(nasty),
		"error title=Routegate | stopped",
		"error file=dir/my web.yaml line=12 col=7 endColumn=11 title=port-missing | Ingress shop/web: spec.defaultBackend.service.port: " + printable(nasty) + " (port-missing): requests get 503",
		"error file=dir/my web.yaml line=12 col=7 endColumn=11 title=service-missing | Ingress shop/web: spec.defaultBackend.service.port: gone (service-missing): requests get 503\nsay so",
		"warning title=tls-expired | Ingress shop/web: spec.defaultBackend.service.port: old (tls-expired): requests get 503 [not denied: not certain]",
		"warning file=shop/templates/a.yaml title=port-missing | Ingress shop/piped: spec.defaultBackend.service.port: no port (port-missing): requests get 503",
		"warning title=port-missing | Ingress shop/bare: spec.defaultBackend.service.port: no port (port-missing): requests get 503",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %q\nwant %q", got[i], want[i])
		}
	}
}

func TestJSONAndYAML(t *testing.T) {
	var back Findings
	if err := json.Unmarshal([]byte(write(t, sample(), JSON)), &back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", back.Summary) != fmt.Sprintf("%+v", sample().Summary) || back.Ingresses[0].Findings[0].Fact != nasty {
		t.Errorf("got %+v", back)
	}
	if out := write(t, sample(), YAML); !strings.Contains(out, "check: port-missing") {
		t.Errorf("got %s", out)
	}
}

func TestBaseline(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, JSON, NewBaseline(sample())); err != nil {
		t.Fatal(err)
	}
	b, err := ReadBaseline(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range sample().Ingresses {
		for _, f := range j.Findings {
			if b.Fingerprints()[f.Fingerprint] == (f.Mode == Undecided) {
				t.Errorf("%s in mode %s: in the baseline is %v", f.Check, f.Mode, f.Mode == Undecided)
			}
		}
	}
	for text, want := range map[string]string{"{": "is no baseline", `{"kind": "Snapshot", "apiVersion": "routegate.dev/v1alpha1"}`: `kind "Snapshot": must be routegate.dev/v1alpha1, Baseline`} {
		if _, err := ReadBaseline([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestFingerprint wants it to be the same wherever the fault stands, and another for
// another fault, whatever its parts are.
func TestFingerprint(t *testing.T) {
	of := func(namespace, name string, s checks.Subject, index int) string {
		f := checks.Finding{Check: "port-missing", Subject: s, Field: field.NewPath("spec", "rules").Index(index), Fact: fmt.Sprint(index)}
		return NewFinding(f, checks.Deny, namespace, name).Fingerprint
	}
	first := of("a", "b", checks.Subject{Host: "h", Path: "/"}, 0)
	if of("a", "b", checks.Subject{Host: "h", Path: "/"}, 7) != first {
		t.Error("it depends on the place")
	}
	for _, other := range []string{
		of("a", "c", checks.Subject{Host: "h", Path: "/"}, 0), of("ab", "", checks.Subject{Host: "h", Path: "/"}, 0),
		of("a", "b", checks.Subject{Host: "h/", Path: ""}, 0), of("a", "b", checks.Subject{Host: "h", Path: "/", Object: "x"}, 0),
	} {
		if other == first {
			t.Error("it is that of another fault")
		}
	}
}
