// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// The version and kind of the file that Static.WriteFile writes.
const (
	fileVersion = "routegate.dev/v1alpha1"
	fileKind    = "Snapshot"
)

// file is a cluster as it is saved. Objects are those of the Kubernetes API with only
// the fields that are read; of Secrets there are facts, so that no value of one can be in
// a file.
type file struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Taken      time.Time `json:"taken"`
	// Unread says what was not read, and where it was all the same.
	Unread []fileUnread `json:"unread,omitempty"`
	// Settings are those that were read of controllers.
	Settings []fileSettings `json:"settings,omitempty"`

	IngressClasses []networkingv1.IngressClass `json:"ingressClasses,omitempty"`
	Ingresses      []networkingv1.Ingress      `json:"ingresses,omitempty"`
	Services       []corev1.Service            `json:"services,omitempty"`
	EndpointSlices []discoveryv1.EndpointSlice `json:"endpointSlices,omitempty"`
	Secrets        []fileSecret                `json:"secrets,omitempty"`
	ConfigMaps     []corev1.ConfigMap          `json:"configMaps,omitempty"`
	Namespaces     []corev1.Namespace          `json:"namespaces,omitempty"`
}

type fileUnread struct {
	Kind      routing.Kind `json:"kind"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name,omitempty"`
	// Read is true for a part of what was not read otherwise.
	Read   bool   `json:"read,omitempty"`
	Reason string `json:"reason,omitempty"`
}

type fileSettings struct {
	Controller string `json:"controller"`
	// Confirmed is not part of the settings' own format.
	Confirmed bool                       `json:"confirmed"`
	Settings  routing.ControllerSettings `json:"settings"`
}

type fileSecret struct {
	Metadata    metav1.ObjectMeta `json:"metadata"`
	Type        corev1.SecretType `json:"type,omitempty"`
	Keys        []string          `json:"keys,omitempty"`
	Certificate *fileCertificate  `json:"certificate,omitempty"`
	Unusable    string            `json:"unusable,omitempty"`
	ManagedBy   string            `json:"managedBy,omitempty"`
}

type fileCertificate struct {
	CommonName string    `json:"commonName,omitempty"`
	DNSNames   []string  `json:"dnsNames,omitempty"`
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
}

