// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// Preview answers AdmissionReviews about Namespaces: where a label that Routegate reads
// changes, it warns of what is already wrong there under the new labels. It never
// denies. Build it with a struct literal and check it with Validate. It is safe for
// concurrent use; one preview is made at a time.
type Preview struct {
	Cluster Cluster
	// Ingresses returns the Ingresses of a namespace in the order of their names.
	Ingresses func(namespace string) []*networkingv1.Ingress
	// Rules returns the rules of now.
	Rules func() *policy.Rules
	// Log receives what failed.
	Log logr.Logger

	busy sync.Mutex
}

// Validate reports what is missing.
func (p *Preview) Validate() error {
	var errs []error
	if p.Cluster == nil {
		errs = append(errs, errors.New("the field Cluster must be set"))
	}
	if p.Ingresses == nil {
		errs = append(errs, errors.New("the field Ingresses must be set"))
	}
	if p.Rules == nil {
		errs = append(errs, errors.New("the field Rules must be set"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("webhook: preview: %w", err)
	}
	return nil
}

var namespaceKind = metav1.GroupVersionKind{Group: corev1.GroupName, Version: "v1", Kind: "Namespace"}

// ServeHTTP answers 200, allowed, with warnings; or 4xx for a request that is not an
// AdmissionReview about a Namespace.
func (p *Preview) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	review, err := readReview(w, r, namespaceKind)
	if err != nil {
		refuse(w, p.Log, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), confirmBudget(r.URL))
	defer cancel()
	writeReview(w, review, &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Warnings: p.warnings(ctx, review.Request)})
}

// warnings are what to say of a change of labels. It never panics.
func (p *Preview) warnings(ctx context.Context, request *admissionv1.AdmissionRequest) (texts []string) {
	defer func() {
		if x := recover(); x != nil {
			p.Log.Error(fmt.Errorf("panic: %v", x), "no preview", "namespace", request.Name, "stack", string(debug.Stack()))
			texts = nil
		}
	}()
	if request.Operation != admissionv1.Update {
		return nil
	}
	labels, err := labelsOf(request.Object.Raw)
	old, oldErr := labelsOf(request.OldObject.Raw)
	if err := errors.Join(err, oldErr); err != nil {
		p.Log.V(1).Info("no preview", "namespace", request.Name, "error", err.Error())
		return nil
	}
	rules := p.Rules()
	said := append(rules.LabelFaults(labels), rules.LabelLimits(labels)...)
	if policy.SameLabels(labels, old) {
		return nil
	}
	if !p.busy.TryLock() {
		return cleaned(append(said, "what is wrong in this namespace is not listed: Routegate is listing another one"))
	}
	defer p.busy.Unlock()
	return cleaned(append(said, p.look(ctx, rules, request.Name, labels)...))
}

func labelsOf(raw []byte) (map[string]string, error) {
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("not a Namespace: %w", err)
	}
	return object.Labels, nil
}

// tally is what a preview has found.
type tally struct {
	denied, warned, looked int
	denials, warns         []string
}

// maxListed is how many Ingresses a preview lists.
const maxListed = 7

// look judges the Ingresses of a namespace as if it had the labels, until ctx is done.
func (p *Preview) look(ctx context.Context, rules *policy.Rules, namespace string, labels map[string]string) []string {
	ingresses := p.Ingresses(namespace)
	var t tally
	reason := "there was no more time"
	for _, ing := range ingresses {
		if ctx.Err() != nil {
			break
		}
		snap, err := p.Cluster.Snapshot(ctx, routing.ReferencesOf(ing), nil)
		if err != nil {
			p.Log.V(1).Info("no snapshot", "error", err.Error())
			reason = "the cluster could not be read"
			break
		}
		t.looked++
		v, _ := rules.Judge(ing, snap, labels)
		t.add(ing, v)
	}
	var texts []string
	if found := t.denied + t.warned; found > 0 {
		texts = append(texts, fmt.Sprintf("with these labels, of %s %d would be denied if created now, and %d warned of; what is there stays",
			plural(t.looked, "Ingress", "Ingresses"), t.denied, t.warned))
		listed := append(t.denials, t.warns[:min(len(t.warns), maxListed-len(t.denials))]...)
		texts = append(texts, listed...)
		if more := found - len(listed); more > 0 {
			texts = append(texts, "and "+plural(more, "more Ingress", "more Ingresses"))
		}
	}
	if left := len(ingresses) - t.looked; left > 0 {
		texts = append(texts, fmt.Sprintf("%d of %s not looked at: %s", left, plural(len(ingresses), "Ingress", "Ingresses"), reason))
	}
	return texts
}

func (t *tally) add(ing *networkingv1.Ingress, v policy.Verdict) {
	line := func(mode checks.Mode, f checks.Finding) string {
		return fmt.Sprintf("Ingress %q, %s: %s", ing.Name, mode, f)
	}
	switch {
	case len(v.Denied) > 0:
		t.denied++
		if len(t.denials) < maxListed {
			t.denials = append(t.denials, line(checks.Deny, v.Denied[0]))
		}
	case len(v.Warned) > 0:
		t.warned++
		if len(t.warns) < maxListed {
			t.warns = append(t.warns, line(checks.Warn, v.Warned[0].Finding))
		}
	}
}

// cleaned makes texts fit for warnings.
func cleaned(texts []string) []string {
	for i := range texts {
		texts[i] = bounded(printable(texts[i]))
	}
	return texts
}
