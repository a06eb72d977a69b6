// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// Dependents is where Dependencies finds the Ingresses that an object matters to.
type Dependents interface {
	Cluster
	// UsersOf returns the Ingresses that name the Service, Secret or IngressClass and
	// are not being deleted, found by an index, in a fixed order.
	UsersOf(ref routing.Ref) ([]*networkingv1.Ingress, error)
	// ReadIngress reads an Ingress afresh; nil where it does not exist.
	ReadIngress(ctx context.Context, namespace, name string) (*networkingv1.Ingress, error)
	// ReadPods reads Pods around the Service; nil where Pods are not read here.
	ReadPods(ctx context.Context, svc *routing.Service) (*routing.ServicePods, error)
}

// DependencyKinds are the kinds that Dependencies can say something about.
func DependencyKinds() []routing.Kind {
	return []routing.Kind{routing.Services, routing.Secrets, routing.IngressClasses}
}

// Dependencies answers AdmissionReviews about Services, Secrets and IngressClasses
// that are changed or deleted: it warns of what the Ingresses that use them lose. It
// asks the same checks as the Handler, about the cluster as it is and as it would be,
// and tells the difference. It never denies; without a verdict it says nothing.
//
// Build it with a struct literal and check it with Validate. Its fields must not
// change once it answers. It is safe for concurrent use.
type Dependencies struct {
	Cluster Dependents
	// Kinds are those of DependencyKinds that it says something about.
	Kinds []routing.Kind
	// Rules returns the rules of now. It is asked once for each request. Rules for users
	// do not match: who writes a Service need not write Ingresses.
	Rules   func() *policy.Rules
	Metrics *DependencyMetrics
	// Log receives at V(1) one line per request.
	Log logr.Logger
}

// Validate reports what is missing or wrong.
func (d *Dependencies) Validate() error {
	var errs []error
	if d.Cluster == nil {
		errs = append(errs, errors.New("the field Cluster must be set"))
	}
	for _, kind := range d.Kinds {
		if !slices.Contains(DependencyKinds(), kind) {
			errs = append(errs, fmt.Errorf("the field Kinds has %q: must be of %v", kind, DependencyKinds()))
		}
	}
	if d.Rules == nil {
		errs = append(errs, errors.New("the field Rules must be set"))
	}
	if d.Metrics == nil {
		errs = append(errs, errors.New("the field Metrics must be set"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("webhook: dependencies: %w", err)
	}
	return nil
}

var (
	serviceKind = metav1.GroupVersionKind{Version: "v1", Kind: "Service"}
	secretKind  = metav1.GroupVersionKind{Version: "v1", Kind: "Secret"}
	classKind   = metav1.GroupVersionKind{Group: networkingv1.GroupName, Version: "v1", Kind: "IngressClass"}
)

// ServeHTTP answers 200, allowed, perhaps with warnings; and 4xx with a text for a
// request that is not an AdmissionReview about one of the kinds.
func (d *Dependencies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	review, err := readReview(w, r, serviceKind, secretKind, classKind)
	if err != nil {
		d.Metrics.observe("", "", outcomeInvalid, time.Since(start))
		refuse(w, d.Log, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), confirmBudget(r.URL))
	defer cancel()

	l := d.judge(ctx, review.Request)
	request := review.Request
	d.Metrics.observe(request.Kind.Kind, string(request.Operation), l.outcome(), time.Since(start))
	d.Metrics.count(l)
	d.Log.V(1).Info("answered", "kind", request.Kind.Kind, "namespace", request.Namespace, "name", request.Name, "operation", request.Operation,
		"outcome", l.outcome(), "undecided", l.undecided, "user", request.UserInfo.Username, "uid", request.UID)
	writeReview(w, review, &admissionv1.AdmissionResponse{
		UID: request.UID, Allowed: true, Warnings: l.lines, AuditAnnotations: l.auditAnnotations(),
	})
}

// losses are what Ingresses lose by a change, in words.
type losses struct {
	lines []string
	// checks are the names of the checks that found them.
	checks []string
	// undecided is why there is no verdict on a part, empty where there is.
	undecided string
}

// judge never panics: that would close the connection, and be counted as a failure of
// the API server's call.
func (d *Dependencies) judge(ctx context.Context, request *admissionv1.AdmissionRequest) (l losses) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.Error(fmt.Errorf("panic: %v", p), "no verdict", "kind", request.Kind.Kind, "namespace", request.Namespace,
				"name", request.Name, "stack", string(debug.Stack()))
			l = losses{undecided: "Routegate failed on this request"}
		}
	}()
	c, err := readChange(request)
	if err != nil {
		return losses{undecided: err.Error()}
	}
	if c == nil || !slices.Contains(d.Kinds, c.ref.Kind) {
		return losses{}
	}
	users, err := d.Cluster.UsersOf(c.ref)
	if err != nil {
		return losses{undecided: err.Error()}
	}
	users = slices.DeleteFunc(users, routing.IsSolver)
	switch {
	case len(users) == 0:
		return losses{}
	case c.ref.Kind == routing.IngressClasses:
		return d.judgeClass(ctx, c.ref.Name, users)
	}
	if c.service != nil && c.service.reselects() {
		// That Pods cannot be read changes nothing but that less is said.
		if c.service.pods, err = d.Cluster.ReadPods(ctx, c.service.new); err != nil {
			d.Log.V(1).Info("live read failed", "kind", routing.Pods, "namespace", c.ref.Namespace, "name", c.ref.Name, "error", err.Error())
		}
	}
	return d.judgeUsers(ctx, d.Rules(), c, users)
}

