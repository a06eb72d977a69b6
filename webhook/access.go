// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// Authorizer knows what users may do.
type Authorizer interface {
	// May reports whether the user may do that. An error means that it is not known.
	May(ctx context.Context, user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes) (bool, error)
}

// maxAsked is for how many objects it is asked whether the user may get them: as many as
// an answer shows as a rule.
const maxAsked = 10

// ingressAttributes are what is asked about an Ingress.
func ingressAttributes(verb, namespace, name string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{
		Group: networkingv1.GroupName, Version: "v1", Resource: "ingresses", Verb: verb, Namespace: namespace, Name: name,
	}
}

// readIgnore reads the annotation by which the Ingress ignores findings. Where the
// policy restricts that, it returns as well what is to become of the verdict if the user
// who adds or changes the annotation may not, or if that could not be found out.
func (h *Handler) readIgnore(ctx context.Context, d *decision, old *networkingv1.Ingress) func(policy.Verdict) policy.Verdict {
	d.ignore, d.ignoreFaults = d.rules.Ignore(d.ingress.Annotations, d.received)
	if _, there := d.ingress.Annotations[policy.IgnoreAnnotation]; !there || !d.rules.RestrictsIgnore() || sameIgnore(old, d.ingress) {
		return nil
	}
	// What else is to be found out needs time as well.
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	user := d.request.UserInfo
	may, err := h.Authorizer.May(ctx, user, ingressAttributes(policy.IgnoreVerb, d.ingress.Namespace, d.request.Name))
	switch {
	case err != nil:
		h.Log.V(1).Info("right to ignore not known", "namespace", d.ingress.Namespace, "name", nameOf(d), "error", err.Error())
		d.ignore.Uncertain = true
		return func(v policy.Verdict) policy.Verdict {
			return d.rules.DoubtIgnore(v, fmt.Sprintf("whether the user may add or change annotation %s could not be found out", policy.IgnoreAnnotation))
		}
	case !may:
		d.ignore = policy.Ignore{}
		return func(v policy.Verdict) policy.Verdict {
			d.confirmed = true
			return v.RefuseIgnore(user.Username, d.ingress.Namespace)
		}
	}
	return nil
}

// sameIgnore reports whether the annotation is as it was.
func sameIgnore(old, ing *networkingv1.Ingress) bool {
	if old == nil {
		return false
	}
	was, wasThere := old.Annotations[policy.IgnoreAnnotation]
	is, isThere := ing.Annotations[policy.IgnoreAnnotation]
	return was == is && wasThere == isThere
}

// disclosed returns the decision as the user may see it: without the names of
// Ingresses in other namespaces that the policy does not disclose.
func (h *Handler) disclosed(ctx context.Context, d *decision) *decision {
	if d.policy == nil || d.policy.Discloses() == policy.DiscloseAlways {
		return d
	}
	var mentioned []routing.Ref
	for _, f := range d.verdict.Denied {
		mentioned = append(mentioned, f.Mentions...)
	}
	for _, w := range d.verdict.Warned {
		mentioned = append(mentioned, w.Mentions...)
	}
	if len(mentioned) == 0 {
		return d
	}
	var shown map[routing.Ref]bool
	if d.policy.Discloses() == policy.DiscloseAuthorized {
		shown = h.gettable(ctx, d.request, mentioned)
	}
	as := *d
	as.verdict = d.verdict.Withholding(func(ref routing.Ref) bool { return shown[ref] })
	return &as
}

// gettable returns which of the first objects the user may get. What is not known by the
// end of ctx is not among them.
func (h *Handler) gettable(ctx context.Context, request *admissionv1.AdmissionRequest, refs []routing.Ref) map[routing.Ref]bool {
	var mu sync.Mutex
	var asking sync.WaitGroup
	asked, gettable := map[routing.Ref]bool{}, map[routing.Ref]bool{}
	for _, ref := range refs {
		if asked[ref] || len(asked) == maxAsked {
			continue
		}
		asked[ref] = true
		asking.Go(func() {
			may, err := h.Authorizer.May(ctx, request.UserInfo, ingressAttributes("get", ref.Namespace, ref.Name))
			if err != nil {
				h.Log.V(1).Info("right to get not known", "namespace", ref.Namespace, "name", ref.Name, "error", err.Error())
				return
			}
			mu.Lock()
			defer mu.Unlock()
			gettable[ref] = may
		})
	}
	asking.Wait()
	return gettable
}
