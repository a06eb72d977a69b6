// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

var _ = Describe("A release without access to Secrets", Ordered, func() {
	const ns = "secrets"
	var own kubernetes.Interface

	BeforeAll(func(ctx SpecContext) {
		install(ctx, "secretAccess=off")
		shop(ctx, ns)
		awaitAsked(ctx, ns)
		for _, namespace := range []string{ns, home} {
			kubectl(ctx, "create", "secret", "generic", "private", "-n", namespace, "--from-literal=key=value")
		}
		own = withToken(ctx, release)
	}, NodeTimeout(2*patience))

	It("reads its own Secret with its own token", func(ctx SpecContext) {
		secret, err := own.CoreV1().Secrets(home).Get(ctx, release+"-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).NotTo(BeEmpty())
	}, NodeTimeout(patience))

	It("reads no other", func(ctx SpecContext) {
		forbidden := Satisfy(apierrors.IsForbidden)
		for _, namespace := range []string{ns, home} {
			_, err := own.CoreV1().Secrets(namespace).Get(ctx, "private", metav1.GetOptions{})
			Expect(err).To(forbidden, "get in %s", namespace)
		}
		for _, namespace := range []string{ns, home, metav1.NamespaceAll} {
			_, err := own.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
			Expect(err).To(forbidden, "list in %q", namespace)
			_, err = own.CoreV1().Secrets(namespace).Watch(ctx, metav1.ListOptions{})
			Expect(err).To(forbidden, "watch in %q", namespace)
		}
	}, NodeTimeout(patience))
})

var _ = Describe("The rights of a release", Ordered, func() {
	const ns = "rights"

	BeforeAll(func(ctx SpecContext) {
		install(ctx, "replicas=1")
		apply(ctx, namespace(ns))
		DeferCleanup(kubectl, "delete", "namespace", ns, "--wait=false")
	}, NodeTimeout(2*patience))

	for _, access := range cluster.SecretAccesses() {
		It("are what its checks read and its own objects, and no more, with secretAccess "+string(access), func(ctx SpecContext) {
			// It gets ready with these rights.
			upgrade(ctx, "replicas=1", "secretAccess="+string(access))
			var reads []routing.Kind
			for _, c := range checks.All() {
				reads = append(reads, c.Reads...)
			}
			anywhere := append(cluster.Rights(reads, access), rbacv1.PolicyRule{
				APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
				ResourceNames: []string{release}, Verbs: []string{"get", "list", "watch", "update"},
			}, rbacv1.PolicyRule{
				APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"},
			}, rbacv1.PolicyRule{
				APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"},
			})
			atHome := append(slices.Clone(anywhere), rbacv1.PolicyRule{
				APIGroups: []string{""}, Resources: []string{"secrets"},
				ResourceNames: []string{release + "-certificate"}, Verbs: []string{"get", "list", "watch", "update"},
			}, rbacv1.PolicyRule{
				APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
				ResourceNames: []string{release}, Verbs: []string{"get", "update"},
			})
			for in, rules := range map[string][]rbacv1.PolicyRule{ns: anywhere, home: atHome} {
				want := map[string]bool{}
				for _, r := range rules {
					singles(want, r.APIGroups, r.Resources, r.ResourceNames, r.Verbs)
				}
				got := rights(ctx, withToken(ctx, release), in)
				// What every ServiceAccount may do.
				everybody := rights(ctx, withToken(ctx, "default"), in)
				maps.DeleteFunc(got, func(single string, _ bool) bool { return everybody[single] })
				Expect(slices.Sorted(maps.Keys(got))).To(Equal(slices.Sorted(maps.Keys(want))), "in namespace %s", in)
			}
		}, NodeTimeout(2*patience))
	}
})

// withToken returns a client with the token of a ServiceAccount in the release's
// namespace.
func withToken(ctx SpecContext, account string) kubernetes.Interface {
	GinkgoHelper()
	token, err := client.CoreV1().ServiceAccounts(home).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	c := rest.AnonymousClientConfig(config)
	c.BearerToken = token.Status.Token
	own, err := kubernetes.NewForConfig(c)
	Expect(err).NotTo(HaveOccurred())
	return own
}

// rights is what the API server says that the client may do in a namespace.
func rights(ctx SpecContext, c kubernetes.Interface, in string) map[string]bool {
	GinkgoHelper()
	review, err := c.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: in},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	list := map[string]bool{}
	for _, r := range review.Status.ResourceRules {
		singles(list, r.APIGroups, r.Resources, r.ResourceNames, r.Verbs)
	}
	return list
}

// singles adds rights of one verb on one thing each.
func singles(list map[string]bool, groups, resources, names, verbs []string) {
	if len(names) == 0 {
		names = []string{"(all)"}
	}
	for _, group := range groups {
		for _, resource := range resources {
			for _, name := range names {
				for _, verb := range verbs {
					list[verb+" "+resource+"."+group+" "+name] = true
				}
			}
		}
	}
}
