// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Where everything is. The addresses are from the range that is set aside for
// tests of networks (RFC 2544), which nobody routes.
const (
	root        = "/var/lib/routegate-e2e"
	nodeName    = "node1"
	nodeIP      = "198.18.0.1"
	nodeBridge  = "rge2e-node"
	podBridge   = "rge2e-pods"
	podRange    = "198.18.64.0/18"
	services    = "198.18.128.0/18"
	firstIP     = "198.18.128.1" // of the Service "kubernetes"
	apiServer   = "https://" + nodeIP + ":6443"
	etcdURL     = "http://" + nodeIP + ":2379"
	etcdPeerURL = "http://" + nodeIP + ":2380"

	// PauseImage is an image whose program does nothing, for Pods that need not
	// do anything either.
	PauseImage = "localhost/pause:e2e"
)

// packages says which Debian package has each program that is needed.
var packages = []struct{ program, name string }{
	{"containerd", "containerd"},
	{"runc", "runc"},
	{"/usr/lib/cni/bridge", "containernetworking-plugins"},
	{"nft", "nftables"},
	{"conntrack", "conntrack"},
	{"ip", "iproute2"},
	{"mount", "mount"},
	// hack/image.sh builds the image with these.
	{"buildah", "buildah"},
	{"busybox", "busybox-static"},
}

// Options say what Start starts.
type Options struct {
	// Assets is the folder that "go -C e2e/controlplane run . -node" prints.
	Assets string
	// Pause is the path of a static build of e2e/node/pause.
	Pause string
	// Logs is the folder for the logs of all programs.
	Logs string
}

// Machine is a running node.
type Machine struct {
	// Kubeconfig is the path of an administrator's kubeconfig file.
	Kubeconfig string
	// Kubectl is the path of a kubectl of the cluster's version.
	Kubectl string

	options  Options
	before   []string // what traces saw before
	programs []*program
}

