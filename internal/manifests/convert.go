// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"errors"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsjson "sigs.k8s.io/json"
)

// convertIngress makes an Ingress of networking.k8s.io/v1 of one of v1beta1, which
// extensions and networking.k8s.io had alike, as the API server did. What it cannot
// say exactly is an error that names the field as it stands there.
func convertIngress(data []byte) (*networkingv1.Ingress, error) {
	var old networkingv1beta1.Ingress
	strict, err := sigsjson.UnmarshalStrict(data, &old)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, tidy(err)
	}
	spec := field.NewPath("spec")
	ing := &networkingv1.Ingress{ObjectMeta: old.ObjectMeta}
	ing.SetGroupVersionKind(networkingv1.SchemeGroupVersion.WithKind("Ingress"))
	ing.Spec.IngressClassName = old.Spec.IngressClassName
	if old.Spec.Backend != nil {
		backend, err := convertBackend(old.Spec.Backend, spec.Child("backend"))
		if err != nil {
			return nil, err
		}
		ing.Spec.DefaultBackend = backend
	}
	for _, tls := range old.Spec.TLS {
		ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS(tls))
	}
	for i, rule := range old.Spec.Rules {
		converted := networkingv1.IngressRule{Host: rule.Host}
		if rule.HTTP != nil {
			converted.HTTP = &networkingv1.HTTPIngressRuleValue{}
			for j, path := range rule.HTTP.Paths {
				backend, err := convertBackend(&path.Backend, spec.Child("rules").Index(i).Child("http", "paths").Index(j).Child("backend"))
				if err != nil {
					return nil, err
				}
				// The API server filled this in.
				pathType := networkingv1.PathTypeImplementationSpecific
				if path.PathType != nil {
					pathType = networkingv1.PathType(*path.PathType)
				}
				converted.HTTP.Paths = append(converted.HTTP.Paths, networkingv1.HTTPIngressPath{Path: path.Path, PathType: &pathType, Backend: *backend})
			}
		}
		ing.Spec.Rules = append(ing.Spec.Rules, converted)
	}
	return ing, nil
}

func convertBackend(old *networkingv1beta1.IngressBackend, at *field.Path) (*networkingv1.IngressBackend, error) {
	switch {
	case old.Resource != nil && old.ServiceName != "":
		return nil, fmt.Errorf("%s: has both serviceName and resource", at)
	case old.Resource != nil:
		return &networkingv1.IngressBackend{Resource: old.Resource}, nil
	case old.ServiceName == "":
		return nil, fmt.Errorf("%s.serviceName: must be set", at)
	}
	service := &networkingv1.IngressServiceBackend{Name: old.ServiceName}
	if old.ServicePort.Type == intstr.Int {
		if faults := validation.IsValidPortNum(old.ServicePort.IntValue()); len(faults) > 0 {
			return nil, fmt.Errorf("%s.servicePort: %d is no port: %s", at, old.ServicePort.IntVal, faults[0])
		}
		service.Port.Number = old.ServicePort.IntVal
	} else {
		if faults := validation.IsValidPortName(old.ServicePort.StrVal); len(faults) > 0 {
			return nil, fmt.Errorf("%s.servicePort: %q is no name of a port: %s", at, old.ServicePort.StrVal, faults[0])
		}
		service.Port.Name = old.ServicePort.StrVal
	}
	return &networkingv1.IngressBackend{Service: service}, nil
}

// oldSteps is where v1beta1 has what networking.k8s.io/v1 has at the path.
func oldSteps(steps []step) []step {
	old := slices.Clone(steps)
	for i := range old {
		switch {
		case i == 1 && old[i].name == "defaultBackend":
			old[i].name = "backend"
		case old[i].name == "service" && i > 0 && old[i-1].name == "backend":
			if i+1 == len(old) {
				return old[:i]
			}
			if old[i+1].name == "port" {
				return append(old[:i], step{name: "servicePort"})
			}
			return append(old[:i], step{name: "serviceName"})
		}
	}
	return old
}
