// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/audit"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/leader"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

const chart = "routegate"

// tool runs one of the chart tools and returns what it wrote to standard output.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	folder := os.Getenv("CHART_TOOLS")
	if folder == "" {
		t.Fatal("CHART_TOOLS is not set; run make test, which builds Helm")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, name), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func template(t *testing.T, args ...string) string {
	t.Helper()
	return tool(t, "helm", append([]string{"template", "routegate", chart, "--namespace", "guard"}, args...)...)
}

// render returns the objects of the release routegate in namespace guard.
func render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(template(t, args...))))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// valuesFiles are the files of the matrix.
func valuesFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %q, error %v", files, err)
	}
	return files
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLint(t *testing.T) {
	for _, file := range valuesFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			tool(t, "helm", "lint", "--strict", "--quiet", "--values", file, chart)
		})
	}
}

func TestUnit(t *testing.T) {
	t.Log(tool(t, "helm-unittest", "--strict", chart))
}

func TestREADMEIsGenerated(t *testing.T) {
	want := tool(t, "helm-docs", "--chart-search-root="+chart, "--dry-run", "--log-level=warning")
	got := read(t, chart, "README.md")
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("README.md is not what the values say; run go generate ./charts")
	}
}

// Every object of the schema is closed, and the values hold every key of it.
func TestSchema(t *testing.T) {
	var schema, values map[string]any
	if err := json.Unmarshal([]byte(read(t, chart, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, chart, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	definitions := schema["definitions"].(map[string]any)
	resolve := func(node map[string]any) map[string]any {
		if ref, ok := node["$ref"].(string); ok {
			return definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		return node
	}
	var closed func(path string, node any)
	closed = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			if node["type"] == "object" && node["additionalProperties"] == nil {
				description, _ := node["description"].(string)
				if !strings.HasPrefix(description, "Part of a Kubernetes object") && path != ".properties.global" {
					t.Errorf("%s: an object must have additionalProperties", path)
				}
			}
			if node["type"] == "object" && node["properties"] != nil && node["additionalProperties"] != false {
				t.Errorf("%s: an object with properties must have additionalProperties false", path)
			}
			for key, child := range node {
				closed(path+"."+key, child)
			}
		case []any:
			for _, child := range node {
				closed(path+"[]", child)
			}
		}
	}
	closed("", schema)

	optional := []string{".global", ".livenessProbe", ".readinessProbe", ".resources", ".affinity", ".policy", ".webhook.namespaceSelector", ".webhook.objectSelector"}
	var complete func(path string, node map[string]any, value any)
	complete = func(path string, node map[string]any, value any) {
		properties, _ := resolve(node)["properties"].(map[string]any)
		given, _ := value.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			at := path + "." + key
			if slices.Contains(optional, at) {
				continue
			}
			if _, ok := given[key]; !ok {
				t.Errorf("values.yaml has no %s, which the schema allows", at)
				continue
			}
			complete(at, properties[key].(map[string]any), given[key])
		}
	}
	complete("", schema, values)
}

// The policy file that the chart writes is one that Routegate takes, also where Helm took
// the word off for a boolean.
func TestPolicyIsValid(t *testing.T) {
	for _, object := range render(t, "--values", filepath.Join(chart, "ci", "everything-values.yaml")) {
		if object.GetKind() != "ConfigMap" || !strings.HasSuffix(object.GetName(), "-policy") {
			continue
		}
		text, _, err := unstructured.NestedString(object.Object, "data", "policy.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Parse("policy.yaml", []byte(text), checks.All()); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		return
	}
	t.Error("there is no policy file")
}

// What is made at random or from the cluster would be another at each rendering,
// and so a difference that a GitOps controller reports for ever.
func TestRenderingIsStable(t *testing.T) {
	for _, file := range valuesFiles(t) {
		first := template(t, "--values", file)
		if first != template(t, "--values", file) {
			t.Errorf("%s: rendered twice, the objects differ", file)
		}
		if first != template(t, "--values", file, "--is-upgrade") {
			t.Errorf("%s: an upgrade renders other objects than an installation", file)
		}
	}
	unstable := regexp.MustCompile(`\b(lookup|gen[A-Z][A-Za-z]*|rand[A-Z][A-Za-z]*|now|uuidv4|derivePassword|encryptAES|bcrypt|htpasswd)\b`)
	err := filepath.WalkDir(filepath.Join(chart, "templates"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, action := range regexp.MustCompile(`\{\{.*?\}\}`).FindAllString(read(t, path), -1) {
			if found := unstable.FindString(action); found != "" && !strings.Contains(action, "/*") {
				t.Errorf("%s: must not use %s", path, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What Routegate writes while it runs is not the chart's.
func TestRunTimeFieldsAreNotRendered(t *testing.T) {
	// As YAML has them. Were they others than those that Routegate writes, a change of
	// the failure policy would be a conflict for Helm.
	var rules any
	if text, err := yaml.Marshal(webhook.Rules()); err != nil {
		t.Fatal(err)
	} else if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	for _, file := range valuesFiles(t) {
		for _, object := range render(t, "--values", file) {
			switch object.GetKind() {
			case "Secret":
				if object.Object["data"] != nil || object.Object["stringData"] != nil {
					t.Errorf("%s: Secret %s has data", file, object.GetName())
				}
			case "Lease":
				if object.Object["spec"] != nil {
					t.Errorf("%s: Lease %s has a spec", file, object.GetName())
				}
			case "ValidatingWebhookConfiguration":
				for _, w := range object.Object["webhooks"].([]any) {
					w := w.(map[string]any)
					want := rules
					switch fails := w["failurePolicy"] != "Ignore"; {
					case w["name"] != "validate.ingress.routegate.dev":
						if fails {
							t.Errorf("%s: webhook %s has the failure policy %v: must be Ignore", file, w["name"], w["failurePolicy"])
						}
						want = w["rules"]
					case fails:
						// A webhook that is called with nobody to answer would close the door.
						want = nil
					}
					if !equality.Semantic.DeepEqual(w["rules"], want) {
						t.Errorf("%s: webhook %s with the failure policy %v has the rules %v: must be %v", file, w["name"], w["failurePolicy"], w["rules"], want)
					}
					_, has := w["clientConfig"].(map[string]any)["caBundle"]
					if brought := strings.Contains(file, "secret-values"); has != brought {
						t.Errorf("%s: webhook %s has a caBundle: %t, must be %t", file, w["name"], has, brought)
					}
				}
			}
		}
	}
}

// right is one that no check needs, and why Routegate has it.
type right struct {
	namespace string
	rule      rbacv1.PolicyRule
	reason    string
}

var (
	usersRights = right{"", rbacv1.PolicyRule{
		APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"},
	}, "whether the user may see a name of another namespace, or ignore findings"}
	ownConfiguration = right{"", rbacv1.PolicyRule{
		APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
		ResourceNames: []string{"routegate"}, Verbs: []string{"get", "list", "watch", "update"},
	}, "its own webhook configuration, where it writes the CA bundle and the rules"}
	ownSecret = right{"guard", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"},
		ResourceNames: []string{"routegate-certificate"}, Verbs: []string{"get", "list", "watch", "update"},
	}, "the Secret with the certificate that it makes and renews"}
	ownLease = right{"guard", rbacv1.PolicyRule{
		APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
		ResourceNames: []string{"routegate"}, Verbs: []string{"get", "update"},
	}, "the Lease that says which Pod may write"}
	itsController = right{"web", rbacv1.PolicyRule{
		APIGroups: []string{"apps"}, Resources: []string{"daemonsets"},
		ResourceNames: []string{"nginx"}, Verbs: []string{"get", "list", "watch"},
	}, "the flags of a controller that is named in the values"}
	itsConfigMap = right{"web", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"configmaps"},
		ResourceNames: []string{"options"}, Verbs: []string{"get", "list", "watch"},
	}, "the ConfigMap of that controller"}
	itsNamespace = right{"", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"namespaces"},
		ResourceNames: []string{"web"}, Verbs: []string{"get", "list", "watch"},
	}, "the Namespace of a controller, which a NetworkPolicy may admit by its labels"}
)

// itsEvents is the right to record Events in a namespace; in all where it is empty.
func itsEvents(namespace string) right {
	return right{namespace, rbacv1.PolicyRule{
		APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"},
	}, "Events about Ingresses, and how often each came"}
}

// The rights are what the checks read, and those of the list above. No check
// lacks one, and none is without a reason.
func TestRights(t *testing.T) {
	var reads []routing.Kind
	for _, c := range checks.All() {
		reads = append(reads, c.Reads...)
	}
	for _, mode := range []struct {
		args  []string
		scope []string // the namespaces that are read, all where there is none
		fixed []right
		reads []routing.Kind
	}{
		{nil, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("")}, nil},
		{[]string{"--set=audit.enabled=false"}, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease}, nil},
		{[]string{"--set=audit.events=false"}, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease}, nil},
		{[]string{"--set=readPods=true"}, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("")}, []routing.Kind{routing.Pods}},
		{[]string{"--set=controllerPods={web}"}, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("")}, []routing.Kind{routing.NetworkPolicies}},
		{
			[]string{"--set=controllers[0].kind=DaemonSet,controllers[0].namespace=web,controllers[0].name=nginx,controllers[0].configMap=options"}, nil,
			[]right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents(""), itsController, itsConfigMap}, nil,
		},
		{[]string{"--set=preset=strict"}, nil, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("")}, nil},
		{[]string{"--set=certificates.mode=cert-manager"}, nil, []right{usersRights, ownLease, itsEvents("")}, nil},
		{[]string{"--set=certificates.mode=cert-manager,audit.enabled=false"}, nil, []right{usersRights}, nil},
		{[]string{"--set=certificates.mode=secret,certificates.secret.name=mine"}, nil, []right{usersRights, ownLease, itsEvents("")}, nil},
		{[]string{"--set=certificates.mode=cert-manager,preset=strict"}, nil, []right{usersRights, ownConfiguration, ownLease, itsEvents("")}, nil},
		{[]string{"--set=scope.namespaces={app}"}, []string{"app"}, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("app")}, nil},
		{[]string{"--set=scope.namespaces={app,shop},certificates.mode=cert-manager"}, []string{"app", "shop"}, []right{usersRights, ownLease, itsEvents("app"), itsEvents("shop")}, nil},
		{
			[]string{"--set=scope.namespaces={app,shop},readPods=true,controllerPods={web/app=nginx,app}"}, []string{"app", "shop"},
			[]right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("app"), itsEvents("shop"), itsNamespace}, []routing.Kind{routing.Pods, routing.NetworkPolicies},
		},
		{
			[]string{"--set=scope.namespaces={app},controllers[0].kind=DaemonSet,controllers[0].namespace=web,controllers[0].name=nginx,controllers[0].configMap=options"},
			[]string{"app"}, []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents("app"), itsController, itsConfigMap}, nil,
		},
	} {
		for _, access := range cluster.SecretAccesses() {
			args := append([]string{"--set-string=secretAccess=" + string(access)}, mode.args...)
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				want := map[string]string{}
				add := func(namespace, reason string, rules ...rbacv1.PolicyRule) {
					for _, rule := range rules {
						for _, single := range singles(namespace, rule) {
							want[single] = reason
						}
					}
				}
				if len(mode.scope) == 0 {
					add("", "a check reads it", cluster.Rights(reads, access, mode.reads...)...)
				} else {
					ofCluster, each := cluster.ScopedRights(mode.scope, reads, access, mode.reads...)
					add("", "a check reads it", ofCluster...)
					for _, namespace := range mode.scope {
						add(namespace, "a check reads it", each...)
					}
				}
				for _, r := range mode.fixed {
					add(r.namespace, r.reason, r.rule)
				}
				got := map[string]bool{}
				for _, object := range render(t, args...) {
					if _, hook := object.GetAnnotations()["helm.sh/hook"]; hook || !slices.Contains([]string{"Role", "ClusterRole"}, object.GetKind()) {
						continue
					}
					role := rbacv1.ClusterRole{}
					if err := yaml.Unmarshal([]byte(toYAML(t, object)), &role); err != nil {
						t.Fatal(err)
					}
					for _, rule := range role.Rules {
						for _, single := range singles(object.GetNamespace(), rule) {
							got[single] = true
						}
					}
				}
				for single, reason := range want {
					if !got[single] {
						t.Errorf("the chart must grant %s: %s", single, reason)
					}
				}
				for single := range got {
					if want[single] == "" {
						t.Errorf("the chart grants %s, for which there is no reason", single)
					}
				}
			})
		}
	}
	readme := read(t, chart, "README.md")
	for _, r := range []right{usersRights, ownConfiguration, ownSecret, ownLease, itsEvents(""), itsController, itsConfigMap, itsNamespace} {
		if !strings.Contains(readme, r.reason) {
			t.Errorf("README.md must give the reason %q", r.reason)
		}
	}
}

