// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// maxEvent bounds the text of an Event, which the API server limits to 1024 bytes.
const maxEvent = 1000

// eventTime bounds the write of an Event.
const eventTime = 5 * time.Second

// podEvents writes Events on the Pod that this process runs in.
type podEvents struct {
	client kubernetes.Interface
	pod    corev1.ObjectReference
	log    logr.Logger
}

// parsePod reads NAMESPACE/NAME/UID.
func parsePod(text string) (corev1.ObjectReference, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return corev1.ObjectReference{}, fmt.Errorf("--pod %q: must be NAMESPACE/NAME/UID", text)
	}
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: parts[0], Name: parts[1], UID: types.UID(parts[2])}, nil
}

// warn writes a warning. That it cannot, as without the right to, is logged.
func (e *podEvents) warn(ctx context.Context, reason, text string) {
	ctx, cancel := context.WithTimeout(ctx, eventTime)
	defer cancel()
	if len(text) > maxEvent {
		text = strings.ToValidUTF8(text[:maxEvent], "") + "…"
	}
	now := metav1.Now()
	_, err := e.client.CoreV1().Events(e.pod.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: e.pod.Name + "-", Namespace: e.pod.Namespace},
		InvolvedObject: e.pod,
		Type:           corev1.EventTypeWarning,
		Reason:         reason,
		Message:        text,
		Source:         corev1.EventSource{Component: "routegate"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil {
		e.log.Info("cannot write an Event", "reason", reason, "error", err.Error())
	}
}
