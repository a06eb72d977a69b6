// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"fmt"
	"strings"
)

const class = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
`

func namespace(name string, labels ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {%s}}
`, name, strings.Join(labels, ", "))
}

// service has no selector, so its endpoints are those that the test writes.
func service(ns, name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec: {ports: [{port: 80, targetPort: 8080}]}
`, name, ns)
}

func endpoints(ns, service string) string {
	return fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [192.0.2.10]}]
`, service, ns)
}

func ingress(ns, name, host, service string) string {
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %s, namespace: %s}
spec:
  ingressClassName: nginx
  rules:
    - host: %s
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %s, port: {number: 80}}}}]}
`, name, ns, host, service)
}