func toYAML(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// singles splits a rule into rights of one verb on one thing.
func singles(namespace string, rule rbacv1.PolicyRule) []string {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{"(all)"}
	}
	var list []string
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				for _, verb := range rule.Verbs {
					list = append(list, fmt.Sprintf("%s %s.%s %s in namespace %q", verb, resource, group, name, namespace))
				}
			}
		}
	}
	return list
}

type alert struct {
	Alert, Expr string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	for _, object := range render(t, "--set=prometheusRule.enabled=true") {
		if object.GetKind() == "PrometheusRule" {
			var rule struct {
				Spec struct{ Groups []struct{ Rules []alert } }
			}
			if err := yaml.Unmarshal([]byte(toYAML(t, object)), &rule); err != nil {
				t.Fatal(err)
			}
			return rule.Spec.Groups[0].Rules
		}
	}
	t.Fatal("there is no PrometheusRule")
	return nil
}

// exported are the names of the metrics that Routegate has.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	registry := prometheus.NewRegistry()
	if _, err := webhook.NewMetrics(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.NewDependencyMetrics(registry); err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: "http://localhost"}
	if _, err := cluster.New(cluster.Config{
		Client: kubernetes.NewForConfigOrDie(config), Metadata: metadata.NewForConfigOrDie(config),
		SecretAccess: cluster.SecretsFull, LiveReads: 1, Metrics: registry,
	}); err != nil {
		t.Fatal(err)
	}
	registry.MustRegister(&certs.Expiry{}, (&leader.Election{}).Metric())
	if _, err := audit.New(audit.Config{
		Cluster: cluster.NewStatic(), Rules: func() *policy.Rules { return nil }, Clock: clock.RealClock{}, MaxSeries: 1, Metrics: registry,
	}); err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc, 100)
	registry.Describe(descriptions)
	close(descriptions)
	known := map[string]bool{}
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		known[name] = true
		if strings.HasSuffix(name, "_duration_seconds") {
			known[name+"_bucket"] = true
		}
	}
	return known
}

