// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/routing"
)

// maxBody bounds a review. The API server accepts objects of up to 3 MiB, and an
// update carries two of them.
const maxBody = 6<<20 + 1<<19

// Cluster is where Snapshots come from.
type Cluster interface {
	// Snapshot returns the cluster around the references. The objects in confirm
	// are read afresh, Pods of a Service among them. What could not be read is marked
	// in the Snapshot; an error means that there is none at all.
	Snapshot(ctx context.Context, refs routing.References, confirm []routing.Ref) (*routing.Snapshot, error)
}

// Handler answers AdmissionReviews about Ingresses. Build it with a struct
// literal and check it with Validate. Its fields must not change once it answers. It
// is safe for concurrent use.
type Handler struct {
	Cluster Cluster
	// Rules returns the rules of now. It is asked once for each request, which is
	// answered by these alone.
	Rules func() *policy.Rules
	// Authorizer is asked who may ignore findings, where the policy restricts that, and
	// who may see names of other namespaces.
	Authorizer Authorizer
	Metrics    *Metrics
	// Log receives one line per denial, and at V(1) one per request.
	Log logr.Logger
	// Explain adds, at V(1), a line that says of each finding what becomes of it, and what
	// set its mode. Objects are never logged.
	Explain bool
}

// Validate reports what is missing or wrong.
func (h *Handler) Validate() error {
	var errs []error
	if h.Cluster == nil {
		errs = append(errs, errors.New("the field Cluster must be set"))
	}
	if h.Rules == nil {
		errs = append(errs, errors.New("the field Rules must be set"))
	} else {
		errs = append(errs, checks.Validate(h.Rules().Checks()))
	}
	if h.Authorizer == nil {
		errs = append(errs, errors.New("the field Authorizer must be set"))
	}
	if h.Metrics == nil {
		errs = append(errs, errors.New("the field Metrics must be set"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// badRequest is a request that is not an AdmissionReview about an Ingress.
type badRequest struct {
	status int
	text   string
}

func (e *badRequest) Error() string { return e.text }

func bad(status int, format string, args ...any) error {
	return &badRequest{status: status, text: fmt.Sprintf(format, args...)}
}

// ServeHTTP answers 200 with a verdict; 4xx with a text for a request that is
// not an AdmissionReview about an Ingress; and 500 for one on which there is no
// verdict where the policy wants the API server's failurePolicy to apply.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack(false)
	start := time.Now()
	review, err := readReview(w, r, ingressKind)
	if err != nil {
		h.Metrics.observe("", outcomeInvalid, time.Since(start))
		refuse(w, h.Log, err)
		return
	}

	// The server's own context ends when it is told to stop; a request that has
	// begun is answered all the same. The API server's patience bounds it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), confirmBudget(r.URL))
	defer cancel()

	d := h.decide(ctx, review)
	outcome := d.outcome()
	h.Metrics.observe(string(d.operation), outcome, time.Since(start))
	h.Metrics.count(d)
	h.log(d, outcome)

	if d.verdict.Fails() {
		http.Error(w, printable("no verdict: "+undecidedText(d.verdict.Undecided)), http.StatusInternalServerError)
		return
	}
	writeReview(w, review, h.response(h.disclosed(ctx, d)))
}

// refuse answers a request that is not a review of what is asked about here.
func refuse(w http.ResponseWriter, log logr.Logger, err error) {
	status := http.StatusBadRequest
	if b := (*badRequest)(nil); errors.As(err, &b) {
		status = b.status
	}
	log.V(1).Info("invalid request", "status", status, "error", err.Error())
	http.Error(w, printable(err.Error()), status)
}

var ingressKind = metav1.GroupVersionKind{Group: networkingv1.GroupName, Version: "v1", Kind: "Ingress"}

// readReview reads the one AdmissionReview of a request, which must be about one of
// the kinds. Its objects are parts of what was read, of which there is no copy.
func readReview(w http.ResponseWriter, r *http.Request, kinds ...metav1.GroupVersionKind) (*admissionv1.AdmissionReview, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, bad(http.StatusMethodNotAllowed, "method %s: must be POST", r.Method)
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, bad(http.StatusUnsupportedMediaType, "content type %q: must be application/json", r.Header.Get("Content-Type"))
	}
	var buffer bytes.Buffer
	if 0 < r.ContentLength && r.ContentLength <= maxBody {
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, bad(http.StatusRequestEntityTooLarge, "body: must be at most %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, bad(http.StatusBadRequest, "body: %v", err)
	}
	body := buffer.Bytes()
	if len(body) == 0 {
		return nil, bad(http.StatusBadRequest, "body: must be an AdmissionReview, is empty")
	}
	review, err := decodeReview(body)
	if err != nil {
		return nil, bad(http.StatusBadRequest, "body: not an AdmissionReview: %v", err)
	}
	if version := admissionv1.SchemeGroupVersion.String(); review.APIVersion != version || review.Kind != "AdmissionReview" {
		return nil, bad(http.StatusBadRequest, "body: is %q of %q: must be AdmissionReview of %s", review.Kind, review.APIVersion, version)
	}
	if review.Request == nil {
		return nil, bad(http.StatusBadRequest, "request: must be set")
	}
	if kind := review.Request.Kind; !slices.Contains(kinds, kind) {
		accepted := make([]string, len(kinds))
		for i, k := range kinds {
			accepted[i] = fmt.Sprintf("%s of %s", k.Kind, metav1.GroupVersion{Group: k.Group, Version: k.Version})
		}
		return nil, bad(http.StatusBadRequest, "request.kind: is %s of %s/%s: must be %s", kind.Kind, kind.Group, kind.Version, strings.Join(accepted, " or "))
	}
	return review, nil
}

// decision is one request and what became of it.
type decision struct {
	request   *admissionv1.AdmissionRequest
	operation admissionv1.Operation
	ingress   *networkingv1.Ingress
	// received is when the request was.
	received time.Time
	// rules are those by which the whole request is answered, and policy is what they
	// say of it, nil where they were not asked.
	rules   *policy.Rules
	policy  *policy.Policy
	verdict policy.Verdict
	// ignore is what the Ingress says is to be ignored, and ignoreFaults what of it does
	// not count.
	ignore       policy.Ignore
	ignoreFaults []string
	// labelFaults are the labels of the namespace that mean nothing.
	labelFaults []string
	// confirmed is true when denials were found again in a fresh read.
	confirmed bool
}

// decide judges the request. It never panics: that would close the connection,
// and an API server with failurePolicy Fail would refuse the write.
func (h *Handler) decide(ctx context.Context, review *admissionv1.AdmissionReview) (d *decision) {
	d = &decision{request: review.Request, operation: review.Request.Operation, rules: h.Rules()}
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error(fmt.Errorf("panic: %v", p), "no verdict", "namespace", d.request.Namespace, "name", d.request.Name,
				"stack", string(debug.Stack()))
			d.verdict = d.rules.NoVerdict("Routegate failed on this request")
		}
	}()

	if d.operation != admissionv1.Create && d.operation != admissionv1.Update {
		return d
	}
	sent, err := decodeIngress(review.Request.Object.Raw, sentIngress{})
	if err != nil {
		d.verdict = d.rules.NoVerdict("request.object: " + err.Error())
		return d
	}
	ing := sent.Ingress
	d.ingress = ing
	var old *networkingv1.Ingress
	if d.operation == admissionv1.Update {
		was, err := decodeIngress(review.Request.OldObject.Raw, sent)
		if err != nil {
			d.verdict = d.rules.NoVerdict("request.oldObject: " + err.Error())
			return d
		}
		old = was.Ingress
	}
	if ing.DeletionTimestamp != nil || (old != nil && routing.SameRouting(old, ing) && sameIgnore(old, ing) && d.rules.SelectAlike(old.Labels, ing.Labels)) {
		return d
	}
	// Being written is what makes a controller look again.
	d.received = time.Now()
	ing.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: d.received}}}
	// The namespace of the URL counts; an object may leave it out.
	ing.Namespace = review.Request.Namespace
	if old != nil {
		old.Namespace = review.Request.Namespace
	}
	finish := h.readIgnore(ctx, d, old)
	h.judge(ctx, d, old)
	if finish != nil {
		d.verdict = finish(d.verdict)
	}
	return d
}

