// SPDX-License-Identifier: Apache-2.0

package routing_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

func TestTroubleOfAPod(t *testing.T) {
	waiting := func(reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	ended := func(code int32, reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}
	}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus, reason string) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: reason}
	}
	containersReady := condition(corev1.ContainersReady, corev1.ConditionTrue, "")
	gated := condition(corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady")
	list := func(statuses ...corev1.ContainerStatus) []corev1.ContainerStatus { return statuses }
	conditions := func(c ...corev1.PodCondition) []corev1.PodCondition { return c }

	for name, tc := range map[string]struct {
		status corev1.PodStatus
		gates  bool
		want   string
	}{
		"ready":                {corev1.PodStatus{Phase: "Running", Conditions: conditions(condition(corev1.PodReady, "True", ""))}, false, ""},
		"evicted":              {corev1.PodStatus{Phase: "Failed", Reason: "Evicted"}, false, "Evicted"},
		"no node":              {corev1.PodStatus{Phase: "Pending", Conditions: conditions(condition(corev1.PodScheduled, "False", "Unschedulable"))}, false, "Unschedulable"},
		"just made":            {corev1.PodStatus{Phase: "Pending"}, false, "Pending"},
		"starting":             {corev1.PodStatus{Phase: "Pending", ContainerStatuses: list(waiting("ContainerCreating"))}, false, "ContainerCreating"},
		"initializing":         {corev1.PodStatus{Phase: "Pending", InitContainerStatuses: list(ended(0, "Completed"), running), ContainerStatuses: list(waiting("PodInitializing"))}, false, "Init:1/2"},
		"initialization fails": {corev1.PodStatus{Phase: "Pending", InitContainerStatuses: list(ended(1, "Error")), ContainerStatuses: list(waiting("PodInitializing"))}, false, "Init:Error"},
		"one of two fails":     {corev1.PodStatus{Phase: "Running", ContainerStatuses: list(running, waiting("CrashLoopBackOff"))}, false, "CrashLoopBackOff"},
		"out of memory":        {corev1.PodStatus{Phase: "Running", ContainerStatuses: list(ended(137, "OOMKilled"))}, false, "OOMKilled"},
		"done":                 {corev1.PodStatus{Phase: "Succeeded", ContainerStatuses: list(ended(0, "Completed"))}, false, "Completed"},
		"probe fails":          {corev1.PodStatus{Phase: "Running", ContainerStatuses: list(running)}, false, "NotReady"},
		"node is lost":         {corev1.PodStatus{Phase: "Running", ContainerStatuses: list(running), Conditions: conditions(containersReady, condition(corev1.PodReady, "False", ""))}, false, "NodeNotReady"},
		"a gate is closed":     {corev1.PodStatus{Phase: "Running", ContainerStatuses: list(running), Conditions: conditions(containersReady, gated)}, true, "ReadinessGatesNotReady"},
		"no word":              {corev1.PodStatus{Phase: "Failed", Reason: "see \x1b[31mhere"}, false, "NotReady"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: tc.status}
			if tc.gates {
				pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/open"}}
			}
			if got := routing.PodOf(pod).Trouble; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
