// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Settings is what an operator says about the controllers of a cluster. The
// zero value is the defaults.
type Settings struct {
	// NginxControllers are the values of an IngressClass's spec.controller that
	// mean ingress-nginx. Empty means k8s.io/ingress-nginx alone.
	NginxControllers []string
	// RunningControllers are the values of spec.controller of which a controller
	// runs here. Empty means that nothing is known of that.
	RunningControllers []string
	// Controllers holds the settings of installations of ingress-nginx, by their value
	// of spec.controller. One that is not listed has the defaults of v1.15.1.
	Controllers map[string]ControllerSettings
	// ControllerPods are where the Pods of controllers run, in the network of Pods.
	// Empty means that nothing is known of that.
	ControllerPods []ControllerPods
}

// Of returns the settings of the installations with a value of spec.controller.
func (s Settings) Of(controller string) ControllerSettings {
	return s.Controllers[controller]
}

const defaultNginxController = "k8s.io/ingress-nginx"

func (s Settings) isNginx(controller string) bool {
	if len(s.NginxControllers) == 0 {
		return controller == defaultNginxController
	}
	return slices.Contains(s.NginxControllers, controller)
}

// Controller is the data plane that serves a class, as far as it is known. The
// zero value is an unknown controller, of which nothing special is assumed.
// The facts are those of semantics part 3.
type Controller struct {
	// Name is one of the names of Controllers, or empty.
	Name string
	// NeedsService is true when a path dies if its Service does not exist.
	NeedsService bool
	// ReadsTLSSecrets is true when a host has no certificate of its own if the
	// Secret of spec.tls does not exist in the namespace of the Ingress.
	ReadsTLSSecrets bool
	// takesClassless is true when the controller serves Ingresses that name no
	// class, at least in its default configuration.
	takesClassless bool
	// controllers are the values of spec.controller; one that ends in "/" is a
	// prefix.
	controllers []string
	// classes are values of the class annotation that the controller serves
	// without an IngressClass of that name.
	classes []string
	// byName is true when those names work in spec.ingressClassName too.
	byName bool
}

// Nginx is the Name of ingress-nginx, the controller of kubernetes/ingress-nginx.
const Nginx = "ingress-nginx"

// AWSLoadBalancerController is the Name of the controller that makes an Application
// Load Balancer of an Ingress.
const AWSLoadBalancerController = "aws-load-balancer-controller"

// profiles are the controllers that Routegate knows, from semantics part 3.
// Where a fact depends on the controller's configuration, it is set so that
// nothing is reported.
var profiles = []Controller{
	{Name: Nginx, NeedsService: true, ReadsTLSSecrets: true},
	{Name: "agic", NeedsService: true,
		controllers: []string{"azure/application-gateway"}, classes: []string{"azure/application-gateway"}},
	{Name: AWSLoadBalancerController,
		controllers: []string{"ingress.k8s.aws/alb", "eks.amazonaws.com/alb"}, classes: []string{"alb"}},
	{Name: "cilium", NeedsService: true, byName: true,
		controllers: []string{"cilium.io/ingress-controller"}, classes: []string{"cilium"}},
	{Name: "contour", NeedsService: true, takesClassless: true, byName: true,
		controllers: []string{"projectcontour.io/"}, classes: []string{"contour"}},
	{Name: "f5-nginx-ingress-controller", NeedsService: true, ReadsTLSSecrets: true,
		controllers: []string{"nginx.org/ingress-controller"}},
	{Name: "gke", NeedsService: true, takesClassless: true,
		classes: []string{"gce", "gce-internal", "gce-regional-external"}},
	{Name: "haproxy-ingress",
		controllers: []string{"haproxy-ingress.github.io/controller", "haproxy-ingress.github.io/controller/"}, classes: []string{"haproxy"}},
	{Name: "haproxytech-kubernetes-ingress", NeedsService: true, ReadsTLSSecrets: true, takesClassless: true,
		controllers: []string{"haproxy.org/ingress-controller", "haproxy.org/ingress-controller/"}},
	{Name: "istio", takesClassless: true,
		controllers: []string{"istio.io/ingress-controller"}, classes: []string{"istio"}},
	{Name: "kong", NeedsService: true, byName: true,
		controllers: []string{"ingress-controllers.konghq.com/kong"}, classes: []string{"kong"}},
	{Name: "openshift", NeedsService: true,
		controllers: []string{"openshift.io/ingress-to-route"}},
	{Name: "tailscale", NeedsService: true,
		controllers: []string{"tailscale.com/ts-ingress"}, classes: []string{"tailscale"}},
	{Name: "traefik", NeedsService: true, takesClassless: true,
		controllers: []string{"traefik.io/ingress-controller"}, classes: []string{"traefik"}},
}

// unknown is a controller that is not among profiles: a missing Service is
// reported there too, as a warning.
var unknown = Controller{NeedsService: true}

// Controllers lists the names of the known controllers, sorted.
func Controllers() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// ControllerOf returns the controller behind a value of spec.controller.
func (s Settings) ControllerOf(controller string) Controller {
	if s.isNginx(controller) {
		return profileNamed(Nginx)
	}
	for _, p := range profiles {
		for _, pattern := range p.controllers {
			if controller == pattern || (strings.HasSuffix(pattern, "/") && strings.HasPrefix(controller, pattern)) {
				return p
			}
		}
	}
	return unknown
}

func profileNamed(name string) Controller {
	for _, p := range profiles {
		if p.Name == name {
			return p
		}
	}
	return unknown
}

func profileOfClass(class string) (Controller, bool) {
	for _, p := range profiles {
		if slices.Contains(p.classes, class) {
			return p, true
		}
	}
	return unknown, false
}

