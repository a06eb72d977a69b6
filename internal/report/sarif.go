// SPDX-License-Identifier: Apache-2.0

package report

import (
	"io"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/routegate/routegate/checks"
)

// The places of the project and of the pages of its checks.
const (
	home       = "https://github.com/routegate/routegate"
	checkPages = home + "/blob/main/docs/checks/"
)

// writeSARIF writes a log of SARIF 2.1.0, with the checks that found something as rules.
// What neither denies nor warns is left out: not all who read the format know that a
// result can be suppressed.
func (r *Findings) writeSARIF(w io.Writer, version string) error {
	run := sarif.NewRunWithInformationURI("routegate", home)
	driver := run.Tool.Driver
	driver.Version = &version
	// Columns count characters, not the code units of UTF-16.
	columns := "unicodeCodePoints"
	run.ColumnKind = &columns

	rules := map[string]int{}
	for _, name := range r.checksFound() {
		check, err := checks.Find(name)
		if err != nil {
			return err
		}
		rules[name] = len(driver.Rules)
		driver.Rules = append(driver.Rules, ruleOf(check))
	}
	for _, j := range r.Ingresses {
		for i := range j.Findings {
			if f := &j.Findings[i]; f.counts() {
				run.Results = append(run.Results, resultOf(&j, f, rules[f.Check]))
			}
		}
	}
	run.Invocations = append(run.Invocations, r.invocation())

	log := sarif.NewReport()
	log.AddRun(run)
	if err := log.PrettyWrite(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// checksFound are the names of the checks with findings, sorted.
func (r *Findings) checksFound() []string {
	var names []string
	for _, j := range r.Ingresses {
		for i := range j.Findings {
			if j.Findings[i].counts() {
				names = append(names, j.Findings[i].Check)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func ruleOf(check checks.Check) *sarif.ReportingDescriptor {
	rule := sarif.NewReportingDescriptor()
	page := checkPages + check.Name + ".md"
	rule.ID, rule.HelpURI = &check.Name, &page
	rule.ShortDescription = text(check.Title)
	rule.FullDescription = text(check.Title + ". " + check.Text)
	rule.Help = text(check.Text)
	rule.DefaultConfiguration = sarif.NewReportingConfiguration()
	rule.DefaultConfiguration.Level = levelOf(check.Default)
	return rule
}

func text(s string) *sarif.MultiformatMessageString {
	m := sarif.NewMultiformatMessageString()
	m.Text = &s
	return m
}

func levelOf(mode checks.Mode) string {
	switch mode {
	case checks.Deny:
		return sarif.LevelError
	case checks.Warn:
		return sarif.LevelWarning
	}
	return sarif.LevelNone
}

func resultOf(j *Judged, f *Finding, rule int) *sarif.Result {
	result := sarif.NewResult()
	result.RuleID, result.RuleIndex = &f.Check, rule
	result.Level = levelOf(f.Mode)
	result.PartialFingerprints = map[string]string{"routegate/v1": f.Fingerprint}
	result.Message = message(f.text())

	location := sarif.NewLocation()
	name := j.Namespace + "/" + j.Name
	kind := "object"
	object := sarif.NewLogicalLocation()
	object.FullyQualifiedName, object.Kind = &name, &kind
	location.LogicalLocations = append(location.LogicalLocations, object)
	if at := f.Source.inRepository(); at != nil {
		location.PhysicalLocation = place(at)
	}
	result.Locations = append(result.Locations, location)
	return result
}

func message(s string) *sarif.Message {
	m := sarif.NewMessage()
	m.Text = &s
	return m
}

func place(at *Source) *sarif.PhysicalLocation {
	uri := uriOf(at.File)
	physical := sarif.NewPhysicalLocation()
	physical.ArtifactLocation = sarif.NewArtifactLocation()
	physical.ArtifactLocation.URI = &uri
	if at.Line > 0 {
		physical.Region = sarif.NewRegion()
		physical.Region.StartLine = &at.Line
		if at.Column > 0 {
			physical.Region.StartColumn = &at.Column
		}
		if at.EndColumn > 0 {
			physical.Region.EndLine, physical.Region.EndColumn = &at.Line, &at.EndColumn
		}
	}
	return physical
}

// uriOf writes the name of a file as a reference: one relative to the root of the
// repository, in which the command is taken to run, or an absolute one.
func uriOf(file string) string {
	if strings.HasPrefix(file, "https://") || strings.HasPrefix(file, "http://") {
		return file
	}
	slashed := path.Clean(filepath.ToSlash(file))
	if path.IsAbs(slashed) {
		return (&url.URL{Scheme: "file", Path: slashed}).String()
	}
	return (&url.URL{Path: slashed}).String()
}

// invocation says whether all was read.
func (r *Findings) invocation() *sarif.Invocation {
	invocation := sarif.NewInvocation()
	done := len(r.Problems) == 0
	invocation.ExecutionSuccessful = &done
	for _, p := range r.Problems {
		notification := sarif.NewNotification()
		notification.Level = sarif.LevelError
		notification.Message = message(p.Message)
		if at := (&Source{File: p.File, Line: p.Line}).inRepository(); at != nil && at.File != "" {
			location := sarif.NewLocation()
			location.PhysicalLocation = place(at)
			notification.Locations = append(notification.Locations, location)
		}
		invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications, notification)
	}
	return invocation
}