// maxUsers is how many Ingresses are judged for one request.
const maxUsers = 100

// judgeUsers judges one Ingress after the other, until enough is said or the time is
// up. What the cache says of one that loses something is a rumour: the Ingress may
// have gone before, as when a release is uninstalled. So that is confirmed.
func (d *Dependencies) judgeUsers(ctx context.Context, rules *policy.Rules, c *change, users []*networkingv1.Ingress) losses {
	var l losses
	rest := 0
	for i, ing := range users {
		if i == maxUsers || len(l.lines) >= policy.MaxFindings-1 || ctx.Err() != nil {
			rest = len(users) - i
			break
		}
		lost, silent := d.lostBy(ctx, rules, ing, c, nil, &l)
		if silent {
			return losses{}
		}
		if len(lost) == 0 {
			continue
		}
		live, err := d.Cluster.ReadIngress(ctx, ing.Namespace, ing.Name)
		if err != nil {
			l.undecided = fmt.Sprintf("Ingress %q could not be read", ing.Name)
			continue
		}
		if live == nil || live.DeletionTimestamp != nil {
			continue
		}
		if lost, silent = d.lostBy(ctx, rules, live, c, []routing.Ref{namespaceRef(ing)}, &l); silent {
			return losses{}
		}
		for _, f := range lost {
			l.checks = append(l.checks, f.Check)
		}
		l.lines = append(l.lines, c.words(live, lost)...)
	}
	if ctx.Err() != nil {
		l.undecided = "there was no time for all Ingresses"
	}
	l.shorten(rest)
	return l
}

// lostBy returns what the Ingress loses by the change. It is silent where the namespace
// is being deleted. Where a part cannot be judged, l says why.
func (d *Dependencies) lostBy(ctx context.Context, rules *policy.Rules, ing *networkingv1.Ingress, c *change, confirm []routing.Ref, l *losses) (lost []checks.Finding, silent bool) {
	snap, err := d.Cluster.Snapshot(ctx, routing.ReferencesOf(ing), confirm)
	if err != nil {
		d.Log.V(1).Info("no snapshot", "error", err.Error())
		l.undecided = "the cluster could not be read"
		return nil, false
	}
	ns, known := snap.Namespace(ing.Namespace)
	switch {
	case known == routing.Unread:
		l.undecided = fmt.Sprintf("Namespace %q was not read", ing.Namespace)
		return nil, false
	case known == routing.Absent || ns.DeletionTimestamp != nil:
		return nil, true
	}
	found := func(snap *routing.Snapshot) policy.Verdict {
		v, _ := rules.Judge(ing, snap, ns.Labels)
		return v
	}
	after := found(c.after(snap))
	if len(after.Undecided) > 0 {
		l.undecided = undecidedText(after.Undecided)
	}
	faults := faultsOf(after)
	if len(faults) == 0 {
		return nil, false
	}
	before := faultsOf(found(c.before(snap)))
	return slices.DeleteFunc(faults, func(f checks.Finding) bool {
		return slices.ContainsFunc(before, func(b checks.Finding) bool { return sameLoss(b, f) })
	}), false
}

func faultsOf(v policy.Verdict) []checks.Finding {
	faults := slices.Clone(v.Denied)
	for _, w := range v.Warned {
		faults = append(faults, w.Finding)
	}
	return faults
}

// judgeClass counts the Ingresses that nobody serves without the class. It names none:
// whoever may delete a class need not be allowed to see them.
func (d *Dependencies) judgeClass(ctx context.Context, class string, users []*networkingv1.Ingress) losses {
	with, err := d.Cluster.Snapshot(ctx, routing.References{}, nil)
	if err != nil {
		d.Log.V(1).Info("no snapshot", "error", err.Error())
		return losses{undecided: "the cluster could not be read"}
	}
	without := with.WithoutClass(class)
	var lost []*networkingv1.Ingress
	for _, ing := range users {
		if with.ClassOf(ing).State == routing.ClassServed && without.ClassOf(ing).State != routing.ClassServed {
			lost = append(lost, ing)
		}
	}
	var l losses
	if len(lost) <= policy.MaxFindings {
		// So few may have been deleted just before.
		lost = slices.DeleteFunc(lost, func(ing *networkingv1.Ingress) bool {
			live, err := d.Cluster.ReadIngress(ctx, ing.Namespace, ing.Name)
			if err != nil {
				l.undecided = "an Ingress could not be read"
			}
			return live == nil || live.DeletionTimestamp != nil
		})
	}
	if len(lost) == 0 {
		return l
	}
	namespaces := map[string]bool{}
	for _, ing := range lost {
		namespaces[ing.Namespace] = true
	}
	l.checks = []string{"class-object-missing"}
	l.add(fmt.Sprintf("IngressClass %q is still named by %s in %s: no controller will serve them, and requests will get 404",
		class, plural(len(lost), "Ingress", "Ingresses"), plural(len(namespaces), "namespace", "namespaces")))
	return l
}
