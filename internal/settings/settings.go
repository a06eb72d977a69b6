// SPDX-License-Identifier: Apache-2.0

// Package settings makes [routing.ControllerSettings] of what an installation of
// ingress-nginx runs with: the flags and image of its Deployment or DaemonSet, and its
// ConfigMap. It reads nothing itself.
//
// Values are taken as the controller takes them: of the ConfigMap, one that it cannot
// read leaves the default, and what is unknown is ignored. Where the flags cannot be
// known there is an error instead of settings.
package settings

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/routegate/routegate/routing"
)

// Controller is an installation of ingress-nginx, as its pods tell of it.
type Controller struct {
	// Class is the value of an IngressClass's spec.controller that it serves.
	Class string
	// ConfigMap is the one that it reads, the zero Key where it reads none.
	ConfigMap routing.Key

	// settings are those of its flags.
	settings routing.ControllerSettings
}

// program is the name of the controller's executable.
const program = "nginx-ingress-controller"

// FromObject returns the installation that a Deployment or DaemonSet runs. Nil stands
// for one that does not exist.
func FromObject(obj any) (*Controller, error) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return fromPod(o.Namespace, &o.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		return fromPod(o.Namespace, &o.Spec.Template.Spec)
	case nil:
		return nil, errors.New("it does not exist")
	}
	return nil, fmt.Errorf("%T is no Deployment or DaemonSet", obj)
}

// fromPod returns the installation whose pods, in that namespace, are like this one.
func fromPod(namespace string, pod *corev1.PodSpec) (*Controller, error) {
	for i := range pod.Containers {
		if c := &pod.Containers[i]; len(pod.Containers) == 1 || c.Name == "controller" || runs(c) {
			return fromContainer(namespace, c)
		}
	}
	return nil, fmt.Errorf("none of its containers is named controller or runs %s", program)
}

func runs(c *corev1.Container) bool {
	return slices.ContainsFunc(append(slices.Clone(c.Command), c.Args...), isProgram)
}

func isProgram(arg string) bool { return path.Base(arg) == program }

func fromContainer(namespace string, c *corev1.Container) (*Controller, error) {
	line := append(slices.Clone(c.Command), c.Args...)
	at := slices.IndexFunc(line, isProgram)
	if at < 0 && (len(line) == 0 || len(c.Command) > 0 || !strings.HasPrefix(line[0], "-")) {
		// A script may start it with any flags.
		return nil, fmt.Errorf("container %q: must run %s with flags of its own", c.Name, program)
	}
	args := slices.Clone(line[at+1:])
	env := map[string]string{}
	for _, e := range c.Env {
		switch {
		case e.ValueFrom == nil:
			env[e.Name] = expand(e.Value, env)
		case e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.namespace":
			env[e.Name] = namespace
		}
	}
	for i := range args {
		args[i] = expand(args[i], env)
	}
	controller, err := FromArgs(args, c.Image)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", c.Name, err)
	}
	return controller, nil
}

// reference matches a variable in an argument, or a dollar sign that is written twice.
var reference = regexp.MustCompile(`\$\$|\$\([-._A-Za-z][-._A-Za-z0-9]*\)`)