// named are the names of Routegate's metrics in an expression.
func named(expr string) []string {
	return regexp.MustCompile(`\broutegate_[a-z_]+`).FindAllString(expr, -1)
}

// Alerts use metrics that exist, and have a runbook.
func TestAlerts(t *testing.T) {
	known := exported(t)
	readme := read(t, chart, "README.md")
	list := alerts(t)
	for _, a := range list {
		for _, name := range named(a.Expr) {
			if !known[name] {
				t.Errorf("%s: there is no metric %s", a.Alert, name)
			}
		}
		if !strings.Contains(readme, "### "+a.Alert+"\n") {
			t.Errorf("README.md must have a runbook with the heading ### %s", a.Alert)
		}
		if !strings.HasSuffix(a.Annotations["runbook_url"], "/README.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s: runbook_url is %q", a.Alert, a.Annotations["runbook_url"])
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Routegate\w+)$`).FindAllStringSubmatch(readme, -1) {
		if !slices.ContainsFunc(list, func(a alert) bool { return a.Alert == heading[1] }) {
			t.Errorf("README.md has a runbook for %s, which is no alert", heading[1])
		}
	}
}

// The dashboard is JSON whose panels show metrics that exist.
func TestDashboard(t *testing.T) {
	known := exported(t)
	for _, object := range render(t, "--set=dashboard.enabled=true") {
		if object.GetName() != "routegate-dashboard" {
			continue
		}
		text, _, err := unstructured.NestedString(object.Object, "data", "routegate.json")
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
			Templating struct {
				List []struct{ Query string }
			}
		}
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		show := func(where, expr string) {
			for _, name := range named(expr) {
				shown[name] = true
				if !known[name] {
					t.Errorf("%s: there is no metric %s", where, name)
				}
			}
		}
		for _, p := range dashboard.Panels {
			if len(p.Targets) == 0 {
				t.Errorf("panel %q shows nothing", p.Title)
			}
			for _, target := range p.Targets {
				if len(named(target.Expr)) == 0 {
					t.Errorf("panel %q: %q names no metric of Routegate", p.Title, target.Expr)
				}
				show("panel "+p.Title, target.Expr)
			}
		}
		for _, variable := range dashboard.Templating.List {
			show("variable", variable.Query)
		}
		for name := range known {
			if !shown[name] && !shown[name+"_bucket"] {
				t.Errorf("no panel shows %s", name)
			}
		}
		return
	}
	t.Error("there is no ConfigMap routegate-dashboard")
}

func TestArtifactHubImages(t *testing.T) {
	var c struct {
		AppVersion  string
		Annotations map[string]string
	}
	if err := yaml.Unmarshal([]byte(read(t, chart, "Chart.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	if want := "image: routegate/routegate:" + c.AppVersion + "\n"; !strings.Contains(c.Annotations["artifacthub.io/images"], want) {
		t.Errorf("the annotation artifacthub.io/images must hold %q", want)
	}
}
