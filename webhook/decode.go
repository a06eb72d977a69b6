// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A review is decoded by hand, from one pass over its tokens: decoding by reflection
// is most of what answering costs. What the API server sends is always spelled as its
// types say, so names count to the letter, and what Routegate does not read is skipped.

// decodeReview reads an AdmissionReview. Of its request it reads what Routegate uses.
// The objects are parts of body, not copies.
func decodeReview(body []byte) (*admissionv1.AdmissionReview, error) {
	review := &admissionv1.AdmissionReview{}
	d := newDecoder(body)
	d.object(func(name []byte) {
		switch string(name) {
		case "apiVersion":
			review.APIVersion = d.string()
		case "kind":
			review.Kind = d.string()
		case "request":
			if !d.null() {
				review.Request = &admissionv1.AdmissionRequest{}
				d.request(review.Request)
			}
		default:
			d.skip()
		}
	})
	return review, d.end()
}

func (d *decoder) request(r *admissionv1.AdmissionRequest) {
	d.object(func(name []byte) {
		switch string(name) {
		case "uid":
			r.UID = types.UID(d.string())
		case "kind":
			d.groupVersionKind(&r.Kind)
		case "name":
			r.Name = d.string()
		case "namespace":
			r.Namespace = d.string()
		case "operation":
			r.Operation = admissionv1.Operation(d.string())
		case "userInfo":
			d.userInfo(&r.UserInfo)
		case "object":
			r.Object.Raw = d.raw()
		case "oldObject":
			r.OldObject.Raw = d.raw()
		case "dryRun":
			if !d.null() {
				dryRun := d.bool()
				r.DryRun = &dryRun
			}
		default:
			d.skip()
		}
	})
}

func (d *decoder) groupVersionKind(k *metav1.GroupVersionKind) {
	d.object(func(name []byte) {
		switch string(name) {
		case "group":
			k.Group = d.string()
		case "version":
			k.Version = d.string()
		case "kind":
			k.Kind = d.string()
		default:
			d.skip()
		}
	})
}

func (d *decoder) userInfo(u *authenticationv1.UserInfo) {
	d.object(func(name []byte) {
		switch string(name) {
		case "username":
			u.Username = d.string()
		case "uid":
			u.UID = d.string()
		case "groups":
			u.Groups = d.strings()
		case "extra":
			u.Extra = nil
			d.object(func(key []byte) {
				if u.Extra == nil {
					u.Extra = map[string]authenticationv1.ExtraValue{}
				}
				u.Extra[string(key)] = d.strings()
			})
		default:
			d.skip()
		}
	})
}

// sentIngress is an Ingress of a review.
type sentIngress struct {
	*networkingv1.Ingress
	// spec is the specification as it was sent, with the colon before it.
	spec []byte
}

// decodeIngress reads of an Ingress its specification, and of its metadata what a
// verdict depends on. Managed fields and the status, which are most of it, are skipped.
// Where the specification was sent just as that of like, the two share it.
func decodeIngress(raw []byte, like sentIngress) (sentIngress, error) {
	if len(raw) == 0 {
		return sentIngress{}, errors.New("must be set")
	}
	sent := sentIngress{Ingress: &networkingv1.Ingress{}}
	d := newDecoder(raw)
	d.object(func(name []byte) {
		switch string(name) {
		case "metadata":
			d.metadata(&sent.ObjectMeta)
		case "spec":
			from := d.tokens.InputOffset()
			if len(like.spec) > 0 && bytes.HasPrefix(raw[from:], like.spec) {
				sent.Spec = like.Spec
				d.skip()
			} else {
				sent.Spec = networkingv1.IngressSpec{}
				d.spec(&sent.Spec)
			}
			sent.spec = raw[from:d.tokens.InputOffset()]
		default:
			d.skip()
		}
	})
	if err := d.end(); err != nil {
		return sentIngress{}, fmt.Errorf("not an Ingress: %w", err)
	}
	return sent, nil
}

func (d *decoder) metadata(m *metav1.ObjectMeta) {
	d.object(func(name []byte) {
		switch string(name) {
		case "name":
			m.Name = d.string()
		case "generateName":
			m.GenerateName = d.string()
		case "labels":
			m.Labels = d.stringMap()
		case "annotations":
			m.Annotations = d.stringMap()
		case "creationTimestamp":
			d.time(&m.CreationTimestamp)
		case "deletionTimestamp":
			if m.DeletionTimestamp = nil; !d.null() {
				m.DeletionTimestamp = &metav1.Time{}
				d.time(m.DeletionTimestamp)
			}
		default:
			d.skip()
		}
	})
}

