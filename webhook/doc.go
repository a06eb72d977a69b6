// SPDX-License-Identifier: Apache-2.0

// Package webhook answers AdmissionReviews for Ingresses. It is the only
// package that speaks AdmissionReview.
//
// The [Handler] decodes a review, judges the Ingress with the checks over a
// Snapshot of the cluster, lets the policy turn findings into a verdict,
// confirms a denial against the API server, and writes the response. There are
// three outcomes: allowed (perhaps with warnings), denied, and undecided. A
// failed or late read, a cache that was never filled and a panic are undecided:
// they never deny. What undecided means is the policy's to say.
//
// The Handler is an http.Handler of its own and not controller-runtime's
// admission.Webhook, because that answers errors and panics with "allowed:
// false", which the API server takes for a denial whatever the failurePolicy.
package webhook
