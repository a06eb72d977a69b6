// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sysctls are what kubelet, kube-proxy and the network plugin set.
var sysctls = []string{
	"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys",
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
}

// folders are where container runtimes, network plugins and kubelets leave files.
var folders = []string{
	root, "/etc/cni", "/opt/cni", "/opt/containerd", "/run/containerd", "/run/netns", "/run/runc",
	"/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
}

// Left returns what was not there before Start and is there now: processes,
// mounts, network interfaces, routes, rules, cgroups, files and settings of the
// kernel.
func (m *Machine) Left(ctx context.Context) ([]string, error) {
	now, err := traces(ctx)
	return slices.DeleteFunc(now, func(s string) bool { return slices.Contains(m.before, s) }), err
}

// traces lists what there is of all that a cluster can leave on a machine.
func traces(ctx context.Context) ([]string, error) {
	var list []string
	pids, err := processes()
	errs := []error{err}
	for _, pid := range pids {
		// It may end meanwhile.
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		list = append(list, fmt.Sprintf("process %d %s", pid, strings.ReplaceAll(string(line), "\x00", " ")))
	}

	mounts, err := os.ReadFile("/proc/self/mounts")
	errs = append(errs, err)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(fields[1]+"/", f+"/") }) {
			list = append(list, "mount "+fields[1])
		}
	}

	links, err := os.ReadDir("/sys/class/net")
	errs = append(errs, err)
	for _, link := range links {
		// What is on the bridge of another is of that other.
		if master, err := os.Readlink(filepath.Join("/sys/class/net", link.Name(), "master")); err != nil || filepath.Base(master) == podBridge {
			list = append(list, "network interface "+link.Name())
		}
	}
	for _, look := range [][]string{{"ip", "route", "show", "table", "all"}, {"ip", "rule"}, {"nft", "list", "tables"}} {
		out, err := exec.CommandContext(ctx, look[0], look[1:]...).Output()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.Join(look, " "), err))
		}
		for line := range strings.Lines(string(out)) {
			list = append(list, strings.TrimSpace(look[0]+" "+line))
		}
	}
	for _, file := range []string{"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"} {
		names, err := os.ReadFile(file)
		if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, name := range strings.Fields(string(names)) {
			list = append(list, "iptables "+name+" in "+file)
		}
	}

	for _, group := range append(cgroups(cgroup), cgroups(try)...) {
		list = append(list, "cgroup "+group)
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, os.ErrNotExist):
				return nil
			case err != nil:
				return err
			}
			list = append(list, "file "+path)
			// The state of another runtime changes when it likes.
			if d.IsDir() && strings.HasPrefix(d.Name(), "io.containerd.") && !strings.HasPrefix(path, root) {
				return filepath.SkipDir
			}
			return nil
		})
		errs = append(errs, err)
	}
	values, err := readSysctls()
	for name, value := range values {
		list = append(list, "setting "+name+" = "+value)
	}
	return list, errors.Join(append(errs, err)...)
}

func sysctlFiles() []string {
	var files []string
	for _, name := range sysctls {
		files = append(files, filepath.Join("/proc/sys", name))
	}
	return files
}

func readSysctls() (map[string]string, error) {
	values := map[string]string{}
	for _, name := range sysctls {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			return nil, err
		}
		values[name] = strings.TrimSpace(string(value))
	}
	return values, nil
}

// saved is where the values are that clean goes back to, also those of a run that
// was interrupted.
const saved = root + "/sysctls.json"

func saveSysctls() error {
	values, err := readSysctls()
	if err != nil {
		return err
	}
	content, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return os.WriteFile(saved, content, 0o644)
}

func restoreSysctls() error {
	content, err := os.ReadFile(saved)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var values map[string]string
	if err := json.Unmarshal(content, &values); err != nil {
		return fmt.Errorf("%s: %w", saved, err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		errs = append(errs, os.WriteFile(filepath.Join("/proc/sys", name), []byte(values[name]), 0o644))
	}
	return errors.Join(errs...)
}

// cgroups are the folders of the cgroup with that name, in each hierarchy.
func cgroups(name string) []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/"} {
		// The pattern is well formed.
		groups, _ := filepath.Glob(pattern + name)
		found = append(found, groups...)
	}
	return found
}

// removeCgroups removes that cgroup, which holds no process any more.
func removeCgroups(name string) error {
	for _, group := range cgroups(name) {
		var dirs []string
		_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		// From the inside out.
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("cgroup %s: %w", dir, err)
			}
		}
	}
	return nil
}