// expand does to an argument what the kubelet does: a variable that is not known stays
// as it is.
func expand(arg string, env map[string]string) string {
	return reference.ReplaceAllStringFunc(arg, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := env[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

// FromArgs returns the installation that runs with these arguments, its own name not
// among them, from that image. Unknown flags are ignored.
func FromArgs(args []string, image string) (*Controller, error) {
	c := &Controller{settings: defaultsOf(tagOf(image))}
	s := &c.settings
	var configMap string
	validation, deepInspect := !s.DisableAnnotationValidation, true
	f := pflag.NewFlagSet(program, pflag.ContinueOnError)
	f.ParseErrorsAllowlist.UnknownFlags = true
	f.StringVar(&c.Class, "controller-class", "k8s.io/ingress-nginx", "")
	f.StringVar(&configMap, "configmap", "", "")
	f.StringVar(&s.AnnotationsPrefix, "annotations-prefix", "", "")
	f.BoolVar(&validation, "enable-annotation-validation", validation, "")
	f.BoolVar(&deepInspect, "deep-inspect", deepInspect, "")
	f.BoolVar(&s.DisableCatchAll, "disable-catch-all", false, "")
	f.BoolVar(&s.EnableSSLPassthrough, "enable-ssl-passthrough", false, "")
	f.BoolVar(&s.DisableExternalName, "disable-svc-external-name", false, "")
	f.BoolVar(&s.WatchWithoutClass, "watch-ingress-without-class", false, "")
	f.StringVar(&s.IngressClass, "ingress-class", "", "")
	f.BoolVar(&s.ClassByName, "ingress-class-by-name", false, "")
	f.StringVar(&s.DefaultSSLCertificate, "default-ssl-certificate", "", "")
	f.StringVar(&s.DefaultBackendService, "default-backend-service", "", "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	f.Visit(func(flag *pflag.Flag) {
		if value := flag.Value.String(); reference.MatchString(value) {
			errs = append(errs, fmt.Errorf("--%s=%s: the value of the variable is not known", flag.Name, value))
		}
	})
	s.DisableAnnotationValidation, s.DisableDeepInspect = !validation, !deepInspect
	if configMap != "" {
		key, ok := keyOf(configMap)
		if !ok {
			errs = append(errs, fmt.Errorf("--configmap=%s: must be namespace/name", configMap))
		}
		c.ConfigMap = key
	}
	return c, errors.Join(errs...)
}

// keyOf reads namespace/name.
func keyOf(text string) (routing.Key, bool) {
	namespace, name, ok := strings.Cut(text, "/")
	return routing.Key{Namespace: namespace, Name: name}, ok && namespace != "" && name != "" && !strings.Contains(name, "/")
}

// version matches the tag of an image of the controller, with the minor version of
// version 1.
var version = regexp.MustCompile(`^(?:[a-z]+-)?v?(1\.([0-9]+)(?:\.[0-9]+)?)(?:[^.0-9].*)?$`)

// tagOf returns the tag of an image, empty where it has none.
func tagOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(path.Base(name), ":")
	return tag
}

// defaultsOf returns the defaults of the version that a tag names. They are confirmed
// where what this program knows of v1.15.1 holds for that version too; where it cannot
// be told from the tag, they are those of v1.15.1.
func defaultsOf(tag string) routing.ControllerSettings {
	s := routing.ControllerSettings{Version: tag}
	found := version.FindStringSubmatch(tag)
	if found == nil {
		return s
	}
	s.Version = "v" + found[1]
	minor, err := strconv.Atoi(found[2])
	if err != nil {
		return s
	}
	if minor < 12 {
		critical := routing.RiskCritical
		s.AnnotationsRiskLevel = &critical
		s.DisableAnnotationValidation, s.AllowCrossNamespace, s.LenientPathType = true, true, true
	}
	s.AllowSnippets = minor < 9
	s.Confirmed = 12 <= minor && minor <= 15
	return s
}

// Settings returns the settings of the installation with what its ConfigMap holds; nil
// where there is none.
func (c *Controller) Settings(configMap map[string]string) routing.ControllerSettings {
	s := c.settings
	boolean := func(key string, into *bool) {
		if text, ok := configMap[key]; ok {
			if on, err := strconv.ParseBool(text); err == nil || text == "" {
				*into = on
			}
		}
	}
	if text, ok := configMap["annotations-risk-level"]; ok {
		level := riskOf(text)
		s.AnnotationsRiskLevel = &level
	}
	boolean("allow-snippet-annotations", &s.AllowSnippets)
	boolean("allow-cross-namespace-resources", &s.AllowCrossNamespace)
	if text := strings.TrimSpace(configMap["annotation-value-word-blocklist"]); text != "" {
		s.WordBlocklist = strings.Split(text, ",")
	}
	boolean("service-upstream", &s.ServiceUpstream)
	sslRedirect := true
	if boolean("ssl-redirect", &sslRedirect); !sslRedirect {
		s.SSLRedirect = &sslRedirect
	}
	boolean("force-ssl-redirect", &s.ForceSSLRedirect)
	boolean("preserve-trailing-slash", &s.PreserveTrailingSlash)
	if text, ok := configMap["no-tls-redirect-locations"]; ok {
		s.NoTLSRedirectLocations = split(text)
	}
	if text, ok := configMap["global-allowed-response-headers"]; ok {
		s.GlobalAllowedResponseHeaders = split(text)
	}
	boolean("use-forwarded-headers", &s.UseForwardedHeaders)
	boolean("use-proxy-protocol", &s.UseProxyProtocol)
	for _, text := range split(configMap["custom-http-errors"]) {
		if code, err := strconv.Atoi(text); err == nil && 299 < code && code < 600 {
			s.CustomHTTPErrors = append(s.CustomHTTPErrors, code)
		}
	}
	s.LoadBalance = configMap["load-balance"]
	if number, err := strconv.ParseInt(configMap["proxy-buffers-number"], 0, 0); err == nil {
		s.ProxyBuffersNumber = int(number)
	}
	s.ProxyBufferSize = configMap["proxy-buffer-size"]
	s.ProxyMaxTempFileSize = configMap["proxy-max-temp-file-size"]
	strict := !s.LenientPathType
	boolean("strict-validate-path-type", &strict)
	s.LenientPathType = !strict
	return s
}

// riskOf reads annotations-risk-level as the controller does, to which whatever it does
// not know means Low.
func riskOf(text string) routing.Risk {
	for _, risk := range []routing.Risk{routing.RiskMedium, routing.RiskHigh, routing.RiskCritical} {
		if strings.EqualFold(text, risk.String()) {
			return risk
		}
	}
	return routing.RiskLow
}

// split returns the elements of a list with commas that are not blank. It is never nil.
func split(text string) []string {
	elements := []string{}
	for element := range strings.SplitSeq(text, ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	return elements
}

// Known is the settings of one installation.
type Known struct {
	// Class is the value of spec.controller that it serves.
	Class    string
	Settings routing.ControllerSettings
}

// Merge returns the settings by value of spec.controller: those given, except where
// others were read. Installations that share the value but not the settings leave open
// what happens to an Ingress, so nothing of them is confirmed.
func Merge(given map[string]routing.ControllerSettings, read []Known) map[string]routing.ControllerSettings {
	merged := map[string]routing.ControllerSettings{}
	for _, k := range read {
		if other, ok := merged[k.Class]; ok && !reflect.DeepEqual(other, k.Settings) {
			k.Settings = other
			k.Settings.Confirmed = false
		}
		merged[k.Class] = k.Settings
	}
	for class, s := range given {
		if _, ok := merged[class]; !ok {
			merged[class] = s
		}
	}
	return merged
}

// Source is where the objects of a controller are read, once. Nil stands for an object
// that does not exist.
type Source interface {
	// Workload returns an *appsv1.Deployment or *appsv1.DaemonSet.
	Workload(Workload) (any, error)
	ConfigMap(routing.Key) (*corev1.ConfigMap, error)
}

// Read returns the settings of the controllers that run in the workloads, and why those
// of some are not known.
func Read(workloads []Workload, from Source) (known []Known, unknown []error) {
	for _, w := range workloads {
		k, err := read(w, from)
		if err != nil {
			unknown = append(unknown, fmt.Errorf("%s: %w", w, err))
			continue
		}
		known = append(known, k)
	}
	return known, unknown
}

func read(w Workload, from Source) (Known, error) {
	obj, err := from.Workload(w)
	if err != nil {
		return Known{}, err
	}
	controller, err := FromObject(obj)
	if err != nil {
		return Known{}, err
	}
	var data map[string]string
	if key := controller.ConfigMap; key != (routing.Key{}) {
		configMap, err := from.ConfigMap(key)
		if err != nil {
			return Known{}, fmt.Errorf("ConfigMap %s/%s: %w", key.Namespace, key.Name, err)
		}
		if configMap != nil {
			data = configMap.Data
		}
	}
	return Known{controller.Class, controller.Settings(data)}, nil
}