// shown is how many findings the answer shows.
func (d *decision) shown() int {
	if d.policy == nil {
		return policy.MaxFindings
	}
	return d.policy.Shown()
}

// judge makes a verdict from the cache and, where it denies, once more from
// fresh reads of everything that the denial rests on: only what both find is
// denied. What lets warnings say more is read then as well, or alone where nothing is
// denied; that this fails changes nothing.
func (h *Handler) judge(ctx context.Context, d *decision, old *networkingv1.Ingress) {
	refs := routing.ReferencesOf(d.ingress, old)
	var snap *routing.Snapshot
	d.verdict, snap = h.look(ctx, d, old, &refs, nil)
	if help := helpful(&d.verdict, d.shown()); len(d.verdict.Denied) > 0 || len(help) > 0 {
		h.lookAgain(ctx, d, old, &refs, snap, help)
	}
}

// look makes a verdict in the cluster, some of which is read afresh. The Snapshot is nil
// where there is none.
func (h *Handler) look(ctx context.Context, d *decision, old *networkingv1.Ingress, refs *routing.References, confirm []routing.Ref) (policy.Verdict, *routing.Snapshot) {
	snap, err := h.Cluster.Snapshot(ctx, *refs, confirm)
	if err == nil && len(confirm) == 0 {
		if _, known := snap.Namespace(d.ingress.Namespace); known != routing.Present {
			// It is too new for the cache, and its labels decide.
			snap, err = h.Cluster.Snapshot(ctx, *refs, []routing.Ref{namespaceRef(d.ingress)})
		}
	}
	if err != nil {
		h.Log.V(1).Info("no snapshot", "error", err.Error())
		return d.rules.NoVerdict("the cluster could not be read"), nil
	}
	return d.verdictIn(snap, old), snap
}

