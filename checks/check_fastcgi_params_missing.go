// SPDX-License-Identifier: Apache-2.0

package checks

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

var fastCGIParamsMissing = Check{
	Name:  "fastcgi-params-missing",
	Title: "fastcgi-params-configmap names no usable ConfigMap: requests are denied",
	Text: `ingress-nginx reads the FastCGI parameters from the ConfigMap that the annotation fastcgi-params-configmap names, always
in the namespace of the Ingress. If it does not exist, every path of the Ingress answers 503, whatever the backend
protocol.

Correct the name, or create the ConfigMap. One that is created after the Ingress is not noticed until the Ingress
changes.

It only warns where it depends on flags of the controller, and of a missing ConfigMap. Nothing is said of a canary, whose
annotations do not count, and where older Ingresses have all the paths.`,
	Example:     "missing",
	Since:       "0.1",
	Default:     Warn,
	Reads:       []routing.Kind{routing.Ingresses, routing.IngressClasses, routing.ConfigMaps},
	Controllers: []string{routing.Nginx},
	Annotations: []string{"fastcgi-params-configmap"},
	Run:         runFastCGIParamsMissing,
}

func runFastCGIParamsMissing(ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	return denials(ing, snap, "fastcgi-params-configmap")
}
