// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"
)

// readOf is what decodeIngress reads of an Ingress.
func readOf(ing *networkingv1.Ingress) *networkingv1.Ingress {
	m := &ing.ObjectMeta
	annotations := maps.Clone(m.Annotations)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Name: m.Name, GenerateName: m.GenerateName, Labels: m.Labels, Annotations: annotations,
			CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		},
		Spec: ing.Spec,
	}
}

// readOfReview is what decodeReview reads of a review.
func readOfReview(r *admissionv1.AdmissionReview) *admissionv1.AdmissionReview {
	read := &admissionv1.AdmissionReview{TypeMeta: r.TypeMeta}
	if q := r.Request; q != nil {
		read.Request = &admissionv1.AdmissionRequest{
			UID: q.UID, Kind: q.Kind, Name: q.Name, Namespace: q.Namespace, Operation: q.Operation, UserInfo: q.UserInfo,
			Object: q.Object, OldObject: q.OldObject, DryRun: q.DryRun,
		}
	}
	return read
}

var _ = Describe("decoding", func() {
	// What randfill fills includes fields that a later version of the API may add.
	filled := func(seed int64) (*networkingv1.Ingress, []byte) {
		GinkgoHelper()
		ing := &networkingv1.Ingress{}
		filler := randfill.NewWithSeed(seed).NilChance(0.2).NumElements(0, 4).MaxDepth(12).Funcs(
			func(t *metav1.Time, c randfill.Continue) { *t = metav1.Unix(c.Int63n(1<<32), 0) },
			func(f *metav1.FieldsV1, _ randfill.Continue) { f.SetRawBytes([]byte(`{"f:spec":{}}`)) },
		)
		filler.Fill(&ing.ObjectMeta)
		filler.Fill(&ing.Spec)
		filler.Fill(&ing.Status)
		raw, err := json.Marshal(ing)
		Expect(err).NotTo(HaveOccurred())
		return ing, raw
	}

	It("reads every field of a specification, and of the metadata what is used, as encoding/json does", func() {
		for seed := range int64(300) {
			_, raw := filled(seed)
			want := &networkingv1.Ingress{}
			Expect(json.Unmarshal(raw, want)).To(Succeed())
			got, err := decodeIngress(raw, sentIngress{})
			Expect(err).NotTo(HaveOccurred())
			Expect(equality.Semantic.DeepEqual(got.Ingress, readOf(want))).To(BeTrue(), "seed %d: %s", seed, raw)
		}
	})

	It("leaves out what kubectl applied, and no other annotation", func() {
		got, err := decodeIngress([]byte(`{"metadata":{"annotations":{"a":"1","kubectl.kubernetes.io/last-applied-configuration":"{}","example.com/canary":"true"}}}`), sentIngress{})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Annotations).To(Equal(map[string]string{"a": "1", "example.com/canary": "true"}))
		_, err = decodeIngress([]byte(`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":{}}}}`), sentIngress{})
		Expect(err).To(MatchError(ContainSubstring("must be a string")))
	})

	It("shares a specification that was sent just alike, and no other", func() {
		same, other := 0, 0
		for seed := range int64(100) {
			ing, raw := filled(seed)
			sent, err := decodeIngress(raw, sentIngress{})
			Expect(err).NotTo(HaveOccurred())

			ing.Labels = map[string]string{"changed": "yes"}
			changed, err := json.Marshal(ing)
			Expect(err).NotTo(HaveOccurred())
			alike, err := decodeIngress(changed, sent)
			Expect(err).NotTo(HaveOccurred())
			Expect(alike.Spec).To(Equal(sent.Spec))
			Expect(alike.Labels).To(Equal(ing.Labels))
			if len(sent.Spec.Rules) > 0 {
				Expect(&alike.Spec.Rules[0]).To(BeIdenticalTo(&sent.Spec.Rules[0]))
				same++
			}

			ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{SecretName: "more"})
			changed, err = json.Marshal(ing)
			Expect(err).NotTo(HaveOccurred())
			want := &networkingv1.Ingress{}
			Expect(json.Unmarshal(changed, want)).To(Succeed())
			different, err := decodeIngress(changed, sent)
			Expect(err).NotTo(HaveOccurred())
			Expect(equality.Semantic.DeepEqual(different.Spec, want.Spec)).To(BeTrue())
			other++
		}
		Expect(same).To(BeNumerically(">", 10))
		Expect(other).To(Equal(100))
	})

	It("reads of a review what is used, as encoding/json does", func() {
		for seed := range int64(100) {
			_, raw := filled(seed)
			review := &admissionv1.AdmissionReview{}
			randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 3).Funcs(
				func(o *runtime.RawExtension, c randfill.Continue) {
					if c.Bool() {
						o.Raw = raw
					}
				},
			).Fill(review)
			body, err := json.Marshal(review)
			Expect(err).NotTo(HaveOccurred())
			want := &admissionv1.AdmissionReview{}
			Expect(json.Unmarshal(body, want)).To(Succeed())
			got, err := decodeReview(body)
			Expect(err).NotTo(HaveOccurred())
			Expect(equality.Semantic.DeepEqual(got, readOfReview(want))).To(BeTrue(), "seed %d: %s", seed, body)
		}
	})

	DescribeTable("what is not as it should be", func(raw, fault string) {
		_, err := decodeIngress([]byte(raw), sentIngress{})
		Expect(err).To(MatchError(ContainSubstring(fault)))
	},
		Entry("nothing", ``, "must be set"),
		Entry("no JSON", `{"spec":`, "unexpected EOF"),
		Entry("a list", `[]`, "must be an object, is "),
		Entry("two values", `{}{}`, "more than one value"),
		Entry("a number for a name", `{"metadata":{"name":7}}`, "/metadata/name: must be a string, is number"),
		Entry("a string for a number", `{"spec":{"defaultBackend":{"service":{"port":{"number":"80"}}}}}`, "/spec/defaultBackend/service/port/number: must be a number, is string"),
		Entry("a fraction", `{"spec":{"defaultBackend":{"service":{"port":{"number":80.5}}}}}`, "must be a whole number of 32 bits, is 80.5"),
		Entry("a number that is too large", `{"spec":{"defaultBackend":{"service":{"port":{"number":4294967376}}}}}`, "must be a whole number of 32 bits, is 4294967376"),
		Entry("an object for rules", `{"spec":{"rules":{}}}`, "/spec/rules: must be an array, is {"),
		Entry("an element that is no object", `{"spec":{"rules":[{},"a.example.com"]}}`, "/spec/rules/1: must be an object, is string"),
		Entry("a time that is none", `{"metadata":{"creationTimestamp":"yesterday"}}`, `/metadata/creationTimestamp: must be a time as in RFC 3339, is "yesterday"`),
		Entry("a status that is no JSON", `{"spec":{},"status":{]}}`, "invalid character"),
	)
})

