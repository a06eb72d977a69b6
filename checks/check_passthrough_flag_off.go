// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var passthroughFlagOff = Check{
	Name:  "passthrough-flag-off",
	Title: "ssl-passthrough has no effect without the flag of the controller",
	Text: `ingress-nginx ignores the annotation ssl-passthrough unless it was started with --enable-ssl-passthrough. It
then ends the TLS connection itself, with a certificate of its own, and speaks to the backend as the annotation
backend-protocol says: plain HTTP where there is none, which a backend that expects TLS refuses.

Start the controller with the flag, or set nginx.ingress.kubernetes.io/backend-protocol: "HTTPS" instead of the
annotation.

The flag cannot be seen from the cluster, so this only warns. Say in the settings of the controller that it has the flag
and nothing is said.`,
	Example:     "default-settings",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.IngressClasses},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"ssl-passthrough"},
	Run:         runPassthroughFlagOff,
}

func runPassthroughFlagOff(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if !routing.PassesTLSThrough(ing) || routing.IsCanary(ing) || snap.SettingsOf(ing).EnableSSLPassthrough {
		return nil
	}
	at, value := annotationOf(ing, "ssl-passthrough")
	spoken := "plain HTTP"
	if config, _ := configOf(ing, snap); !strings.EqualFold(config.BackendProtocol, "HTTP") {
		spoken = bare(config.BackendProtocol)
	}
	return []Finding{{
		Field:     at,
		Fact:      "the controller is not known to run with --enable-ssl-passthrough, without which it ignores the annotation",
		Accepted:  "must be left out unless the controller has the flag",
		Outcome:   "ingress-nginx ends TLS itself and speaks " + spoken + " to the backend",
		Subject:   Subject{Object: "annotation/" + value},
		Tentative: true,
	}}
}
