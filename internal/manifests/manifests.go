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
//
// What cannot be read is a [Problem] with its place, and the rest is read all the same.
// Where a field of an Ingress stands in the manifests, [Origin.Position] says.
package manifests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	"k8s.io/client-go/kubernetes/scheme"

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
	// Progress is called after each document. It may be nil.
	Progress func()
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

// Manifests is what was read.
type Manifests struct {
	// Objects are in the order in which they count as created; see Load.
	Objects []metav1.Object
	// Parts are the controllers of which settings may be read, and their ConfigMaps.
	Parts settings.Source
	// Expected are Secrets that controllers will make of what is left out of Objects, such
	// as a Certificate of cert-manager.
	Expected []routing.Key
	// Problems say what could not be read. It is left out of Objects.
	Problems []Problem
	// Notes say what was read otherwise than it stands there, or not at all, and is
	// no problem.
	Notes []string

	origins map[routing.Key]*Origin
	options Options
}

// Problem is something that could not be read, and where.
type Problem struct {
	File string
	// Document is the number of the document, from 1, and Line its first line; they are 0
	// where the file as a whole could not be read.
	Document, Line int
	Err            error
}

// Error names the place and the fault.
func (p Problem) Error() string {
	switch text := p.Err.Error(); {
	case p.Document > 0:
		return fmt.Sprintf("%s, document %d: %s", p.File, p.Document, text)
	case !strings.Contains(text, p.File):
		return p.File + ": " + text
	default:
		return text
	}
}

// Unwrap returns the fault without its place.
func (p Problem) Unwrap() error { return p.Err }

// Read reads the manifests. Kinds that have no part in routing are left out.
//
// The first object of each kind and name is the only one: a second is a Problem. An
// error means that the Options contradict themselves.
func Read(o Options) (*Manifests, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Namespace == "" {
		o.Namespace = metav1.NamespaceDefault
	}
	l := &loader{
		Manifests: &Manifests{origins: map[routing.Key]*Origin{}, options: o},
		namespace: o.Namespace, seen: map[routing.Ref]string{}, parts: map[routing.Ref]runtime.Object{}, workloads: o.Workloads,
		leftOut: map[string]int{},
	}
	l.Parts = l
	if o.Kustomize != "" {
		l.build(resource.FilenameOptions{Kustomize: o.Kustomize}, kustomization(o.Kustomize))
	}
	stdin := false
	for _, name := range o.Filenames {
		switch {
		case name == "-" && stdin:
			return nil, errors.New(`"-" must be given once only`)
		case name == "-":
			stdin = true
			l.read(o.Stdin, StandardInput)
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
			l.build(resource.FilenameOptions{Filenames: []string{name}}, name)
		default:
			if err := l.readPath(name, o.Recursive); err != nil {
				l.Problems = append(l.Problems, Problem{File: name, Err: err})
			}
		}
	}
	slices.SortStableFunc(l.Objects, func(a, b metav1.Object) int {
		switch {
		case early(a) == early(b):
			return 0
		case early(a):
			return -1
		}
		return 1
	})
	l.note()
	return l.Manifests, nil
}

// StandardInput stands for the name of a file.
const StandardInput = "standard input"

// Load reads the manifests as a cluster. The first Problem is an error.
//
// Objects without a creationTimestamp are taken to have been created one after the
// other, in the order in which they stand in the manifests, IngressClasses and
// Namespaces before all others: of two Ingresses, the first is the older one. An
// Ingress without creationTimestamp that names no class gets the default
// IngressClass; any other has been through the API server before.
func Load(o Options) (*cluster.Static, error) {
	m, err := Read(o)
	if err != nil {
		return nil, err
	}
	if len(m.Problems) > 0 {
		return nil, m.Problems[0]
	}
	s := cluster.NewStatic()
	s.Now = o.Now
	if _, err := m.Apply(s); err != nil {
		return nil, err
	}
	for _, kind := range []routing.Kind{routing.EndpointSlices, routing.Secrets} {
		if !s.Has(kind) {
			s.Cover(routing.Ref{Kind: kind}, routing.Coverage{Reason: "the manifests hold none"})
		}
	}
	s.Known, s.Unknown = settings.Read(o.Workloads, m.Parts)
	return s, nil
}

