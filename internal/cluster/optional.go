// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/routegate/routegate/routing"
)

// Bounds on the reading of Pods, which only makes messages better.
const (
	maxSelected = 10          // Pods that a Service selects
	maxNearby   = 100         // other Pods of its namespace
	explainTime = time.Second // for the Pods of one Service
)

// notWanted is the coverage of an optional kind that is not read.
var notWanted = routing.Coverage{Chosen: true, Reason: "not read here"}

// coverOptional marks the optional kinds that are not read by choice. Pods that may
// be read have no coverage until they are.
func (c *Cluster) coverOptional(coverage map[routing.Ref]routing.Coverage) {
	if !c.readPods {
		coverage[routing.Ref{Kind: routing.Pods}] = notWanted
	}
	if c.kinds[routing.NetworkPolicies] == nil {
		coverage[routing.Ref{Kind: routing.NetworkPolicies}] = notWanted
	}
}

// ReadPods asks the API server for Pods around a Service: some that it selects or,
// where there are none, some others of its namespace. It returns nil for a Service
// without a selector.
func ReadPods(ctx context.Context, client kubernetes.Interface, svc *routing.Service) (*routing.ServicePods, error) {
	if !svc.Selecting() {
		return nil, nil
	}
	list, err := client.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: svc.Selector, Limit: maxSelected})
	if err != nil {
		return nil, err
	}
	more := list.Continue != ""
	if len(list.Items) == 0 {
		if list, err = client.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{Limit: maxNearby}); err != nil {
			return nil, err
		}
	}
	found := routing.PodsAround(svc, slimPods(list.Items))
	found.More = more
	return found, nil
}

func slimPods(pods []corev1.Pod) []*routing.Pod {
	kept := make([]*routing.Pod, len(pods))
	for i := range pods {
		kept[i] = routing.PodOf(&pods[i])
	}
	return kept
}
