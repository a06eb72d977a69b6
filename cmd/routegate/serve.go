// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/leader"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
	"github.com/routegate/routegate/webhook"
)

// validatePath is where the API server sends Ingresses.
const validatePath = "/validate-ingress"

// previewPath is where the API server sends Namespaces of which a label changes.
const previewPath = "/validate-namespaces"

// webhookName is the name of the webhook for Ingresses in the chart's webhook
// configuration, as denials spell it.
const webhookName = "validate.ingress.routegate.dev"

// controllerUsage is the help of --controller-deployment.
const controllerUsage = "namespace/name of the Deployment of an ingress-nginx, or daemonset/namespace/name, to read its flags and ConfigMap from; may be given several times"

// settingsUsage is the help of --controller-settings.
const settingsUsage = "YAML file with the settings of each ingress-nginx by its value of spec.controller; those that are read of --controller-deployment take precedence"

// readSettings reads the file of --controller-settings, nil where none is named.
func readSettings(path string) (map[string]routing.ControllerSettings, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--controller-settings: %w", err)
	}
	given, err := settings.ParseFile(data)
	if err != nil {
		return nil, fmt.Errorf("--controller-settings %s: %w", path, err)
	}
	return given, nil
}

// serveOptions are the flags of serve.
type serveOptions struct {
	kubeconfig string

	bindAddress    string
	port           int
	certDir        string
	selfSigned     bool
	hosts          []string
	caBundleFile   string
	managed        string
	lifetimes      certs.Lifetimes
	configuration  string
	writeRules     bool
	lease          string
	audit          auditOptions
	clientCAFile   string
	clientNames    []string
	healthAddress  string
	metricsAddress string
	drainTime      time.Duration

	policyFile       string
	pod              string
	preset           string
	onUndecided      string
	gracePeriod      time.Duration
	nginxControllers []string
	running          []string
	controllers      []string
	settingsFile     string
	liveReads        int
	secretAccess     string
	namespaces       []string
	optional         optionalReads
	reverse          []string

	verbosity int
	explain   bool
	logFormat string

	// flags tell which flags were given.
	flags *pflag.FlagSet
}

