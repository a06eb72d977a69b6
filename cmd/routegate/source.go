// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/internal/policy"
	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// sourceHelp is what the help of a command says about where it reads from.
const sourceHelp = `The cluster is that of the kubeconfig file, or with --snapshot what "routegate
snapshot" saved of one. With -f or -k, manifests are read instead, and no cluster is
asked. Of those, objects without a creationTimestamp are taken to have been
created in the order in which they stand there, so that the first of two
Ingresses is the older one; an Ingress that names no class gets the default
IngressClass. EndpointSlices and Secrets count as unknown where the manifests
hold none at all.`

// sourceOptions are the flags that say which cluster is looked at.
type sourceOptions struct {
	files  genericclioptions.FileNameFlags
	config *genericclioptions.ConfigFlags

	class            string
	nginxControllers []string
	controllers      []string
	settingsFile     string
	snapshot         string
	// inPolicy is what a policy file says about the controllers.
	inPolicy policy.Controllers
	// each, inPart and progress are those of the cluster.Listing.
	each     bool
	inPart   bool
	progress func()

	// now is the clock of tests, nil for the real one.
	now func() time.Time
}

func newSourceOptions() *sourceOptions {
	var filenames []string
	var kustomize string
	var recursive bool
	config := genericclioptions.NewConfigFlags(true)
	// There is nothing to discover, and nothing to cache.
	config.CacheDir, config.DisableCompression = nil, nil
	return &sourceOptions{
		files: genericclioptions.FileNameFlags{
			Usage:     `files, directories or URLs with manifests, "-" for standard input, to look at instead of a cluster`,
			Filenames: &filenames, Kustomize: &kustomize, Recursive: &recursive,
		},
		config: config,
	}
}

func (o *sourceOptions) addFlags(cmd *cobra.Command) {
	o.addSourceFlags(cmd)
	cmd.Flags().StringVar(&o.class, "class", "", "IngressClass, or value of its spec.controller, where there are several installations of ingress-nginx")
	_ = cmd.RegisterFlagCompletionFunc("class", cobra.NoFileCompletions)
}

// addSourceFlags adds the flags that say where to read and what the controllers are.
func (o *sourceOptions) addSourceFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.files.AddFlags(f)
	f.Lookup("kustomize").Usage = "directory of a kustomization to look at instead of a cluster"
	f.Lookup("recursive").Usage = "read the directories of --filename with all below them"
	_ = cmd.MarkFlagDirname("kustomize")
	o.addClusterFlags(cmd)
}

// addClusterFlags adds the flags that say which cluster there is and what its controllers
// are.
func (o *sourceOptions) addClusterFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.config.AddFlags(f)
	f.StringSliceVar(&o.nginxControllers, "ingress-nginx-controllers", []string{"k8s.io/ingress-nginx"}, "values of an IngressClass's spec.controller that mean ingress-nginx")
	f.StringSliceVar(&o.controllers, "controller-deployment", nil, controllerUsage)
	f.StringVar(&o.settingsFile, "controller-settings", "", settingsUsage)
	f.StringVar(&o.snapshot, "snapshot", "", `file that "routegate snapshot" wrote, to look at instead of a cluster`)
	_ = cmd.MarkFlagFilename("controller-settings", "yaml", "yml")
	_ = cmd.MarkFlagFilename("snapshot", "json")
	_ = cmd.RegisterFlagCompletionFunc("controller-deployment", cobra.NoFileCompletions)
}

// clock returns the time at which the cluster is looked at.
func (o *sourceOptions) clock() time.Time {
	if o.now != nil {
		return o.now()
	}
	return time.Now()
}

// readSettings returns the settings of controllers that were given.
func (o *sourceOptions) readSettings() (map[string]routing.ControllerSettings, error) {
	if o.settingsFile == "" && o.inPolicy.Settings != nil {
		return o.inPolicy.Settings, nil
	}
	return readSettings(o.settingsFile)
}

// configure says in the cluster which controllers there are, with these settings where
// nothing was read of them.
func (o *sourceOptions) configure(static *cluster.Static, given map[string]routing.ControllerSettings) {
	static.Settings.NginxControllers = o.nginxControllers
	static.Settings.RunningControllers = o.inPolicy.Running
	static.Settings.Controllers = settings.Merge(given, static.Known)
}