// WriteFile writes the cluster as JSON, for ReadFile. The same cluster gives the same
// text.
func (s *Static) WriteFile(w io.Writer) error {
	f := file{APIVersion: fileVersion, Kind: fileKind, Taken: s.Now.UTC()}
	for ref, c := range s.coverage {
		// SecretData goes with Secrets, and what is optional is not read at all.
		if ref.Kind != routing.SecretData && !slices.Contains(routing.OptionalKinds(), ref.Kind) && (!c.Read || ref.Namespace != "") {
			f.Unread = append(f.Unread, fileUnread{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Read: c.Read, Reason: c.Reason})
		}
	}
	slices.SortFunc(f.Unread, func(a, b fileUnread) int {
		return bytes.Compare([]byte(string(a.Kind)+"/"+a.Namespace+"/"+a.Name), []byte(string(b.Kind)+"/"+b.Namespace+"/"+b.Name))
	})
	for _, k := range s.Known {
		f.Settings = append(f.Settings, fileSettings{Controller: k.Class, Confirmed: k.Settings.Confirmed, Settings: k.Settings})
	}
	each(s, routing.IngressClasses, func(c *routing.IngressClass) {
		class := networkingv1.IngressClass{ObjectMeta: c.ObjectMeta, Spec: networkingv1.IngressClassSpec{Controller: c.Controller}}
		if c.Default {
			class.Annotations = map[string]string{defaultClassAnnotation: "true"}
		}
		f.IngressClasses = append(f.IngressClasses, class)
	})
	each(s, routing.Ingresses, func(ing *networkingv1.Ingress) { f.Ingresses = append(f.Ingresses, *ing) })
	var err error
	each(s, routing.Services, func(svc *routing.Service) {
		selector, failed := labels.ConvertSelectorToLabelsMap(svc.Selector)
		if failed != nil {
			err = fmt.Errorf("the selector of Service %s/%s: %w", svc.Namespace, svc.Name, failed)
		}
		f.Services = append(f.Services, corev1.Service{ObjectMeta: metadataOf(svc.Meta), Spec: corev1.ServiceSpec{
			Type: svc.Type, ClusterIP: svc.ClusterIP, ExternalName: svc.ExternalName, Selector: selector, Ports: svc.Ports,
		}})
	})
	each(s, routing.EndpointSlices, func(slice *routing.EndpointSlice) { f.EndpointSlices = append(f.EndpointSlices, apiSlice(slice)) })
	each(s, routing.Secrets, func(facts *routing.SecretFacts) {
		secret := fileSecret{Metadata: metadataOf(facts.Meta), Type: facts.Type, Keys: facts.Keys, Unusable: facts.Unusable, ManagedBy: facts.ManagedBy}
		if c := facts.Certificate; c != nil {
			secret.Certificate = &fileCertificate{CommonName: c.CommonName, DNSNames: c.DNSNames, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
		}
		f.Secrets = append(f.Secrets, secret)
	})
	each(s, routing.ConfigMaps, func(c *routing.ConfigMap) {
		f.ConfigMaps = append(f.ConfigMaps, corev1.ConfigMap{ObjectMeta: c.ObjectMeta, Data: c.Data})
	})
	each(s, routing.Namespaces, func(ns *routing.Namespace) {
		f.Namespaces = append(f.Namespaces, corev1.Namespace{ObjectMeta: ns.ObjectMeta})
	})
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// apiSlice is the EndpointSlice that slimSlice makes the given one of.
func apiSlice(slice *routing.EndpointSlice) discoveryv1.EndpointSlice {
	api := discoveryv1.EndpointSlice{ObjectMeta: metadataOf(slice.Meta), AddressType: slice.AddressType, Endpoints: []discoveryv1.Endpoint{}}
	if slice.Service != "" {
		api.Labels = map[string]string{discoveryv1.LabelServiceName: slice.Service}
	}
	for _, p := range slice.Ports {
		port := discoveryv1.EndpointPort{}
		if p.Name != "" {
			port.Name = &p.Name
		}
		if p.Number != 0 {
			port.Port = &p.Number
		}
		if !p.TCP {
			// Only that it is another one is kept.
			other := corev1.ProtocolUDP
			port.Protocol = &other
		}
		api.Ports = append(api.Ports, port)
	}
	for _, e := range slice.Endpoints {
		api.Endpoints = append(api.Endpoints, discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: discoveryv1.EndpointConditions{Ready: &e.Ready}})
	}
	return api
}

// ReadFile reads what WriteFile wrote. Now is the time at which that was.
func ReadFile(name string) (*Static, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%s: is no snapshot: %w", name, err)
	}
	if f.APIVersion != fileVersion || f.Kind != fileKind {
		return nil, fmt.Errorf("%s: apiVersion %q, kind %q: must be %s, %s", name, f.APIVersion, f.Kind, fileVersion, fileKind)
	}
	s := NewStatic()
	s.Now = f.Taken
	for _, u := range f.Unread {
		s.Cover(routing.Ref{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name}, routing.Coverage{Read: u.Read, Reason: u.Reason})
	}
	for _, k := range f.Settings {
		k.Settings.Confirmed = k.Confirmed
		s.Known = append(s.Known, settings.Known{Class: k.Controller, Settings: k.Settings})
	}
	for _, obj := range f.objects() {
		if err := s.Apply(obj); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, secret := range f.Secrets {
		facts := &routing.SecretFacts{Meta: routing.MetaOf(&secret.Metadata), Type: secret.Type, Keys: secret.Keys, Unusable: secret.Unusable, ManagedBy: secret.ManagedBy}
		if c := secret.Certificate; c != nil {
			facts.Certificate = &routing.CertificateFacts{CommonName: c.CommonName, DNSNames: c.DNSNames, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
		}
		s.store[routing.Secrets].put(facts)
	}
	return s, nil
}

// objects are those of the Kubernetes API.
func (f *file) objects() []metav1.Object {
	var all []metav1.Object
	for i := range f.IngressClasses {
		all = append(all, &f.IngressClasses[i])
	}
	for i := range f.Ingresses {
		all = append(all, &f.Ingresses[i])
	}
	for i := range f.Services {
		all = append(all, &f.Services[i])
	}
	for i := range f.EndpointSlices {
		all = append(all, &f.EndpointSlices[i])
	}
	for i := range f.ConfigMaps {
		all = append(all, &f.ConfigMaps[i])
	}
	for i := range f.Namespaces {
		all = append(all, &f.Namespaces[i])
	}
	return all
}

func metadataOf(m routing.Meta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.ResourceVersion}
}
