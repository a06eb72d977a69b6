// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/routegate/routegate/certs"
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

// withTLS adds a certificate to what ingress returned.
func withTLS(ingress, host, secret string) string {
	return ingress + fmt.Sprintf("  tls: [{hosts: [%s], secretName: %s}]\n", host, secret)
}

// conformance is what Kubernetes' test creates, in a class that exists so that
// the Ingress is nginx's.
func conformance(ns, host string) string {
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {generateName: e2e-example-ing, namespace: %s, labels: {special-label: e2e}}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: default-backend, port: {number: 8080}}}
  rules:
    - host: %s
      http: {paths: [{path: /, pathType: ImplementationSpecific, backend: {service: {name: test-backend, port: {number: 8080}}}}]}
`, ns, host)
}

// solver is what cert-manager makes for a challenge, in its order.
func solver(ns, image string) []string {
	labels := `{acme.cert-manager.io/http-domain: "1234567890", acme.cert-manager.io/http-token: "987654321", acme.cert-manager.io/http01-solver: "true"}`
	return []string{fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: cm-acme-http-solver-q5w8z, namespace: %s, labels: %s, annotations: {sidecar.istio.io/inject: "false"}}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: OnFailure
  containers: [{name: acmesolver, image: %q, imagePullPolicy: IfNotPresent, args: [version], ports: [{name: http, containerPort: 8089}]}]
`, ns, labels, image), fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: cm-acme-http-solver-d4f6h, namespace: %s, labels: %s, annotations: {auth.istio.io/8089: NONE}}
spec: {type: NodePort, selector: %s, ports: [{name: http, port: 8089, targetPort: 8089}]}
`, ns, labels, labels), fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: cm-acme-http-solver-x7k2p
  namespace: %s
  labels: %s
  annotations: {nginx.ingress.kubernetes.io/whitelist-source-range: "0.0.0.0/0,::/0"}
spec:
  ingressClassName: nginx
  rules:
    - host: acme.example.com
      http: {paths: [{path: /.well-known/acme-challenge/token, pathType: Exact, backend: {service: {name: cm-acme-http-solver-d4f6h, port: {number: 8089}}}}]}
`, ns, labels)}
}

// certificate is a Secret with a certificate for the host.
func certificate(ns, name, host string) string {
	GinkgoHelper()
	chain, key, err := certs.PEM([]string{host})
	Expect(err).NotTo(HaveOccurred())
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: %s}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`, name, ns, encode(chain), encode(key))
}