// world is the cluster that a command looks at.
type world struct {
	static        *cluster.Static
	snap          *routing.Snapshot
	ingresses     []*networkingv1.Ingress
	installations []*report.Installation
	// namespace is that of the kubeconfig or of the flag; given is true for the latter.
	namespace string
	given     bool
	// manifests is true for what is no live cluster.
	manifests bool
	// client is that of a live cluster, nil for manifests and snapshots; server is where that
	// is.
	client kubernetes.Interface
	server string
	// said is what was said while it was read.
	said []string
}

// load reads the cluster, and says on stderr what could not be read.
func (o *sourceOptions) load(ctx context.Context, stdin io.Reader, stderr io.Writer) (*world, error) {
	w, err := o.read(ctx, stdin, stderr)
	if err != nil {
		return nil, err
	}
	for _, unread := range w.static.Unread() {
		if matters(unread.Kind, w.ingresses) {
			_, _ = fmt.Fprintln(stderr, unreadText(unread))
		}
	}
	return w, nil
}

// read reads the cluster.
func (o *sourceOptions) read(ctx context.Context, stdin io.Reader, stderr io.Writer) (*world, error) {
	w := &world{manifests: len(*o.files.Filenames) > 0 || *o.files.Kustomize != ""}
	w.namespace, w.given = *o.config.Namespace, *o.config.Namespace != ""
	say := func(text string) {
		w.said = append(w.said, text)
		_, _ = fmt.Fprintln(stderr, text)
	}
	workloads, err := settings.ParseWorkloads(o.controllers)
	if err != nil {
		return nil, fmt.Errorf("--controller-deployment %w", err)
	}
	given, err := o.readSettings()
	if err != nil {
		return nil, err
	}
	var static *cluster.Static
	switch {
	case o.snapshot != "" && w.manifests:
		return nil, errors.New("--snapshot excludes --filename and --kustomize here")
	case o.snapshot != "":
		w.manifests = true
		static, err = readSnapshot(o.snapshot)
	case w.manifests || *o.files.Recursive:
		static, err = manifests.Load(manifests.Options{
			FilenameOptions: o.files.ToOptions(), Stdin: stdin, Namespace: w.namespace, Now: o.clock(), Workloads: workloads,
		})
	default:
		static, err = o.loadLive(ctx, w, workloads)
	}
	if err != nil {
		return nil, err
	}
	o.configure(static, given)
	for _, err := range static.Unknown {
		say(fmt.Sprintf("The settings of a controller are not known, so its defaults are taken: %v", err))
	}
	if err := o.standInClass(static, say); err != nil {
		return nil, err
	}
	w.static = static
	w.snap, w.ingresses = static.Everything()
	w.installations = report.Installations(w.snap, w.ingresses)
	return w, nil
}

func (o *sourceOptions) loadLive(ctx context.Context, w *world, workloads []settings.Workload) (*cluster.Static, error) {
	// What client-go has to say is in its errors.
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	config, err := o.config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("cluster access: %w", err)
	}
	if w.namespace, _, err = o.config.ToRawKubeConfigLoader().Namespace(); err != nil {
		return nil, fmt.Errorf("cluster access: %w", err)
	}
	// As kubectl: that many requests are not too many for one command.
	config.QPS, config.Burst = 50, 300
	config.UserAgent = "routegate/" + versionText()
	w.server = config.Host
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("cluster access: %w", err)
	}
	static, err := cluster.List(ctx, w.client, cluster.Listing{Namespace: w.namespace, Each: o.each, InPart: o.inPart, Progress: o.progress})
	if err != nil {
		return nil, err
	}
	static.Known, static.Unknown = cluster.ReadSettings(ctx, w.client, workloads)
	return static, nil
}

// readPods adds the Pods around the Service of a route that gets 503.
func (w *world) readPods(ctx context.Context, route *routing.Route) error {
	if w.client == nil {
		return errors.New("no live cluster is looked at")
	}
	if route.Status != http.StatusServiceUnavailable || route.At == nil || route.At.Upstream == nil {
		return nil
	}
	namespace, name := route.At.Upstream.Namespace, route.At.Upstream.Service
	svc, known := w.snap.Service(namespace, name)
	if known != routing.Present {
		return nil
	}
	pods, err := cluster.ReadPods(ctx, w.client, svc)
	if err != nil || pods == nil {
		return err
	}
	w.snap.Pods[routing.Key{Namespace: namespace, Name: name}] = pods
	w.snap.Coverage[routing.Ref{Kind: routing.Pods, Namespace: namespace, Name: name}] = routing.Coverage{Read: true}
	return nil
}

