// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/routegate/routegate/routing"
)

// denied is the outcome of a location that ingress-nginx closes.
const denied = "requests get 503"

// denials returns why ingress-nginx closes the paths of the Ingress for one of the
// annotations, the first of which makes the controller read the others. It is empty
// where no path of the Ingress is its own, and for a canary, whose annotations do not
// count.
func denials(ing *networkingv1.Ingress, snap *routing.Snapshot, names ...string) []Finding {
	table := tableOf(ing, snap)
	if table == nil {
		return nil
	}
	config := table.ConfigOf(ing)
	if len(config.Faults) == 0 && config.Denied == "" && len(config.Secrets) == 0 && len(config.ConfigMaps) == 0 {
		return nil
	}
	owns, certain := ownsLocation(table, ing)
	if !owns {
		return nil
	}
	doubt := !certain || routing.PassesTLSThrough(ing)
	lenient := lenientConfig(ing, table.Settings)
	var findings []Finding
	deny := func(name, fact, accepted string, tentative bool) {
		key := annotationKey(ing, table.Settings, name)
		if _, written := ing.Annotations[key]; !written {
			key = annotationKey(ing, table.Settings, names[0])
		}
		findings = append(findings, Finding{
			Field:     field.NewPath("metadata", "annotations").Key(key),
			Fact:      fact,
			Accepted:  accepted,
			Outcome:   denied,
			Subject:   Subject{Object: "annotation/" + name + "/" + ing.Annotations[key]},
			Tentative: tentative || doubt,
		})
	}
	blamed := false
	for _, fault := range config.Faults {
		if fault.Outcome != routing.AnnotationDenies || !belongs(names, fault.Name) {
			continue
		}
		fact := fmt.Sprintf("ingress-nginx does not accept the value %s", quote(fault.Value))
		if fault.Name == config.DeniedBy {
			blamed = true
			fact = fmt.Sprintf("%s: value %s", config.Denied, quote(fault.Value))
		}
		deny(fault.Name, fact, fault.Accepted, !denies(lenient, fault.Name))
	}
	if config.Denied != "" && !blamed && belongs(names, config.DeniedBy) {
		value, written := ing.Annotations[annotationKey(ing, table.Settings, config.DeniedBy)]
		deny(config.DeniedBy, config.Denied, "", (written && value == "") || !denies(lenient, config.DeniedBy))
	}
	if f, ok := objectDenial(ing, snap, config, names); ok {
		deny(f.Subject.Object, f.Fact, f.Accepted, f.Tentative)
		findings[len(findings)-1].RestsOn = f.RestsOn
	}
	return findings
}

// objectDenial finds a Secret or ConfigMap of the annotations that is missing or unfit.
// One that is missing may come later, as Secrets of external stores do, so that finding
// is Tentative, and so is all about ConfigMaps, which are not read again before a
// verdict.
func objectDenial(ing *networkingv1.Ingress, snap *routing.Snapshot, config *routing.Config, names []string) (Finding, bool) {
	own := *config
	own.Denied, own.DeniedBy = "", ""
	mine := func(all []routing.ObjectReference) []routing.ObjectReference {
		var kept []routing.ObjectReference
		for _, ref := range all {
			if ref.Key.Namespace == ing.Namespace && belongs(names, ref.Annotation) {
				kept = append(kept, ref)
			}
		}
		return kept
	}
	own.Secrets, own.ConfigMaps = mine(config.Secrets), mine(config.ConfigMaps)
	d, known := snap.DenialOf(ing.Namespace, &own)
	if known != routing.Present || d.Reason == "" {
		return Finding{}, false
	}
	f := Finding{
		Fact:      bounded(d.Reason),
		Subject:   Subject{Object: d.Annotation},
		RestsOn:   []routing.Ref{d.Object},
		Tentative: d.Object.Kind == routing.ConfigMaps,
	}
	if !strings.Contains(d.Reason, "no key") {
		f.Tentative = true
		f.Fact = fmt.Sprintf("%s %s does not exist in namespace %s", d.Object.Kind, quote(d.Object.Name), quote(ing.Namespace))
		f.Accepted = didYouMean(d.Object.Name, snap.Names[routing.Ref{Kind: d.Object.Kind, Namespace: ing.Namespace}])
	}
	return f, true
}

// belongs reports whether a name, which may be an alias, is one of the annotations.
func belongs(names []string, name string) bool {
	a, ok := routing.AnnotationNamed(name)
	return slices.Contains(names, name) || (ok && slices.Contains(names, a.Name))
}

// lenientConfig is what the annotations mean to an installation with the flags that
// let the most pass, unless its settings are confirmed. What it refuses as well, every
// installation refuses that may be meant.
func lenientConfig(ing *networkingv1.Ingress, settings routing.ControllerSettings) *routing.Config {
	if !settings.Confirmed {
		settings.DisableAnnotationValidation, settings.AllowCrossNamespace = true, true
	}
	return routing.ConfigOf(ing, settings)
}

func denies(config *routing.Config, name string) bool {
	return config.DeniedBy == name || slices.ContainsFunc(config.Faults, func(f routing.AnnotationFault) bool {
		return f.Name == name && f.Outcome == routing.AnnotationDenies
	})
}

// ownsLocation reports whether the annotations of the Ingress count for a location of
// its hosts that nginx writes, and whether that is certain: it is for a path of its own.
func ownsLocation(table *routing.Table, ing *networkingv1.Ingress) (owns, certain bool) {
	for _, host := range routing.HostsOf(ing) {
		if ownsPathOf(table, ing, host) {
			return true, true
		}
	}
	if ing.Spec.DefaultBackend == nil {
		return false, false
	}
	for _, server := range table.Servers() {
		if slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool { return loc.Ingress == ing }) {
			return true, false
		}
	}
	return false, false
}

// ownsPathOf is ownsLocation for the paths of one host.
func ownsPathOf(table *routing.Table, ing *networkingv1.Ingress, host string) bool {
	server := table.ServerOf(host)
	return server != nil && slices.ContainsFunc(server.Locations, func(loc *routing.Location) bool {
		return loc.Ingress == ing && !loc.Placeholder && loc.Path >= 0
	})
}

// configOf is what the annotations of the Ingress mean to the controller that serves
// it, and the settings of that one.
func configOf(ing *networkingv1.Ingress, snap *routing.Snapshot) (*routing.Config, routing.ControllerSettings) {
	settings := snap.SettingsOf(ing)
	config := routing.Once(snap, configKey{ing}, func(snap *routing.Snapshot) *routing.Config {
		if table, known := snap.Observe(nil).TableOf(ing); known == routing.Present && table.ConfigOf(ing) != nil {
			return table.ConfigOf(ing)
		}
		return routing.ConfigOf(ing, settings)
	})
	return config, settings
}

type configKey struct{ *networkingv1.Ingress }

// annotationKey is the key that the Ingress has for the annotation. The controller
// looks at the risk of an annotation without its prefix too.
func annotationKey(ing *networkingv1.Ingress, settings routing.ControllerSettings, name string) string {
	key := routing.NginxPrefix + name
	if settings.AnnotationsPrefix != "" {
		key = settings.AnnotationsPrefix + "/" + name
	}
	if _, bare := ing.Annotations[name]; bare {
		if _, ok := ing.Annotations[key]; !ok {
			return name
		}
	}
	return key
}