func serveCommand() *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer the API server's questions about Ingresses",
		Long: `Serve the validating admission webhooks at ` + validatePath + ` and ` + dependenciesPath + ` over HTTPS, and
/healthz, /readyz and /metrics over HTTP.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return serve(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *serveOptions) addFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; without it, the cluster that this process runs in")
	f.StringVar(&o.bindAddress, "bind-address", "", "address to serve the webhook on; all when empty")
	f.IntVar(&o.port, "port", 9443, "port to serve the webhook on")
	f.StringVar(&o.certDir, "cert-dir", "", "directory with tls.crt and tls.key; they are read again when they change")
	f.StringVar(&o.managed, "managed-certificate", "", "NAMESPACE/NAME of a Secret to keep a certificate authority and a certificate in, which all replicas share and which renew themselves, instead of --cert-dir")
	f.BoolVar(&o.selfSigned, "self-signed", false, "make a certificate authority and a certificate in memory instead of --cert-dir, for one process")
	f.StringSliceVar(&o.hosts, "hosts", []string{"localhost", "127.0.0.1"}, "DNS names and IP addresses of the managed or self-signed certificate")
	f.StringVar(&o.caBundleFile, "ca-bundle-file", "", "file to write the CA bundle of the self-signed certificate to, for the webhook configuration")
	f.StringVar(&o.configuration, "webhook-configuration", "", "name of the ValidatingWebhookConfiguration whose CA bundle follows the managed certificate, and whose rules are written")
	f.BoolVar(&o.writeRules, "write-rules", false, "write the rules of the webhook "+webhookName+" once it can be called. A webhook without rules is never called, so that one with failurePolicy Fail, installed without them, refuses nothing before")
	f.StringVar(&o.lease, "lease", "", "NAMESPACE/NAME of the Lease that the replica holds which renews certificates, changes the webhook configuration and audits the cluster")
	o.audit.addFlags(f)
	f.StringVar(&o.clientCAFile, "client-ca-file", "", "file with certificate authorities, one of which must have issued a client's certificate; clients need none when empty. It is read again when it changes")
	f.StringSliceVar(&o.clientNames, "client-name", nil, "common name that a client's certificate must have; one of several when repeated")
	f.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics; none when empty")
	f.DurationVar(&o.drainTime, "drain-time", 10*time.Second, "how long to go on serving after /readyz has begun to fail, when told to stop")
	f.StringVar(&o.policyFile, "policy", "", "policy file; it is read again when it changes. What it leaves out is as the flags have it")
	f.StringVar(&o.pod, "pod", "", "NAMESPACE/NAME/UID of the Pod that this process runs in, to write an Event on it when a changed policy file is refused")
	f.StringVar(&o.preset, "preset", string(policy.Standard), "modes of the checks: observe, standard or strict")
	f.StringVar(&o.onUndecided, "on-undecided", string(policy.Allow), "what to do without a verdict: allow (with a warning) or fail (so that failurePolicy applies)")
	f.DurationVar(&o.gracePeriod, "grace-period", 0, "age up to which a namespace is new, where what is missing only warns")
	f.StringSliceVar(&o.nginxControllers, "ingress-nginx-controllers", []string{"k8s.io/ingress-nginx"}, "values of an IngressClass's spec.controller that mean ingress-nginx")
	f.StringSliceVar(&o.running, "running-controllers", nil, "values of spec.controller of which a controller runs here; without it, nothing is said of the others")
	f.StringSliceVar(&o.controllers, "controller-deployment", nil, controllerUsage)
	f.StringVar(&o.settingsFile, "controller-settings", "", settingsUsage)
	f.StringVar(&o.secretAccess, "secret-access", string(cluster.SecretsFull), "how to read Secrets: off, get, metadata or full")
	f.StringArrayVar(&o.namespaces, "namespaces", nil, "namespaces to read, separated by commas; without it, all of them. Of Ingresses elsewhere nothing is known, and what one of them might refute only warns")
	o.optional.addFlags(f)
	f.StringSliceVar(&o.reverse, "reverse-checks", slices.Sorted(maps.Keys(reverseKinds())), reverseUsage)
	f.IntVar(&o.liveReads, "live-reads", 32, "how many objects to read from the API server at a time when confirming denials")
	// For tests, which cannot wait for months.
	o.lifetimes = certs.DefaultLifetimes()
	for name, d := range map[string]*time.Duration{
		"authority-lifetime": &o.lifetimes.Authority, "certificate-lifetime": &o.lifetimes.Leaf,
		"certificate-settle-time": &o.lifetimes.Settle, "certificate-restore-time": &o.lifetimes.Restore,
	} {
		f.DurationVar(d, name, *d, "for tests")
		// It fails only for a flag that is not there.
		_ = f.MarkHidden(name)
	}
	f.IntVarP(&o.verbosity, "verbosity", "v", 0, "log verbosity: 0, or 1 for a line per request")
	f.BoolVar(&o.explain, "explain-requests", false, "log of each request what becomes of every finding, and which rule of the policy says so; needs --verbosity=1")
	f.StringVar(&o.logFormat, "log-format", "json", "log format: json or text")
}

func (o *serveOptions) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	sources := 0
	for _, given := range []bool{o.certDir != "", o.selfSigned, o.managed != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		fault("--managed-certificate, --self-signed and --cert-dir exclude each other")
	case sources == 0:
		fault("one of --managed-certificate, --cert-dir and --self-signed must be given")
	case !o.selfSigned && o.caBundleFile != "":
		fault("--ca-bundle-file needs --self-signed")
	case o.managed != "":
		if _, err := parseName(o.managed); err != nil {
			fault("--managed-certificate %w", err)
		}
		if o.configuration == "" {
			fault("--managed-certificate needs --webhook-configuration")
		}
		if err := o.lifetimes.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(o.hosts) == 0 {
		fault("--hosts: must name at least one host")
	}
	switch {
	case o.writeRules && o.configuration == "":
		fault("--write-rules needs --webhook-configuration")
	case o.configuration != "" && o.managed == "" && !o.writeRules:
		fault("--webhook-configuration needs --managed-certificate or --write-rules: there is nothing else to change in it")
	}
	switch _, err := parseName(o.lease); {
	case o.configuration != "" && o.lease == "":
		fault("--webhook-configuration needs --lease, so that one replica at a time changes it")
	case o.audit.enabled && o.lease == "":
		fault("--audit needs --lease, so that one replica at a time audits")
	case o.configuration == "" && !o.audit.enabled && o.lease != "":
		fault("--lease needs --webhook-configuration or --audit: there is nothing else to lead for")
	case o.lease != "" && err != nil:
		fault("--lease %w", err)
	}
	if len(o.clientNames) > 0 && o.clientCAFile == "" {
		fault("--client-name needs --client-ca-file")
	}
	if o.port < 1 || o.port > 65535 {
		fault("--port %d: must be 1 to 65535", o.port)
	}
	if o.liveReads < 1 {
		fault("--live-reads %d: must be at least 1", o.liveReads)
	}
	if !slices.Contains(cluster.SecretAccesses(), cluster.SecretAccess(o.secretAccess)) {
		fault("--secret-access %q: must be off, get, metadata or full", o.secretAccess)
	}
	if err := cluster.ValidateNamespaces(o.scope()); err != nil {
		fault("--namespaces: %w", err)
	}
	if _, err := settings.ParseWorkloads(o.controllers); err != nil {
		fault("--controller-deployment %w", err)
	}
	if _, err := o.optional.pods(); err != nil {
		errs = append(errs, err)
	}
	if _, err := parseReverse(o.reverse, cluster.SecretAccess(o.secretAccess)); err != nil {
		errs = append(errs, err)
	}
	if err := o.audit.validate(); err != nil {
		errs = append(errs, err)
	}
	if o.drainTime < 0 {
		fault("--drain-time %s: must not be negative", o.drainTime)
	}
	if o.explain && o.verbosity < 1 {
		fault("--explain-requests needs --verbosity=1, at which it is logged")
	}
	if o.logFormat != "json" && o.logFormat != "text" {
		fault("--log-format %q: must be json or text", o.logFormat)
	}
	if err := o.policy().Validate(); err != nil {
		errs = append(errs, err)
	}
	if o.pod != "" {
		if _, err := parsePod(o.pod); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// scope is the namespaces that are read. An empty value is kept as an empty name, so
// that it is refused: it does not mean all of them.
func (o *serveOptions) scope() []string {
	var all []string
	for _, value := range o.namespaces {
		all = append(all, strings.Split(value, ",")...)
	}
	return all
}

// parseName reads NAMESPACE/NAME.
func parseName(text string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("%q: must be NAMESPACE/NAME", text)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

func (o *serveOptions) policy() policy.Policy {
	return policy.Policy{
		Preset:      policy.Preset(o.preset),
		OnUndecided: policy.OnUndecided(o.onUndecided),
		GracePeriod: o.gracePeriod,
	}
}

// file is what the flags say, as a policy file would.
func (o *serveOptions) file() (policy.File, error) {
	given, err := readSettings(o.settingsFile)
	if err != nil {
		return policy.File{}, err
	}
	return policy.File{
		Terms:        policy.Terms{Preset: policy.Preset(o.preset), GracePeriod: o.gracePeriod.String()},
		OnUndecided:  policy.OnUndecided(o.onUndecided),
		SecretAccess: o.secretAccess,
		Controllers:  policy.Controllers{IngressNginx: o.nginxControllers, Running: o.running, Settings: given},
	}, nil
}

// contradictions names each flag that was given with another value than the file has.
func (o *serveOptions) contradictions(file policy.File) error {
	errs := contradictions(o.flags, o.policyFile, []flagAndField{
		{"preset", "preset", string(file.Preset), o.preset},
		{"on-undecided", "onUndecided", string(file.OnUndecided), o.onUndecided},
		{"grace-period", "gracePeriod", normalDuration(file.GracePeriod), o.gracePeriod.String()},
		{"secret-access", "secretAccess", file.SecretAccess, o.secretAccess},
		{"ingress-nginx-controllers", "controllers.ingressNginx", strings.Join(file.Controllers.IngressNginx, ","), strings.Join(o.nginxControllers, ",")},
		{"running-controllers", "controllers.running", strings.Join(file.Controllers.Running, ","), strings.Join(o.running, ",")},
	})
	if o.settingsFile != "" && file.Controllers.Settings != nil {
		errs = append(errs, fmt.Errorf("--controller-settings contradicts controllers.settings of %s: leave one out", o.policyFile))
	}
	return errors.Join(errs...)
}

// flagAndField are a flag and a field of the policy file that say the same, with what
// each says.
type flagAndField struct {
	flag, field, inFile, inFlag string
}

// contradictions names each flag that was given with another value than the file has.
func contradictions(flags *pflag.FlagSet, file string, pairs []flagAndField) []error {
	var errs []error
	for _, p := range pairs {
		if flags.Changed(p.flag) && p.inFile != "" && p.inFile != p.inFlag {
			errs = append(errs, fmt.Errorf("--%s %q contradicts %s %q of %s: leave one out", p.flag, p.inFlag, p.field, p.inFile, file))
		}
	}
	return errs
}

// normalDuration writes a duration that was found good as a flag does.
func normalDuration(text string) string {
	if d, err := time.ParseDuration(text); err == nil {
		return d.String()
	}
	return text
}

// policySource returns where the rules come from, with the first ones made.
func (o *serveOptions) policySource(client kubernetes.Interface, registry prometheus.Registerer, log logr.Logger) (*policySource, error) {
	base, err := o.file()
	if err != nil {
		return nil, err
	}
	s := &policySource{path: o.policyFile, base: base, check: o.contradictions, log: log}
	if o.pod != "" {
		pod, err := parsePod(o.pod)
		if err != nil {
			return nil, err
		}
		s.complain = (&podEvents{client: client, pod: pod, log: log}).warn
	}
	return s, s.start(registry)
}

func (o *serveOptions) logger() logr.Logger { return newLogger(os.Stderr, o.logFormat, o.verbosity) }

// newLogger writes to w. What others named and wrote cannot make a terminal that shows the
// log do anything: JSON alone would leave some control characters as they are.
func newLogger(w io.Writer, format string, verbosity int) logr.Logger {
	options := &slog.HandlerOptions{
		Level: slog.Level(-verbosity),
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			// logr's V(1) and above are below slog's named levels.
			if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && level < slog.LevelInfo {
				return slog.String(slog.LevelKey, slog.LevelDebug.String())
			}
			value := a.Value.Any()
			if err, ok := value.(error); ok {
				a.Value = slog.StringValue(printableLines(err.Error()))
			} else if text := reflect.ValueOf(value); text.Kind() == reflect.String {
				a.Value = slog.StringValue(printableLines(text.String()))
			}
			return a
		},
	}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return logr.FromSlogHandler(handler)
}

// memoryShare is the share of the container's memory that the heap is kept within by
// collecting more often. The rest is for what the collector does not see.
const memoryShare = 0.9

// limitMemory sets GOMEMLIMIT by the memory limit of the container, unless it is set.
// The Go runtime itself follows the limit of the CPU.
func limitMemory(log logr.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(memlimit.FromCgroup))
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		log.V(1).Info("no memory limit")
	case err != nil:
		log.Info("the memory limit of the container cannot be read; set GOMEMLIMIT", "error", err.Error())
	default:
		log.V(1).Info("memory limit", "bytes", limit)
	}
}

// printableLines is report.Printable for text of several lines, such as a stack.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = report.Printable(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// serve runs until ctx is done and everything has been drained, or until a part
// fails.
func serve(ctx context.Context, o *serveOptions) error {
	log := o.logger()
	klog.SetLogger(log.WithName("client-go").V(1))
	ctrl.SetLogger(log.WithName("controller-runtime").V(1))
	// net/http tells of handshakes that failed in the standard library's log.
	slog.SetDefault(slog.New(logr.ToSlogHandler(log.WithName("http"))))
	log.Info("starting", "version", versionText(), "policy", o.policyFile, "preset", o.preset, "onUndecided", o.onUndecided)

	limitMemory(log)

	api, err := newClients(o.kubeconfig)
	if err != nil {
		return err
	}
	workloads, err := settings.ParseWorkloads(o.controllers)
	if err != nil {
		return err
	}
	controllerPods, err := o.optional.pods()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	rules, err := o.policySource(api.typed, registry, log.WithName("policy"))
	if err != nil {
		return err
	}
	cl, err := cluster.New(cluster.Config{
		Client:        api.typed,
		Metadata:      api.metadata,
		SecretAccess:  cluster.SecretAccess(rules.started.SecretAccess),
		Namespaces:    o.scope(),
		IngressLabels: rules.started.IngressLabels(),
		ReadPods:      o.optional.readPods,
		Settings: routing.Settings{
			NginxControllers: rules.started.Controllers.IngressNginx, RunningControllers: rules.started.Controllers.Running,
			Controllers: rules.started.Controllers.Settings, ControllerPods: controllerPods,
		},
		Workloads: workloads,
		Followed:  o.audit.enabled,
		Users:     len(o.reverse) > 0,
		LiveReads: o.liveReads,
		Log:       log.WithName("cluster"),
		Metrics:   registry,
	})
	if err != nil {
		return err
	}
	metrics, err := webhook.NewMetrics(registry)
	if err != nil {
		return err
	}
	handler := &webhook.Handler{
		Cluster:    cl,
		Rules:      rules.Rules,
		Authorizer: accessReviews{api.typed.AuthorizationV1().SubjectAccessReviews()},
		Metrics:    metrics,
		Log:        log.WithName("webhook"),
		Explain:    o.explain,
	}
	if err := handler.Validate(); err != nil {
		return err
	}
	preview := &webhook.Preview{Cluster: cl, Ingresses: cl.Ingresses, Rules: rules.Rules, Log: log.WithName("preview")}
	if err := preview.Validate(); err != nil {
		return err
	}
	reverse, err := o.dependencies(cl, rules, registry, log)
	if err != nil {
		return err
	}
	// ready returns why the API server had better not ask this replica.
	var getCertificate getCertificate
	var server ctrlwebhook.Server
	var reached atomic.Bool
	ready := func() error {
		_, err := getCertificate(nil)
		if err == nil && !reached.Load() {
			// It connects, as a client without a certificate: once will do.
			err = server.StartedChecker()(nil)
			reached.Store(err == nil)
		}
		return errors.Join(cl.Ready(), err)
	}
	keeper, err := o.keeper(api, log)
	if err != nil {
		return err
	}
	var duties []func(context.Context)
	if keeper != nil {
		keeper.Ready = ready
		keeper.Serving = func() (*tls.Certificate, error) { return getCertificate(nil) }
		if err := keeper.Validate(); err != nil {
			return err
		}
		duties = append(duties, keeper.Lead)
	}
	if o.audit.enabled {
		auditor, err := o.audit.auditor(rules, cl, api, registry, log)
		if err != nil {
			return err
		}
		duties = append(duties, auditor.Lead)
	}
	election, err := o.election(api, log, duties)
	if err != nil {
		return err
	}
	certificate, err := o.certificate(keeper)
	if err != nil {
		return err
	}
	getCertificate = certificate.get
	registry.MustRegister(&certs.Expiry{Serving: certificate.get, Authorities: certificate.authorities, Log: log.WithName("certs")})
	if election != nil {
		registry.MustRegister(election.Metric())
	}
	var callers *certs.Clients
	if o.clientCAFile != "" {
		if callers, err = certs.NewClients(o.clientCAFile, o.clientNames, log.WithName("certs")); err != nil {
			return err
		}
	}
	server = ctrlwebhook.NewServer(ctrlwebhook.Options{
		Host: o.bindAddress,
		Port: o.port,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = tls.VersionTLS12
			c.GetCertificate = getCertificate
			if callers != nil {
				callers.Require(c)
			}
		}},
	})
	var stopping atomic.Bool
	server.Register(validatePath, sendAway(handler, &stopping))
	server.Register(dependenciesPath, sendAway(reverse, &stopping))
	server.Register(previewPath, sendAway(preview, &stopping))

	// Three lives: ctx ends first, with the signal; serving ends after the drain
	// time; what serving needs ends last.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, running := errgroup.WithContext(context.WithoutCancel(ctx))
	running, stopAll := context.WithCancel(running)
	defer stopAll()

	group.Go(func() error { cl.Start(running); return nil })
	group.Go(func() error { return certificate.watch(running) })
	group.Go(func() error { return rules.follow(running) })
	// Another replica is to take over as soon as this one is told to stop.
	duty, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(running, end)()
	if keeper != nil {
		group.Go(func() error { return keeper.Run(duty) })
	}
	if election != nil {
		group.Go(func() error { return election.Run(duty) })
	}
	group.Go(func() error { return serveHTTP(running, o.healthAddress, healthMux(ready, &stopping)) })
	if o.metricsAddress != "" {
		group.Go(func() error { return serveHTTP(running, o.metricsAddress, metricsMux(registry)) })
	}
	group.Go(func() error {
		defer stopAll()
		if err := server.Start(serving); err != nil {
			return fmt.Errorf("webhook server: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer stopServing()
		select {
		case <-running.Done():
			return nil
		case <-ctx.Done():
		}
		log.Info("told to stop; draining", "drainTime", o.drainTime.String())
		stopping.Store(true)
		select {
		case <-time.After(o.drainTime):
		case <-running.Done():
		}
		return nil
	})
	err = group.Wait()
	log.Info("stopped")
	return err
}

// clients are the ways to reach the API server.
type clients struct {
	typed    kubernetes.Interface
	metadata metadata.Interface
	dynamic  dynamic.Interface
}

func newClients(kubeconfig string) (clients, error) {
	var c clients
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return c, fmt.Errorf("cluster access: %w", err)
	}
	config.UserAgent = "routegate/" + versionText()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	// The client's own rate limit would delay confirmations; --live-reads bounds
	// them instead.
	config.QPS = -1
	var errs [3]error
	c.typed, errs[0] = kubernetes.NewForConfig(config)
	c.metadata, errs[1] = metadata.NewForConfig(metadata.ConfigFor(config))
	c.dynamic, errs[2] = dynamic.NewForConfig(dynamic.ConfigFor(config))
	if err := errors.Join(errs[:]...); err != nil {
		return c, fmt.Errorf("cluster access: %w", err)
	}
	return c, nil
}

// keeper returns what looks after the webhook configuration and the managed
// certificate; nil where there is nothing to look after. Its Ready and Serving are
// still to be set.
func (o *serveOptions) keeper(c clients, log logr.Logger) (*certs.Keeper, error) {
	if o.configuration == "" {
		return nil, nil
	}
	keeper := &certs.Keeper{
		Client:        c.typed,
		Dynamic:       c.dynamic,
		Log:           log.WithName("certs"),
		Configuration: o.configuration,
		Webhook:       webhookName,
	}
	if o.writeRules {
		keeper.Rules = webhook.Rules()
	}
	if o.managed != "" {
		var err error
		if keeper.Secret, err = parseName(o.managed); err != nil {
			return nil, err
		}
		keeper.Hosts, keeper.Lifetimes = o.hosts, o.lifetimes
	}
	return keeper, nil
}

// election returns the election of the replica that has the duties; nil where there
// are none.
func (o *serveOptions) election(c clients, log logr.Logger, duties []func(context.Context)) (*leader.Election, error) {
	if len(duties) == 0 {
		return nil, nil
	}
	lease, err := parseName(o.lease)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name of this replica: %w", err)
	}
	election := &leader.Election{
		Client:   c.typed.CoordinationV1(),
		Lease:    lease,
		Identity: host + "_" + string(uuid.NewUUID()),
		Lead:     leader.Together(duties...),
		Log:      log.WithName("leader"),
	}
	return election, election.Validate()
}

// getCertificate is what a tls.Config asks for a certificate.
type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// certificateSource is where the serving certificate comes from.
type certificateSource struct {
	get getCertificate
	// watch keeps it up to date until its context is done.
	watch func(context.Context) error
	// authorities are those of the certificate, as far as they are not in its chain.
	authorities func() ([]byte, error)
}

func (o *serveOptions) certificate(keeper *certs.Keeper) (certificateSource, error) {
	still := func(context.Context) error { return nil }
	switch {
	case o.managed != "":
		// It is kept up to date by Run.
		return certificateSource{keeper.GetCertificate, still, keeper.Authorities}, nil
	case o.certDir != "":
		get, watch, err := certs.Watch(o.certDir)
		return certificateSource{get, watch, func() ([]byte, error) { return certs.ReadAuthorities(o.certDir) }}, err
	}
	pair, bundle, err := certs.SelfSigned(o.hosts)
	if err != nil {
		return certificateSource{}, err
	}
	if o.caBundleFile != "" {
		if err := os.WriteFile(o.caBundleFile, bundle, 0o644); err != nil {
			return certificateSource{}, fmt.Errorf("CA bundle: %w", err)
		}
	}
	return certificateSource{
		func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }, still,
		func() ([]byte, error) { return bundle, nil },
	}, nil
}

// sendAway asks callers to connect anew once this process is stopping. An API
// server keeps its connections: HTTP/1.1 ones, or one of HTTP/2 to a webhook at
// localhost. The header ends both after the answers that are due, in HTTP/2 as a
// GOAWAY. What an API server sends while Shutdown closes a connection would fail.
func sendAway(handler http.Handler, stopping *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

func healthMux(ready func() error, stopping *atomic.Bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := ready()
		if stopping.Load() {
			err = errors.New("stopping")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return mux
}

func metricsMux(registry *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// serveHTTP serves plain HTTP until ctx is done.
func serveHTTP(ctx context.Context, address string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		// Probes and scrapes have nothing to finish.
		_ = server.Close()
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
