// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var authTLSSecretFormat = Check{
	Name:  "auth-tls-secret-format",
	Title: "auth-tls-secret has no ca.crt, so no client needs a certificate",
	Text: `With the annotation auth-tls-secret, ingress-nginx asks clients for a certificate that the ca.crt of that Secret signed. If
the Secret has a certificate with its key, but no ca.crt, the controller asks for none, without a word: every client gets
to the backend.

Put the certificates that sign those of clients into the Secret as ca.crt.

It only warns. Nothing is said where another Ingress of the host names another Secret, and of a canary, whose
annotations do not count.`,
	Example:     "pair-only",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-tls-secret"},
	Run:         runAuthTLSSecretFormat,
}

func runAuthTLSSecretFormat(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	const name = "auth-tls-secret"
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	i := slices.IndexFunc(config.Secrets, func(ref routing.ObjectReference) bool { return ref.Annotation == name })
	if i < 0 || config.Secrets[i].Key.Namespace != ing.Namespace || config.AuthTLS.VerifyClient == "off" {
		return nil
	}
	unguarded := slices.ContainsFunc(routing.HostsOf(ing), func(host string) bool {
		return ownsPathOf(table, ing, host) && !asksForOther(table.ServerOf(host), config.AuthTLS.Secret)
	})
	if !unguarded {
		return nil
	}
	secret := config.Secrets[i].Key.Name
	facts, known := snap.Secret(ing.Namespace, secret)
	// A Secret without any certificate is auth-tls-error-poisons-host's to report.
	if known != routing.Present || facts.Blank() || slices.Contains(facts.Keys, "ca.crt") {
		return nil
	}
	return []Finding{{
		Field:    field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, name)),
		Fact:     fmt.Sprintf("Secret %s has no key %s", quote(secret), quote("ca.crt")),
		Accepted: "must hold the certificates that sign those of clients",
		Outcome:  "clients are asked for no certificate, and every request is served",
		Subject:  Subject{Object: "Secret/" + secret},
		RestsOn:  []routing.Ref{secretRef(ing, secret)},
	}}
}

// asksForOther reports whether an Ingress of the host names another Secret, which may
// have what is needed.
func asksForOther(server *routing.Server, secret string) bool {
	return slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool {
		return loc.Config.AuthTLS.Secret != "" && loc.Config.AuthTLS.Secret != secret
	})
}
