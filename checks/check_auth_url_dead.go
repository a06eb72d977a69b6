// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

var authURLDead = Check{
	Name:  "auth-url-dead",
	Title: "nobody answers at the address of auth-url, so every request fails",
	Text: `With the annotation auth-url, ingress-nginx asks that address about each request. Where its host is that of a Service in
the namespace of the Ingress, and there is no such Service, nobody answers, and every request gets 500. So it is where
the host is not a whole name: nginx asks the name server for it as it is written, and does not complete it as Pods do.

Correct the address, or create the Service. Write the whole name, such as auth.app.svc.cluster.local.

It only warns, because the Service may come later, and a name server may know short names. Nothing is said of hosts
outside the cluster or in other namespaces, which are not looked up, and of a canary, whose annotations do not count.`,
	Example:     "missing",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-url"},
	Run:         runAuthURLDead,
}

func runAuthURLDead(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	host := config.ExternalAuth.Host
	owns, _ := ownsLocation(table, ing)
	// A redirect answers before anybody is asked.
	if host == "" || !owns || config.Denied != "" || config.Redirect.URL != "" {
		return nil
	}
	f := Finding{
		Field:     field.NewPath("metadata", "annotations").Key(annotationKey(ing, table.Settings, "auth-url")),
		Outcome:   "requests get 500",
		Tentative: true,
	}
	if name := routing.ServiceOfHost(ing.Namespace, host); name != "" {
		if _, known := snap.Service(ing.Namespace, name); known == routing.Absent {
			f.Fact = fmt.Sprintf("Service %s does not exist in namespace %s", quote(name), quote(ing.Namespace))
			f.Accepted = didYouMean(name, snap.Names[routing.Ref{Kind: routing.Services, Namespace: ing.Namespace}])
			f.Subject = Subject{Object: "Service/" + name}
			f.RestsOn = []routing.Ref{serviceRef(ing, name)}
			return []Finding{f}
		}
	}
	// With auth-keepalive, and without HTTP/2, the host is looked up when nginx starts, which
	// completes it.
	whole := wholeName(ing.Namespace, host)
	if whole == "" || config.ExternalAuth.Keepalive != 0 {
		return nil
	}
	f.Fact = fmt.Sprintf("nginx does not complete the host %s as Pods do", quote(host))
	f.Accepted = fmt.Sprintf("must be a whole name, such as %s", quote(whole))
	f.Outcome = "requests get 500 unless the name server knows it"
	f.Subject = Subject{Object: "annotation/auth-url/" + host}
	return []Finding{f}
}

// wholeName is what a Pod of the namespace would take the host of a Service for, in a
// cluster with the usual domain; nothing where the host needs no completion or may be one
// outside the cluster.
func wholeName(namespace, host string) string {
	const domain = "cluster.local"
	switch {
	case strings.ContainsAny(host, "$:"):
		return ""
	case !strings.Contains(host, "."):
		return host + "." + namespace + ".svc." + domain
	case strings.HasSuffix(host, ".svc"):
		return host + "." + domain
	}
	return ""
}