func (d *decoder) spec(s *networkingv1.IngressSpec) {
	d.object(func(name []byte) {
		switch string(name) {
		case "ingressClassName":
			s.IngressClassName = d.pointer()
		case "defaultBackend":
			if s.DefaultBackend = nil; !d.null() {
				s.DefaultBackend = &networkingv1.IngressBackend{}
				d.backend(s.DefaultBackend)
			}
		case "tls":
			s.TLS = list(d, (*decoder).tls)
		case "rules":
			s.Rules = list(d, (*decoder).rule)
		default:
			d.skip()
		}
	})
}

func (d *decoder) tls(t *networkingv1.IngressTLS) {
	d.object(func(name []byte) {
		switch string(name) {
		case "hosts":
			t.Hosts = d.strings()
		case "secretName":
			t.SecretName = d.string()
		default:
			d.skip()
		}
	})
}

func (d *decoder) rule(r *networkingv1.IngressRule) {
	d.object(func(name []byte) {
		switch string(name) {
		case "host":
			r.Host = d.string()
		case "http":
			if r.HTTP = nil; !d.null() {
				r.HTTP = &networkingv1.HTTPIngressRuleValue{}
				d.object(func(name []byte) {
					if string(name) == "paths" {
						r.HTTP.Paths = list(d, (*decoder).path)
					} else {
						d.skip()
					}
				})
			}
		default:
			d.skip()
		}
	})
}

func (d *decoder) path(p *networkingv1.HTTPIngressPath) {
	d.object(func(name []byte) {
		switch string(name) {
		case "path":
			p.Path = d.string()
		case "pathType":
			p.PathType = (*networkingv1.PathType)(d.pointer())
		case "backend":
			p.Backend = networkingv1.IngressBackend{}
			d.backend(&p.Backend)
		default:
			d.skip()
		}
	})
}

func (d *decoder) backend(b *networkingv1.IngressBackend) {
	d.object(func(name []byte) {
		switch string(name) {
		case "service":
			if b.Service = nil; !d.null() {
				b.Service = &networkingv1.IngressServiceBackend{}
				d.serviceBackend(b.Service)
			}
		case "resource":
			if b.Resource = nil; !d.null() {
				b.Resource = &corev1.TypedLocalObjectReference{}
				d.resource(b.Resource)
			}
		default:
			d.skip()
		}
	})
}

func (d *decoder) serviceBackend(b *networkingv1.IngressServiceBackend) {
	d.object(func(name []byte) {
		switch string(name) {
		case "name":
			b.Name = d.string()
		case "port":
			d.object(func(name []byte) {
				switch string(name) {
				case "name":
					b.Port.Name = d.string()
				case "number":
					b.Port.Number = d.int32()
				default:
					d.skip()
				}
			})
		default:
			d.skip()
		}
	})
}

func (d *decoder) resource(r *corev1.TypedLocalObjectReference) {
	d.object(func(name []byte) {
		switch string(name) {
		case "apiGroup":
			r.APIGroup = d.pointer()
		case "kind":
			r.Kind = d.string()
		case "name":
			r.Name = d.string()
		default:
			d.skip()
		}
	})
}

// decoder reads one JSON value. After the first error, which end returns, it reads
// nothing more. As encoding/json does, it takes null for what is not there, the last of
// two members of one name, and U+FFFD for what is not UTF-8.
type decoder struct {
	tokens *jsontext.Decoder
	input  []byte
	err    error
}