// lookAgain makes the verdict once more, from fresh reads of what its denials rest on in
// the Snapshot, so many denials at a time, and of what helps.
func (h *Handler) lookAgain(ctx context.Context, d *decision, old *networkingv1.Ingress, refs *routing.References, snap *routing.Snapshot, help []routing.Ref) {
	if len(d.verdict.Denied) == 0 {
		if explained, read := h.look(ctx, d, old, refs, help); read != nil {
			// Its denials, if there are any by now, are not confirmed.
			d.verdict = agreed(nil, explained)
		}
		return
	}
	ing := d.ingress
	for denied := d.verdict.Denied; len(denied) > 0; {
		batch := denied[:min(len(denied), maxConfirmed)]
		denied = denied[len(batch):]
		second, fresh := h.look(ctx, d, old, refs, append(evidence(batch, ing, snap), help...))
		if fresh == nil {
			d.verdict = second
			return
		}
		if reason := fresh.CoverageOf(namespaceRef(ing)); !reason.Read {
			d.verdict = d.rules.NoVerdict(fmt.Sprintf("Namespace %q: %s", ing.Namespace, reason.Reason))
			return
		}
		second = agreed(batch, second)
		if len(second.Denied) > 0 || len(second.Undecided) > 0 || len(denied) == 0 {
			d.verdict, d.confirmed = second, true
			return
		}
	}
}

// verdictIn judges the request in a Snapshot, by what the rules say of it there.
func (d *decision) verdictIn(snap *routing.Snapshot, old *networkingv1.Ingress) policy.Verdict {
	ing := d.ingress
	ns, _ := snap.Namespace(ing.Namespace)
	subject := policy.Subject{
		Namespace: ing.Namespace, Class: snap.ClassOf(ing).Name, Labels: ing.Labels,
		User: d.request.UserInfo.Username, Groups: d.request.UserInfo.Groups,
	}
	if ns != nil {
		subject.NamespaceLabels = ns.Labels
	}
	p := d.rules.For(subject)
	d.policy, d.labelFaults = p, d.rules.LabelFaults(subject.NamespaceLabels)
	enabled := p.Enabled(d.rules.Checks())
	if len(enabled) == 0 {
		return policy.Verdict{}
	}
	r := policy.Request{
		Checks: enabled, New: checks.Run(enabled, ing, snap), Confirmed: snap.SettingsOf(ing).Confirmed,
		Ignore: d.ignore, DryRun: d.request.DryRun != nil && *d.request.DryRun, Namespace: ns, Now: snap.Now,
	}
	if old != nil && p.CouldDeny(r) {
		r.Old = checks.Run(enabled, old, snap)
	}
	return p.Decide(r)
}

