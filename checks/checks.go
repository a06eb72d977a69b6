// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/routing"
)

// Mode is what happens to an Ingress with a finding.
type Mode string

// The modes, from gravest to none. The zero value means that nothing was said.
const (
	Deny Mode = "deny"
	Warn Mode = "warn"
	Off  Mode = "off"
)

// Check is one reason why an Ingress does not route.
type Check struct {
	// Name identifies the check in messages, policy, metrics and documentation.
	// It is kebab-case and API: never reused for another meaning.
	Name string
	// Title says the fault in at most 72 characters, lower case, without a full
	// stop.
	Title string
	// Text has two or three paragraphs: why traffic is lost and what the client
	// sees; how to fix it; where the check is not certain or says nothing.
	Text string
	// Example is the bad case of testdata/<Name> that the documentation shows.
	Example string
	// Since is the first release with the check.
	Since string
	// Default is the mode under the preset standard.
	Default Mode
	// Confirmed is the mode under the preset standard where the settings of the
	// Ingress's controller are confirmed, where it differs from Default.
	Confirmed Mode
	// Strict is the mode under the preset strict, where it differs from Default.
	Strict Mode
	// Reads lists every kind that Run looks up in the Snapshot. It decides what
	// is loaded and which rights are needed.
	Reads []routing.Kind
	// Controllers names the controllers whose behaviour the check describes. The
	// check is run for Ingresses of these only; empty means for every Ingress.
	Controllers []string
	// Annotations names, without prefix, annotations of ingress-nginx. Run finds nothing
	// in an Ingress that has none of them, as [routing.AnnotationNames] has it, and is not
	// called for one: most Ingresses have few annotations. Empty means that it is called
	// for every Ingress.
	Annotations []string
	// Poison marks a fault with which one Ingress stops or crashes the whole
	// controller. Nothing is exempt from such a check.
	Poison bool
	// Regardless marks a check that reads Ingresses, but whose findings hold whatever
	// other Ingresses there may be: the fault lies in the Ingress itself, in its own
	// objects, or between it and one that was read. Where the Ingresses of some
	// namespaces are not read, it denies all the same; the others only warn.
	Regardless bool
	// Fallback marks a check that says what becomes of requests without knowing why.
	// Run leaves out its findings where that of another check may be the reason.
	Fallback bool
	// Run returns what is wrong, in the order of the Ingress's fields. It must
	// not modify its arguments, and must return the same for the same.
	Run func(*networkingv1.Ingress, *routing.Snapshot) []Finding
}

// All returns every check, sorted by name.
func All() []Check {
	return []Check{
		aliasConflict,
		aliasTLS,
		aliasWildcardPrecedence,
		annotationInvalidDrop,
		annotationPrefix,
		annotationRiskDrop,
		annotationSoftIgnored,
		annotationUnknown,
		annotationWordBlocklist,
		appRootStealsRoot,
		appRootUnrouted,
		authProxySetHeaders,
		authTLSErrorPoisonsHost,
		authTLSSecretFormat,
		authURLDead,
		authURLDenied,
		backendProtocolInvalid,
		backendProtocolLowercase,
		backendProtocolMismatch,
		basicAuthDenied,
		basicAuthOpen,
		canaryBecomesNormal,
		canaryKillsNormalIngress,
		canaryNeverSelected,
		canaryNoPrimary,
		canaryNotEnabled,
		canaryPathTypeMismatch,
		canaryRuleWithoutHTTP,
		canarySecondIgnored,
		catchAllAnnotationsPartial,
		catchAllBeatsHostlessRoot,
		catchAllDisabled,
		catchAllSecond,
		classAnnotationUnknown,
		classCreatedAfterIngress,
		classFieldBeatsAnnotation,
		classForeignController,
		classNone,
		classObjectMissing,
		classSeveralDefaults,
		configFrozenByOther,
		configMapTooLate,
		customHeadersDenied,
		deadPath,
		deepInspectDrop,
		defaultBackendAnnoDead,
		defaultBackendNotFirst,
		directiveOutOfRange,
		dupExactRoot,
		dupLocationSlash,
		dupThirdRule,
		duplicatePathInOneIngress,
		duplicatePathOlderWins,
		duplicatePathStealsNewer,
		extNameDisabled,
		extNameIPLiteral,
		extNameLocalhost,
		extNameNamedTargetPort,
		extNamePortNameUnknown,
		fastCGIParamsBadContent,
		fastCGIParamsMissing,
		forceSSLRedirectLoop,
		globPath,
		headlessWithoutPorts,
		hostAnnotationFirstWins,
		hostStolenFromWildcard,
		hostlessIsNoFallback,
		namedTargetPortUnresolved,
		networkPolicyBlocksController,
		noEndpointsAtAll,
		noReadyEndpoints,
		passthroughClusterIP,
		passthroughFlagOff,
		passthroughNoRoot,
		passthroughWildcard,
		pathUnmatchable,
		permanentRedirectRelative,
		portAmbiguous,
		portMissing,
		portNotTCP,
		prefixTrailingSlash,
		proxySSLSecretDenied,
		redirectLoop,
		regexHostContamination,
		regexNotEnabled,
		regexOrderShadow,
		regexPathUncompilable,
		resourceBackend,
		rewriteMissingGroup,
		rewriteNoLeadingSlash,
		ruleWithoutHTTP,
		serverAliasInvalid,
		serviceMissing,
		serviceUpstreamNoEndpoints,
		serviceUpstreamPort,
		sliceFQDN,
		sliceNamePrefix,
		slicePortNil,
		slicePortOverridden,
		snippetSilentlyRemoved,
		sourceRangeInvalid,
		sslCiphersNoMatch,
		sslPassthroughHostWide,
		temporalRedirectIgnored,
		tlsExpired,
		tlsHostWithoutRule,
		tlsNoSecretName,
		tlsOldestIngressDecides,
		tlsOnHostlessRule,
		tlsRuleHostNotListed,
		tlsSANMismatch,
		tlsSecretMissing,
		tlsSecretUnusable,
		tlsWithoutRules,
		unknownNginxVariable,
		unnamedPortMany,
		upstreamAnnotationFirstWins,
		upstreamNameCollision,
		wwwRedirectCert,
		wwwRedirectOnWildcard,
		wwwRedirectSkipped,
	}
}

