// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// pageText is the text of the page on standard output, without its style and script, with one
// space between words.
func pageText(t *testing.T, stdout string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func wantTexts(t *testing.T, page string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// TestAuditPage wants in the page what was judged, what could not be read, and of the routes
// those of the Ingresses that were judged.
func TestAuditPage(t *testing.T) {
	lists := liveLists()
	lists["/version"] = `{"gitVersion": "v1.37.1"}`
	kubeconfig := apiServer(t, lists)
	stdout, stderr, code := execute(t, "", "audit", "--kubeconfig", kubeconfig, "--check", "port-missing,no-endpoints-at-all", "--class", "nginx", "-o", "html")
	if code != exitOK {
		t.Fatalf("got %d, %s", code, stderr)
	}
	page := pageText(t, stdout)
	wantTexts(t, page, "Routegate audit Cluster context c, Kubernetes v1.37.1 Namespace shop Class nginx Policy preset standard Checks port-missing, no-endpoints-at-all As of 2",
		"1 Ingress judged", "a.example / Prefix shop/web web:80")

	delete(lists, "/version")
	stdout, stderr, _ = execute(t, "", "audit", "-A", "--kubeconfig", kubeconfig, "-o", "html")
	page = pageText(t, stdout)
	wantTexts(t, page, "Cluster context c Namespace all Policy", "The version of the cluster was not read")
	wantTexts(t, stderr, "The version of the cluster was not read")

	// The same page whenever it is made of one snapshot.
	args := []string{"audit", "--snapshot", "testdata/audit/table/cluster.json", "-o", "html", "-n", "blog"}
	stdout, _, _ = execute(t, "", args...)
	page = pageText(t, stdout)
	wantTexts(t, page, "Cluster snapshot testdata/audit/table/cluster.json Namespace blog", "As of 2026-11-21 00:00:00 UTC", "blog/ web warn", "1 Ingress of another controller is not shown")
	if strings.Contains(page, "shop/") {
		t.Errorf("the page shows what was not judged:\n%s", page)
	}
	if again, _, _ := execute(t, "", args...); again != stdout {
		t.Error("the page differs from one time to the next")
	}

	stdout, stderr, _ = execute(t, "", "audit", "--snapshot", "testdata/audit/unread/cluster.json", "-o", "html")
	for _, note := range strings.Split(strings.TrimSpace(stderr), "\n") {
		wantTexts(t, pageText(t, stdout), note)
	}
	if stderr == "" {
		t.Error("nothing is said of what could not be read")
	}
}

// TestCheckPage wants in the page the places in the manifests, and what of them could not be
// read.
func TestCheckPage(t *testing.T) {
	manifests := documents(nginxClass, webService, wrongPort, "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: bad}\nspec: 7\n")
	stdout, stderr, code := execute(t, manifests, "check", "-f", "-", "-o", "html")
	if code != exitError {
		t.Errorf("got %d, %s", code, stderr)
	}
	wantTexts(t, pageText(t, stdout), "Routegate check Manifests - Policy preset standard", "What could not be judged standard input:",
		`deny Service "web" has no port 81 ; must be 80`, "Place standard input:", "* / Prefix shop/web web:81")

	stdout, stderr, _ = execute(t, documents(wrongPort), "check", "-f", "-", "--snapshot", "testdata/audit/table/cluster.json", "-o", "html")
	page := pageText(t, stdout)
	wantTexts(t, page, "Applied to snapshot testdata/audit/table/cluster.json", "* / Prefix shop/web web:81")
	if strings.Contains(page, "blog/") {
		t.Errorf("the page shows what was not judged:\n%s%s", page, stderr)
	}
}
