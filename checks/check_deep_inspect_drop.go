// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var deepInspectDrop = Check{
	Name:  "deep-inspect-drop",
	Title: "a host, path or Secret name looks like an attack to ingress-nginx",
	Text: `ingress-nginx looks through the hosts, paths and Secret names of an Ingress for what attackers write: alias or root with
a semicolon behind, /var/run/secrets, _by_lua, and /etc/ with passwd, shadow, group, nginx or ingress-controller. It does
not take up such an Ingress, even where the path is harmless, such as /etc/nginx-docs. A new Ingress is answered with
404. After a change, the former version stays served, while kubectl shows the new one.

Choose another path, host or name.

It denies only where the settings of the controller are confirmed and under the preset strict, because the controller may
run with --deep-inspect=false. Where its settings say so, nothing is said.`,
	Example:     "path",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Run:         runDeepInspectDrop,
}

func runDeepInspectDrop(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if config, settings := configOf(ing, snap); settings.DisableDeepInspect || config.Dropped == "" {
		return nil
	}
	var findings []Finding
	inspect := func(at *field.Path, value string, subject Subject) {
		part := routing.Suspicious(value)
		if part == "" {
			return
		}
		findings = append(findings, Finding{
			Field:    at,
			Fact:     fmt.Sprintf("ingress-nginx takes %s for an attack", quote(value)),
			Accepted: "must not contain " + part,
			Outcome:  dropped,
			Subject:  subject,
		})
	}
	spec := field.NewPath("spec")
	for i := range ing.Spec.Rules {
		rule, at := &ing.Spec.Rules[i], spec.Child("rules").Index(i)
		inspect(at.Child("host"), rule.Host, Subject{Object: "host/" + rule.Host})
		for j := 0; rule.HTTP != nil && j < len(rule.HTTP.Paths); j++ {
			path := rule.HTTP.Paths[j].Path
			inspect(at.Child("http", "paths").Index(j).Child("path"), path, Subject{Object: "path/" + path})
		}
	}
	for i := range ing.Spec.TLS {
		tls := &ing.Spec.TLS[i]
		for j, host := range tls.Hosts {
			inspect(tlsField(i).Child("hosts").Index(j), host, Subject{Object: "host/" + host})
		}
		inspect(tlsField(i).Child("secretName"), tls.SecretName, Subject{Object: "Secret/" + tls.SecretName})
	}
	return findings
}
