// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
)

// The actions of Events.
const (
	actionAppeared = "FindingAppeared"
	actionGone     = "FindingGone"
)

const (
	// eventRate is how many Events are recorded in a second over some time, and
	// eventBurst at once: a change that concerns thousands of Ingresses must not
	// burden the API server.
	eventRate, eventBurst = 5, 200
	// maxNote is how many bytes the API server takes.
	maxNote = 1024
)

// recorder records Events about Ingresses. Those of one check of an Ingress that
// follow each other within minutes become one, with a count.
type recorder struct {
	events  events.EventRecorder // nil where none are recorded
	limit   flowcontrol.RateLimiter
	metrics *metrics
}

// newRecorder returns a recorder that records until ctx is done.
func newRecorder(ctx context.Context, sink events.EventSink, m *metrics, log logr.Logger) *recorder {
	r := &recorder{metrics: m, limit: flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst)}
	if sink == nil {
		return r
	}
	broadcaster := events.NewBroadcaster(sink)
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		// It fails only once the broadcaster was shut down.
		log.Error(err, "cannot record Events")
		return r
	}
	context.AfterFunc(ctx, broadcaster.Shutdown)
	r.events = broadcaster.NewRecorder(scheme.Scheme, "routegate")
	return r
}

// record records what appeared and what is gone, one Event for each check. What is
// undecided, ignored or recorded only is no news for those who have the Ingress.
func (r *recorder) record(ing *networkingv1.Ingress, c changes) {
	if r.events == nil {
		return
	}
	r.recordAll(ing, c.appeared, corev1.EventTypeWarning, actionAppeared, func(f *found) string { return f.String() })
	r.recordAll(ing, c.vanished, corev1.EventTypeNormal, actionGone, func(f *found) string { return "no longer: " + f.String() })
}

func (r *recorder) recordAll(ing *networkingv1.Ingress, list []*found, kind, action string, text func(*found) string) {
	byCheck := map[string][]*found{}
	var order []string
	for _, f := range list {
		if f.mode != deny && f.mode != warn {
			continue
		}
		if byCheck[f.Check] == nil {
			order = append(order, f.Check)
		}
		byCheck[f.Check] = append(byCheck[f.Check], f)
	}
	// Without a resource version, so that Events of the same Ingress count as such.
	regarding := &corev1.ObjectReference{
		APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "Ingress", Namespace: ing.Namespace, Name: ing.Name, UID: ing.UID,
	}
	for _, check := range order {
		if !r.limit.TryAccept() {
			r.metrics.events.WithLabelValues("dropped").Inc()
			continue
		}
		note := text(byCheck[check][0])
		more := ""
		if n := len(byCheck[check]) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		r.events.Eventf(regarding, nil, kind, reasonOf(check), action, "%s", bounded(note, maxNote-len(more))+more)
		r.metrics.events.WithLabelValues("recorded").Inc()
	}
}

// reasonOf is the name of a check as reasons of Events are spelled: "ServiceMissing".
func reasonOf(check string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(check, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// bounded cuts a text to so many bytes, between characters.
func bounded(text string, most int) string {
	const ellipsis = "…"
	if len(text) <= most {
		return text
	}
	cut := most - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