// Find returns the check of that name. The error for an unknown name suggests the
// one that was probably meant.
func Find(name string) (Check, error) {
	all := All()
	names := make([]string, len(all))
	for i := range all {
		if all[i].Name == name {
			return all[i], nil
		}
		names[i] = all[i].Name
	}
	if near := didYouMean(name, names); near != "" {
		return Check{}, fmt.Errorf("there is no check %s; %s", quote(name), near)
	}
	return Check{}, fmt.Errorf("there is no check %s", quote(name))
}

// Run judges the Ingress with each of the checks. The findings are sorted by
// field, then check, so that the same cluster always gives the same answer.
//
// A check that panics, or that needs something the Snapshot was not able to
// read, yields one Undecided finding; the others are not affected. An Ingress
// that cert-manager made to solve a challenge is judged by Poison checks only. What
// a Fallback check finds is left out where another check has a finding about the
// same path, the same host as a whole, or the whole Ingress.
func Run(all []Check, ing *networkingv1.Ingress, snap *routing.Snapshot) []Finding {
	var findings, fallbacks []Finding
	var missed []Unread
	solver, annotations := routing.IsSolver(ing), routing.AnnotationNames(ing)
	seen := snap.Remembering(func(r routing.Ref) { missed = append(missed, unreadOf(snap, r)) })
	class := seen.ClassOf(ing)
	classMissed := slices.Clone(missed)
	for i := range all {
		if c := &all[i]; c.concerns(annotations) && (c.Poison || !solver) {
			missed = missed[:0]
			if len(c.Controllers) > 0 {
				missed = append(missed, classMissed...)
			}
			found := c.run(ing, seen, class)
			if c.Fallback {
				fallbacks = append(fallbacks, found...)
			} else {
				findings = append(findings, found...)
			}
			if len(missed) > 0 {
				findings = append(findings, unread(c, ing.Namespace, missed))
			}
		}
	}
	return ordered(findings, fallbacks)
}

// ordered returns the findings in their order, and those of Fallback checks that no other
// explains.
func ordered(findings, fallbacks []Finding) []Finding {
	explained := explainedBy(findings)
	for _, f := range fallbacks {
		if f.Undecided || !explained(f) {
			findings = append(findings, f)
		}
	}
	slices.SortStableFunc(findings, compareFindings)
	return findings
}

// concerns reports whether the check may find something in an Ingress with those
// annotations.
func (c *Check) concerns(annotations []string) bool {
	return len(c.Annotations) == 0 || slices.ContainsFunc(c.Annotations, func(name string) bool { return slices.Contains(annotations, name) })
}

// explainedBy returns what tells whether one of the findings may be the reason for what a
// Fallback check found: one about the same path, the same host as a whole, or the whole
// Ingress.
func explainedBy(findings []Finding) func(Finding) bool {
	seen := map[Subject]bool{}
	for _, f := range findings {
		switch {
		case f.Undecided:
		case f.Subject.Path != "":
			seen[Subject{Host: f.Subject.Host, Path: f.Subject.Path, Type: f.Subject.Type}] = true
		default:
			seen[Subject{Host: f.Subject.Host}] = true
		}
	}
	return func(f Finding) bool {
		s := f.Subject
		return seen[Subject{}] || seen[Subject{Host: s.Host}] || (s.Path != "" && seen[Subject{Host: s.Host, Path: s.Path, Type: s.Type}])
	}
}

