// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var authTLSErrorPoisonsHost = Check{
	Name:  "auth-tls-error-poisons-host",
	Title: "auth-tls-secret is not usable, so every request of the host is denied",
	Text: `With the annotation auth-tls-secret, ingress-nginx asks clients for a certificate that the Secret's ca.crt signed. If the
value is not the namespace/name of a Secret, or if that does not exist, holds no certificate or is in another namespace, the controller closes
the whole host: every path answers 403, those of other Ingresses and the challenges of cert-manager too.

Write namespace/name, with the namespace of the Ingress, and create the Secret. The controller notices one that is created
later.

It only warns of a missing or empty Secret, which may be filled later, and where the controller may allow other namespaces. Nothing is said of a canary, and where another Ingress has
closed the host already.`,
	Example:     "no-namespace",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Secrets, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-tls-secret"},
	Run:         runAuthTLSErrorPoisonsHost,
}

func runAuthTLSErrorPoisonsHost(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	if config.HostDenied == "" && len(config.Secrets) == 0 {
		return nil
	}
	f := Finding{
		Field:     field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, "auth-tls-secret")),
		Fact:      config.HostDenied,
		Tentative: routing.PassesTLSThrough(ing) || lenientConfig(ing, table.Settings).HostDenied == "",
	}
	for _, fault := range config.Faults {
		if fault.Outcome == routing.AnnotationDeniesHost {
			f.Fact = fmt.Sprintf("%s: value %s", config.HostDenied, quote(fault.Value))
			f.Accepted = fault.Accepted
		}
	}
	if config.HostDenied == "" {
		i := slices.IndexFunc(config.Secrets, func(ref routing.ObjectReference) bool { return ref.Annotation == "auth-tls-secret" })
		if i < 0 || config.Secrets[i].Key.Namespace != ing.Namespace {
			return nil
		}
		name := config.Secrets[i].Key.Name
		facts, held := snap.Secret(ing.Namespace, name)
		switch {
		case snap.SecretExists(ing.Namespace, name) == routing.Absent:
			f.Fact = fmt.Sprintf("Secret %s does not exist in namespace %s", quote(name), quote(ing.Namespace))
			f.Accepted = didYouMean(name, snap.Names[routing.Ref{Kind: routing.Secrets, Namespace: ing.Namespace}])
		case held == routing.Present && facts.Blank():
			f.Fact = fmt.Sprintf("Secret %s has no key %s", quote(name), quote("ca.crt"))
			f.Accepted = "must hold the certificates that sign those of clients"
		default:
			return nil
		}
		f.RestsOn = []routing.Ref{secretRef(ing, name)}
		// It may come later, as Secrets of external stores do.
		f.Tentative = true
	}
	var findings []Finding
	for _, host := range routing.HostsOf(ing) {
		server := table.ServerOf(host)
		if server == nil || server.DeniedBy != ing {
			continue
		}
		f.Subject = Subject{Host: host, Object: "annotation/auth-tls-secret"}
		f.Outcome = fmt.Sprintf("every path of %s answers 403, those of other Ingresses too", ofHost(host))
		findings = append(findings, f)
	}
	return findings
}
