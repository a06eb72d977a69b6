// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// explainedByPods lets findings of withoutEndpoints say what is wrong with the Pods,
// where these were read; where they may be, the findings ask for them.
func explainedByPods(ing *networkingv1.Ingress, snap *routing.Snapshot, findings []Finding) []Finding {
	for i := range findings {
		f, name := &findings[i], findings[i].RestsOn[0].Name
		svc, _ := snap.Service(ing.Namespace, name)
		if !svc.Selecting() {
			continue
		}
		ref := routing.Ref{Kind: routing.Pods, Namespace: ing.Namespace, Name: name}
		switch pods, known := snap.PodsOf(ing.Namespace, name); known {
		case routing.Present:
			eps, _ := snap.SlicesOf(ing.Namespace, name)
			some := slices.ContainsFunc(eps, func(s *routing.EndpointSlice) bool { return len(s.Endpoints) > 0 })
			if fact, nearest := PodsFact(svc, pods, some); fact != "" {
				f.Fact, f.Accepted = fact, nearest
			}
		case routing.Unread:
			// A failed read has its reason, and is not tried again.
			if c := snap.CoverageOf(ref); !c.Chosen && c.Reason == "" {
				f.ExplainedBy = append(f.ExplainedBy, ref)
			}
		}
	}
	return findings
}

// PodsFact says why a Service with a selector has no ready endpoints, as far as its
// Pods tell: what keeps those that it selects from being ready or, where it selects
// none, by which label the nearest differs. The fact is empty where the Pods do not
// explain it: they have changed since, or there are endpoints all the same.
func PodsFact(svc *routing.Service, pods *routing.ServicePods, endpoints bool) (fact, nearest string) {
	name, n := quote(svc.Name), len(pods.Selected)
	switch {
	case n == 0 && endpoints:
		return "", ""
	case n == 0:
		return fmt.Sprintf("Service %s has no endpoints: its selector %s matches no Pod", name, quote(svc.Selector)), nearestPod(svc, pods.Nearby)
	case slices.ContainsFunc(pods.Selected, func(p *routing.Pod) bool { return p.Trouble == "" }):
		return "", ""
	case n == 1 && !pods.More:
		return fmt.Sprintf("Service %s selects 1 Pod, not Ready: %s", name, troubles(pods.Selected)), ""
	case pods.More:
		return fmt.Sprintf("Service %s selects more than %d Pods, none Ready: %s", name, n, troubles(pods.Selected)), ""
	}
	return fmt.Sprintf("Service %s selects %d Pods, none Ready: %s", name, n, troubles(pods.Selected)), ""
}

// maxTroubles bounds the reasons in a message.
const maxTroubles = 3

// troubles names the first Pod with each reason.
func troubles(pods []*routing.Pod) string {
	var texts []string
	seen := map[string]bool{}
	for _, pod := range pods {
		if !seen[pod.Trouble] && len(texts) < maxTroubles {
			seen[pod.Trouble] = true
			texts = append(texts, bare(pod.Name)+" "+pod.Trouble)
		}
	}
	return strings.Join(texts, ", ")
}

// nearestPod names the Pod that misses the selector by one label only, and that label;
// first one whose value is probably misspelled. Of a selector with a single label,
// every Pod would be near but for that.
func nearestPod(svc *routing.Service, pods []*routing.Pod) string {
	single := len(svc.SelectedLabels()) == 1
	text := ""
	for _, pod := range pods {
		missed := svc.MissedBy(pod)
		if len(missed) != 1 {
			continue
		}
		for key, want := range missed {
			has, labelled := pod.Labels[key]
			label := quote(key + "=" + want)
			switch {
			case labelled && Nearest(want, []string{has}) != "":
				return fmt.Sprintf("Pod %s has %s instead of %s", bare(pod.Name), quote(key+"="+has), label)
			case single || text != "":
			case labelled:
				text = fmt.Sprintf("Pod %s has %s instead of %s", bare(pod.Name), quote(key+"="+has), label)
			default:
				text = fmt.Sprintf("Pod %s has no label %s", bare(pod.Name), label)
			}
		}
	}
	return text
}
