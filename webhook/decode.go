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
	"sync"
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
	defer d.free()
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
		case "username":
			u.Username = d.string()
		case "uid":
			u.UID = d.string()
		case "groups":
			u.Groups = d.strings()
		case "extra":
			u.Extra = nil
			d.object(func(key string) {
				if u.Extra == nil {
					u.Extra = map[string]authenticationv1.ExtraValue{}
				}
				u.Extra[key] = d.strings()
			})
		default:
			d.skip()
		}
	})
}

// sentIngress is an Ingress of a review.
type sentIngress struct {
	*networkingv1.Ingress
	// These are parts of the Ingress as they were sent, each with the colon before it.
	spec, labels, annotations []byte
}

// decodeIngress reads of an Ingress its specification, and of its metadata what a
// verdict depends on. Managed fields, the status and what kubectl applied, which are most
// of it, are skipped. What was sent just as in like, the two share.
func decodeIngress(raw []byte, like sentIngress) (sentIngress, error) {
	if len(raw) == 0 {
		return sentIngress{}, errors.New("must be set")
	}
	sent := sentIngress{Ingress: &networkingv1.Ingress{}}
	d := newDecoder(raw)
	defer d.free()
	d.object(func(name string) {
		switch name {
		case "metadata":
			d.metadata(&sent, &like)
		case "spec":
			if sent.spec = d.alike(like.spec); sent.spec != nil {
				sent.Spec = like.Spec
				break
			}
			sent.Spec = networkingv1.IngressSpec{}
			sent.spec = d.sent(func() { d.spec(&sent.Spec) })
		default:
			d.skip()
		}
	})
	if err := d.end(); err != nil {
		return sentIngress{}, fmt.Errorf("not an Ingress: %w", err)
	}
	return sent, nil
}

func (d *decoder) metadata(sent, like *sentIngress) {
	m := &sent.ObjectMeta
	d.object(func(name string) {
		switch name {
		case "name":
			m.Name = d.string()
		case "generateName":
			m.GenerateName = d.string()
		case "labels":
			if sent.labels = d.alike(like.labels); sent.labels != nil {
				m.Labels = like.Labels
				break
			}
			sent.labels = d.sent(func() { m.Labels = d.stringMap(nil) })
		case "annotations":
			if sent.annotations = d.alike(like.annotations); sent.annotations != nil {
				m.Annotations = like.Annotations
				break
			}
			sent.annotations = d.sent(func() { m.Annotations = d.stringMap(isRead) })
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

// isRead reports whether somebody may read an annotation. An operator may give those of a
// controller any prefix.
func isRead(key string) bool { return key != corev1.LastAppliedConfigAnnotation }

func (d *decoder) spec(s *networkingv1.IngressSpec) {
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
		case "host":
			r.Host = d.string()
		case "http":
			if r.HTTP = nil; !d.null() {
				r.HTTP = &networkingv1.HTTPIngressRuleValue{}
				d.object(func(name string) {
					if name == "paths" {
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
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
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
	d.object(func(name string) {
		switch name {
		case "name":
			b.Name = d.string()
		case "port":
			d.object(func(name string) {
				switch name {
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
	d.object(func(name string) {
		switch name {
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
// two members of one name, and U+FFFD for what is not UTF-8. The strings that it returns
// are parts of one copy of the input.
type decoder struct {
	tokens jsontext.Decoder
	reader bytes.Buffer
	input  []byte
	text   string
	err    error
}

// decoders are those that are free, since a new one allocates as it goes deeper.
var decoders = sync.Pool{New: func() any { return &decoder{} }}

func newDecoder(input []byte) *decoder {
	d, _ := decoders.Get().(*decoder)
	d.reader = *bytes.NewBuffer(input)
	d.tokens.Reset(&d.reader, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	d.input, d.text, d.err = input, string(input), nil
	return d
}

// free gives the decoder back, which must not be used any more.
func (d *decoder) free() {
	d.reader, d.input, d.text, d.err = bytes.Buffer{}, nil, "", nil
	d.tokens.Reset(&d.reader)
	decoders.Put(d)
}

// sent calls read and returns what it read of the input.
func (d *decoder) sent(read func()) []byte {
	from := d.tokens.InputOffset()
	read()
	return d.input[from:d.tokens.InputOffset()]
}

// alike skips a value that is written just as like, and returns it as it was sent; nil
// where it is not, or where there is nothing that it could be like.
func (d *decoder) alike(like []byte) []byte {
	if len(like) == 0 || d.err != nil || !bytes.HasPrefix(d.input[d.tokens.InputOffset():], like) {
		return nil
	}
	return d.sent(d.skip)
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
func (d *decoder) object(member func(name string)) {
	if !d.is(jsontext.KindBeginObject, "an object") {
		return
	}
	d.token()
	for d.err == nil && d.tokens.PeekKind() == jsontext.KindString {
		name := d.unquoted()
		if d.err != nil {
			return
		}
		member(name)
	}
	if d.err == nil {
		d.token()
	}
}

// unquoted reads a string.
func (d *decoder) unquoted() string {
	quoted, err := d.tokens.ReadValue()
	if err != nil {
		d.fail(err)
		return ""
	}
	if bytes.IndexByte(quoted, '\\') >= 0 || !utf8.Valid(quoted) {
		var text string
		d.fail(json.Unmarshal(quoted, &text))
		return text
	}
	end := int(d.tokens.InputOffset())
	return d.text[end-len(quoted)+1 : end-1]
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
		all = append(all, *new(T))
		read(d, &all[len(all)-1])
	}
	if d.err == nil {
		d.token()
	}
	return all
}

func (d *decoder) strings() []string {
	return list(d, func(d *decoder, text *string) { *text = d.string() })
}

// stringMap reads the members that keep, if it is not nil, accepts.
func (d *decoder) stringMap(keep func(key string) bool) map[string]string {
	var m map[string]string
	d.object(func(key string) {
		if keep != nil && !keep(key) {
			// Without a string the object is no map of strings, whatever is kept of it.
			if d.is(jsontext.KindString, "a string") {
				d.skip()
			}
			return
		}
		if m == nil {
			m = map[string]string{}
		}
		m[key] = d.string()
	})
	return m
}

func (d *decoder) string() string {
	if !d.is(jsontext.KindString, "a string") {
		return ""
	}
	return d.unquoted()
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