// FuzzDecode holds the decoder against the API server's: what that takes, and without
// a duplicate name, is taken here too, and the same is read of it.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("../e2e/testdata/truth/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scenarios to begin with: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			raw, err := yaml.YAMLToJSON([]byte(document))
			if err != nil {
				f.Fatalf("%s: %v", file, err)
			}
			f.Add(raw)
		}
	}
	f.Add([]byte(`{"metadata":{"n\u0061me":"a\ud800b","labels":null},"spec":{"rules":[null,{"http":{"paths":null}}]}}`))
	f.Add([]byte(`{"request":{"uid":"1","kind":{"kind":"Ingress"},"userInfo":{"extra":{"a":["b"]}},"object":{},"oldObject":null,"dryRun":true}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		want := &networkingv1.Ingress{}
		if strict, err := kjson.UnmarshalStrict(raw, want, kjson.DisallowDuplicateFields); err == nil && len(strict) == 0 {
			got, err := decodeIngress(raw, sentIngress{})
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(got.Ingress, readOf(want)) {
				t.Fatalf("read %+v, want %+v", got.Ingress, readOf(want))
			}
			if again, err := decodeIngress(raw, got); err != nil || !equality.Semantic.DeepEqual(again.Ingress, got.Ingress) {
				t.Fatalf("read %+v the second time, want %+v: %v", again.Ingress, got.Ingress, err)
			}
		}
		review := &admissionv1.AdmissionReview{}
		if strict, err := kjson.UnmarshalStrict(raw, review, kjson.DisallowDuplicateFields); err == nil && len(strict) == 0 {
			got, err := decodeReview(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(got, readOfReview(review)) {
				t.Fatalf("read %+v, want %+v", got, readOfReview(review))
			}
		}
	})
}
