// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

const filed = `
kind: IngressClass
apiVersion: networking.k8s.io/v1
metadata: {name: nginx, creationTimestamp: "2026-01-01T00:00:00Z", annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: k8s.io/ingress-nginx}
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: {name: web, namespace: app, uid: "1", annotations: {nginx.ingress.kubernetes.io/app-root: /x}}
spec: {ingressClassName: nginx, rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: app}
spec: {type: ClusterIP, clusterIP: 10.0.0.1, selector: {app: web, tier: front}, ports: [{name: http, port: 80, targetPort: web}]}
---
kind: EndpointSlice
apiVersion: discovery.k8s.io/v1
metadata: {name: web-1, namespace: app, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}, {name: all}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: false}}, {addresses: [10.1.0.2]}]
---
kind: ConfigMap
apiVersion: v1
metadata: {name: headers, namespace: app}
data: {X-A: b}
---
kind: Namespace
apiVersion: v1
metadata: {name: app, labels: {team: a}}
`

// TestFileHoldsTheSame writes a cluster and reads it back.
func TestFileHoldsTheSame(t *testing.T) {
	s := cluster.NewStatic()
	s.Now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	risk := routing.RiskCritical
	s.Known = []settings.Known{{Class: "k8s.io/ingress-nginx", Settings: routing.ControllerSettings{Confirmed: true, Version: "v1.15.1", AnnotationsRiskLevel: &risk}}}
	s.Cover(routing.Ref{Kind: routing.Namespaces}, routing.Coverage{Reason: "no"})
	s.Cover(routing.Ref{Kind: routing.Secrets}, routing.Coverage{Reason: "not elsewhere"})
	s.Cover(routing.Ref{Kind: routing.Secrets, Namespace: "app"}, routing.Coverage{Read: true})
	objects, err := cluster.Decode(strings.NewReader(filed))
	if err != nil {
		t.Fatal(err)
	}
	secret, key := pair(t)
	for _, obj := range append(objects, secret) {
		if err := s.Apply(obj.(metav1.Object)); err != nil {
			t.Fatal(err)
		}
	}
	var first bytes.Buffer
	if err := s.WriteFile(&first); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cluster.json")
	if err := os.WriteFile(path, first.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	back, err := cluster.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := back.WriteFile(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("written again it is\n%s\nand was\n%s", second.String(), first.String())
	}
	before, _ := s.Everything()
	after, _ := back.Everything()
	web, cert, headers := routing.Key{Namespace: "app", Name: "web"}, routing.Key{Namespace: "app", Name: "cert"}, routing.Key{Namespace: "app", Name: "headers"}
	if before.Services[web] == nil || len(before.Slices[web]) != 1 || before.Secrets[cert].Certificate == nil || before.ConfigMaps[headers] == nil {
		t.Fatal("the cluster does not hold what is to be compared")
	}
	text := func(snap *routing.Snapshot) string {
		data, err := json.MarshalIndent([]any{
			snap.Now, snap.Classes, snap.Services[web], snap.Slices[web], snap.Secrets[cert], snap.ConfigMaps[headers], snap.Sharing, snap.Namespaces,
		}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if text(before) != text(after) {
		t.Errorf("got\n%s\nwant\n%s", text(after), text(before))
	}
	if len(back.Known) != 1 || !back.Known[0].Settings.Confirmed || back.Known[0].Settings.RiskLevel() != risk {
		t.Errorf("got the settings %+v", back.Known)
	}
	for ref, want := range map[routing.Ref]bool{
		{Kind: routing.Namespaces}: false, {Kind: routing.SecretData, Namespace: "app", Name: "cert"}: true,
		{Kind: routing.Secrets, Namespace: "other", Name: "x"}: false, {Kind: routing.Services}: true,
	} {
		if c := after.CoverageOf(ref); c.Read != want || c != before.CoverageOf(ref) {
			t.Errorf("%v: got %+v, want %+v", ref, c, before.CoverageOf(ref))
		}
	}
	for _, form := range []string{"PRIVATE KEY", string(key[30:60]), base64.StdEncoding.EncodeToString(key)[40:80], "hunter2"} {
		if strings.Contains(first.String(), form) {
			t.Errorf("the file holds %q of a Secret", form)
		}
	}
}

// pair is a TLS Secret, and its key.
func pair(t *testing.T) (*corev1.Secret, []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "cert", Annotations: map[string]string{"cert-manager.io/certificate-name": "cert"}},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "tls.key": key, "password": []byte("hunter2")},
	}, key
}

func TestReadFileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{": "is no snapshot: ", `{"apiVersion": "routegate.dev/v1alpha1", "kind": "Baseline"}`: `kind "Baseline": must be routegate.dev/v1alpha1, Snapshot`,
		`{"apiVersion": "routegate.dev/v2", "kind": "Snapshot"}`: `apiVersion "routegate.dev/v2"`,
	} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
