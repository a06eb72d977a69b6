// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/routegate/routegate/routing"
)

// ScopedRights returns the Rights of a Cluster that reads only those namespaces: those
// of a ClusterRole, and those of a Role in each of the namespaces.
func ScopedRights(namespaces []string, reads []routing.Kind, access SecretAccess, enabled ...routing.Kind) (cluster, each []rbacv1.PolicyRule) {
	for _, rule := range Rights(reads, access, enabled...) {
		switch rule.Resources[0] {
		case "namespaces":
			rule.ResourceNames = namespaces
			cluster = append(cluster, rule)
		case "ingressclasses":
			cluster = append(cluster, rule)
		default:
			each = append(each, rule)
		}
	}
	return cluster, each
}

// Rights returns the rights that a Cluster needs where checks read these kinds and
// Secrets are read that way: one rule per resource, in the order of routing.Kinds.
// What nothing can be judged without is always among them; of routing.OptionalKinds,
// those that are given as enabled.
func Rights(reads []routing.Kind, access SecretAccess, enabled ...routing.Kind) []rbacv1.PolicyRule {
	all := []string{"get", "list", "watch"}
	var rules []rbacv1.PolicyRule
	for _, kind := range routing.Kinds() {
		// What a Secret holds is read with the Secret.
		read := slices.Contains(reads, kind) || kind == routing.Secrets && slices.Contains(reads, routing.SecretData)
		if !read && !slices.Contains(required, kind) {
			continue
		}
		if slices.Contains(routing.OptionalKinds(), kind) && !slices.Contains(enabled, kind) {
			continue
		}
		group, resource, verbs := corev1.GroupName, "", all
		switch kind {
		case routing.Ingresses:
			group, resource = networkingv1.GroupName, "ingresses"
		case routing.IngressClasses:
			group, resource = networkingv1.GroupName, "ingressclasses"
		case routing.Services:
			resource = "services"
		case routing.Namespaces:
			resource = "namespaces"
		case routing.EndpointSlices:
			// Those of a Service are listed by its label, live as well.
			group, resource, verbs = discoveryv1.GroupName, "endpointslices", []string{"list", "watch"}
		case routing.ConfigMaps:
			// Only the few that an Ingress names, one by one.
			resource, verbs = "configmaps", []string{"get"}
		case routing.Pods:
			// Only those of a Service without endpoints, live.
			resource, verbs = "pods", []string{"list"}
		case routing.NetworkPolicies:
			group, resource, verbs = networkingv1.GroupName, "networkpolicies", []string{"list", "watch"}
		case routing.Secrets:
			resource = "secrets"
			switch access {
			case SecretsOff:
				continue
			case SecretsGet:
				verbs = []string{"get"}
			}
		default:
			// SecretData is part of what is read of a Secret.
			continue
		}
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs})
	}
	return rules
}