// run returns what the check finds in an Ingress of that class, or that it panicked.
func (c *Check) run(ing *networkingv1.Ingress, seen *routing.Snapshot, class routing.Class) (findings []Finding) {
	defer func() {
		if p := recover(); p != nil {
			findings = []Finding{undecided(c, fmt.Sprintf("the check failed: %v", p))}
		}
	}()
	if len(c.Controllers) == 0 || (class.State != routing.ClassUnread && slices.Contains(c.Controllers, class.Controller.Name)) {
		findings = c.Run(ing, seen)
	}
	if len(findings) == 0 {
		return nil
	}
	inPart := seen.IngressesInPart() && !c.Regardless && slices.Contains(c.Reads, routing.Ingresses)
	for i := range findings {
		findings[i].Check = c.Name
		findings[i].InPart = inPart
		findings[i].mention(ing)
	}
	return findings
}

// mention sets the Mentions to the Ingresses of other namespaces that the texts name.
func (f *Finding) mention(ing *networkingv1.Ingress) {
	var mentions []routing.Ref
	for _, refs := range [][]routing.Ref{f.Mentions, f.RestsOn} {
		for _, ref := range refs {
			if ref.Kind == routing.Ingresses && ref.Namespace != ing.Namespace && f.names(ref) && !slices.Contains(mentions, ref) {
				mentions = append(mentions, ref)
			}
		}
	}
	f.Mentions = mentions
}

// unreadOf says why an object was not read.
func unreadOf(snap *routing.Snapshot, r routing.Ref) Unread {
	u := Unread{Ref: r, Reason: cmp.Or(snap.CoverageOf(r).Reason, "not read")}
	if r.Kind == routing.SecretData {
		u.Kind = routing.Secrets
	}
	return u
}

var kebab = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// Validate reports everything that is wrong with a list of checks: a missing
// part, a bad name, two of one name, an order other than by name.
func Validate(list []Check) error {
	var errs []error
	for i, c := range list {
		fault := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("check %q: %s", c.Name, fmt.Sprintf(format, args...)))
		}
		switch {
		case !kebab.MatchString(c.Name):
			fault("Name must be kebab-case")
		case i > 0 && list[i-1].Name >= c.Name:
			fault("must come before %q: checks are sorted by name and listed once", list[i-1].Name)
		}
		if c.Title == "" || len(c.Title) > 72 || strings.HasSuffix(c.Title, ".") {
			fault("Title must have 1 to 72 characters and no full stop")
		}
		if strings.TrimSpace(c.Text) == "" {
			fault("Text must not be empty")
		}
		if c.Since == "" {
			fault("Since must not be empty")
		}
		if !slices.Contains([]Mode{Deny, Warn, Off}, c.Default) {
			fault("Default must be one of deny, warn, off")
		}
		if !slices.Contains([]Mode{"", Deny, Warn, Off}, c.Confirmed) {
			fault("Confirmed must be empty or one of deny, warn, off")
		}
		if c.Confirmed != "" && !slices.Equal(c.Controllers, []string{routing.Nginx}) {
			fault("Confirmed needs Controllers to be ingress-nginx alone, whose settings are known")
		}
		if !slices.Contains([]Mode{"", Deny, Warn, Off}, c.Strict) {
			fault("Strict must be empty or one of deny, warn, off")
		}
		for _, kind := range c.Reads {
			if !slices.Contains(routing.Kinds(), kind) {
				fault("Reads names the unknown kind %q", kind)
			}
		}
		for _, name := range c.Controllers {
			if !slices.Contains(routing.Controllers(), name) {
				fault("Controllers names the unknown controller %q", name)
			}
		}
		for _, name := range c.Annotations {
			if a, known := routing.AnnotationNamed(name); !known || a.Name != name {
				fault("Annotations names %q, which is no annotation of ingress-nginx", name)
			}
		}
		if len(c.Annotations) > 0 && !slices.Equal(c.Controllers, []string{routing.Nginx}) {
			fault("Annotations needs Controllers to be ingress-nginx alone, which reads them")
		}
		if c.Regardless && !slices.Contains(c.Reads, routing.Ingresses) {
			fault("Regardless needs Reads to name %s: without, nothing depends on other Ingresses", routing.Ingresses)
		}
		if c.Run == nil {
			fault("Run must not be nil")
		}
	}
	return errors.Join(errs...)
}
