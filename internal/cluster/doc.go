// SPDX-License-Identifier: Apache-2.0

// Package cluster is where Snapshots come from: from an informer cache over a
// live cluster ([Cluster]), or from manifests ([Static]). Both fill a Snapshot
// by the same code, from indexes only, so that the work is proportional to what
// an Ingress refers to and not to the size of the cluster.
//
// The cache keeps types of its own (package routing) that hold what checks read
// and nothing else. A Secret is reduced to facts before it is stored: no byte of
// a key is retained.
//
// A cache is late by nature, so its "does not exist" is a rumour.
// [Cluster.Snapshot] reads the objects that it is told to confirm from the API
// server itself. What could not be read, from the cache or live, is marked as
// unread in the Snapshot with the reason; it is never absent.
package cluster
