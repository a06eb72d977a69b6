// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Rules returns what the API server is to ask a Handler about. They are the rules
// of the webhook in the chart, and those that routegate writes where the chart
// leaves them out.
func Rules() []admissionregistrationv1.RuleWithOperations {
	scope := admissionregistrationv1.NamespacedScope
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule: admissionregistrationv1.Rule{
			APIGroups:   []string{networkingv1.GroupName},
			APIVersions: []string{"v1"},
			Resources:   []string{"ingresses"},
			Scope:       &scope,
		},
	}}
}
