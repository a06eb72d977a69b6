// SPDX-License-Identifier: Apache-2.0

// Package manifests reads a cluster from manifest files, as kubectl would find
// them, and completes it as the API server would.
//
// Files are found, and kustomizations and URLs read, by the resource builder of
// k8s.io/cli-runtime. Files and standard input are decoded here, because the
// builder takes the last of two equal fields without a word and does not know the
// number of a document.
//
// The manifests are taken for all there is, with two exceptions: EndpointSlices and
// Secrets are seldom written down, so where there is none of them at all, the kind
// counts as not read instead of absent.
package manifests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// Options say what to read.
type Options struct {
	// FilenameOptions are the files, directories and URLs, "-" for Stdin, or the
	// kustomization.
	resource.FilenameOptions
	Stdin io.Reader
	// Namespace is that of objects which name none, "default" where empty.
	Namespace string
	// Now is the time at which the cluster is looked at.
	Now time.Time
	// Workloads run the controllers of which the settings are read.
	Workloads []settings.Workload
}

// Validate reports what contradicts itself.
func (o *Options) Validate() error {
	switch {
	case len(o.Filenames) > 0 && o.Kustomize != "":
		return errors.New("--filename and --kustomize exclude each other")
	case o.Recursive && o.Kustomize != "":
		return errors.New("--recursive and --kustomize exclude each other")
	case o.Recursive && len(o.Filenames) == 0:
		return errors.New("--recursive needs --filename")
	}
	return nil
}

// Load reads the manifests. Kinds that have no part in routing are left out.
//
// The first object of each kind and name is the only one: a second is an error.
// Objects without a creationTimestamp are taken to have been created one after the
// other, in the order in which they stand in the manifests, IngressClasses and
// Namespaces before all others: of two Ingresses, the first is the older one. An
// Ingress without creationTimestamp that names no class gets the default
// IngressClass; any other has been through the API server before.
func Load(o Options) (*cluster.Static, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l := &loader{namespace: o.Namespace, seen: map[routing.Ref]string{}, parts: map[routing.Ref]runtime.Object{}, workloads: o.Workloads}
	if l.namespace == "" {
		l.namespace = metav1.NamespaceDefault
	}
	if o.Kustomize != "" {
		if err := l.build(resource.FilenameOptions{Kustomize: o.Kustomize}, o.Kustomize); err != nil {
			return nil, err
		}
	}
	stdin := false
	for _, name := range o.Filenames {
		var err error
		switch {
		case name == "-" && stdin:
			err = errors.New(`"-" must be given once only`)
		case name == "-":
			stdin = true
			err = l.read(o.Stdin, "standard input")
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
			err = l.build(resource.FilenameOptions{Filenames: []string{name}}, name)
		default:
			err = l.readPath(name, o.Recursive)
		}
		if err != nil {
			return nil, err
		}
	}
	static, err := l.cluster(o.Now)
	if err != nil {
		return nil, err
	}
	static.Known, static.Unknown = settings.Read(o.Workloads, l)
	return static, nil
}

// loader collects the objects.
type loader struct {
	namespace string
	objects   []metav1.Object
	// seen says where an object was found.
	seen map[routing.Ref]string
	// parts are the workloads, and where there are any, all ConfigMaps.
	workloads []settings.Workload
	parts     map[routing.Ref]runtime.Object
}

// readPath reads a file, a directory or all that fit a pattern.
func (l *loader) readPath(name string, recursive bool) error {
	paths := []string{name}
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		paths, err = filepath.Glob(name)
		if err != nil {
			return fmt.Errorf("the pattern %q is not valid: %w", name, err)
		}
		if len(paths) == 0 {
			return fmt.Errorf("the path %q does not exist", name)
		}
	}
	files := 0
	for _, path := range paths {
		visitors, err := resource.ExpandPathsToFileVisitors(nil, path, recursive, resource.FileExtensions, nil)
		if err != nil {
			return err
		}
		for _, visitor := range visitors {
			file, ok := visitor.(*resource.FileVisitor)
			if !ok {
				return fmt.Errorf("%s: cannot be read as a file", path)
			}
			files++
			if err := l.readFile(file.Path); err != nil {
				return err
			}
		}
	}
	if files == 0 {
		return fmt.Errorf("%s: holds no file that ends in %s", name, strings.Join(resource.FileExtensions, ", "))
	}
	return nil
}