func newDecoder(input []byte) *decoder {
	return &decoder{
		tokens: jsontext.NewDecoder(bytes.NewBuffer(input), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		input:  input,
	}
}

// end returns what was wrong, such as that something follows the value.
func (d *decoder) end() error {
	if d.err != nil {
		return d.err
	}
	switch _, err := d.tokens.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("more than one value")
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// mismatch skips a value of a kind other than what is wanted, which is an error. What is
// no JSON at all has no kind, and skipping it says what is wrong.
func (d *decoder) mismatch(want string, is jsontext.Kind) {
	if d.skip(); is != jsontext.KindInvalid {
		d.fail(fmt.Errorf("%s: must be %s, is %s", d.tokens.StackPointer(), want, is))
	}
}

// is reports whether a value of that kind comes next. A null is skipped. Anything else
// is an error that says what is wanted.
func (d *decoder) is(kind jsontext.Kind, want string) bool {
	if d.err != nil || d.null() {
		return false
	}
	if next := d.tokens.PeekKind(); next != kind {
		d.mismatch(want, next)
		return false
	}
	return true
}

// null skips a null, if that comes next, and reports whether it did.
func (d *decoder) null() bool {
	if d.err == nil && d.tokens.PeekKind() == jsontext.KindNull {
		d.skip()
		return true
	}
	return false
}

func (d *decoder) skip() {
	if d.err == nil {
		d.fail(d.tokens.SkipValue())
	}
}

func (d *decoder) token() jsontext.Token {
	token, err := d.tokens.ReadToken()
	d.fail(err)
	return token
}

// object calls member after the name of each member, to read its value.
func (d *decoder) object(member func(name []byte)) {
	if !d.is(jsontext.KindBeginObject, "an object") {
		return
	}
	d.token()
	for d.err == nil && d.tokens.PeekKind() == jsontext.KindString {
		quoted, err := d.tokens.ReadValue()
		if err != nil {
			d.fail(err)
			return
		}
		name := quoted[1 : len(quoted)-1]
		if bytes.IndexByte(name, '\\') >= 0 || !utf8.Valid(name) {
			var text string
			d.fail(json.Unmarshal(quoted, &text))
			name = []byte(text)
		}
		member(name)
	}
	if d.err == nil {
		d.token()
	}
}

// list reads an array with read, which is called for each element.
func list[T any](d *decoder, read func(*decoder, *T)) []T {
	if !d.is(jsontext.KindBeginArray, "an array") {
		return nil
	}
	d.token()
	all := []T{}
	for d.err == nil {
		if kind := d.tokens.PeekKind(); kind == jsontext.KindEndArray || kind == jsontext.KindInvalid {
			break
		}
		var element T
		read(d, &element)
		all = append(all, element)
	}
	if d.err == nil {
		d.token()
	}
	return all
}

func (d *decoder) strings() []string {
	return list(d, func(d *decoder, text *string) { *text = d.string() })
}

func (d *decoder) stringMap() map[string]string {
	var m map[string]string
	d.object(func(name []byte) {
		if m == nil {
			m = map[string]string{}
		}
		m[string(name)] = d.string()
	})
	return m
}

func (d *decoder) string() string {
	if !d.is(jsontext.KindString, "a string") {
		return ""
	}
	token := d.token()
	if d.err != nil {
		return ""
	}
	return token.String()
}

// pointer reads a string that may be left out.
func (d *decoder) pointer() *string {
	if d.null() {
		return nil
	}
	text := d.string()
	return &text
}

func (d *decoder) bool() bool {
	if d.err != nil || d.null() {
		return false
	}
	switch kind := d.tokens.PeekKind(); kind {
	case jsontext.KindTrue, jsontext.KindFalse:
		d.token()
		return kind == jsontext.KindTrue
	default:
		d.mismatch("a boolean", kind)
		return false
	}
}

func (d *decoder) int32() int32 {
	if !d.is(jsontext.KindNumber, "a number") {
		return 0
	}
	token := d.token()
	if d.err != nil {
		return 0
	}
	text := token.String()
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		d.fail(fmt.Errorf("%s: must be a whole number of 32 bits, is %s", d.tokens.StackPointer(), text))
	}
	return int32(number)
}

func (d *decoder) time(t *metav1.Time) {
	text := d.string()
	if text == "" || d.err != nil {
		*t = metav1.Time{}
		return
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d.fail(fmt.Errorf("%s: must be a time as in RFC 3339, is %q", d.tokens.StackPointer(), text))
		return
	}
	*t = metav1.NewTime(parsed.Local())
}

// raw reads a value as it was sent, nil where it is null. It is a part of the input.
func (d *decoder) raw() []byte {
	if d.err != nil || d.null() {
		return nil
	}
	value, err := d.tokens.ReadValue()
	if err != nil {
		d.fail(err)
		return nil
	}
	end := int(d.tokens.InputOffset())
	return d.input[end-len(value) : end : end]
}
