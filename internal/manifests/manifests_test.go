// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/routing"
)

var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

const (
	class       = "kind: IngressClass\napiVersion: networking.k8s.io/v1\nmetadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}}\nspec: {controller: k8s.io/ingress-nginx}\n"
	firstClass  = "kind: IngressClass\napiVersion: networking.k8s.io/v1\nmetadata: {name: first, annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}}\nspec: {controller: k8s.io/ingress-nginx}\n"
	deployment  = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec: {nonsense: 1}\n"
	custom      = "kind: Certificate\napiVersion: cert-manager.io/v1\nmetadata: {name: web}\n"
	slice       = "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.1]}]\n"
	ingressList = "kind: IngressList\napiVersion: networking.k8s.io/v1\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]\n"
)

func ingress(name, rest string) string {
	return "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: " + name + rest + "}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}\n"
}

func objectMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func load(t *testing.T, o manifests.Options) (*cluster.Static, error) {
	t.Helper()
	o.Now = now
	return manifests.Load(o)
}

func loadText(t *testing.T, docs ...string) (*cluster.Static, error) {
	t.Helper()
	return load(t, manifests.Options{
		FilenameOptions: resource.FilenameOptions{Filenames: []string{"-"}},
		Stdin:           strings.NewReader(strings.Join(docs, "---\n")),
	})
}

func names(ingresses []*networkingv1.Ingress) string {
	var all []string
	for _, ing := range ingresses {
		all = append(all, ing.Namespace+"/"+ing.Name)
	}
	return strings.Join(all, " ")
}

func TestFirstIsOldest(t *testing.T) {
	s, err := loadText(t, ingress("z", ""), ingress("a", ""), ingress("real", `, creationTimestamp: "2026-01-01T00:00:00Z"`), ingress("m", ", namespace: shop"))
	if err != nil {
		t.Fatal(err)
	}
	_, ingresses := s.Everything()
	if got, want := names(ingresses), "default/real default/z default/a shop/m"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, ing := range ingresses {
		if created := ing.CreationTimestamp.Time; !created.Before(now) {
			t.Errorf("%s was created %s, which is not past", ing.Name, created)
		}
	}
}

