// SPDX-License-Identifier: Apache-2.0

// Package checks says why an Ingress does not route, from plain data.
//
// A [Check] is one reason: a value in the list that [All] returns, with a pure
// function from an Ingress and a [routing.Snapshot] to findings. A [Finding]
// names the field, the fact, what would be accepted, and what a request would
// get. Checks report; they never decide: whether a finding denies, warns or is
// left out here is the policy's matter.
//
// To users, a check promises that its findings are true: a finding is to be
// fixed, not argued with. A rare false report is a bug of the gravest kind. A
// check that cannot be certain marks its finding Tentative.
//
// # Three answers
//
// A lookup in a Snapshot answers present, absent or unread. A check reports
// nothing about what was not read; [Run] notes such a lookup and adds a finding
// that is Undecided, once per check. So a failed read never becomes a finding,
// and the other checks still decide.
//
// Some kinds are read only where the operator wants it, see
// [routing.OptionalKinds]. Nothing is amiss without them: the message only says
// less. A finding asks in ExplainedBy for what would let it say more.
//
// # Adding a check
//
//  1. Find its row in the catalogue of semantics, with the conditions under
//     which it must not be reported. Its id is the check's name for ever.
//  2. Write testdata/<name>/ with at least one case.good.yaml and one
//     case.bad.yaml: first the Ingress, then the cluster around it. Every line
//     "# want ..." of a bad case is one whole message.
//  3. Write check_<name>.go: the value, its run function, its helpers. Declare
//     in Reads every kind that it looks up, and name in Example the bad case that
//     explains it best. Where it reads Ingresses and may deny, think of one that is
//     not read: if none can refute what it finds, set Regardless. Where it finds
//     nothing without an annotation, name that in Annotations.
//  4. Add the value to All, sorted by name.
//  5. Run go test ./checks: it fails for a missing fixture, an undeclared read
//     and a message that differs.
//  6. Run make generate, and read the page that it wrote in docs/checks.
//  7. Run make truth: the check must name what happened in the recordings, and
//     nothing else.
package checks
