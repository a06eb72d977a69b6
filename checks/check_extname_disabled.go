// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var extNameDisabled = Check{
	Name:  "extname-disabled",
	Title: "this controller does not serve Services of type ExternalName",
	Text: `This ingress-nginx was started with --disable-svc-external-name. It takes a Service of type ExternalName for one without
endpoints, and answers 503.

Use a Service without selector, and an EndpointSlice that holds the addresses.

It speaks only where the settings of the controller have that flag, and denies only where they are confirmed and under
the preset strict.`,
	Example:     "external",
	Since:       "0.1",
	Default:     Warn,
	Strict:      Deny,
	Confirmed:   Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Services},
	Controllers: []string{routing.Nginx},
	Regardless:  true,
	Run:         runExtNameDisabled,
}

func runExtNameDisabled(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	if settings := snap.Settings.Of(snap.ClassOf(ing).SpecController); !settings.DisableExternalName {
		return nil
	}
	return externalNames(ing, snap, func(b backend, svc *routing.Service) *Finding {
		return &Finding{
			Field:    b.field.Child("service", "name"),
			Fact:     fmt.Sprintf("Service %s has type ExternalName, which this ingress-nginx was told not to serve", quote(svc.Name)),
			Accepted: "must be a Service with endpoints",
			Outcome:  "requests get 503",
		}
	})
}
