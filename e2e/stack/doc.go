// SPDX-License-Identifier: Apache-2.0

// Package stack starts real parts for the demo and the suites: etcd, a
// kube-apiserver, and routegate as a process of its own, with the webhook
// configuration that makes the API server ask it.
//
// [StartControlPlane] needs the binaries in the folder KUBEBUILDER_ASSETS.
// [ControlPlane.StartControllers] runs the controllers that make Pods and EndpointSlices.
// [StartRoutegate] runs a routegate binary, which [Binary] finds or builds.
// [ControlPlane.StartProxy] puts faults between the two.
// [Webhook.Install] registers it, and [Wait] returns when the API server really
// asks it. [Start] does all of this. All of them wait by polling until their context is done, use
// ports that were free, and leave nothing behind once stopped.
package stack