// program is a process of the cluster.
type program struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start brings the cluster up and returns when its node is ready. When it fails
// nothing is left.
func Start(ctx context.Context, o Options) (*Machine, error) {
	if reasons := Unfit(ctx, o.Pause); len(reasons) > 0 {
		return nil, fmt.Errorf("this machine cannot be a cluster; set KUBECONFIG to one, or see to this:\n%s", strings.Join(reasons, "\n"))
	}
	if err := clean(ctx); err != nil {
		return nil, fmt.Errorf("what an earlier run left cannot be removed: %w", err)
	}
	m := &Machine{options: o, Kubeconfig: filepath.Join(root, "pki/admin.kubeconfig"), Kubectl: filepath.Join(o.Assets, "kubectl")}
	var err error
	if m.before, err = traces(ctx); err != nil {
		return nil, err
	}
	err = m.prepare()
	if err == nil {
		err = m.up(ctx)
	}
	if err == nil {
		err = m.Import(ctx, filepath.Join(root, "pause.tar"), "")
	}
	if err != nil {
		return nil, errors.Join(err, m.Stop(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// install installs the Debian packages that are missing.
func install(ctx context.Context) error {
	var missing []string
	for _, p := range packages {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("it lacks the programs of %s, and there is no apt-get to install them", strings.Join(missing, ", "))
	}
	if err := run(ctx, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return run(ctx, "env", append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends"}, missing...)...)
}

// prepare writes the certificates and configuration files.
func (m *Machine) prepare() error {
	for _, dir := range []string{root, filepath.Join(root, "cni"), m.options.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := saveSysctls(); err != nil {
		return err
	}
	a, err := newAuthority(filepath.Join(root, "pki"))
	if err != nil {
		return err
	}
	err = errors.Join(
		a.server("apiserver", []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, nodeIP, firstIP),
		a.server("kubelet-server", []string{nodeName}, nodeIP),
		a.server("service-accounts", nil),
		a.client("admin", "admin", "system:masters"),
		a.client("apiserver-kubelet", "kube-apiserver", "system:masters"),
		a.client("controller-manager", "system:kube-controller-manager"),
		a.client("scheduler", "system:kube-scheduler"),
		a.client("kubelet", "system:node:"+nodeName, "system:nodes"),
		a.client("proxy", "system:kube-proxy"),
	)
	if err != nil {
		return err
	}
	for name, content := range configFiles {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return writeImage(filepath.Join(root, "pause.tar"), PauseImage, m.options.Pause)
}

// up starts everything that prepare and an earlier up have left ready for it.
func (m *Machine) up(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "add", nodeBridge, "type", "bridge"},
		{"address", "add", nodeIP + "/32", "dev", nodeBridge},
		{"link", "set", nodeBridge, "up"},
		// Without kube-proxy, what is sent to a Service must not leave this machine.
		{"route", "replace", services, "dev", nodeBridge, "src", nodeIP},
	} {
		if err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	pki := func(name string) string { return filepath.Join(root, "pki", name) }
	asset := func(name string) string { return filepath.Join(m.options.Assets, name) }
	withKubeconfig := func(name string) []string {
		return []string{"--kubeconfig=" + pki(name), "--authentication-kubeconfig=" + pki(name), "--authorization-kubeconfig=" + pki(name), "--bind-address=" + nodeIP, "--leader-elect=false"}
	}
	steps := []struct {
		name  string
		path  string
		args  []string
		ready func(ctx context.Context) error
	}{
		{"etcd", asset("etcd"), []string{
			"--data-dir=" + root + "/etcd", "--unsafe-no-fsync",
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=" + etcdPeerURL, "--initial-advertise-peer-urls=" + etcdPeerURL, "--initial-cluster=default=" + etcdPeerURL,
		}, nil},
		{"containerd", "containerd", []string{"--config=" + root + "/containerd.toml"}, func(ctx context.Context) error {
			return run(ctx, "ctr", "-a", containerdSocket, "version")
		}},
		{"kube-apiserver", asset("kube-apiserver"), []string{
			"--etcd-servers=" + etcdURL, "--service-cluster-ip-range=" + services,
			"--bind-address=" + nodeIP, "--advertise-address=" + nodeIP, "--secure-port=6443",
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pki("service-accounts.crt"), "--service-account-signing-key-file=" + pki("service-accounts.key"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		}, func(ctx context.Context) error { return m.kubectl(ctx, "get", "--raw", "/readyz") }},
		{"kube-controller-manager", asset("kube-controller-manager"), append(withKubeconfig("controller-manager.kubeconfig"),
			"--use-service-account-credentials", "--service-account-private-key-file="+pki("service-accounts.key"), "--root-ca-file="+pki("ca.crt"),
			"--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"), "--allocate-node-cidrs=false"), nil},
		{"kube-scheduler", asset("kube-scheduler"), withKubeconfig("scheduler.kubeconfig"), nil},
		{"kube-proxy", asset("kube-proxy"), []string{"--config=" + root + "/kube-proxy.yaml"}, nil},
		{"kubelet", asset("kubelet"), []string{
			"--config=" + root + "/kubelet.yaml", "--kubeconfig=" + pki("kubelet.kubeconfig"), "--root-dir=" + root + "/kubelet",
			"--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
		}, func(ctx context.Context) error {
			return m.kubectl(ctx, "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=1s")
		}},
	}
	for _, s := range steps {
		p, err := m.start(s.name, s.path, s.args)
		if err != nil {
			return err
		}
		if s.ready == nil {
			continue
		}
		if err := m.await(ctx, p, s.ready); err != nil {
			return err
		}
	}
	return nil
}

// start starts a program that lives until it is stopped.
func (m *Machine) start(name, path string, args []string) (*program, error) {
	log, err := os.OpenFile(filepath.Join(m.options.Logs, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p := &program{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Dir = root
	for _, variable := range os.Environ() {
		if key, _, _ := strings.Cut(variable, "="); !strings.HasSuffix(strings.ToLower(key), "_proxy") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	// An image that is not here must be missed at once, not looked for elsewhere.
	if name == "containerd" {
		p.cmd.Env = append(p.cmd.Env, "HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1")
	}
	// A Ctrl-C on the terminal is for the test, which then calls Stop.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	m.programs = append(m.programs, p)
	return p, nil
}

// await tries until the program is ready, or has ended.
func (m *Machine) await(ctx context.Context, p *program, ready func(context.Context) error) error {
	last := errors.New("it was not asked")
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("it ended: %s", p.cmd.ProcessState)
		default:
		}
		last = ready(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s did not get ready: %w: %w; its log is %s", p.name, err, last, filepath.Join(m.options.Logs, p.name+".log"))
	}
	return nil
}

func (m *Machine) kubectl(ctx context.Context, args ...string) error {
	return run(ctx, m.Kubectl, append([]string{"--kubeconfig=" + m.Kubeconfig}, args...)...)
}

// Import gives the node the images of an archive. The name is that of images
// that carry only a tag in it, as in OCI archives.
func (m *Machine) Import(ctx context.Context, archive, name string) error {
	args := []string{"-a", containerdSocket, "-n", "k8s.io", "images", "import", "--snapshotter", snapshotter}
	if name != "" {
		args = append(args, "--base-name", name)
	}
	return run(ctx, "ctr", append(args, archive)...)
}

// Kill ends the program of a Pod with SIGKILL and returns how many processes
// that were. The uid is the Pod's, and path the program's.
func (m *Machine) Kill(uid, path string) (int, error) {
	pids, err := processes()
	killed := 0
	for _, pid := range pids {
		group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(group), "/pod"+uid) && strings.HasPrefix(string(line), path+"\x00") {
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
			killed++
		}
	}
	return killed, err
}

// Cut drops every packet between the node and a Pod, without an answer, until
// the function that it returns is called. With a port, only those of that TCP
// port, so that the kubelet's probes go on.
func (m *Machine) Cut(ctx context.Context, ip string, port int) (heal func(context.Context) error, err error) {
	from, to := "", ""
	if port != 0 {
		from, to = fmt.Sprintf("tcp sport %d", port), fmt.Sprintf("tcp dport %d", port)
	}
	rules := "add table ip " + cutTable + "\n"
	for _, hook := range []string{"input", "output"} {
		rules += fmt.Sprintf("add chain ip %[1]s %[2]s { type filter hook %[2]s priority -10; }\nadd rule ip %[1]s %[2]s ip saddr %[3]s %[4]s drop\nadd rule ip %[1]s %[2]s ip daddr %[3]s %[5]s drop\n", cutTable, hook, ip, from, to)
	}
	if err := run(ctx, "nft", rules); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return run(ctx, "nft", "delete", "table", "ip", cutTable) }, nil
}

// Restart is a power cut: every process ends at once, mounts and addresses are
// gone, and what is on the disk is there when everything starts again.
func (m *Machine) Restart(ctx context.Context) error {
	m.programs = nil
	if err := halt(ctx); err != nil {
		return err
	}
	return m.up(ctx)
}

// Stop ends the cluster and removes what it was made of. What is of it all the
// same, Left says.
func (m *Machine) Stop(ctx context.Context) error {
	m.programs = nil
	return clean(ctx)
}

// run runs a command and returns what it wrote, should it fail.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args[:min(len(args), 6)], " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// processes returns the processes of the cluster: those whose command line
// names the folder, and those in the Pods' cgroups.
func processes() ([]int, error) {
	var pids []int
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range commands {
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		// A process may end meanwhile; a zombie has no command line.
		line, _ := os.ReadFile(file)
		group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if len(line) > 0 && (strings.Contains(string(line), root+"/") || strings.Contains(string(group), "/"+cgroup+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// halt kills all processes and takes mounts, addresses and rules away.
func halt(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		pids, err := processes()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0, err
	})
	if err != nil {
		return fmt.Errorf("processes do not end: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], root+"/") {
			if err := syscall.Unmount(fields[1], syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				return fmt.Errorf("unmount %s: %w", fields[1], err)
			}
		}
	}
	for _, bridge := range []string{nodeBridge, podBridge} {
		if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
			if err := run(ctx, "ip", "link", "delete", bridge); err != nil {
				return err
			}
		}
	}
	for _, table := range [][]string{{"ip", "kube-proxy"}, {"ip6", "kube-proxy"}, {"ip", cutTable}} {
		if run(ctx, "nft", "list", "table", table[0], table[1]) == nil {
			if err := run(ctx, "nft", "delete", "table", table[0], table[1]); err != nil {
				return err
			}
		}
	}
	if err := removeCgroups(cgroup); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(root+"/run"), os.RemoveAll(root+"/cni-state"))
}

// clean removes the cluster.
func clean(ctx context.Context) error {
	if err := halt(ctx); err != nil {
		return err
	}
	errs := []error{restoreSysctls()}
	for _, pattern := range []string{root, "/var/lib/cni/results/" + cniName + "-*", "/var/lib/cni/cache/results/" + cniName + "-*"} {
		files, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, file := range files {
			errs = append(errs, os.RemoveAll(file))
		}
	}
	// The kubelet has no option for these links.
	links, err := filepath.Glob("/var/log/containers/*.log")
	errs = append(errs, err)
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, root+"/") {
			errs = append(errs, os.Remove(link))
		}
	}
	// Who is killed leaves a socket, to which nobody listens any more.
	sockets, err := filepath.Glob("/run/containerd/s/*")
	errs = append(errs, err)
	for _, socket := range append(sockets, "/var/lib/kubelet/device-plugins/kubelet.sock") {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		switch {
		case err == nil:
			errs = append(errs, conn.Close())
		case errors.Is(err, syscall.ECONNREFUSED):
			errs = append(errs, os.Remove(socket))
		}
	}
	// These folders have no option either. They stay where something else uses them.
	for _, dir := range []string{
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/log/containers", "/var/lib/cni/results", "/var/lib/cni",
		"/run/containerd/s", "/run/containerd", "/usr/libexec/kubernetes/kubelet-plugins/volume/exec", "/usr/libexec/kubernetes/kubelet-plugins/volume",
		"/usr/libexec/kubernetes/kubelet-plugins", "/usr/libexec/kubernetes",
	} {
		_ = syscall.Rmdir(dir)
	}
	return errors.Join(errs...)
}