// Apply completes the objects as the API server would and puts them into the cluster,
// in place of those of the same name. It returns the Ingresses as they are there then.
func (m *Manifests) Apply(s *cluster.Static) ([]*networkingv1.Ingress, error) {
	var ingresses []*networkingv1.Ingress
	var defaultClass *routing.IngressClass
	for i, obj := range m.Objects {
		created := obj.GetCreationTimestamp()
		submitted := created.IsZero()
		if stored := s.Get(obj); stored != nil && submitted {
			submitted = false
			if before, ok := stored.(metav1.Object); ok {
				obj.SetCreationTimestamp(before.GetCreationTimestamp())
				obj.SetUID(before.GetUID())
			}
			if svc, ok := obj.(*corev1.Service); ok && svc.Spec.ClusterIP == "" {
				if before, ok := stored.(*routing.Service); ok {
					svc.Spec.ClusterIP = before.ClusterIP
				}
			}
		}
		if submitted {
			// So little apart, all are newer than what is in the cluster.
			age := time.Duration(len(m.Objects)-i) * time.Microsecond
			obj.SetCreationTimestamp(metav1.NewTime(m.options.Now.Add(-age)))
		}
		ing, isIngress := obj.(*networkingv1.Ingress)
		if isIngress && submitted {
			if defaultClass == nil {
				defaultClass = s.DefaultClass()
			}
			fillClass(ing, defaultClass)
		}
		if err := s.Apply(obj); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
		if isIngress {
			ingresses = append(ingresses, ing)
		}
	}
	return ingresses, nil
}

// Origin returns where an Ingress stands in the manifests, nil where it does not.
func (m *Manifests) Origin(ing *networkingv1.Ingress) *Origin {
	return m.origins[routing.Key{Namespace: ing.Namespace, Name: ing.Name}]
}

// loader collects the objects.
type loader struct {
	*Manifests
	namespace string
	// seen says where an object was found.
	seen map[routing.Ref]string
	// parts are the workloads, and where there are any, all ConfigMaps.
	workloads []settings.Workload
	parts     map[routing.Ref]runtime.Object
	// leftOut counts what was left out, by kind.
	leftOut map[string]int
}

// place is where a document stands.
type place struct {
	file           string
	document, line int
	// text is the document as it was written, nil where only its contents are known.
	text []byte
	// item is the path of the object within it, for one of a list.
	item string
}

func (p place) String() string {
	return fmt.Sprintf("%s, document %d", p.file, p.document)
}

func (l *loader) problem(at place, err error) {
	l.Problems = append(l.Problems, Problem{File: at.file, Document: at.document, Line: at.line, Err: err})
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
			l.readFile(file.Path)
		}
	}
	if files == 0 {
		return fmt.Errorf("%s: holds no file that ends in %s", name, strings.Join(resource.FileExtensions, ", "))
	}
	return nil
}

func (l *loader) readFile(path string) {
	f, err := os.Open(path)
	if err != nil {
		l.problem(place{file: path}, err)
		return
	}
	defer func() { _ = f.Close() }()
	l.read(f, path)
}

// read reads the documents of a stream. They are numbered from 1; those that hold
// only a comment count, a separator after nothing does not.
func (l *loader) read(r io.Reader, source string) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	at := place{file: source, line: 1}
	for {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		at.document++
		if err != nil {
			if at.document == 1 {
				// Nothing of it could be read, and the error of a file names it.
				at.document, at.line = 0, 0
			}
			l.problem(at, err)
			return
		}
		at.text = doc
		l.document(doc, at)
		// The line that ends a document is no part of it.
		at.line += bytes.Count(doc, []byte("\n")) + 1
		if l.options.Progress != nil {
			l.options.Progress()
		}
	}
}

// build has the resource builder read what is no plain file.
func (l *loader) build(o resource.FilenameOptions, source string) {
	at := place{file: source}
	err := resource.NewLocalBuilder().Unstructured().ContinueOnError().FilenameParam(false, &o).Do().Visit(func(info *resource.Info, err error) error {
		at.document++
		if err != nil {
			return err
		}
		doc, err := json.Marshal(info.Object)
		if err != nil {
			return err
		}
		l.document(doc, at)
		return nil
	})
	if err != nil {
		l.problem(place{file: source, document: at.document}, err)
	}
}

// kustomization is the file of a kustomization, the directory where it has none.
func kustomization(dir string) string {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return dir
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
	{Kind: "ConfigMap"}: corev1.SchemeGroupVersion.WithKind("ConfigMap"),
}

// parts are the kinds of which controllers consist. They are read only for the sake of
// settings.
var parts = map[schema.GroupKind]schema.GroupVersionKind{
	{Group: "apps", Kind: "Deployment"}: appsv1.SchemeGroupVersion.WithKind("Deployment"),
	{Group: "apps", Kind: "DaemonSet"}:  appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
}

// document takes up one document, which may be empty or a list.
func (l *loader) document(doc []byte, at place) {
	if err := l.take(doc, at); err != nil {
		if at.item != "" {
			err = fmt.Errorf("%s: %w", at.item, err)
		}
		l.problem(at, err)
	}
}

