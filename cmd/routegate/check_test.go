// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.yaml.in/yaml/v3"

	"github.com/routegate/routegate/internal/report"
)

const (
	nginxClass  = "kind: IngressClass\napiVersion: networking.k8s.io/v1\nmetadata: {name: nginx}\nspec: {controller: k8s.io/ingress-nginx}\n"
	webService  = "kind: Service\napiVersion: v1\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	wrongPort   = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: web, namespace: shop}\nspec:\n  ingressClassName: nginx\n  defaultBackend: {service: {name: web, port: {number: 81}}}\n"
	missingTLS  = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: tls, namespace: shop}\nspec:\n  ingressClassName: nginx\n  tls: [{hosts: [tls.example], secretName: cert}]\n  rules: [{host: tls.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]\n"
	goodIngress = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: good, namespace: shop}\nspec:\n  ingressClassName: nginx\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n"
)

func documents(texts ...string) string { return strings.Join(texts, "---\n") }

// findingsOf runs check with its JSON.
func findingsOf(t *testing.T, stdin string, args ...string) (*report.Findings, string, int) {
	t.Helper()
	stdout, stderr, code := execute(t, stdin, append([]string{"check", "-o", "json"}, args...)...)
	var findings report.Findings
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	return &findings, stderr, code
}

// TestPlacesOfTheCorpus judges the recorded scenarios and the manifests of the demo, and
// asks a YAML parser what stands at the place of each finding.
func TestPlacesOfTheCorpus(t *testing.T) {
	scenarios, err := filepath.Glob("../../e2e/testdata/truth/scenarios/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files []string
	for _, scenario := range scenarios {
		text, err := os.ReadFile(scenario)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(scenario))
		if err := os.WriteFile(path, []byte(listOf(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	demo, err := filepath.Glob("../../e2e/demo/manifests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, demo...)
	total, exact, unread := 0, 0, 0
	found := map[string]bool{}
	for _, path := range files {
		findings, _, _ := findingsOf(t, "", "--preset", "strict", "-f", path)
		if len(findings.Problems) > 0 {
			unread++
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, judged := range findings.Ingresses {
			for _, f := range judged.Findings {
				if f.Mode == report.Undecided {
					continue
				}
				total++
				found[f.Check] = true
				if f.Source == nil || f.Source.File != path || f.Source.Line == 0 {
					t.Errorf("%s: %s has no place: %+v", path, f.Message, f.Source)
					continue
				}
				at, ok := pathAt(t, string(text), f.Source)
				field := f.Field
				switch {
				case !ok || (at != field && !strings.HasPrefix(field, at+".") && !strings.HasPrefix(field, at+"[")):
					t.Errorf("%s: at %d:%d stands %q, the finding is about %q", path, f.Source.Line, f.Source.Column, at, field)
				case at == field:
					exact++
				case hasField(t, string(text), judged.Namespace, judged.Name, field):
					t.Errorf("%s: at %d:%d stands %q, though there is %q", path, f.Source.Line, f.Source.Column, at, field)
				}
			}
		}
	}
	t.Logf("%d findings of %d checks in %d files, of which %d not in full, %d at their field, the others at the field around a missing one",
		total, len(found), len(files), unread, exact)
	if total < 150 || len(found) < 55 || exact < total*9/10 {
		t.Errorf("got %d findings of %d checks, %d at their field: the corpus holds more", total, len(found), exact)
	}
}

// listOf makes a scenario a list of its objects.
func listOf(scenario string) string {
	_, objects, _ := strings.Cut(scenario, "\nobjects:\n")
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	for line := range strings.Lines(objects) {
		if line[0] != ' ' && line[0] != '-' && line[0] != '\n' && line[0] != '#' {
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// pathAt puts an anchor at the place and has the parser say which field has it. The path is
// that within the object.
func pathAt(t *testing.T, text string, at *report.Source) (string, bool) {
	t.Helper()
	lines := strings.Split(text, "\n")
	line := []rune(lines[at.Line-1])
	lines[at.Line-1] = string(line[:at.Column-1]) + "&here " + string(line[at.Column-1:])
	decoder := yaml.NewDecoder(strings.NewReader(strings.Join(lines, "\n")))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return "", false
		}
		if path, ok := anchored(document.Content[0], ""); ok {
			if _, within, isItem := strings.Cut(path, "items["); isItem && strings.HasPrefix(path, "items[") {
				_, path, _ = strings.Cut(within, "].")
			}
			// The anchor of an item that is a mapping is that of its first name.
			if at.EndColumn == 0 {
				path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, ']')+1)]
			}
			return path, true
		}
	}
}

func anchored(node *yaml.Node, path string) (string, bool) {
	if node.Anchor == "here" {
		return path, true
	}
	for i, child := range node.Content {
		at := path
		switch node.Kind {
		case yaml.SequenceNode:
			at = fmt.Sprintf("%s[%d]", path, i)
		case yaml.MappingNode:
			name := node.Content[i-i%2].Value
			if strings.HasSuffix(path, "annotations") {
				at = fmt.Sprintf("%s[%s]", path, name)
			} else if at = name; path != "" {
				at = path + "." + name
			}
		}
		if found, ok := anchored(child, at); ok {
			return found, true
		}
	}
	return "", false
}

// hasField reports whether the Ingress has the field.
func hasField(t *testing.T, text, namespace, name, field string) bool {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document map[string]any
		if err := decoder.Decode(&document); err != nil {
			return false
		}
		objects := []any{document}
		if items, ok := document["items"].([]any); ok {
			objects = items
		}
		for _, obj := range objects {
			m, _ := obj.(map[string]any)
			meta, _ := m["metadata"].(map[string]any)
			if m["kind"] == "Ingress" && meta["name"] == name && meta["namespace"] == namespace {
				return lookUp(obj, field)
			}
		}
	}
}

func lookUp(value any, field string) bool {
	if field == "" {
		return value != nil
	}
	if key, rest, ok := strings.Cut(strings.TrimPrefix(field, "["), "]"); ok && field[0] == '[' {
		rest = strings.TrimPrefix(rest, ".")
		switch v := value.(type) {
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(v) {
				return false
			}
			return lookUp(v[i], rest)
		case map[string]any:
			return lookUp(v[key], rest)
		}
		return false
	}
	end := strings.IndexAny(field, ".[")
	if end < 0 {
		end = len(field)
	}
	m, _ := value.(map[string]any)
	return lookUp(m[field[:end]], strings.TrimPrefix(field[end:], "."))
}

// TestCheckExpectsSecrets wants no Secret missed that will be made of the manifests.
func TestCheckExpectsSecrets(t *testing.T) {
	certificate := "kind: Certificate\napiVersion: cert-manager.io/v1\nmetadata: {name: tls, namespace: NAMESPACE}\nspec: {secretName: cert}\n"
	for namespace, want := range map[string]int{"shop": 0, "other": 1} {
		findings, _, code := findingsOf(t, documents(nginxClass, webService, missingTLS, strings.Replace(certificate, "NAMESPACE", namespace, 1)), "--preset", "strict", "-f", "-")
		found := 0
		for _, judged := range findings.Ingresses {
			found += len(judged.Findings)
		}
		if found != want || code != want {
			t.Errorf("Certificate in %s: got %d findings and status %d, want %d: %+v", namespace, found, code, want, findings)
		}
	}
}

// TestCheckOfHelmsOutput reads from standard input.
func TestCheckOfHelmsOutput(t *testing.T) {
	in := "---\n# Source: shop/templates/a.yaml\n" + documents(nginxClass, webService) + "---\n# Source: shop/templates/ingress.yaml\n" + wrongPort
	stdout, stderr, code := execute(t, in, "check", "-f", "-")
	if code != 1 || stderr != "" || !strings.Contains(stdout, "shop/web (standard input, from shop/templates/ingress.yaml)\n") || !strings.Contains(stdout, "at standard input:19:41\n") {
		t.Errorf("got %d\n%s%s", code, stdout, stderr)
	}
}

func TestCheckOfAKustomization(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kustomization.yaml": "resources: [web.yaml]\nnamespace: other\n", "web.yaml": documents(nginxClass, webService, wrongPort),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	findings, _, code := findingsOf(t, "", "-k", dir)
	if code != 1 || len(findings.Ingresses) != 1 || findings.Ingresses[0].Namespace != "other" || findings.Summary.Deny != 1 {
		t.Fatalf("got %d, %+v", code, findings)
	}
	if at := findings.Ingresses[0].Findings[0].Source; at.File != filepath.Join(dir, "kustomization.yaml") || at.Line != 0 {
		t.Errorf("got %+v", at)
	}
}

// TestBaselineAccepts writes what is there, moves it, and wants only what is new.
func TestBaselineAccepts(t *testing.T) {
	baseline := filepath.Join(t.TempDir(), "baseline.json")
	before := documents(nginxClass, webService, wrongPort, missingTLS)
	if stdout, stderr, code := execute(t, before, "check", "-f", "-", "--baseline", baseline, "--write-baseline"); code != 0 || stdout != "" || stderr != "" {
		t.Fatalf("got %d, %s%s", code, stdout, stderr)
	}
	findings, _, code := findingsOf(t, "# a line\n# another\n"+before, "-f", "-", "--baseline", baseline, "--fail-on", "warn")
	if code != 0 || findings.Summary.Known != 2 || findings.Summary.Deny+findings.Summary.Warn != 0 {
		t.Errorf("got %d, %+v", code, findings.Summary)
	}
	worse := strings.Replace(before, "number: 81", "number: 82", 1)
	if findings, _, code = findingsOf(t, worse, "-f", "-", "--baseline", baseline); code != 1 || findings.Summary.Known != 1 || findings.Summary.Deny != 1 {
		t.Errorf("another port: got %d, %+v", code, findings.Summary)
	}
}

// apiServer answers lists like an API server whose user may not read Secrets.
func apiServer(t *testing.T, lists map[string]string) (kubeconfig string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if list, ok := lists[r.URL.Path]; ok {
			_, _ = fmt.Fprint(w, list)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"}`)
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, namespace: shop}}]\nclusters: [{name: c, cluster: {server: %q}}]\n", server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// storedIngress was created just now.
const storedIngress = `{"metadata": {"name": "web", "namespace": "shop", "uid": "1", "creationTimestamp": "%s"}, "spec": {"ingressClassName": "nginx",
 "rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}`

func liveLists() map[string]string {
	return map[string]string{
		"/apis/networking.k8s.io/v1/ingresses":      `{"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "items": [` + fmt.Sprintf(storedIngress, time.Now().Add(-time.Second).UTC().Format(time.RFC3339)) + `]}`,
		"/apis/networking.k8s.io/v1/ingressclasses": `{"kind": "IngressClassList", "apiVersion": "networking.k8s.io/v1", "items": [{"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}]}`,
		"/api/v1/services":                          `{"kind": "ServiceList", "apiVersion": "v1", "items": [{"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}}]}`,
		"/apis/discovery.k8s.io/v1/endpointslices":  `{"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "items": []}`,
		"/api/v1/namespaces":                        `{"kind": "NamespaceList", "apiVersion": "v1", "items": [{"metadata": {"name": "shop"}}]}`,
	}
}

// TestCheckOverACluster judges manifests as they would be after they were applied, to a live
// cluster and to what was saved of it, of which Secrets may not be read.
func TestCheckOverACluster(t *testing.T) {
	kubeconfig := apiServer(t, liveLists())
	saved, stderr, code := execute(t, "", "snapshot", "--kubeconfig", kubeconfig)
	if code != 0 || !strings.Contains(stderr, "Secrets were not read (you are not allowed to list it)") {
		t.Fatalf("got %d, %s", code, stderr)
	}
	snapshot := filepath.Join(t.TempDir(), "cluster.json")
	if err := os.WriteFile(snapshot, []byte(saved), 0o644); err != nil {
		t.Fatal(err)
	}
	taken := strings.NewReplacer("name: tls,", "name: late,", "tls.example", "a.example", "namespace: shop", "namespace: other").Replace(missingTLS)
	newService := strings.NewReplacer("name: web,", "name: api,", "app: web", "app: api").Replace(webService)
	toNew := strings.NewReplacer("name: good", "name: new", "{name: web, port", "{name: api, port").Replace(goodIngress)
	for name, args := range map[string][]string{"live": {"--cluster", "--kubeconfig", kubeconfig}, "saved": {"--snapshot", snapshot}} {
		t.Run(name, func(t *testing.T) {
			for what, tc := range map[string]struct {
				manifests string
				want      []string
			}{
				"what is there counts":                                       {strings.Replace(wrongPort, "number: 81", "number: 80", 1), []string{"no-endpoints-at-all"}},
				"what is there is replaced":                                  {documents(strings.Replace(webService, "port: 80", "port: 81", 1), wrongPort), nil},
				"a new Service has no endpoints yet":                         {documents(newService, toNew), nil},
				"an Ingress that is there has the host":                      {documents(taken, strings.ReplaceAll(webService, "namespace: shop", "namespace: other"), newService), []string{"duplicate-path-older-wins"}},
				"an Ingress that is there keeps its age, wherever it stands": {documents(taken, strings.NewReplacer("name: late,", "name: web,", "namespace: other", "namespace: shop").Replace(taken), strings.ReplaceAll(webService, "namespace: shop", "namespace: other")), []string{"duplicate-path-older-wins", "duplicate-path-steals-newer", "no-endpoints-at-all"}},
			} {
				findings, stderr, _ := findingsOf(t, tc.manifests, append([]string{"-f", "-"}, args...)...)
				var got []string
				for _, j := range findings.Ingresses {
					for _, f := range j.Findings {
						if f.Mode != report.Undecided {
							got = append(got, f.Check)
						}
					}
				}
				if strings.Join(got, " ") != strings.Join(tc.want, " ") {
					t.Errorf("%s: got %q, want %q", what, got, tc.want)
				}
				if usesTLS := strings.Contains(tc.manifests, "tls:"); usesTLS != strings.Contains(stderr, ": Secret \"cert\": you are not allowed to list it") {
					t.Errorf("%s: got the notes %q", what, stderr)
				}
			}
		})
	}
	if stdout, stderr, code := execute(t, "", "routes", "--snapshot", snapshot); code != 0 || !strings.Contains(stdout, "a.example") {
		t.Errorf("routes: got %d, %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := execute(t, "", "trace", "http://a.example/", "--snapshot", snapshot); code != 0 || !strings.Contains(stdout, "503") {
		t.Errorf("trace: got %d, %s%s", code, stdout, stderr)
	}
	if _, stderr, code := execute(t, "", "trace", "http://a.example/", "--snapshot", snapshot, "-f", "x"); code != 2 || !strings.Contains(stderr, "--snapshot excludes") {
		t.Errorf("trace with both: got %d, %s", code, stderr)
	}
}

// TestClusterThatCannotBeRead ends the command, unlike manifests that cannot.
func TestClusterThatCannotBeRead(t *testing.T) {
	lists := liveLists()
	delete(lists, "/apis/networking.k8s.io/v1/ingresses")
	_, stderr, code := execute(t, goodIngress, "check", "-f", "-", "--cluster", "--kubeconfig", apiServer(t, lists))
	if code != 2 || !strings.Contains(stderr, "cannot list the kind Ingress") {
		t.Errorf("got %d, %s", code, stderr)
	}
}

// TestProgress wants the progress of long work on a terminal, which is cleared at the
// end, and none elsewhere.
func TestProgress(t *testing.T) {
	t.Setenv("TERM", "xterm")
	terminal, side, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	if err := pty.Setsize(side, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	for name, since := range map[string]time.Time{"long": time.Now().Add(-time.Hour), "short": time.Now().Add(time.Hour)} {
		p := newProgress(side)
		p.since = since
		p.begin("judging Ingresses", 4)
		p.step()
		p.step()
		p.done()
		if shown := p.shown; shown != (name == "long") {
			t.Errorf("%s: shown is %v", name, shown)
		}
	}
	if _, err := side.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	_ = side.Close()
	var got bytes.Buffer
	for !strings.Contains(got.String(), "end") {
		chunk := make([]byte, 1024)
		n, err := terminal.Read(chunk)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(chunk[:n])
	}
	if !strings.Contains(got.String(), "judging Ingresses") || !strings.Contains(got.String(), "/4") {
		t.Errorf("got %q", got.String())
	}
	var file bytes.Buffer
	p := newProgress(&file)
	p.since = time.Time{}
	p.begin("x", 1)
	p.step()
	p.done()
	if file.Len() > 0 {
		t.Errorf("got %q where there is no terminal", file.String())
	}
}

// TestPluginName shows the command as it is called.
func TestPluginName(t *testing.T) {
	for program, want := range map[string]string{"/usr/bin/routegate": "Usage:\n  routegate check", "/usr/bin/kubectl-routegate": "Usage:\n  kubectl routegate check"} {
		root := rootCommand(program)
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{"check", "--help"})
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %s", program, out.String())
		}
	}
}
