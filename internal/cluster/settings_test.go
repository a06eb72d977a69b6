// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

const nginxController = "k8s.io/ingress-nginx"

// startWith is start with a controller of which the settings are read, and what it logs.
func startWith(t *testing.T, client *fake.Clientset, workload string) (*cluster.Cluster, func() string) {
	t.Helper()
	w, err := settings.ParseWorkload(workload)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []string
	log := funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, args)
	}, funcr.Options{})
	cl, err := cluster.New(cluster.Config{
		Client: client, SecretAccess: cluster.SecretsOff, LiveReads: 2, Log: log, Metrics: prometheus.NewRegistry(),
		Workloads: []settings.Workload{w},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { cl.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return cl, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "\n")
	}
}

func controllerPod(args ...string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "controller", Image: "registry.example/controller:v1.15.1", Args: append([]string{"/nginx-ingress-controller"}, args...),
	}}}}
}

// TestSettingsFollowTheController changes what a controller runs with.
func TestSettingsFollowTheController(t *testing.T) {
	client := fake.NewClientset(append(objects(), withPath("first", "nginx", "a.example", "/b(c", true))...)
	cl, log := startWith(t, client, "ingress-nginx/edge")
	await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })
	now := func() routing.ControllerSettings { return snapshot(t, cl).Settings.Of(nginxController) }
	await(t, "no controller", func() bool { return strings.Contains(log(), "it does not exist") })
	if s := now(); s.Confirmed {
		t.Errorf("without a controller: %+v", s)
	}
	await(t, "frozen", func() bool { return len(snapshot(t, cl).Frozen) == 1 })

	at := metav1.ObjectMeta{Namespace: "ingress-nginx", Name: "edge"}
	deployments, configMaps := client.AppsV1().Deployments(at.Namespace), client.CoreV1().ConfigMaps(at.Namespace)
	deployment := &appsv1.Deployment{ObjectMeta: at, Spec: appsv1.DeploymentSpec{Template: controllerPod("--configmap=ingress-nginx/edge", "--disable-catch-all")}}
	if _, err := deployments.Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "flags", func() bool { s := now(); return s.Confirmed && s.DisableCatchAll && s.RiskLevel() == routing.RiskHigh })

	configMap := &corev1.ConfigMap{ObjectMeta: at, Data: map[string]string{"annotations-risk-level": "Critical", "annotation-value-word-blocklist": "true"}}
	if _, err := configMaps.Create(t.Context(), configMap, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "ConfigMap", func() bool {
		s := now()
		return s.Confirmed && s.DisableCatchAll && s.RiskLevel() == routing.RiskCritical
	})
	await(t, "nothing is frozen by an Ingress that is dropped", func() bool { return len(snapshot(t, cl).Frozen) == 0 })

	deployment = deployment.DeepCopy()
	deployment.Spec.Template = controllerPod("--configmap=ingress-nginx/other")
	if _, err := deployments.Update(t.Context(), deployment, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "other ConfigMap", func() bool { s := now(); return s.Confirmed && !s.DisableCatchAll && s.RiskLevel() == routing.RiskHigh })

	if err := deployments.Delete(t.Context(), at.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "no controller any more", func() bool { return !now().Confirmed })
	await(t, "frozen again", func() bool { return len(snapshot(t, cl).Frozen) == 1 })
}

// TestSettingsThatCannotBeRead forbids the ConfigMap of a controller: what its flags say
// is then not all there is.
func TestSettingsThatCannotBeRead(t *testing.T) {
	at := metav1.ObjectMeta{Namespace: "ingress-nginx", Name: "edge"}
	for kind, template := range map[string]corev1.PodTemplateSpec{
		"configmaps": controllerPod("--configmap=ingress-nginx/edge", "--disable-catch-all"),
		"daemonsets": controllerPod("--disable-catch-all"),
	} {
		t.Run(kind, func(t *testing.T) {
			client := fake.NewClientset(append(objects(), &appsv1.DaemonSet{ObjectMeta: at, Spec: appsv1.DaemonSetSpec{Template: template}})...)
			client.PrependReactor("list", kind, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource(kind), "edge", nil)
			})
			cl, log := startWith(t, client, "daemonset/ingress-nginx/edge")
			await(t, "ready", func() bool { return cl.Ready() == nil })
			await(t, "a line in the log", func() bool { return strings.Contains(log(), "Routegate is not allowed to read it") })
			if s := snapshot(t, cl).Settings.Of(nginxController); s.Confirmed || s.DisableCatchAll {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// TestReadSettings reads once what a user may read.
func TestReadSettings(t *testing.T) {
	at := metav1.ObjectMeta{Namespace: "ingress-nginx", Name: "edge"}
	client := fake.NewClientset(
		&appsv1.Deployment{ObjectMeta: at, Spec: appsv1.DeploymentSpec{Template: controllerPod("--configmap=ingress-nginx/edge")}},
		&appsv1.DaemonSet{ObjectMeta: at, Spec: appsv1.DaemonSetSpec{Template: controllerPod("--controller-class=example.com/edge", "--configmap=closed/edge")}},
		&corev1.ConfigMap{ObjectMeta: at, Data: map[string]string{"annotations-risk-level": "Critical"}},
	)
	client.PrependReactor("get", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return action.GetNamespace() == "closed", nil, apierrors.NewForbidden(corev1.Resource("configmaps"), "edge", nil)
	})
	workloads, err := settings.ParseWorkloads([]string{"ingress-nginx/edge", "daemonset/ingress-nginx/edge", "ingress-nginx/gone", "ingress-nginx/edge"})
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := cluster.ReadSettings(t.Context(), client, workloads)
	if len(known) != 1 || known[0].Class != nginxController || known[0].Settings.RiskLevel() != routing.RiskCritical || !known[0].Settings.Confirmed {
		t.Errorf("got %+v", known)
	}
	const want = "DaemonSet ingress-nginx/edge: ConfigMap closed/edge: you are not allowed to get it\nDeployment ingress-nginx/gone: it does not exist"
	if got := errors.Join(unknown...).Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
