// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// localhost is where everything listens.
const localhost = "127.0.0.1"

const (
	pollInterval = 20 * time.Millisecond
	// stopTime is what a process gets on top of its drain time before it is
	// killed.
	stopTime = 10 * time.Second
	// portTries bounds how often a start is tried again because another program
	// has taken a port in the meantime.
	portTries = 3
)

// RoutegateOptions say how to run routegate.
type RoutegateOptions struct {
	// Binary is the path of the program.
	Binary string
	// Kubeconfig is how it reaches the API server.
	Kubeconfig string
	// Dir is an existing folder for its log and CA bundle.
	Dir string
	// Name tells its files from those of others in Dir. It is "routegate" when
	// empty.
	Name string
	// DrainTime is how long it goes on serving when told to stop.
	DrainTime time.Duration
	// Certificate are the flags that say where its certificate comes from. It makes
	// one of its own when there are none.
	Certificate []string
	// Args are added to its command line.
	Args []string
}

// Validate reports what is missing.
func (o RoutegateOptions) Validate() error {
	var errs []error
	for _, field := range []struct{ name, value string }{
		{"Binary", o.Binary}, {"Kubeconfig", o.Kubeconfig}, {"Dir", o.Dir},
	} {
		if field.value == "" {
			errs = append(errs, fmt.Errorf("%s must be set", field.name))
		}
	}
	return errors.Join(errs...)
}

// Routegate is a running routegate process.
type Routegate struct {
	// URL is where the API server sends Ingresses.
	URL string
	// CABundle verifies the certificate at URL, if that is of its own making.
	CABundle []byte
	// HealthURL and MetricsURL are the roots of its plain HTTP servers.
	HealthURL, MetricsURL string
	// LogFile is the path of its log.
	LogFile string

	drain time.Duration
	cmd   *exec.Cmd
	// done is closed when the process has ended, after err was set.
	done chan struct{}
	err  error
}

// StartRoutegate runs routegate and returns when it is ready.
func StartRoutegate(ctx context.Context, o RoutegateOptions) (*Routegate, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("routegate: %w", err)
	}
	if o.Name == "" {
		o.Name = "routegate"
	}
	for try := 1; ; try++ {
		r, err := startRoutegate(ctx, o)
		if err == nil {
			return r, nil
		}
		if try == portTries || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
			return nil, err
		}
	}
}

func startRoutegate(ctx context.Context, o RoutegateOptions) (*Routegate, error) {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	caFile := filepath.Join(o.Dir, o.Name+"-ca.crt")
	health, metrics := hostPort(ports[1]), hostPort(ports[2])
	r := &Routegate{
		URL:        "https://" + hostPort(ports[0]) + "/validate-ingress",
		HealthURL:  "http://" + health,
		MetricsURL: "http://" + metrics,
		LogFile:    filepath.Join(o.Dir, o.Name+".log"),
		drain:      o.DrainTime,
		done:       make(chan struct{}),
	}
	log, err := os.Create(r.LogFile)
	if err != nil {
		return nil, fmt.Errorf("routegate: %w", err)
	}
	// The process has the file open itself.
	defer func() { _ = log.Close() }()

	args := []string{
		"serve",
		"--kubeconfig", o.Kubeconfig,
		"--bind-address", localhost,
		"--port", strconv.Itoa(ports[0]),
		"--health-address", health,
		"--metrics-address", metrics,
		"--drain-time", o.DrainTime.String(),
	}
	if o.Certificate == nil {
		args = append(args, "--self-signed", "--ca-bundle-file", caFile)
	}
	args = append(args, o.Certificate...)
	// It outlives ctx, which bounds only the start; Stop ends it.
	r.cmd = exec.Command(o.Binary, append(args, o.Args...)...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	// A Ctrl-C on the terminal is for whoever started it, who then calls Stop.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("routegate: %w", err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()

	if err := r.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("routegate did not get ready: %w; its log:\n%s", err, r.Log()), r.Kill())
	}
	if o.Certificate != nil {
		return r, nil
	}
	if r.CABundle, err = os.ReadFile(caFile); err != nil {
		return nil, errors.Join(fmt.Errorf("routegate: %w", err), r.Kill())
	}
	return r, nil
}

func hostPort(port int) string {
	return net.JoinHostPort(localhost, strconv.Itoa(port))
}

// freePorts returns ports that nobody listens on. All are held at the same time,
// so that they differ.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var config net.ListenConfig
	ports := make([]int, 0, n)
	for range n {
		listener, err := config.Listen(ctx, "tcp", hostPort(0))
		if err != nil {
			return nil, fmt.Errorf("no free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (r *Routegate) waitReady(ctx context.Context) error {
	last := errors.New("it did not answer")
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		select {
		case <-r.done:
			return false, fmt.Errorf("it ended: %w", r.exit())
		default:
		}
		status, body, err := Get(ctx, r.HealthURL+"/readyz")
		switch {
		case err != nil:
			// What cuts short the last attempt tells nothing.
			if ctx.Err() == nil {
				last = err
			}
		case status != http.StatusOK:
			last = fmt.Errorf("/readyz answers %d: %s", status, strings.TrimSpace(body))
		default:
			return true, nil
		}
		return false, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// Get reads a page over HTTP and returns its status and body.
func Get(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// Log returns what the process has logged so far.
func (r *Routegate) Log() string {
	content, err := os.ReadFile(r.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Terminate tells the process to stop and does not wait.
func (r *Routegate) Terminate() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("routegate: %w", err)
	}
	return nil
}

// Done is closed when the process has ended.
func (r *Routegate) Done() <-chan struct{} {
	return r.done
}

// Stop tells the process to stop, waits for its end, and returns an error if it
// did not end in time or not well. It may be called again.
func (r *Routegate) Stop() error {
	if err := r.Terminate(); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-time.After(r.drain + stopTime):
		return errors.Join(fmt.Errorf("routegate did not stop within %s; its log:\n%s", r.drain+stopTime, r.Log()), r.Kill())
	}
	if r.err != nil {
		return fmt.Errorf("routegate: %w; its log:\n%s", r.err, r.Log())
	}
	return nil
}

// Kill ends the process at once, as when a node is lost.
func (r *Routegate) Kill() error {
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("routegate: %w", err)
	}
	<-r.done
	return nil
}

// exit is how the process ended, once it has.
func (r *Routegate) exit() error {
	if r.err == nil {
		return errors.New("exit status 0")
	}
	return r.err
}
