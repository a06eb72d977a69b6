// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAuditWithFewRights judges a cluster of which the user may read Ingresses and Secrets
// in some namespaces only.
func TestAuditWithFewRights(t *testing.T) {
	lists := liveLists()
	stored := strings.Replace(fmt.Sprintf(storedIngress, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)), `"rules"`, `"tls": [{"hosts": ["a.example"], "secretName": "cert"}], "rules"`, 1)
	delete(lists, "/apis/networking.k8s.io/v1/ingresses")
	lists["/api/v1/namespaces"] = `{"kind": "NamespaceList", "apiVersion": "v1", "items": [{"metadata": {"name": "shop"}}, {"metadata": {"name": "blog"}}, {"metadata": {"name": "closed"}}]}`
	for _, namespace := range []string{"shop", "blog"} {
		item := strings.NewReplacer(`"shop"`, fmt.Sprintf("%q", namespace), "a.example", namespace+".example").Replace(stored)
		lists["/apis/networking.k8s.io/v1/namespaces/"+namespace+"/ingresses"] = `{"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "items": [` + item + `]}`
	}
	lists["/api/v1/namespaces/shop/secrets"] = `{"kind": "SecretList", "apiVersion": "v1", "items": []}`
	kubeconfig := apiServer(t, lists)

	stdout, stderr, code := execute(t, "", "audit", "-A", "--kubeconfig", kubeconfig)
	for _, want := range []string{
		"Ingresses were not read (you are not allowed to list it outside 2 namespaces)",
		"Secrets are not readable in 1 namespace (you are not allowed to list it outside the namespace shop): TLS checks are skipped there\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q: %s", want, stderr)
		}
	}
	if strings.Count(stdout, "(tls-secret-missing)") != 1 || !strings.Contains(stdout, "blog/web\n") || !strings.Contains(stdout, "2 Ingresses judged") {
		t.Errorf("got %d\n%s%s", code, stdout, stderr)
	}

	// Without -A, the current namespace is all that is looked at.
	if stdout, stderr, _ := execute(t, "", "audit", "--kubeconfig", kubeconfig); !strings.Contains(stdout, "1 Ingress judged") || strings.Contains(stdout, "blog") {
		t.Errorf("got %s%s", stdout, stderr)
	}
	if _, stderr, code := execute(t, "", "audit", "-n", "closed", "--kubeconfig", kubeconfig); code != exitError || !strings.Contains(stderr, "cannot list the kind Ingress") {
		t.Errorf("where nothing may be read: got %d, %s", code, stderr)
	}
}
