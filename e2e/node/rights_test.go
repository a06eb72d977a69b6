// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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
		token, err := client.CoreV1().ServiceAccounts(home).CreateToken(ctx, release, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		c := rest.AnonymousClientConfig(config)
		c.BearerToken = token.Status.Token
		own, err = kubernetes.NewForConfig(c)
		Expect(err).NotTo(HaveOccurred())
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

	It("writes nothing but what its chart lists", func(ctx SpecContext) {
		for _, resource := range []string{"ingresses", "services", "configmaps", "pods"} {
			for _, verb := range []string{"create", "update", "patch", "delete"} {
				out, _ := command(ctx, "", kubectlPath, "auth", "can-i", verb, resource, "-A", "--as=system:serviceaccount:"+home+":"+release)
				Expect(out).To(HavePrefix("no"), "%s %s", verb, resource)
			}
		}
	}, NodeTimeout(patience))
})
