// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// assetsVariable names the folder that holds etcd, kube-apiserver and kubectl.
const assetsVariable = "KUBEBUILDER_ASSETS"

// serviceRange leaves room for thousands of Services; envtest's own has 254
// addresses.
const serviceRange = "10.96.0.0/12"

// ControlPlane is a running etcd and kube-apiserver.
type ControlPlane struct {
	// Config is how an administrator reaches the API server. It has no client-side
	// rate limit.
	Config *rest.Config
	// Client uses Config.
	Client kubernetes.Interface
	// Kubeconfig is the path of a kubeconfig file with the same rights.
	Kubeconfig string
	// Kubectl is the path of a kubectl of the API server's version.
	Kubectl string

	env *envtest.Environment
}

// StartControlPlane starts etcd and a kube-apiserver and writes an admin's
// kubeconfig file to dir, which must exist. There are no controllers but those
// that StartControllers starts: nobody fills EndpointSlices, and a namespace that
// is deleted stays.
func StartControlPlane(ctx context.Context, dir string) (*ControlPlane, error) {
	return StartControlPlaneWith(ctx, dir, nil)
}

// StartControlPlaneWith is StartControlPlane with more flags for the
// kube-apiserver, each by its name without dashes.
func StartControlPlaneWith(ctx context.Context, dir string, flags map[string]string) (*ControlPlane, error) {
	return startControlPlane(ctx, dir, flags, "")
}

// startControlPlane keeps what there is to keep in the folder data; in one of its own,
// which goes when it stops, where that is empty.
func startControlPlane(ctx context.Context, dir string, flags map[string]string, data string) (*ControlPlane, error) {
	assets, err := assetsDir()
	if err != nil {
		return nil, err
	}
	// Without a logger controller-runtime complains to standard error after 30 s.
	ctrllog.SetLogger(logr.Discard())

	existing := false
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		UseExistingCluster:       &existing,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	if data != "" {
		env.ControlPlane.Etcd = &envtest.Etcd{DataDir: filepath.Join(data, "etcd")}
		env.ControlPlane.GetAPIServer().CertDir = filepath.Join(data, "certificates")
	}
	env.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", serviceRange)
	for name, value := range flags {
		env.ControlPlane.GetAPIServer().Configure().Set(name, value)
	}
	config, err := env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control plane: %w", err), stopEnv(env))
	}
	config.QPS = -1
	cp := &ControlPlane{
		Config:     config,
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
		Kubectl:    filepath.Join(assets, "kubectl"),
		env:        env,
	}
	// Starting cannot be interrupted, so this is asked only now.
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	if err := os.WriteFile(cp.Kubeconfig, env.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control plane: %w", err), cp.Stop())
	}
	if cp.Client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, errors.Join(fmt.Errorf("control plane: %w", err), cp.Stop())
	}
	return cp, nil
}

// assetsDir is the absolute path of the folder with the binaries.
func assetsDir() (string, error) {
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		return "", errors.New("KUBEBUILDER_ASSETS is not set; run make test, which builds the control plane")
	}
	assets, err := filepath.Abs(assets)
	if err != nil {
		return "", err
	}
	return assets, present(assets, "etcd", "kube-apiserver", "kubectl")
}

// present reports which of the binaries the folder lacks.
func present(assets string, names ...string) error {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(assets, name)); err != nil {
			return fmt.Errorf("KUBEBUILDER_ASSETS: %w; run make test, which builds what is missing when the variable is not set", err)
		}
	}
	return nil
}

// KubeconfigFor makes a user with the groups and writes a kubeconfig file of
// theirs to dir. The user has no rights beyond those of the groups.
func (cp *ControlPlane) KubeconfigFor(dir, user string, groups ...string) (string, error) {
	u, err := cp.env.AddUser(envtest.User{Name: user, Groups: groups}, nil)
	if err != nil {
		return "", fmt.Errorf("user %s: %w", user, err)
	}
	content, err := u.KubeConfig()
	if err != nil {
		return "", fmt.Errorf("user %s: %w", user, err)
	}
	path := filepath.Join(dir, "kubeconfig-"+user)
	return path, os.WriteFile(path, content, 0o600)
}

// StopAPIServer stops the API server alone. Stop is still to be called.
func (cp *ControlPlane) StopAPIServer() error {
	if err := cp.env.ControlPlane.GetAPIServer().Stop(); err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	return nil
}

// Stop stops the API server, then etcd, and removes their data.
func (cp *ControlPlane) Stop() error {
	return stopEnv(cp.env)
}

func stopEnv(env *envtest.Environment) error {
	if err := env.Stop(); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	return nil
}
