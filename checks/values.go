// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// refusedValues returns the annotation values of the Ingress that nginx refuses, of that
// kind. They are Tentative where nginx may never see the value.
func refusedValues(ing *networkingv1.Ingress, snap *routing.Snapshot, kind routing.RefusalKind) []Finding {
	faults := faultsOf(ing, snap, kind)
	if len(faults) == 0 {
		return nil
	}
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	written, certain := writtenLocation(table, ing, kind == routing.RefusalWWWWildcard)
	if !written {
		return nil
	}
	config := table.ConfigOf(ing)
	// What guards a path may be missing; then nginx closes it and sees no more of it.
	denial, _ := snap.Observe(nil).DenialOf(ing.Namespace, config)
	var findings []Finding
	for _, fault := range faults {
		if !fault.blamed {
			continue
		}
		f := fault.finding(ing)
		f.Field = annotationField(fault.Annotation)
		_, value := annotationOf(ing, fault.Annotation)
		f.Fact = fmt.Sprintf("value %s %s", quote(value), bounded(fault.Reason))
		f.Accepted = fault.Accepted
		f.Subject = Subject{Object: "annotation/" + fault.Annotation + "/" + value}
		f.Tentative = f.Tentative || !certain || value == "" || denial.Reason != "" || fault.DependsOnDefaults(config)
		findings = append(findings, f)
	}
	return findings
}

// writtenLocation reports whether nginx sees a location with the annotations of the
// Ingress, or one of a host with a wildcard, and whether that is certain.
func writtenLocation(table *routing.Table, ing *networkingv1.Ingress, wildcard bool) (written, certain bool) {
	for _, host := range routing.HostsOf(ing) {
		if wildcard && !strings.HasPrefix(host, "*.") {
			continue
		}
		if server := table.ServerOf(host); server != nil && server.Denied == "" && ownsPathOf(table, ing, host) {
			return true, true
		}
	}
	if wildcard || ing.Spec.DefaultBackend == nil {
		return false, false
	}
	return slices.ContainsFunc(table.Servers(), func(server *routing.Server) bool {
		return server.Denied == "" && slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool { return loc.Ingress == ing })
	}), false
}
