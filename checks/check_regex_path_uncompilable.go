// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var regexPathUncompilable = Check{
	Name:  "regex-path-uncompilable",
	Title: "a path is no regular expression, but the host takes it for one",
	Text: `The annotation use-regex or rewrite-target of any Ingress of a host makes nginx take all paths of the host for regular
expressions, those of other Ingresses and literal ones too. If PCRE cannot compile one of them, nginx refuses the
configuration and the controller keeps the former one: from then on no change of any Ingress, and no change of endpoints,
is applied in the whole cluster, and a controller that restarts never becomes ready.

Correct the path, or escape its special characters with backslashes. Or take the annotation off all Ingresses of the
host: then the path is taken literally.

It only warns of an expression that cannot be judged for certain, and where ingress-nginx may have refused the other
Ingress for one of its annotations.`,
	Example:     "use-regex",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Poison:      true,
	Regardless:  true,
	Run:         runRegexPathUncompilable,
}

func runRegexPathUncompilable(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings []Finding
	blamed := map[Subject]bool{}
	for _, fault := range faultsOf(ing, snap, routing.RefusalRegex) {
		f := fault.finding(ing)
		if fault.Uncertain {
			f.Outcome = "if it does not, " + frozen
		}
		if fault.blamed {
			f.Fact = fmt.Sprintf("path %s of %s: %s", quote(f.Subject.Path), ofHost(fault.Host), bounded(fault.Reason))
			if len(fault.others) > 0 {
				f.Fact += fmt.Sprintf("; Ingress %s makes it one", quote(ingressName(fault.others[0])))
			}
			f.Accepted = "must be a regular expression of PCRE"
			findings = append(findings, f)
			continue
		}
		// The annotation is at fault, once for each Ingress whose paths it spoils.
		f.Subject.Path, f.Subject.Type = "", ""
		if blamed[f.Subject] {
			continue
		}
		blamed[f.Subject] = true
		name := "rewrite-target"
		if fault.Other.Config.UseRegex {
			name = "use-regex"
		}
		f.Field = annotationField(name)
		f.Fact = fmt.Sprintf("it makes all paths of %s regular expressions, and nginx cannot compile one %s",
			ofHost(fault.Host), fault.elsewhere())
		if fault.Uncertain {
			f.Fact = fmt.Sprintf("it makes all paths of %s regular expressions, and whether nginx compiles one %s cannot be judged",
				ofHost(fault.Host), fault.elsewhere())
		}
		f.Accepted = "must not be set while that path exists"
		findings = append(findings, f)
	}
	return findings
}

// maxReason bounds a clause that holds values from users, in runes.
const maxReason = 160

// bounded cuts a clause, of which values from users are already quoted.
func bounded(clause string) string {
	if runes := []rune(clause); len(runes) > maxReason {
		clause = string(runes[:maxReason-1]) + "…"
	}
	return strings.ToValidUTF8(clause, "�")
}
