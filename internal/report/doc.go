// SPDX-License-Identifier: Apache-2.0

// Package report turns what the model knows into what people and programs read:
// the answer to one request ([Trace]), the routing table ([Routes]), and what the checks
// say ([Findings]).
//
// The JSON fields of the exported types are an interface for programs: they are
// added to, but neither renamed nor removed.
package report
