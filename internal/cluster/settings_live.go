// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// ReadSettings reads the settings of the controllers that run in the workloads once,
// and says why those of some are not known.
func ReadSettings(ctx context.Context, client kubernetes.Interface, workloads []settings.Workload) ([]settings.Known, []error) {
	return settings.Read(workloads, liveSettings{ctx, client})
}

// liveSettings reads for the length of one call.
type liveSettings struct {
	ctx    context.Context
	client kubernetes.Interface
}

func (l liveSettings) Workload(w settings.Workload) (any, error) {
	if w.DaemonSet {
		return found(l.client.AppsV1().DaemonSets(w.Namespace).Get(l.ctx, w.Name, metav1.GetOptions{}))
	}
	return found(l.client.AppsV1().Deployments(w.Namespace).Get(l.ctx, w.Name, metav1.GetOptions{}))
}

func (l liveSettings) ConfigMap(key routing.Key) (*corev1.ConfigMap, error) {
	obj, err := found(l.client.CoreV1().ConfigMaps(key.Namespace).Get(l.ctx, key.Name, metav1.GetOptions{}))
	configMap, _ := obj.(*corev1.ConfigMap)
	return configMap, err
}

// found returns what a Get did, nil where the object does not exist.
func found[T any](obj *T, err error) (any, error) {
	switch {
	case err == nil:
		return obj, nil
	case apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		return nil, errors.New("you are not allowed to get it")
	}
	return nil, errors.New(reasonOf(err))
}
