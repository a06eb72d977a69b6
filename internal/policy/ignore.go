// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/checks"
)

// IgnoreAnnotation is the annotation of an Ingress that names checks whose findings
// neither deny nor warn, until when, and why.
const IgnoreAnnotation = "routegate.dev/ignore"

// IgnoreVerb is what a user must be allowed to do with an Ingress to add or change the
// annotation, where the policy restricts that. No API server knows it as a verb of its
// own: it is there to be granted by RBAC.
const IgnoreVerb = "routegate-ignore"

// ignoreCheck is how findings about the annotation itself are named. No check has the
// name.
const ignoreCheck = "ignore-annotation"

// ignoreForm is what the annotation must be like.
const ignoreForm = `must be like "check-a,check-b; until=2027-01-31; reason=why", where until may be left out`

// Ignore is what the annotation of an Ingress says that counts. The zero value ignores
// nothing.
type Ignore struct {
	// Checks are the checks whose findings are ignored.
	Checks []string
	// Reason is why, as the annotation says.
	Reason string
	// Until is when they cease to be ignored; zero where they do not.
	Until time.Time
	// Uncertain is true when it could not be found out whether the user may say so.
	// The findings are then not ignored, but do not deny.
	Uncertain bool
}

// names reports whether the check is among those that are ignored.
func (i Ignore) names(check string) bool {
	return slices.Contains(i.Checks, check)
}

// RestrictsIgnore reports whether a user needs the right for IgnoreVerb to add or
// change the annotation.
func (r *Rules) RestrictsIgnore() bool {
	return r.file.Ignore.allows() && r.file.Ignore.Restrict
}

// Ignore reads the annotation of an Ingress, and says of what does not count in it what
// would be accepted. It does not know whether the user may set it.
func (r *Rules) Ignore(annotations map[string]string, now time.Time) (Ignore, []string) {
	value, ok := annotations[IgnoreAnnotation]
	if !ok {
		return Ignore{}, nil
	}
	fault := func(format string, args ...any) string {
		return fmt.Sprintf("annotation %s=%s %s", IgnoreAnnotation, checks.Quote(value), fmt.Sprintf(format, args...))
	}
	if !r.file.Ignore.allows() {
		return Ignore{}, []string{fault("ignores nothing: the policy here does not admit it")}
	}
	named, until, reason, why := parseIgnore(value)
	if why != "" {
		return Ignore{}, []string{fault("ignores nothing: %s; %s", why, ignoreForm)}
	}
	var end time.Time
	if !until.IsZero() {
		end = until.AddDate(0, 0, 1)
	}
	if !end.IsZero() && !now.Before(end) {
		return Ignore{}, []string{fault("ignores nothing since the end of %s; must have a later date after until=, or be left out", until.Format(time.DateOnly))}
	}
	ignore := Ignore{Reason: reason, Until: end}
	var faults []string
	for _, name := range named {
		at := slices.IndexFunc(r.all, func(c checks.Check) bool { return c.Name == name })
		switch {
		case at < 0:
			faults = append(faults, fault("names the check %s, which there is not; %s", checks.Quote(name), r.accepted(name)))
		case r.all[at].Poison && !r.file.Ignore.Poison:
			faults = append(faults, fault("does not ignore %s, which stops the controller for everybody: the policy here does not admit that", name))
		case !ignore.names(name):
			ignore.Checks = append(ignore.Checks, name)
		}
	}
	return ignore, faults
}

// accepted says what the name of a check was probably meant to be.
func (r *Rules) accepted(name string) string {
	names := make([]string, len(r.all))
	for i := range r.all {
		names[i] = r.all[i].Name
	}
	if near := checks.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return `"routegate explain" lists all checks`
}

// parseIgnore reads the value of the annotation, or says why it cannot be read. A part
// that is not understood makes the whole ignore nothing: it might have been an end.
func parseIgnore(value string) (named []string, until time.Time, reason, why string) {
	list, rest, _ := strings.Cut(value, ";")
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return nil, until, "", "a name of a check is missing"
		}
		named = append(named, name)
	}
	rest = strings.TrimSuffix(strings.TrimSpace(rest), ";")
	if rest == "" {
		return nil, until, "", "reason= is missing"
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ";") {
		key, text, ok := strings.Cut(part, "=")
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		switch {
		case !ok || (key != "until" && key != "reason"):
			return nil, until, "", fmt.Sprintf("%s is neither until= nor reason=", checks.Quote(strings.TrimSpace(part)))
		case seen[key]:
			return nil, until, "", key + "= is there twice"
		case text == "":
			return nil, until, "", key + "= is empty"
		case key == "reason":
			reason = text
		default:
			date, err := time.Parse(time.DateOnly, text)
			if err != nil {
				return nil, until, "", fmt.Sprintf("until=%s is no date of the form YYYY-MM-DD", checks.Quote(text))
			}
			until = date
		}
		seen[key] = true
	}
	if reason == "" {
		return nil, until, "", "reason= is missing"
	}
	return named, until, reason, ""
}

// RefuseIgnore returns the Verdict with a denial, since the user may not add or change
// the annotation in the namespace.
func (v Verdict) RefuseIgnore(user, namespace string) Verdict {
	v.Denied = append([]checks.Finding{aboutIgnore(checks.Finding{
		Fact: fmt.Sprintf("user %s may not add or change it in namespace %s", checks.Quote(user), checks.Quote(namespace)),
		Accepted: fmt.Sprintf("must be left as it was, or be set by a user with the verb %s for ingresses.networking.k8s.io there",
			IgnoreVerb),
	})}, v.Denied...)
	v.settings = withIgnore(v.settings)
	return v
}

// DoubtIgnore returns the Verdict where it could not be found out, for that reason,
// whether the user may add or change the annotation.
func (r *Rules) DoubtIgnore(v Verdict, reason string) Verdict {
	v.Undecided = append([]checks.Finding{aboutIgnore(checks.Finding{Fact: reason, Undecided: true})}, v.Undecided...)
	v.mayFail = v.mayFail || r.base.OnUndecided == Fail
	v.settings = withIgnore(v.settings)
	return v
}

// aboutIgnore makes a finding one about the annotation itself.
func aboutIgnore(f checks.Finding) checks.Finding {
	f.Check = ignoreCheck
	f.Field = field.NewPath("metadata", "annotations").Key(IgnoreAnnotation)
	return f
}

func withIgnore(settings map[string]setting) map[string]setting {
	settings = maps.Clone(settings)
	if settings == nil {
		settings = map[string]setting{}
	}
	settings[ignoreCheck] = setting{mode: checks.Deny, by: "ignore.restrict"}
	return settings
}