func (l *loader) take(doc []byte, at place) error {
	data, err := utilyaml.ToJSON(doc)
	if err != nil {
		return errors.New(at.absolute(err.Error()))
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
			l.leave(gvk, &head, at)
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
		l.expect(gvk.GroupKind(), &head, data)
		l.leave(gvk, &head, at)
		return nil
	case served != gvk && gvk.Kind == "Ingress" && gvk.Version == "v1beta1":
		ing, err := convertIngress(data)
		if err != nil {
			return fmt.Errorf("the Ingress %q of %s cannot be converted to %s: %w", head.Name, head.APIVersion, served.GroupVersion(), err)
		}
		l.Notes = append(l.Notes, fmt.Sprintf("%s: the Ingress %q is of %s, which API servers have not served since Kubernetes 1.22; it is judged as one of %s",
			at, head.Name, head.APIVersion, served.GroupVersion()))
		return l.add(ing, at, gvk)
	case served != gvk:
		return fmt.Errorf("apiVersion: the API server does not serve %q; must be %q", head.APIVersion, served.GroupVersion())
	}
	obj, err := cluster.DecodeDocument(doc)
	if err != nil {
		return tidy(err)
	}
	return l.add(obj, at, gvk)
}

// yamlLine is how the YAML library names a line of a document.
var yamlLine = regexp.MustCompile(`\bline (\d+)\b`)

// absolute makes the lines that an error names those of the file.
func (p place) absolute(text string) string {
	if p.text == nil || p.item != "" {
		return text
	}
	return yamlLine.ReplaceAllStringFunc(text, func(found string) string {
		n, err := strconv.Atoi(strings.TrimPrefix(found, "line "))
		if err != nil {
			return found
		}
		return fmt.Sprintf("line %d", n+p.line-1)
	})
}

// leave leaves out an object that has no part in routing. One of a kind that its API does
// not have is named, as it may be a misspelling; those of APIs that are not Kubernetes' own
// are counted.
func (l *loader) leave(gvk schema.GroupVersionKind, head *metav1.PartialObjectMetadata, at place) {
	switch {
	case scheme.Scheme.Recognizes(gvk):
	case scheme.Scheme.IsVersionRegistered(gvk.GroupVersion()):
		l.Notes = append(l.Notes, fmt.Sprintf("%s: the kind %q of %q is not known in %s; it is left out", at, gvk.Kind, head.Name, head.APIVersion))
	default:
		l.leftOut[gvk.Kind]++
	}
}

// note says what was left out.
func (l *loader) note() {
	var texts []string
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(l.leftOut)) {
		texts = append(texts, fmt.Sprintf("%s %d", kind, l.leftOut[kind]))
		total += l.leftOut[kind]
	}
	if total > 0 {
		l.Notes = append(l.Notes, fmt.Sprintf("Objects of kinds that are not known here were left out: %s", strings.Join(texts, ", ")))
	}
}

// isPart reports whether the object may be a part of a controller whose settings are
// read.
func (l *loader) isPart(head *metav1.PartialObjectMetadata) bool {
	namespace := head.Namespace
	if namespace == "" {
		namespace = l.namespace
	}
	return slices.ContainsFunc(l.workloads, func(w settings.Workload) bool {
		return head.Kind == w.Kind() && head.Name == w.Name && namespace == w.Namespace
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
func (l *loader) list(doc, data []byte, of schema.GroupVersionKind, at place) error {
	if of.Version == "v1beta1" {
		// The version is judged item by item.
	} else if _, err := cluster.DecodeDocument(doc); err != nil {
		return tidy(err)
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for i, item := range list.Items {
		within := at
		within.item = fmt.Sprintf("items[%d]", i)
		if at.item != "" {
			within.item = at.item + "." + within.item
		}
		if of.Kind != "" {
			var err error
			if item, err = withKind(item, of); err != nil {
				l.problem(at, fmt.Errorf("%s: %w", within.item, err))
				continue
			}
		}
		l.document(item, within)
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
func (l *loader) add(decoded runtime.Object, at place, gvk schema.GroupVersionKind) error {
	kind := routing.Kind(gvk.Kind)
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
	l.seen[ref] = at.String()
	if _, ok := parts[gvk.GroupKind()]; ok {
		l.parts[ref] = decoded
		return nil
	}
	if kind == routing.ConfigMaps && len(l.workloads) > 0 {
		l.parts[ref] = decoded
	}
	l.Objects = append(l.Objects, obj)
	if kind == routing.Ingresses {
		l.origins[routing.Key{Namespace: ref.Namespace, Name: ref.Name}] = newOrigin(at, gvk)
	}
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

// fillClass does what the API server's admission plugin DefaultIngressClass does.
func fillClass(ing *networkingv1.Ingress, class *routing.IngressClass) {
	if _, annotated := ing.Annotations[routing.ClassAnnotation]; annotated || ing.Spec.IngressClassName != nil || class == nil {
		return
	}
	name := class.Name
	ing.Spec.IngressClassName = &name
}
