// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// leastMemory and leastDisk are what a run must find free.
	leastMemory, leastDisk = 2 << 30, 5 << 30
	// try is the name of what is made and removed again, to see that it can be.
	try = "rge2e-try"
)

// Unfit says why this machine cannot be a cluster, one line for each requirement
// that it does not meet, and nothing when it can. It installs the Debian packages
// that are missing, and it tries what a node does: bridges, rules and mounts in
// namespaces that end with the trial, and one container by runc. The pause program
// is a static build of e2e/node/pause.
func Unfit(ctx context.Context, pause string) []string {
	if os.Geteuid() != 0 {
		return []string{"it needs root"}
	}
	var reasons []string
	add := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				reasons = append(reasons, strings.TrimSuffix(strings.Join(strings.Fields(err.Error()), " "), ":"))
			}
		}
	}
	add(foreign())
	add(addresses())
	add(room())
	for _, file := range append([]string{"/dev/kmsg"}, sysctlFiles()...) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err == nil {
			err = f.Close()
		}
		add(err)
	}
	// The trials need the programs.
	if err := install(ctx); err != nil {
		add(err)
		return reasons
	}
	add(tryNetwork(ctx)...)
	add(tryContainer(ctx, pause))
	return reasons
}

// foreign reports a Kubernetes node that is not Start's. Of that one Start would
// end the Pods: it takes those for what an interrupted run left.
func foreign() error {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	if strings.Contains(string(own), "/"+cgroup) {
		return errors.New("it is a Pod of a cluster itself")
	}
	if _, err := os.Stat(root); err == nil {
		return nil
	}
	for _, group := range cgroups(cgroup + "*") {
		return fmt.Errorf("there is a cgroup %s: it is a node of another cluster", group)
	}
	return nil
}

// addresses reports an address of this machine in the range of the cluster.
func addresses() error {
	taken := netip.MustParsePrefix("198.18.0.0/16")
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Name == nodeBridge || link.Name == podBridge {
			continue
		}
		list, err := link.Addrs()
		if err != nil {
			return err
		}
		for _, a := range list {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Overlaps(taken) {
				return fmt.Errorf("its network interface %s has the address %s, and the cluster needs %s", link.Name, a, taken)
			}
		}
	}
	return nil
}

// room reports too little memory or disk.
func room() error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(root), &disk); err != nil {
		return err
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < leastDisk {
		return fmt.Errorf("%s has %d MiB free, and must have %d", filepath.Dir(root), free>>20, leastDisk>>20)
	}
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	var free uint64
	for line := range strings.Lines(string(meminfo)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &free); err == nil {
			break
		}
	}
	if free <<= 10; free < leastMemory {
		return fmt.Errorf("%d MiB of memory are available, and %d must be", free>>20, leastMemory>>20)
	}
	return nil
}

// tryNetwork makes a bridge and rules such as kube-proxy's, and mounts something,
// in namespaces that are gone with each command.
func tryNetwork(ctx context.Context) []error {
	rules := strings.NewReplacer("TABLE", try).Replace(`add table ip TABLE
add chain ip TABLE nat { type nat hook prerouting priority -100; }
add chain ip TABLE input { type filter hook input priority -10; }
add map ip TABLE services { type ipv4_addr . inet_proto . inet_service : verdict; }
add rule ip TABLE nat ip daddr . meta l4proto . th dport vmap @services
add rule ip TABLE nat fib daddr type local ct state new numgen random mod 2 vmap { 0 : accept, 1 : accept }
`)
	var errs []error
	for _, args := range [][]string{
		{"ip", "link", "add", try, "type", "bridge"},
		{"ip", "link", "add", try, "type", "veth", "peer", "name", try + "-peer"},
		{"nft", rules},
		{"mount", "-t", "tmpfs", try, os.TempDir()},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			line, _, _ := strings.Cut(strings.Join(args, " "), "\n")
			errs = append(errs, fmt.Errorf("%s: %w: %s", line, err, out))
		}
	}
	return errs
}

// container is what the container runtime makes of a small Pod.
const container = `{
  "ociVersion": "1.0.2",
  "process": {"user": {"uid": 65532, "gid": 65532}, "args": ["/pause"], "cwd": "/", "noNewPrivileges": true},
  "root": {"path": "rootfs", "readonly": true},
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
  ],
  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
    "cgroupsPath": "/` + try + `/pod",
    "resources": {"memory": {"limit": 67108864}, "cpu": {"shares": 2, "quota": 10000, "period": 100000}, "pids": {"limit": 10}},
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]}
  }
}`

// tryContainer runs a container.
func tryContainer(ctx context.Context, pause string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", try)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeCgroups(try), os.RemoveAll(dir)) }()
	program, err := os.ReadFile(pause)
	if err != nil {
		return err
	}
	rootfs := filepath.Join(dir, "rootfs")
	for _, folder := range []string{"proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(rootfs, folder), 0o755); err != nil {
			return err
		}
	}
	err = errors.Join(
		os.Chmod(dir, 0o755),
		os.WriteFile(filepath.Join(rootfs, "pause"), program, 0o755),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(container), 0o644),
	)
	if err != nil {
		return err
	}
	runc := func(args ...string) error {
		// A pipe would stay open as long as the container.
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		cmd := exec.CommandContext(ctx, "runc", append([]string{"--root", filepath.Join(dir, "runc")}, args...)...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("runc %s: %w: %s", args[0], err, said)
		}
		return nil
	}
	if err := runc("run", "--detach", "--bundle", dir, try); err != nil {
		// What there is of it may be nothing.
		_ = runc("delete", "--force", try)
		return err
	}
	return runc("delete", "--force", try)
}
