// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var basicAuthDenied = Check{
	Name:  "basic-auth-denied",
	Title: "basic authentication has no usable Secret, so every request is denied",
	Text: `With the annotation auth-type, ingress-nginx needs the user list of the Secret that auth-secret names. If there is none,
if it does not exist, is in another namespace, or has no key auth, every path of the Ingress answers 503.

Create the Secret: kubectl create secret generic NAME --from-file=auth, with a file that htpasswd wrote. The controller
notices a Secret that is created or corrected later.

It only warns of a missing Secret, which may come later, and where it depends on flags of the controller. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "wrong-key",
	Since:       "0.1",
	Default:     Deny,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.Secrets, routing.SecretData},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"auth-type"},
	Regardless:  true,
	Run:         runBasicAuthDenied,
}

func runBasicAuthDenied(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "auth-type", "auth-secret", "auth-secret-type")
}