func TestDefaultClass(t *testing.T) {
	s, err := loadText(t, ingress("web", ""), ingress("named", `, annotations: {kubernetes.io/ingress.class: ""}`),
		ingress("stored", `, creationTimestamp: "2026-01-01T00:00:00Z"`), firstClass, class)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	_, ingresses := s.Everything()
	for _, ing := range ingresses {
		got[ing.Name] = "none"
		if ing.Spec.IngressClassName != nil {
			got[ing.Name] = *ing.Spec.IngressClassName
		}
	}
	// Of two default classes, the API server takes the newer one.
	if want := map[string]string{"web": "nginx", "named": "none", "stored": "none"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatIsReadAndWhatIsNot(t *testing.T) {
	s, err := loadText(t, "# nothing\n", deployment, custom, class, ingressList, "kind: List\napiVersion: v1\nitems:\n- {kind: Namespace, apiVersion: v1, metadata: {name: shop}}\n- {kind: Pod, apiVersion: v1}\n")
	if err != nil {
		t.Fatal(err)
	}
	var unread []string
	for _, u := range s.Unread() {
		unread = append(unread, string(u.Kind)+": "+u.Reason)
	}
	if want := []string{"EndpointSlice: the manifests hold none", "Secret: the manifests hold none"}; !slices.Equal(unread, want) {
		t.Errorf("got %q, want %q", unread, want)
	}
	snap, ingresses := s.Everything()
	if names(ingresses) != "default/a default/b" || len(snap.Namespaces) != 1 {
		t.Errorf("got Ingresses %s and %d Namespaces", names(ingresses), len(snap.Namespaces))
	}
	if _, known := snap.SlicesOf("default", "web"); known != routing.Unread {
		t.Errorf("EndpointSlices count as %v", known)
	}

	if s, err = loadText(t, slice); err != nil {
		t.Fatal(err)
	}
	snap, _ = s.Everything()
	if found, known := snap.SlicesOf("default", "web"); known != routing.Present || len(found) != 1 {
		t.Errorf("got %d EndpointSlices, %v", len(found), known)
	}
	if _, known := snap.SlicesOf("default", "other"); known != routing.Absent {
		t.Errorf("EndpointSlices of another Service count as %v", known)
	}
}

func TestErrorsNameTheDocument(t *testing.T) {
	for name, tc := range map[string]struct {
		docs []string
		want string
	}{
		"unknown field":   {[]string{"# nothing\n", class, strings.Replace(ingress("web", ""), "number", "nummer", 1)}, `standard input, document 3: unknown field "spec.defaultBackend.service.port.nummer"`},
		"wrong type":      {[]string{strings.Replace(ingress("web", ""), "number: 80", "number: eighty", 1)}, "standard input, document 1: "},
		"not YAML":        {[]string{class, "kind: [\n"}, "standard input, document 2: "},
		"no object":       {[]string{"just text\n"}, "standard input, document 1: it is no object"},
		"no kind":         {[]string{"metadata: {name: x}\n"}, "standard input, document 1: it must have apiVersion and kind"},
		"no name":         {[]string{ingress(`""`, "")}, "standard input, document 1: metadata.name: must be set"},
		"twice":           {[]string{ingress("web", ""), ingress("web", ", namespace: default")}, `standard input, document 2: metadata.name: the Ingress "default/web" was defined before (standard input, document 1)`},
		"old version":     {[]string{strings.Replace(class, "k8s.io/v1", "k8s.io/v1beta1", 1)}, `must be "networking.k8s.io/v1"`},
		"item of a list":  {[]string{"kind: List\napiVersion: v1\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(strings.Replace(ingress("web", ""), "name: web", "name: web, x: y", 1)), "\n", "\n  ") + "\n"}, `standard input, document 1: items[0]: unknown field "metadata.x"`},
		"of a typed list": {[]string{strings.Replace(ingressList, "name: b", "name: b, x: y", 1)}, `unknown field "items[1].metadata.x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(t, tc.docs...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml":                  ingress("b", ""),
		"a.yml":                   ingress("a", ""),
		"notes.txt":               "not a manifest",
		"deep/c.json":             `{"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "c"}}`,
		"kust/kustomization.yaml": "resources: [web.yaml]\nnamePrefix: my-\nnamespace: shop\n",
		"kust/web.yaml":           ingress("web", ""),
		"empty/notes.txt":         "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		options resource.FilenameOptions
		want    string
	}{
		"directory": {resource.FilenameOptions{Filenames: []string{dir}}, "team/a team/b"},
		"files":     {resource.FilenameOptions{Filenames: []string{filepath.Join(dir, "b.yaml"), filepath.Join(dir, "a.yml")}}, "team/b team/a"},
		"pattern":   {resource.FilenameOptions{Filenames: []string{filepath.Join(dir, "*.y*ml")}}, "team/a team/b"},
		"recursive": {resource.FilenameOptions{Filenames: []string{filepath.Join(dir, "deep"), filepath.Join(dir, "b.yaml")}, Recursive: true}, "team/c team/b"},
		"kustomize": {resource.FilenameOptions{Kustomize: filepath.Join(dir, "kust")}, "shop/my-web"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := load(t, manifests.Options{FilenameOptions: tc.options, Namespace: "team"})
			if err != nil {
				t.Fatal(err)
			}
			if _, ingresses := s.Everything(); names(ingresses) != tc.want {
				t.Errorf("got %s, want %s", names(ingresses), tc.want)
			}
		})
	}
	for name, tc := range map[string]struct {
		options resource.FilenameOptions
		want    string
	}{
		"missing":          {resource.FilenameOptions{Filenames: []string{filepath.Join(dir, "missing.yaml")}}, "does not exist"},
		"nothing in it":    {resource.FilenameOptions{Filenames: []string{filepath.Join(dir, "empty")}}, "holds no file that ends in .json, .yaml, .yml"},
		"both":             {resource.FilenameOptions{Filenames: []string{dir}, Kustomize: dir}, "exclude each other"},
		"no kustomization": {resource.FilenameOptions{Kustomize: filepath.Join(dir, "deep")}, "kustomization"},
		"same name twice":  {resource.FilenameOptions{Filenames: []string{dir, filepath.Join(dir, "a.yml")}}, "a.yml, document 1: metadata.name: "},
		"stdin twice":      {resource.FilenameOptions{Filenames: []string{"-", "-"}}, "once only"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, manifests.Options{FilenameOptions: tc.options, Stdin: strings.NewReader("")})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestExpectedSecrets(t *testing.T) {
	m := read(t, strings.Join([]string{
		"kind: Certificate\napiVersion: cert-manager.io/v1\nmetadata: {name: web, namespace: shop}\nspec: {secretName: web-tls}\n",
		"kind: Certificate\napiVersion: cert-manager.io/v1\nmetadata: {name: without}\n",
		"kind: Certificate\napiVersion: cert-manager.io/v1\nmetadata: {name: odd}\nspec: {secretName: 1}\n",
		"kind: Certificate\napiVersion: networking.example/v1\nmetadata: {name: other}\nspec: {secretName: other}\n",
		"kind: SealedSecret\napiVersion: bitnami.com/v1alpha1\nmetadata: {name: sealed}\n",
		"kind: ExternalSecret\napiVersion: external-secrets.io/v1\nmetadata: {name: external}\nspec: {target: {name: fetched}}\n",
		"kind: ExternalSecret\napiVersion: external-secrets.io/v1beta1\nmetadata: {name: plain}\nspec: {}\n",
	}, "---\n"))
	want := []routing.Key{
		{Namespace: "shop", Name: "web-tls"}, {Namespace: "default", Name: "sealed"},
		{Namespace: "default", Name: "fetched"}, {Namespace: "default", Name: "plain"},
	}
	if !slices.Equal(m.Expected, want) {
		t.Errorf("got %v, want %v", m.Expected, want)
	}
}
