// SPDX-License-Identifier: Apache-2.0

// Package certs is the certificate that the webhook serves, and whom it serves.
// The certificate comes from one of these:
//
//   - A [Keeper] keeps a certificate authority and a certificate in a Secret that
//     all replicas share, renews both, and puts the CA bundle into the webhook
//     configuration; the rules too, where they are to wait for a server.
//   - [Watch] reads a directory that something else keeps up to date, such as
//     cert-manager by way of a mounted Secret. The folder cert-manager has its
//     manifests.
//   - [SelfSigned] makes both in memory, for one process.
//
// [Clients] are those who may call, where not everybody may.
//
// # How a Keeper rotates
//
// Every replica watches the one Secret through the API and serves what it holds.
// The first of them makes what it lacks; the others find it there. All other
// writes are the leader's. A renewed certificate of the same authority is trusted
// as the one before was. When the authority has to change, the webhook
// configuration first trusts both; a settle time after that was seen, a
// certificate of the new one is served; another settle time later, the old one is
// trusted no more. A new leader waits anew, so that nothing rests on what another
// process saw. What others write into the Secret or the configuration stays.
//
// An authority is valid for a year and a certificate for 90 days, from an hour
// before they are made, and both are replaced when two thirds of that are over.
// The settle time is an hour.
//
// A Secret that is emptied or deleted while a replica runs is filled with what
// that serves and with a next authority, to which it then changes in the same way;
// after a deletion only when five minutes are over. A Secret with a certificate
// that Routegate did not make is left alone.
//
// # Rights of a Keeper
//
// These are all, for every replica, as any may become the leader:
//
//	""                            secrets                          get, list, watch, update  the one Secret by name
//	admissionregistration.k8s.io  validatingwebhookconfigurations  get, list, watch, update  the one configuration by name
//	coordination.k8s.io           leases                           get, update               the one Lease by name
//
// A right to create Secrets and Leases, which cannot be given by name, is needed
// only where nobody has made them, empty. Without it a deleted Secret stays away
// until somebody makes it again; replicas go on serving what they have.
package certs
