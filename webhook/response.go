// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
)

// Bounds on what a response says. The API server cuts warnings at 256 runes once
// all webhooks together exceed 4096, and keeps audit annotations of moderate
// size.
const (
	maxWarnings   = 10   // warnings
	maxNamed      = 3    // checks named beside a reason for no verdict
	maxWarning    = 256  // runes of a warning
	maxAnnotation = 1024 // bytes of the value of an audit annotation
)

// response is the answer to a request with a verdict.
func (h *Handler) response(d *decision) *admissionv1.AdmissionResponse {
	resp := &admissionv1.AdmissionResponse{
		UID:              d.request.UID,
		Allowed:          d.verdict.Allowed(),
		Warnings:         warnings(d),
		AuditAnnotations: auditAnnotations(d),
	}
	if !resp.Allowed {
		resp.Result = denial(d)
	}
	return resp
}

// denial is the Status that the API server passes on to the user.
func denial(d *decision) *metav1.Status {
	denied := d.verdict.Denied
	status := &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusForbidden,
		Reason:  metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{Group: "networking.k8s.io", Kind: "ingresses", Name: nameOf(d)},
	}
	shown := denied[:min(len(denied), d.shown())]
	for _, f := range shown {
		field := ""
		if f.Field != nil {
			field = printable(f.Field.String())
		}
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{
			Type:    metav1.CauseType(f.Check),
			Field:   field,
			Message: printable(f.String()),
		})
	}
	lines := texts(shown)
	if len(denied) == 1 {
		status.Message = lines[0]
		return status
	}
	if more := len(denied) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	status.Message = fmt.Sprintf("%d reasons why this Ingress cannot route:\n- %s", len(denied), strings.Join(lines, "\n- "))
	return status
}

// warnings are what the user reads beside the answer, gravest first: no verdict,
// namespace labels and an annotation without meaning, what would have denied, what only warns.
func warnings(d *decision) []string {
	var all []string
	if text := undecidedText(d.verdict.Undecided); text != "" {
		all = append(all, "no verdict on parts of this Ingress: "+text)
	}
	all = append(all, d.labelFaults...)
	all = append(all, d.ignoreFaults...)
	for _, w := range d.verdict.Warned {
		if w.Because != "" {
			all = append(all, fmt.Sprintf("%s [%s]", w.Finding, w.Because))
		}
	}
	for _, w := range d.verdict.Warned {
		if w.Because == "" {
			all = append(all, w.String())
		}
	}
	if most := min(d.shown(), maxWarnings); len(all) > most {
		more := len(all) - most
		all = append(all[:most-1], fmt.Sprintf("and %d more", more+1))
	}
	for i := range all {
		all[i] = bounded(printable(all[i]))
	}
	return all
}

// undecidedText joins the reasons why checks could not judge, each once.
func undecidedText(findings []checks.Finding) string {
	var reasons []string
	byReason := map[string][]string{}
	for _, f := range findings {
		if _, ok := byReason[f.Fact]; !ok {
			reasons = append(reasons, f.Fact)
		}
		if f.Check != "" {
			byReason[f.Fact] = append(byReason[f.Fact], f.Check)
		}
	}
	for i, reason := range reasons {
		switch names := byReason[reason]; {
		case len(names) > maxNamed:
			reasons[i] = fmt.Sprintf("%s (%d checks)", reason, len(names))
		case len(names) > 0:
			reasons[i] = fmt.Sprintf("%s (%s)", reason, strings.Join(names, ", "))
		}
	}
	return strings.Join(reasons, "; ")
}

// auditAnnotations name the checks with findings: all, and by what became of them; the
// gravest of their modes and what set them; and whether denials were found again in a
// fresh read. The API server prefixes the keys with the webhook's name.
func auditAnnotations(d *decision) map[string]string {
	annotations := map[string]string{}
	add := func(key string, names []string) {
		slices.Sort(names)
		if value := strings.Join(slices.Compact(names), ","); value != "" {
			annotations[key] = value[:min(len(value), maxAnnotation)]
		}
	}
	v := d.verdict
	var warned []string
	for _, w := range v.Warned {
		warned = append(warned, w.Check)
	}
	denied, undecided, audited, ignored := names(v.Denied), names(v.Undecided), names(v.Audited), names(v.Ignored)
	found := slices.Concat(denied, warned, undecided, audited, ignored)
	for _, mode := range []checks.Mode{policy.Audit, checks.Warn, checks.Deny} {
		if slices.ContainsFunc(found, func(check string) bool { return v.Mode(check) == mode }) {
			annotations["mode"] = string(mode)
		}
	}
	if len(denied) > 0 {
		annotations["confirmed"] = strconv.FormatBool(d.confirmed)
	}
	add("policy-rule", setBy(v, found))
	add("checks", found)
	add("denied", denied)
	add("warned", warned)
	add("undecided", undecided)
	add("audited", audited)
	add("ignored", ignored)
	if len(ignored) > 0 {
		reason := printable(d.ignore.Reason)
		annotations["ignore-reason"] = strings.ToValidUTF8(reason[:min(len(reason), maxAnnotation)], "")
	}
	if len(v.Undecided) > 0 && annotations["undecided"] == "" {
		annotations["undecided"] = "all"
	}
	return annotations
}

// setBy names what set the modes of the checks, each once, sorted.
func setBy(v policy.Verdict, checks []string) []string {
	var list []string
	for _, check := range checks {
		if by := v.SetBy(check); by != "" {
			list = append(list, by)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func names(findings []checks.Finding) []string {
	var list []string
	for _, f := range findings {
		if f.Check != "" {
			list = append(list, f.Check)
		}
	}
	return list
}

func texts(findings []checks.Finding) []string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = printable(f.String())
	}
	return lines
}

// printable replaces what a terminal or the API server would not take: control
// characters, and bytes that are not UTF-8.
func printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// checkName matches where a message names its check.
var checkName = regexp.MustCompile(` \([a-z0-9-]+\)(: |$| \[)`)

// bounded cuts a warning. The fact stands first in it, so that the end is what can be
// missed, but for the name of the check, under which the rest can be read.
func bounded(text string) string {
	runes := []rune(text)
	if len(runes) <= maxWarning {
		return text
	}
	name, seen := "", false
	if at := checkName.FindStringIndex(text); at != nil {
		name = text[at[0] : at[0]+strings.IndexByte(text[at[0]:], ')')+1]
		seen = utf8.RuneCountInString(text[:at[0]]+name) < maxWarning
	}
	if seen {
		name = ""
	}
	return string(runes[:maxWarning-1-utf8.RuneCountInString(name)]) + "…" + name
}

// writeReview answers with the response in an AdmissionReview of the request's
// version.
func writeReview(w http.ResponseWriter, review *admissionv1.AdmissionReview, resp *admissionv1.AdmissionResponse) {
	answer := admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: resp}
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "response: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// Nothing can be done for a client that has gone.
	_, _ = w.Write(body)
}