// nginxClassAnnotation is the annotation value that ingress-nginx serves under
// its default --ingress-class, with or without an IngressClass of that name.
const nginxClassAnnotation = "nginx"

// ClassState says how the class of an Ingress was found.
type ClassState int

// The states of a class.
const (
	ClassUnread  ClassState = iota // the IngressClasses were not read
	ClassServed                    // some controller serves the class, known or not
	ClassMissing                   // spec.ingressClassName names no IngressClass
	ClassUnknown                   // the annotation has a value that no known controller serves
	ClassNone                      // neither field nor annotation
)

// Class is the class of an Ingress and who serves it.
type Class struct {
	State ClassState
	// Name is the value of the field or annotation, empty where there is neither.
	Name string
	// Controller serves the class. It is the unknown controller unless State is
	// ClassServed.
	Controller Controller
	// SpecController is spec.controller of the IngressClass, or what stands for it
	// where the class works without one. Ingresses of the same value are served by
	// the same installations.
	SpecController string
}

// ClassNameOf returns spec.ingressClassName, else the annotation
// kubernetes.io/ingress.class, else nothing.
func ClassNameOf(ing *networkingv1.Ingress) string {
	if field := ing.Spec.IngressClassName; field != nil {
		return *field
	}
	return ing.Annotations[ClassAnnotation]
}

// ClassOf returns the class of the Ingress: spec.ingressClassName, else the
// annotation kubernetes.io/ingress.class, else that of an installation that serves
// Ingresses without a class (semantics section 1.A).
func (s *Snapshot) ClassOf(ing *networkingv1.Ingress) Class {
	return *Once(s, classKey{ing}, func(s *Snapshot) *Class {
		class := s.classOf(ing)
		return &class
	})
}

type classKey struct{ *networkingv1.Ingress }

func (s *Snapshot) classOf(ing *networkingv1.Ingress) Class {
	classes, known := s.AllClasses()
	if known == Unread {
		return Class{State: ClassUnread, Controller: unknown}
	}
	if field := ing.Spec.IngressClassName; field != nil {
		if class, ok := classes[*field]; ok {
			return s.classByObject(class)
		}
		if p, ok := profileOfClass(*field); ok && p.byName {
			return Class{State: ClassServed, Name: *field, Controller: p}
		}
		return Class{State: ClassMissing, Name: *field, Controller: unknown}
	}
	value, ok := ing.Annotations[ClassAnnotation]
	if ok {
		return s.classByAnnotation(value)
	}
	withoutClass := func(c *ControllerSettings) bool { return c.WatchWithoutClass }
	// Where another controller takes such an Ingress too, it may be meant for that.
	if class, ok := s.Settings.classByFlags("", withoutClass); ok && !s.ServesClassless() {
		return class
	}
	return Class{State: ClassNone, Controller: unknown}
}

// classByObject is the class of an IngressClass. With --ingress-class-by-name
// ingress-nginx serves one of the name of its flag --ingress-class, whatever its
// controller (semantics row A13); where that is known, it is taken to serve it alone.
func (s *Snapshot) classByObject(class *IngressClass) Class {
	found := Class{State: ClassServed, Name: class.Name, Controller: s.Settings.ControllerOf(class.Controller), SpecController: class.Controller}
	if found.Controller.Name == "" {
		byName := func(c *ControllerSettings) bool { return c.ClassByName && c.Class() == class.Name }
		if byFlags, ok := s.Settings.classByFlags(class.Name, byName); ok {
			return byFlags
		}
	}
	return found
}

// classByFlags is the class of that name where such flags of ingress-nginx make an
// installation serve it. Where several do, nothing more is known of who does: what is
// wrong for one of them may be right for another.
func (s Settings) classByFlags(name string, such func(*ControllerSettings) bool) (Class, bool) {
	class, found := Class{State: ClassServed, Name: name, Controller: unknown}, 0
	for controller, settings := range s.Controllers {
		if such(&settings) {
			class.Controller, class.SpecController = profileNamed(Nginx), controller
			found++
		}
	}
	if found > 1 {
		class.Controller, class.SpecController = unknown, ""
	}
	return class, found > 0
}

// classByAnnotation follows semantics row A05: ingress-nginx compares the
// annotation with its flag --ingress-class, never with IngressClasses; other
// controllers do compare it with the names of their classes.
func (s *Snapshot) classByAnnotation(value string) Class {
	class, named := s.Classes[value]
	if named && !s.Settings.isNginx(class.Controller) {
		return Class{State: ClassServed, Name: value, Controller: s.Settings.ControllerOf(class.Controller), SpecController: class.Controller}
	}
	own := defaultNginxController
	if named {
		own = class.Controller
	}
	served := Class{State: ClassServed, Name: value, Controller: profileNamed(Nginx), SpecController: own}
	if settings := s.Settings.Of(own); settings.Class() == value && (named || value == nginxClassAnnotation) {
		return served
	}
	ofFlag := func(c *ControllerSettings) bool { return c.IngressClass == value && value != "" }
	if byFlags, ok := s.Settings.classByFlags(value, ofFlag); ok {
		return byFlags
	}
	if value == nginxClassAnnotation {
		return served
	}
	if p, ok := profileOfClass(value); ok && !named {
		return Class{State: ClassServed, Name: value, Controller: p}
	}
	return Class{State: ClassUnknown, Name: value, Controller: unknown}
}

// ServesClassless reports whether a controller that is known to serve Ingresses
// without a class has an IngressClass in the cluster. Controllers that leave no
// IngressClass behind cannot be seen this way.
func (s *Snapshot) ServesClassless() bool {
	for _, class := range s.Classes {
		if s.Settings.ControllerOf(class.Controller).takesClassless {
			return true
		}
	}
	return false
}
