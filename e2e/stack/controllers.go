// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// controllers are those that StartControllers runs.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "endpointslice-controller", "garbage-collector-controller",
	"namespace-controller", "serviceaccount-controller",
}

// Controllers is a running kube-controller-manager.
type Controllers struct {
	logFile string
	cmd     *exec.Cmd
	// done is closed when the process has ended.
	done chan struct{}
}

// StartControllers runs those controllers of kube-controller-manager that turn a
// Deployment into Pods, and a Service into EndpointSlices, collect what nobody owns any
// more, and empty namespaces that are deleted. It returns when they work. Its log goes
// to dir. There is no scheduler and no kubelet: whoever wants Pods to run names a Node
// in them, and writes their status.
func (cp *ControlPlane) StartControllers(ctx context.Context, dir string) (*Controllers, error) {
	assets, err := assetsDir()
	if err != nil {
		return nil, err
	}
	const name = "kube-controller-manager"
	if err := present(assets, name); err != nil {
		return nil, err
	}
	c := &Controllers{logFile: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(c.logFile)
	if err != nil {
		return nil, fmt.Errorf("controllers: %w", err)
	}
	// The process has the file open itself.
	defer func() { _ = log.Close() }()
	// It outlives ctx, which bounds only the start; Stop ends it. It listens nowhere.
	c.cmd = exec.Command(filepath.Join(assets, name),
		"--kubeconfig="+cp.Kubeconfig, "--controllers="+strings.Join(controllers, ","), "--secure-port=0",
		"--leader-elect=false", "--use-service-account-credentials=false", "--kube-api-qps=200", "--kube-api-burst=400")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	// A Ctrl-C on the terminal is for whoever started it, who then calls Stop.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("controllers: %w", err)
	}
	go func() {
		// How it ended is in its ProcessState.
		_ = c.cmd.Wait()
		close(c.done)
	}()
	if err := c.awaitWork(ctx, cp); err != nil {
		return nil, errors.Join(fmt.Errorf("the controllers did not get to work: %w; their log:\n%s", err, c.log()), c.kill())
	}
	return c, nil
}

// awaitWork returns when there is a ServiceAccount that nobody else makes.
func (c *Controllers) awaitWork(ctx context.Context, cp *ControlPlane) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		select {
		case <-c.done:
			return false, fmt.Errorf("the process ended: %s", c.cmd.ProcessState)
		default:
		}
		_, err := cp.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (c *Controllers) log() string {
	content, err := os.ReadFile(c.logFile)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Stop ends the process, and returns an error if that took too long or if it had ended
// before.
func (c *Controllers) Stop() error {
	select {
	case <-c.done:
		return fmt.Errorf("the controllers had ended: %s; their log:\n%s", c.cmd.ProcessState, c.log())
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("the controllers did not stop within %s", stopTime), c.kill())
	}
}

// kill ends the process at once, if it has not ended.
func (c *Controllers) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("controllers: %w", err)
	}
	<-c.done
	return nil
}