// helpful names what would let the findings say more, no more than so many, which an
// answer shows.
func helpful(v *policy.Verdict, shown int) []routing.Ref {
	var refs []routing.Ref
	for i := range v.Warned {
		for _, ref := range v.Warned[i].ExplainedBy {
			if len(refs) < shown && !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// maxConfirmed is how many denials are confirmed at a time. One confirmed denial
// is enough; so many are more than an answer shows, and keep the reads for one
// Ingress few, whatever its size.
const maxConfirmed = 20

// evidence names what a denial rests on: what its findings name, the
// IngressClass that says which controller serves the Ingress, and the Namespace.
func evidence(denied []checks.Finding, ing *networkingv1.Ingress, snap *routing.Snapshot) []routing.Ref {
	refs := []routing.Ref{namespaceRef(ing)}
	if class := snap.ClassOf(ing); class.Name != "" {
		refs = append(refs, routing.Ref{Kind: routing.IngressClasses, Name: class.Name})
	}
	for _, f := range denied {
		refs = append(refs, f.RestsOn...)
	}
	seen := make(map[routing.Ref]bool, len(refs))
	unique := refs[:0]
	for _, ref := range refs {
		if !seen[ref] {
			seen[ref] = true
			unique = append(unique, ref)
		}
	}
	return unique
}

func namespaceRef(ing *networkingv1.Ingress) routing.Ref {
	return routing.Ref{Kind: routing.Namespaces, Name: ing.Namespace}
}

// agreed is the second verdict, in which only what the first denied too, and was
// confirmed, is denied.
func agreed(confirmed []checks.Finding, second policy.Verdict) policy.Verdict {
	before := make(map[checks.Fingerprint]bool, len(confirmed))
	for _, f := range confirmed {
		before[f.Fingerprint()] = true
	}
	var denied []checks.Finding
	for _, f := range second.Denied {
		if before[f.Fingerprint()] {
			denied = append(denied, f)
		} else {
			second.Warned = append(second.Warned, policy.Warning{Finding: f, Because: "not confirmed"})
		}
	}
	second.Denied = denied
	return second
}

// confirmBudget is how long the fresh reads of a denial may take: half of what
// the API server waits, less the second by which it rounds up the timeout that
// it sends. Five seconds where it sends none.
func confirmBudget(u *url.URL) time.Duration {
	const absent, most = 5 * time.Second, 30 * time.Second
	text := u.Query().Get("timeout")
	if text == "" {
		return absent
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		return absent
	}
	return max(0, (min(timeout, most)-time.Second)/2)
}

func (h *Handler) log(d *decision, outcome string) {
	if outcome != outcomeDenied && !h.Log.V(1).Enabled() {
		return
	}
	if h.Explain && h.Log.V(1).Enabled() {
		h.Log.V(1).Info("explained", "uid", d.request.UID, "findings", explained(d.verdict))
	}
	values := []any{
		"namespace", d.request.Namespace, "name", nameOf(d), "operation", d.operation, "outcome", outcome,
		"user", d.request.UserInfo.Username, "uid", d.request.UID,
	}
	if outcome == outcomeDenied {
		denied := d.verdict.Denied
		h.Log.Info("denied", append(values, "confirmed", d.confirmed, "count", len(denied),
			"policyRule", strings.Join(setBy(d.verdict, names(denied)), ","),
			"findings", texts(denied[:min(len(denied), d.shown())]))...)
		return
	}
	h.Log.V(1).Info("answered", values...)
}

// maxExplained is how many findings are explained for one request.
const maxExplained = 50

// explained says of each finding what becomes of it, why, and what set its mode.
func explained(v policy.Verdict) []string {
	var lines []string
	add := func(what string, f checks.Finding) {
		if by := v.SetBy(f.Check); by != "" {
			what += " by " + by
		}
		lines = append(lines, printable(what+": "+f.String()))
	}
	for _, f := range v.Denied {
		add("denied", f)
	}
	for _, w := range v.Warned {
		what := "warned"
		if w.Because != "" {
			what += " (" + w.Because + ")"
		}
		add(what, w.Finding)
	}
	for _, f := range v.Undecided {
		add("undecided", f)
	}
	for _, f := range v.Ignored {
		add("ignored", f)
	}
	for _, f := range v.Audited {
		add("recorded", f)
	}
	if more := len(lines) - maxExplained; more > 0 {
		lines = append(lines[:maxExplained], fmt.Sprintf("and %d more", more))
	}
	return lines
}

// nameOf is the name of the Ingress. With generateName the request may leave it
// out, and the object have only the beginning.
func nameOf(d *decision) string {
	if d.request.Name != "" || d.ingress == nil {
		return d.request.Name
	}
	if d.ingress.Name != "" {
		return d.ingress.Name
	}
	return d.ingress.GenerateName
}
