// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"fmt"
	"maps"
	"slices"
)

// The keys of Secrets that annotations need.
const (
	basicAuthKey = "auth"
	caKey        = "ca.crt"
)

// Denial is why every request of an Ingress is answered with 503: an annotation that
// guards it names an object that is missing or does not hold what it must (semantics
// section 1.K), or has a value that is refused.
type Denial struct {
	// Reason is a clause, empty where nothing is denied.
	Reason string
	// Annotation is to blame, by its name without prefix.
	Annotation string
	// Object is missing or unfit, the zero Ref where the value itself is.
	Object Ref
}

// DenialOf says why the requests of an Ingress are denied. It is Unread where that
// depends on an object that was not read; Reason then says which.
func (s *Snapshot) DenialOf(namespace string, c *Config) (Denial, Known) {
	if c.Denied != "" {
		return Denial{Reason: c.Denied, Annotation: c.DeniedBy}, Present
	}
	var doubt Denial
	for _, ref := range c.Secrets {
		if ref.Annotation == "auth-tls-secret" {
			continue
		}
		if reason, known := s.secretDenial(namespace, ref, c); reason != "" {
			d := Denial{Reason: reason, Annotation: ref.Annotation, Object: Ref{Kind: Secrets, Namespace: ref.Key.Namespace, Name: ref.Key.Name}}
			if known != Unread {
				return d, Present
			}
			doubt = d
		}
	}
	for _, ref := range c.ConfigMaps {
		object := Ref{Kind: ConfigMaps, Namespace: ref.Key.Namespace, Name: ref.Key.Name}
		d := Denial{Annotation: ref.Annotation, Object: object}
		switch _, known := s.ConfigMap(ref.Key.Namespace, ref.Key.Name); known {
		case Absent:
			d.Reason = fmt.Sprintf("ConfigMap %q of %s does not exist", ref.Key.Name, ref.Annotation)
			return d, Present
		case Unread:
			d.Reason = fmt.Sprintf("ConfigMap %q of %s was not read", ref.Key.Name, ref.Annotation)
			doubt = d
		}
	}
	if doubt.Reason != "" {
		return doubt, Unread
	}
	return Denial{}, Present
}

// RefusedParam returns the first entry, by name, of the ConfigMap with FastCGI
// parameters for the sake of which the controller does not take up the Ingress
// (semantics row B06), or nothing.
func (s *Snapshot) RefusedParam(c *Config) string {
	if c.FastCGIParams.Name == "" {
		return ""
	}
	configMap, known := s.ConfigMap(c.FastCGIParams.Namespace, c.FastCGIParams.Name)
	if known != Present {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(configMap.Data)) {
		if !paramSet.only(configMap.Data[key]) {
			return key
		}
	}
	return ""
}

// secretDenial follows semantics rows K09 and K17. A Secret of another namespace is
// never read.
func (s *Snapshot) secretDenial(namespace string, ref ObjectReference, c *Config) (string, Known) {
	name := ref.Key.Name
	if ref.Key.Namespace != namespace {
		return fmt.Sprintf("Secret %q of %s is in another namespace and was not read", name, ref.Annotation), Unread
	}
	switch s.SecretExists(namespace, name) {
	case Absent:
		return fmt.Sprintf("Secret %q of %s does not exist", name, ref.Annotation), Present
	case Unread:
		return fmt.Sprintf("Secret %q of %s was not read", name, ref.Annotation), Unread
	}
	if ref.Annotation != "auth-secret" || c.BasicAuth.SecretType == "auth-map" {
		return "", Present
	}
	facts, known := s.Secret(namespace, name)
	switch {
	case known == Unread:
		return fmt.Sprintf("what Secret %q of %s holds was not read", name, ref.Annotation), Unread
	case known == Present && !slices.Contains(facts.Keys, basicAuthKey):
		return fmt.Sprintf("Secret %q of %s has no key %q", name, ref.Annotation, basicAuthKey), Present
	}
	return "", Present
}

// denial is DenialOf for a location.
func (t *Table) denial(loc *Location) (string, Known) {
	if loc.Ingress == nil {
		return "", Present
	}
	d, known := t.snap.DenialOf(loc.Ingress.Namespace, loc.Config)
	return d.Reason, known
}

// clientCertificates says why auth-tls-secret closes the host, and whether clients
// need a certificate (semantics rows E07, K19). It is Unread where that cannot be
// told.
func (t *Table) clientCertificates(namespace string, c *Config) (denied string, verify bool, known Known) {
	if c.HostDenied != "" {
		return c.HostDenied, false, Present
	}
	for _, ref := range c.Secrets {
		if ref.Annotation != "auth-tls-secret" {
			continue
		}
		if ref.Key.Namespace != namespace {
			return "", false, Unread
		}
		if t.snap.SecretExists(namespace, ref.Key.Name) == Absent {
			return fmt.Sprintf("Secret %q of auth-tls-secret does not exist", ref.Key.Name), false, Present
		}
		facts, known := t.snap.Secret(namespace, ref.Key.Name)
		if known != Present {
			return "", false, Unread
		}
		if facts.Blank() {
			return fmt.Sprintf("Secret %q of auth-tls-secret holds no certificate", ref.Key.Name), false, Present
		}
		return "", slices.Contains(facts.Keys, caKey) && (c.AuthTLS.VerifyClient == "" || c.AuthTLS.VerifyClient == "on"), Present
	}
	return "", false, Present
}