func (l *loader) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return l.read(f, path)
}

// read reads the documents of a stream. They are numbered from 1; those that hold
// only a comment count, a separator after nothing does not.
func (l *loader) read(r io.Reader, source string) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		at := fmt.Sprintf("%s, document %d", source, n)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := l.document(doc, at); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
}

// build has the resource builder read what is no plain file.
func (l *loader) build(o resource.FilenameOptions, source string) error {
	n := 0
	return resource.NewLocalBuilder().Unstructured().FilenameParam(false, &o).Do().Visit(func(info *resource.Info, err error) error {
		n++
		at := fmt.Sprintf("%s, document %d", source, n)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		doc, err := json.Marshal(info.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := l.document(doc, at); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		return nil
	})
}

// kinds are those that have a part in routing, by group, with the version that
// the API server has served since all others were removed.
var kinds = map[schema.GroupKind]schema.GroupVersionKind{
	{Group: "networking.k8s.io", Kind: "Ingress"}:      networkingv1.SchemeGroupVersion.WithKind("Ingress"),
	{Group: "extensions", Kind: "Ingress"}:             networkingv1.SchemeGroupVersion.WithKind("Ingress"),
	{Group: "networking.k8s.io", Kind: "IngressClass"}: networkingv1.SchemeGroupVersion.WithKind("IngressClass"),
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}: discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
	{Kind: "Service"}:   corev1.SchemeGroupVersion.WithKind("Service"),
	{Kind: "Secret"}:    corev1.SchemeGroupVersion.WithKind("Secret"),
	{Kind: "Namespace"}: corev1.SchemeGroupVersion.WithKind("Namespace"),
}

// parts are the kinds of which controllers consist. They are read only for the sake of
// settings.
var parts = map[schema.GroupKind]schema.GroupVersionKind{
	{Group: "apps", Kind: "Deployment"}: appsv1.SchemeGroupVersion.WithKind("Deployment"),
	{Group: "apps", Kind: "DaemonSet"}:  appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
	{Kind: "ConfigMap"}:                 corev1.SchemeGroupVersion.WithKind("ConfigMap"),
}

// document takes up one document, which may be empty or a list.
func (l *loader) document(doc []byte, at string) error {
	data, err := utilyaml.ToJSON(doc)
	if err != nil {
		return err
	}
	if data = bytes.TrimSpace(data); len(data) == 0 || string(data) == "null" {
		return nil
	}
	var head metav1.PartialObjectMetadata
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("it is no object: %w", err)
	}
	if head.Kind == "" || head.APIVersion == "" {
		return errors.New("it must have apiVersion and kind")
	}
	gvk := head.GroupVersionKind()
	element, isList := strings.CutSuffix(gvk.Kind, "List")
	if isList {
		of := gvk.GroupVersion().WithKind(element)
		if _, known := kinds[of.GroupKind()]; !known && (gvk.Group != "" || element != "") {
			return nil
		}
		return l.list(doc, data, of, at)
	}
	served, ok := kinds[gvk.GroupKind()]
	if !ok && l.isPart(&head) {
		served, ok = parts[gvk.GroupKind()]
	}
	switch {
	case !ok:
		return nil
	case served != gvk:
		return fmt.Errorf("apiVersion: the API server does not serve %q; must be %q", head.APIVersion, served.GroupVersion())
	}
	obj, err := cluster.DecodeDocument(doc)
	if err != nil {
		return tidy(err)
	}
	return l.add(obj, at)
}

// isPart reports whether the object may be a part of a controller whose settings are
// read.
func (l *loader) isPart(head *metav1.PartialObjectMetadata) bool {
	namespace := head.Namespace
	if namespace == "" {
		namespace = l.namespace
	}
	return slices.ContainsFunc(l.workloads, func(w settings.Workload) bool {
		return head.Kind == "ConfigMap" || (head.Kind == w.Kind() && head.Name == w.Name && namespace == w.Namespace)
	})
}

// Workload returns that object, which the manifests must hold.
func (l *loader) Workload(w settings.Workload) (any, error) {
	obj, ok := l.parts[routing.Ref{Kind: routing.Kind(w.Kind()), Namespace: w.Namespace, Name: w.Name}]
	if !ok {
		return nil, errors.New("the manifests do not hold it")
	}
	return obj, nil
}

