// SPDX-License-Identifier: Apache-2.0

// Package machine makes this machine a Kubernetes cluster of one node, and back
// again: etcd, the control plane, kubelet and kube-proxy as built by
// e2e/controlplane, and Debian's containerd, runc and CNI plugins.
//
// Unfit says what a machine lacks for that. Everything has its own addresses and
// lies below one folder, and Stop removes it all: processes, Pods, mounts,
// bridges, nftables tables and cgroups, and sets back what kubelet and kube-proxy
// set in the kernel. What an interrupted run left is removed by the next, and Left
// says what is there all the same. Debian packages stay installed.
//
// There is no cluster DNS and no registry: Pods reach the API server by its
// address, and run images that were imported.
package machine
