// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

var update = flag.Bool("update", false, "rewrite the want.yaml of testdata; read the difference before you commit it")

// golden is what want.yaml holds.
type golden struct {
	Error     string                     `json:"error,omitempty"`
	Class     string                     `json:"class,omitempty"`
	ConfigMap string                     `json:"configMap,omitempty"`
	Confirmed bool                       `json:"confirmed,omitempty"`
	Settings  routing.ControllerSettings `json:"settings"`
}

// TestGolden reads each controller.yaml of testdata, a Deployment or DaemonSet and the
// ConfigMaps around it, and compares the settings with want.yaml.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no cases")
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got, err := yaml.Marshal(read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			wantPath := filepath.Join(dir, "want.yaml")
			if *update {
				if err := os.WriteFile(wantPath, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(wantPath)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func read(t *testing.T, path string) golden {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	objects, err := cluster.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	var controller *settings.Controller
	configMaps := map[routing.Key]map[string]string{}
	for _, obj := range objects {
		switch o := obj.(type) {
		case *corev1.ConfigMap:
			configMaps[routing.Key{Namespace: o.Namespace, Name: o.Name}] = o.Data
		default:
			controller, err = settings.FromObject(obj)
		}
	}
	if err != nil {
		return golden{Error: err.Error()}
	}
	got := golden{Class: controller.Class, Settings: controller.Settings(configMaps[controller.ConfigMap])}
	got.Confirmed = got.Settings.Confirmed
	if key := controller.ConfigMap; key != (routing.Key{}) {
		got.ConfigMap = key.Namespace + "/" + key.Name
	}
	return got
}

func TestParseWorkload(t *testing.T) {
	for text, want := range map[string]string{
		"ingress-nginx/controller":            "Deployment ingress-nginx/controller",
		"deployment/ingress-nginx/controller": "Deployment ingress-nginx/controller",
		"daemonset/ingress-nginx/controller":  "DaemonSet ingress-nginx/controller",
		"controller":                          "",
		"/controller":                         "",
		"ingress-nginx/":                      "",
		"pod/ingress-nginx/controller":        "",
		"a/b/c/d":                             "",
		"":                                    "",
	} {
		w, err := settings.ParseWorkload(text)
		if (err != nil) != (want == "") || (err == nil && w.String() != want) {
			t.Errorf("%q: got %s, %v", text, w, err)
		}
	}
}

func TestMerge(t *testing.T) {
	yes := routing.ControllerSettings{Confirmed: true}
	catchAll := routing.ControllerSettings{Confirmed: true, DisableCatchAll: true}
	given := map[string]routing.ControllerSettings{"a": yes, "b": yes}
	got := settings.Merge(given, []settings.Known{{Class: "b", Settings: catchAll}, {Class: "c", Settings: yes}, {Class: "c", Settings: yes}, {Class: "d", Settings: yes}, {Class: "d", Settings: catchAll}})
	want := map[string]routing.ControllerSettings{"a": yes, "b": catchAll, "c": yes, "d": {}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(given) != 2 {
		t.Errorf("what was given is now %+v", given)
	}
}
