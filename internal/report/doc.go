// SPDX-License-Identifier: Apache-2.0

// Package report turns what the model knows into what people and programs read:
// the answer to one request ([Trace]) and the routing table ([Routes]).
//
// The JSON fields of the exported types are an interface for programs: they are
// added to, but neither renamed nor removed.
package report
