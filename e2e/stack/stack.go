// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Options say what Start starts.
type Options struct {
	// Binary is the path of a routegate binary.
	Binary string
	// Dir is an existing folder for the kubeconfig file and the log.
	Dir string
	// DrainTime and Args are those of RoutegateOptions.
	DrainTime time.Duration
	Args      []string
	// Webhook is how the API server is told of routegate.
	Webhook Webhook
}

// Stack is a control plane with routegate in front of it.
type Stack struct {
	*ControlPlane
	Routegate *Routegate
}

// Start starts a control plane and routegate and returns when the one asks the
// other. When it fails nothing is left running.
func Start(ctx context.Context, o Options) (*Stack, error) {
	cp, err := StartControlPlane(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Stack{ControlPlane: cp}
	s.Routegate, err = StartRoutegate(ctx, RoutegateOptions{
		Binary: o.Binary, Kubeconfig: cp.Kubeconfig, Dir: o.Dir, DrainTime: o.DrainTime, Args: o.Args,
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := o.Webhook.Install(ctx, cp.Client, s.Routegate); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	// Where the webhook is limited to some namespaces, the caller makes one and
	// waits for it.
	if len(o.Webhook.NamespaceLabels) == 0 {
		if err := Wait(ctx, cp.Config, metav1.NamespaceDefault); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// Stop stops routegate, then the control plane.
func (s *Stack) Stop() error {
	var err error
	if s.Routegate != nil {
		err = s.Routegate.Stop()
	}
	return errors.Join(err, s.ControlPlane.Stop())
}
