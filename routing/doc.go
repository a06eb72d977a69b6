// SPDX-License-Identifier: Apache-2.0

// Package routing holds what an Ingress means to the controller that serves
// it, computed from plain data.
//
// A [Snapshot] is the cluster around one Ingress: IngressClasses, Services,
// EndpointSlices, facts about Secrets. It distinguishes three answers to every
// lookup (see [Known]), so that "was not read" can never be mistaken for "does
// not exist". [ReferencesOf] names the objects an Ingress depends on,
// [Snapshot.ClassOf] the controller that serves it, [Service.MatchPort] and
// [Resolve] the endpoints behind a backend, as ingress-nginx v1.15.1 finds
// them.
//
// The package is pure: no context, no client, no clock, no logger. Everything
// it needs is an argument. Values that it returns may share memory with the
// Snapshot and must not be modified.
package routing