// ConfigMap returns that object, nil where the manifests do not hold it.
func (l *loader) ConfigMap(key routing.Key) (*corev1.ConfigMap, error) {
	configMap, _ := l.parts[routing.Ref{Kind: routing.ConfigMaps, Namespace: key.Namespace, Name: key.Name}].(*corev1.ConfigMap)
	return configMap, nil
}

// list takes up the items of a list: of one kind, or of any where its name is empty.
// An item of a list of one kind may leave out what the list says.
func (l *loader) list(doc, data []byte, of schema.GroupVersionKind, at string) error {
	if _, err := cluster.DecodeDocument(doc); err != nil {
		return tidy(err)
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for i, item := range list.Items {
		if of.Kind != "" {
			var err error
			if item, err = withKind(item, of); err != nil {
				return fmt.Errorf("items[%d]: %w", i, err)
			}
		}
		if err := l.document(item, at); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

// withKind fills in apiVersion and kind where they are left out.
func withKind(item json.RawMessage, kind schema.GroupVersionKind) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(item, &fields); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind} {
		if _, ok := fields[name]; !ok {
			fields[name], _ = json.Marshal(value)
		}
	}
	return json.Marshal(fields)
}

// tidy writes the error of a decoder in one line.
func tidy(err error) error {
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		var faults []string
		for _, fault := range strict.Errors() {
			faults = append(faults, strings.Join(strings.Fields(fault.Error()), " "))
		}
		return errors.New(strings.Join(faults, "; "))
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// add takes up an object.
func (l *loader) add(decoded runtime.Object, at string) error {
	kind := routing.Kind(decoded.GetObjectKind().GroupVersionKind().Kind)
	obj, err := meta.Accessor(decoded)
	if err != nil {
		return err
	}
	if obj.GetName() == "" {
		return errors.New("metadata.name: must be set")
	}
	if early(obj) {
		obj.SetNamespace("")
	} else if obj.GetNamespace() == "" {
		obj.SetNamespace(l.namespace)
	}
	ref := routing.Ref{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if first, ok := l.seen[ref]; ok {
		return fmt.Errorf("metadata.name: the %s %q was defined before (%s)", kind, strings.TrimPrefix(ref.Namespace+"/"+ref.Name, "/"), first)
	}
	l.seen[ref] = at
	if _, ok := parts[decoded.GetObjectKind().GroupVersionKind().GroupKind()]; ok {
		l.parts[ref] = decoded
		return nil
	}
	l.objects = append(l.objects, obj)
	return nil
}

// early reports whether the object is of a kind that exists before others: a
// cluster-scoped one.
func early(obj metav1.Object) bool {
	switch obj.(type) {
	case *networkingv1.IngressClass, *corev1.Namespace:
		return true
	}
	return false
}

// cluster completes the objects and puts them together.
func (l *loader) cluster(now time.Time) (*cluster.Static, error) {
	slices.SortStableFunc(l.objects, func(a, b metav1.Object) int {
		switch {
		case early(a) == early(b):
			return 0
		case early(a):
			return -1
		}
		return 1
	})
	s := cluster.NewStatic()
	s.Now = now
	var defaultClass *routing.IngressClass
	for i, obj := range l.objects {
		created := obj.GetCreationTimestamp()
		submitted := created.IsZero()
		if submitted {
			age := time.Duration(len(l.objects)-i) * time.Second
			obj.SetCreationTimestamp(metav1.NewTime(now.Add(-age).Truncate(time.Second)))
		}
		if ing, ok := obj.(*networkingv1.Ingress); ok && submitted {
			if defaultClass == nil {
				defaultClass = s.DefaultClass()
			}
			fillClass(ing, defaultClass)
		}
		if err := s.Apply(obj); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
	}
	for _, kind := range []routing.Kind{routing.EndpointSlices, routing.Secrets} {
		if !s.Has(kind) {
			s.Cover(routing.Ref{Kind: kind}, routing.Coverage{Reason: "the manifests hold none"})
		}
	}
	return s, nil
}

// fillClass does what the API server's admission plugin DefaultIngressClass does.
func fillClass(ing *networkingv1.Ingress, class *routing.IngressClass) {
	if _, annotated := ing.Annotations[routing.ClassAnnotation]; annotated || ing.Spec.IngressClassName != nil || class == nil {
		return
	}
	name := class.Name
	ing.Spec.IngressClassName = &name
}