// matters reports whether an answer can depend on the kind.
func matters(kind routing.Kind, ingresses []*networkingv1.Ingress) bool {
	switch kind {
	case routing.Namespaces:
		return false
	case routing.Secrets:
		return slices.ContainsFunc(ingresses, func(ing *networkingv1.Ingress) bool { return len(routing.ReferencesOf(ing).Secrets) > 0 })
	}
	return true
}

// unreadText says what follows from a kind that was not read.
func unreadText(u cluster.Unread) string {
	what, effect := string(u.Kind), "what depends on it is not known"
	switch u.Kind {
	case routing.Ingresses:
		what, effect = "Ingresses", "whether others have a part in the answer is not known"
	case routing.IngressClasses:
		what, effect = "IngressClasses", "who serves an Ingress is not known"
	case routing.Services:
		what, effect = "Services", "backends are not known"
	case routing.EndpointSlices:
		what, effect = "EndpointSlices", "endpoints are not known"
	case routing.Secrets:
		what, effect = "Secrets", "certificates are not shown"
	}
	return fmt.Sprintf("%s were not read (%s): %s", what, u.Reason, effect)
}

// standInClass makes the IngressClass that --class names where there are none at all:
// those who write the manifests of an application seldom own it.
func (o *sourceOptions) standInClass(static *cluster.Static, say func(string)) error {
	if o.class == "" || static.Has(routing.IngressClasses) || slices.Contains(o.nginxControllers, o.class) || len(o.nginxControllers) == 0 {
		return nil
	}
	say(fmt.Sprintf("There is no IngressClass to look at: %q is taken to be one of ingress-nginx", o.class))
	static.Cover(routing.Ref{Kind: routing.IngressClasses}, routing.Coverage{Read: true})
	return static.Apply(&networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: o.class},
		Spec:       networkingv1.IngressClassSpec{Controller: o.nginxControllers[0]},
	})
}

// chosen returns the installations that --class names, all where it is not given.
func (o *sourceOptions) chosen(w *world) ([]*report.Installation, error) {
	if o.class == "" {
		return w.installations, nil
	}
	for _, in := range w.installations {
		if in.Controller == o.class || slices.Contains(in.Classes, o.class) {
			return []*report.Installation{in}, nil
		}
	}
	if class, ok := w.snap.Classes[o.class]; ok {
		return nil, fmt.Errorf("--class %q: its spec.controller is %q, which is not ingress-nginx; if it is, name it in --ingress-nginx-controllers", o.class, class.Controller)
	}
	return nil, fmt.Errorf("--class %q: there is no such IngressClass and no such spec.controller; must be one of: %s", o.class, listInstallations(w.installations))
}

// one returns the only installation that is to be asked.
func (o *sourceOptions) one(w *world) (*report.Installation, error) {
	installations, err := o.chosen(w)
	switch {
	case err != nil:
		return nil, err
	case len(installations) == 1:
		return installations[0], nil
	case len(installations) > 1:
		return nil, fmt.Errorf("there are several installations of ingress-nginx; name one with --class: %s", listInstallations(installations))
	case w.snap.CoverageOf(routing.Ref{Kind: routing.IngressClasses}).Read && len(w.snap.Classes) > 0:
		return nil, fmt.Errorf("none of the IngressClasses is of ingress-nginx; if one is, name its spec.controller in --ingress-nginx-controllers: %s", listClasses(w.snap))
	}
	return nil, fmt.Errorf("there is no IngressClass, so who serves an Ingress is not known; name a class of ingress-nginx with --class")
}

func listInstallations(installations []*report.Installation) string {
	var texts []string
	for _, in := range installations {
		text := in.Controller
		if len(in.Classes) > 0 {
			text += " (" + strings.Join(in.Classes, ", ") + ")"
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, "; ")
}

func listClasses(snap *routing.Snapshot) string {
	var texts []string
	for name, class := range snap.Classes {
		texts = append(texts, fmt.Sprintf("%s (%s)", class.Controller, name))
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}
