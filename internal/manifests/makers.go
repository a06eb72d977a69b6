// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/routegate/routegate/routing"
)

// maker is a kind of which a controller makes a Secret in the same namespace.
type maker struct {
	// field names the Secret.
	field []string
	// own is true where a Secret that is not named is called as the object.
	own bool
}

var makers = map[schema.GroupKind]maker{
	{Group: "bitnami.com", Kind: "SealedSecret"}:           {own: true},
	{Group: "cert-manager.io", Kind: "Certificate"}:        {field: []string{"spec", "secretName"}},
	{Group: "external-secrets.io", Kind: "ExternalSecret"}: {field: []string{"spec", "target", "name"}, own: true},
}

// expect notes the Secret that a controller will make of the object.
func (l *loader) expect(kind schema.GroupKind, head *metav1.PartialObjectMetadata, data []byte) {
	maker, ok := makers[kind]
	if !ok {
		return
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return
	}
	var name string
	if len(maker.field) > 0 {
		// A name that is no text is none.
		name, _, _ = unstructured.NestedString(object, maker.field...)
	}
	if name == "" && maker.own {
		name = head.Name
	}
	namespace := head.Namespace
	if namespace == "" {
		namespace = l.namespace
	}
	if name != "" {
		l.Expected = append(l.Expected, routing.Key{Namespace: namespace, Name: name})
	}
}
