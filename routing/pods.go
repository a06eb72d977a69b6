// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Pod is the part of a core/v1 Pod that is read here. Of its metadata, the labels
// are kept.
type Pod struct {
	metav1.ObjectMeta
	// Trouble is why the Pod is not Ready, in one word as kubectl has it:
	// "ImagePullBackOff", "Unschedulable", "NodeNotReady", or "NotReady" where nothing
	// more is known. It is empty for a Pod that is Ready.
	Trouble string
}

// ServicePods are the Pods around a Service with a selector. They explain, and prove
// nothing: they may have been read at another time than the rest.
type ServicePods struct {
	// Selected are those that the selector selects, sorted by name; where More is true,
	// there are others.
	Selected []*Pod
	More     bool
	// Nearby are some others of the namespace, sorted by name, where none is selected.
	Nearby []*Pod
}

// PodsAround sorts Pods of the namespace of a Service with a selector.
func PodsAround(svc *Service, pods []*Pod) *ServicePods {
	p := &ServicePods{}
	for _, pod := range pods {
		if missed := svc.MissedBy(pod); len(missed) == 0 {
			p.Selected = append(p.Selected, pod)
		} else {
			p.Nearby = append(p.Nearby, pod)
		}
	}
	if len(p.Selected) > 0 {
		p.Nearby = nil
	}
	byName := func(a, b *Pod) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(p.Selected, byName)
	slices.SortFunc(p.Nearby, byName)
	return p
}

// MissedBy returns the labels of the selector that the Pod does not have with that
// value.
func (s *Service) MissedBy(pod *Pod) map[string]string {
	missed := map[string]string{}
	for key, value := range s.SelectedLabels() {
		if has, ok := pod.Labels[key]; !ok || has != value {
			missed[key] = value
		}
	}
	return missed
}

// SelectedLabels are the labels that all Pods of the Service have, nil where it has no
// selector.
func (s *Service) SelectedLabels() map[string]string {
	set, err := labels.ConvertSelectorToLabelsMap(s.Selector)
	if err != nil || len(set) == 0 {
		return nil
	}
	return set
}

// PodsOf returns the Pods around the Service of that name. They are a help for
// messages: that they were not read is no reason for no verdict, and no observer
// hears of it.
func (s *Snapshot) PodsOf(namespace, service string) (*ServicePods, Known) {
	if !s.CoverageOf(Ref{Kind: Pods, Namespace: namespace, Name: service}).Read {
		return nil, Unread
	}
	if pods := s.Pods[Key{namespace, service}]; pods != nil {
		return pods, Present
	}
	return nil, Absent
}

// PodOf returns what is kept of a Pod.
func PodOf(p *corev1.Pod) *Pod {
	return &Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels}, Trouble: troubleOf(p)}
}

const notReady = "NotReady"

// word is what a reason looks like; it is by whoever writes the status of the Pod.
var word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9:/]{0,63}$`)

func troubleOf(p *corev1.Pod) string {
	trouble := cmp.Or(reasonOf(p), notReady)
	switch ready := condition(p, corev1.PodReady); {
	case ready != nil && ready.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil:
		return ""
	case !word.MatchString(trouble):
		return notReady
	}
	return trouble
}

// reasonOf is the gravest reason that the status gives for a Pod that is not Ready,
// empty where there is none.
func reasonOf(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "Terminating"
	}
	if p.Status.Reason != "" {
		return p.Status.Reason
	}
	if scheduled := condition(p, corev1.PodScheduled); scheduled != nil && scheduled.Status == corev1.ConditionFalse {
		return scheduled.Reason
	}
	for i := range p.Status.InitContainerStatuses {
		if reason := failed(&p.Status.InitContainerStatuses[i]); reason != "" {
			return "Init:" + reason
		}
	}
	if n := len(p.Status.InitContainerStatuses); n > 0 && p.Status.Phase == corev1.PodPending {
		if done := initialized(p); done < n {
			return fmt.Sprintf("Init:%d/%d", done, n)
		}
	}
	for i := range p.Status.ContainerStatuses {
		status := &p.Status.ContainerStatuses[i]
		if reason := failed(status); reason != "" {
			return reason
		}
		if ended := status.State.Terminated; ended != nil {
			return cmp.Or(ended.Reason, "Completed")
		}
	}
	for i := range p.Status.ContainerStatuses {
		if waiting := p.Status.ContainerStatuses[i].State.Waiting; waiting != nil {
			return waiting.Reason
		}
	}
	// The kubelet derives Ready from ContainersReady and the readiness gates; without
	// gates only the node controller makes them differ, where the node is lost.
	containers, ready := condition(p, corev1.ContainersReady), condition(p, corev1.PodReady)
	if containers != nil && containers.Status == corev1.ConditionTrue && ready != nil {
		if len(p.Spec.ReadinessGates) == 0 {
			return "NodeNotReady"
		}
		return ready.Reason
	}
	if p.Status.Phase != corev1.PodRunning {
		return string(p.Status.Phase)
	}
	return ""
}

// failed is why a container is in trouble, empty where it is starting, running or
// has done its work.
func failed(status *corev1.ContainerStatus) string {
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating" {
		return waiting.Reason
	}
	if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return cmp.Or(ended.Reason, "Error")
	}
	return ""
}

// initialized counts the init containers that have done their work.
func initialized(p *corev1.Pod) int {
	n := 0
	for i := range p.Status.InitContainerStatuses {
		status := &p.Status.InitContainerStatuses[i]
		sidecarStarted := status.Started != nil && *status.Started
		if status.State.Terminated != nil || sidecarStarted {
			n++
		}
	}
	return n
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}
