// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Durable is a control plane that can be started again.
type Durable struct {
	*ControlPlane

	data string
}

// StartDurable is StartControlPlane with everything in dir, so that the parts can be
// stopped and started again at the same addresses, with the same certificates and
// contents.
func StartDurable(ctx context.Context, dir string) (*Durable, error) {
	data := filepath.Join(dir, "data")
	for _, name := range []string{"etcd", "certificates"} {
		if err := os.MkdirAll(filepath.Join(data, name), 0o700); err != nil {
			return nil, err
		}
	}
	cp, err := startControlPlane(ctx, dir, nil, data)
	if err != nil {
		return nil, err
	}
	return &Durable{ControlPlane: cp, data: data}, nil
}

// StartAPIServer starts the API server again after StopAPIServer.
func (d *Durable) StartAPIServer() error {
	if err := d.env.ControlPlane.GetAPIServer().Start(); err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	return nil
}

// Save remembers what etcd holds, for Restore. The API server must be stopped.
func (d *Durable) Save() error {
	return d.withoutEtcd(func(contents, saved string) error {
		return errors.Join(os.RemoveAll(saved), os.CopyFS(saved, os.DirFS(contents)))
	})
}

// Restore makes etcd hold what it held at the time of Save, as a restored backup does:
// resource versions are counted from there again. The API server must be stopped.
func (d *Durable) Restore() error {
	return d.withoutEtcd(func(contents, saved string) error {
		return errors.Join(os.RemoveAll(contents), os.CopyFS(contents, os.DirFS(saved)), os.Chmod(contents, 0o700))
	})
}

// withoutEtcd stops etcd, calls do, and starts it again.
func (d *Durable) withoutEtcd(do func(contents, saved string) error) error {
	etcd := d.env.ControlPlane.Etcd
	if err := etcd.Stop(); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if err := do(filepath.Join(d.data, "etcd"), filepath.Join(d.data, "saved")); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if err := etcd.Start(); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}
