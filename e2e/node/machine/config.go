// SPDX-License-Identifier: Apache-2.0

package machine

const (
	containerdSocket = root + "/run/containerd.sock"
	cniName          = "routegate-e2e"
	// snapshotter works on every file system, also where this machine is itself a
	// container.
	snapshotter = "native"
	// cutTable is the nftables table of Cut.
	cutTable = "routegate-e2e"
	// cgroup is what the kubelet calls the one that holds all Pods.
	cgroup = "kubepods"
)

// configFiles are the configuration files below root.
var configFiles = map[string]string{
	"containerd.toml": `version = 2
root = "` + root + `/containerd"
state = "` + root + `/run/containerd"
[grpc]
  address = "` + containerdSocket + `"
[plugins."io.containerd.internal.v1.opt"]
  path = "` + root + `/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + PauseImage + `"
  # Below zero is refused where this machine is itself a container.
  restrict_oom_score_adj = true
  # A profile would stay in the kernel.
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "` + root + `/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "` + snapshotter + `"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "` + root + `/run/runc"
`,
	"cni/10-e2e.conflist": `{
  "cniVersion": "0.4.0",
  "name": "` + cniName + `",
  "plugins": [{
    "type": "bridge", "bridge": "` + podBridge + `", "isDefaultGateway": true, "hairpinMode": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "` + podRange + `"}]], "dataDir": "` + root + `/cni-state"}
  }]
}
`,
	"kube-proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: ` + nodeName + `
clusterCIDR: ` + podRange + `
healthzBindAddress: ` + nodeIP + `:10256
metricsBindAddress: ` + nodeIP + `:10249
clientConnection: {kubeconfig: ` + root + `/pki/proxy.kubeconfig}
conntrack: {maxPerCore: 0}
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ` + nodeIP + `
healthzBindAddress: ` + nodeIP + `
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://` + containerdSocket + `
tlsCertFile: ` + root + `/pki/kubelet-server.crt
tlsPrivateKeyFile: ` + root + `/pki/kubelet-server.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: ` + root + `/pki/ca.crt}
authorization: {mode: Webhook}
podLogsDir: ` + root + `/pod-logs
volumePluginDir: ` + root + `/volume-plugins
resolvConf: ""
makeIPTablesUtilChains: false
enforceNodeAllocatable: []
# Imported images cannot be pulled again.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 100Mi, imagefs.available: 100Mi}
`,
}
