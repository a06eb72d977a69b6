// SPDX-License-Identifier: Apache-2.0

package reverse_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	fixtures = "../../webhook/testdata/dependencies/"
	lost     = `Service "web" is still routed to by Ingress prod/shop (shop.example.com/): requests will get 503` + "\n"
)

// Ordered, since the last spec stops the gate.
var _ = Describe("What Ingresses use", Ordered, func() {
	for _, name := range []string{
		"service-deleted", "service-deleted-several", "service-deleted-canary", "service-deleted-rescued", "service-deleted-unused",
		"service-port-removed", "service-port-renamed", "service-port-renamed-by-number", "service-port-renamed-named-target", "service-target-port",
		"service-selector-removed", "service-to-externalname", "service-solver",
		"tls-secret-deleted", "tls-secret-deleted-managed", "tls-secret-of-another-host", "tls-secret-broken", "tls-secret-renewed",
		"auth-secret-deleted", "auth-secret-broken", "ca-secret-deleted",
		"class-deleted", "class-deleted-annotation", "class-no-longer-default",
	} {
		It("is deleted or changed with kubectl: "+name, func(ctx SpecContext) {
			folder := fixtures + name
			apply(ctx, folder)
			want, err := os.ReadFile(filepath.Join(folder, "want.txt"))
			if !errors.Is(err, os.ErrNotExist) {
				Expect(err).NotTo(HaveOccurred())
			}
			var warnings string
			if _, err := os.Stat(filepath.Join(folder, "new.yaml")); err == nil {
				_, warnings = kubectl(ctx, "", "replace", "--filename="+filepath.Join(folder, "new.yaml"))
			} else {
				_, warnings = kubectl(ctx, "", "delete", "--filename="+filepath.Join(folder, "old.yaml"))
			}
			Expect(warnings).To(Equal(string(want)))
			Expect(sent(ctx, "", "undecided")).To(BeZero(), gate.Log())
		})
	}

	It("selects no Pod any longer", func(ctx SpecContext) {
		apply(ctx, fixtures+"service-deleted")
		// JSON, since an older kubectl takes everything that begins with a brace for it.
		kubectl(ctx, `{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1", "namespace": "prod", "labels": {"app": "web"}},
			"spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]}}`,
			"apply", "--filename=-")
		_, warnings := kubectl(ctx, "", "set", "selector", "service", "web", "app=web,tier=front", "--namespace=prod")
		Expect(warnings).To(HavePrefix(`with this change, Ingress prod/shop (shop.example.com/): Service "web" has no endpoints: its selector "app=web,tier=front" matches no Pod; `))
		_, warnings = kubectl(ctx, "", "set", "selector", "service", "web", "app=web", "--namespace=prod")
		Expect(warnings).To(BeEmpty())
	})

	It("goes right after its Ingress, silently", func(ctx SpecContext) {
		apply(ctx, fixtures+"service-deleted")
		before := sent(ctx, "Service", "")
		kubectl(ctx, "", "delete", "ingress", "shop", "--namespace=prod")
		_, warnings := kubectl(ctx, "", "delete", "service", "web", "--namespace=prod")
		Expect(warnings).To(BeEmpty())
		Expect(sent(ctx, "Service", "")).To(Equal(before + 1))
	})

	It("goes with its namespace, silently", func(ctx SpecContext) {
		apply(ctx, fixtures+"service-deleted")
		kubectl(ctx, "", "create", "namespace", "going")
		for _, file := range []string{"cluster.yaml", "old.yaml"} {
			content, err := os.ReadFile(fixtures + "service-deleted/" + file)
			Expect(err).NotTo(HaveOccurred())
			kubectl(ctx, strings.ReplaceAll(strings.ReplaceAll(string(content), "prod", "going"), "shop.example", "going.example"), "apply", "--filename=-")
		}
		catchUp(ctx)
		_, warnings := kubectl(ctx, "", "delete", "service", "web", "--namespace=going", "--dry-run=server")
		Expect(warnings).To(Equal(strings.NewReplacer("prod", "going", "shop.example", "going.example").Replace(lost)))

		// Nobody finishes the deletion here, and the gate may not have heard of it yet.
		kubectl(ctx, "", "delete", "namespace", "going", "--wait=false")
		before := sent(ctx, "Service", "")
		_, warnings = kubectl(ctx, "", "delete", "service", "web", "--namespace=going")
		Expect(warnings).To(BeEmpty())
		Expect(sent(ctx, "Service", "")).To(Equal(before + 1))
		kubectl(ctx, "", "delete", "ingress", "shop", "--namespace=going")
	})

	It("is a class whose controller the API server does not let anybody change", func(ctx SpecContext) {
		apply(ctx, fixtures+"service-deleted")
		class, err := controlPlane.Client.NetworkingV1().IngressClasses().Get(ctx, "nginx", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		class.Spec.Controller = "example.com/other"
		_, err = controlPlane.Client.NetworkingV1().IngressClasses().Update(ctx, class, metav1.UpdateOptions{})
		Expect(err).To(MatchError(ContainSubstring("field is immutable")))
	})

	It("goes with helm uninstall, silently", func(ctx SpecContext) {
		clean(ctx)
		chart := filepath.Join(dir, "shop")
		Expect(os.MkdirAll(filepath.Join(chart, "templates"), 0o700)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("{apiVersion: v2, name: shop, version: 0.1.0}\n"), 0o600)).To(Succeed())
		kubectl(ctx, `{"kind": "IngressClass", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}`,
			"apply", "--filename=-")
		cluster, err := os.ReadFile(fixtures + "tls-secret-deleted/cluster.yaml")
		Expect(err).NotTo(HaveOccurred())
		var kept []string
		for _, document := range strings.Split(string(cluster), "---\n") {
			if !strings.Contains(document, "kind: Namespace") && !strings.Contains(document, "kind: IngressClass") {
				kept = append(kept, document)
			}
		}
		secret, err := os.ReadFile(fixtures + "tls-secret-deleted/old.yaml")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(chart, "templates", "all.yaml"), []byte(strings.Join(append(kept, string(secret)), "---\n")), 0o600)).To(Succeed())

		helm := filepath.Join(os.Getenv("CHART_TOOLS"), "helm")
		run(ctx, "", helm, "install", "shop", chart, "--namespace=prod")
		catchUp(ctx)
		_, warnings := kubectl(ctx, "", "delete", "secret", "cert", "--namespace=prod", "--dry-run=server")
		Expect(warnings).To(HavePrefix(`Secret "cert" is still used by Ingress prod/shop`))

		warned, services, secrets := sent(ctx, "", "warned"), sent(ctx, "Service", ""), sent(ctx, "Secret", "")
		run(ctx, "", helm, "uninstall", "shop", "--namespace=prod")
		Expect(sent(ctx, "Service", "")).To(Equal(services + 1))
		Expect(sent(ctx, "Secret", "")).To(Equal(secrets + 1))
		Expect(sent(ctx, "", "warned")).To(Equal(warned))
	})
	Context("of which the API server asks", func() {
		BeforeEach(func(ctx SpecContext) { apply(ctx, fixtures+"auth-secret-deleted") })

		It("is no Secret without tls.crt, auth or ca.crt, and none that stays the same", func(ctx SpecContext) {
			before := sent(ctx, "Secret", "")
			kubectl(ctx, "", "create", "secret", "generic", "plain", "--from-literal=password=hunter2", "--namespace=prod")
			kubectl(ctx, "", "patch", "secret", "plain", "--namespace=prod", `--patch={"stringData":{"password":"changed"}}`)
			kubectl(ctx, "", "patch", "secret", "plain", "--namespace=prod", `--patch={"data":null}`)
			kubectl(ctx, "", "delete", "secret", "plain", "--namespace=prod")
			kubectl(ctx, "", "label", "secret", "users", "team=shop", "--namespace=prod")
			Expect(sent(ctx, "Secret", "")).To(Equal(before))

			for i, key := range []string{"auth", "tls.crt", "ca.crt"} {
				kubectl(ctx, "", "create", "secret", "generic", "held", "--from-literal="+key+"=x", "--namespace=prod")
				kubectl(ctx, "", "patch", "secret", "held", "--namespace=prod", `--patch={"stringData":{"more":"y"}}`)
				kubectl(ctx, "", "delete", "secret", "held", "--namespace=prod")
				Expect(sent(ctx, "Secret", "")).To(Equal(before + float64(2*i+2)))
			}
			Expect(gate.Log()).NotTo(ContainSubstring("hunter2"))
		})

		It("is no Service that stays the same", func(ctx SpecContext) {
			before := sent(ctx, "Service", "")
			kubectl(ctx, "", "label", "service", "web", "team=shop", "--namespace=prod")
			Expect(sent(ctx, "Service", "")).To(Equal(before))
			kubectl(ctx, "", "set", "selector", "service", "web", "app=blue", "--namespace=prod")
			Expect(sent(ctx, "Service", "")).To(Equal(before + 1))
		})

		It("is nothing that controllers and nodes do", func(ctx SpecContext) {
			_, err := controlPlane.Client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "controllers"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
				Subjects: []rbacv1.Subject{
					{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:kube-system"},
					{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:flux"},
					{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:kube-controller-manager"},
				},
			}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
			remove := func(as ...string) string {
				_, warnings := kubectl(ctx, "", append([]string{"delete", "secret", "users", "--namespace=prod", "--dry-run=server"}, as...)...)
				return warnings
			}
			before := sent(ctx, "Secret", "")
			Eventually(func() string {
				return remove("--as=system:serviceaccount:flux:flux", "--as-group=system:serviceaccounts:flux")
			}).WithTimeout(patience).Should(Equal(`Secret "users" is still used by Ingress prod/shop: requests will get 503` + "\n"))
			Expect(sent(ctx, "Secret", "")).To(Equal(before + 1))
			for _, as := range [][]string{
				{"--as=system:serviceaccount:kube-system:generic-garbage-collector", "--as-group=system:serviceaccounts:kube-system"},
				{"--as=system:kube-controller-manager"},
				{"--as=system:node:one", "--as-group=system:nodes", "--as-group=system:masters"},
			} {
				Expect(remove(as...)).To(BeEmpty(), as[0])
			}
			Expect(sent(ctx, "Secret", "")).To(Equal(before + 1))
		})

		It("is in no namespace that opts out", func(ctx SpecContext) {
			kubectl(ctx, "", "label", "namespace", "prod", "routegate.dev/enforce=off")
			DeferCleanup(func(ctx SpecContext) { kubectl(ctx, "", "label", "namespace", "prod", "routegate.dev/enforce-") })
			remove := func() string {
				_, warnings := kubectl(ctx, "", "delete", "secret", "users", "--namespace=prod", "--dry-run=server")
				return warnings
			}
			// The API server learns of the label with a delay.
			Eventually(remove).WithTimeout(patience).Should(BeEmpty())
			before := sent(ctx, "Secret", "")
			Expect(remove()).To(BeEmpty())
			Expect(sent(ctx, "Secret", "")).To(Equal(before))
		})

		It("is compared, however large", func(ctx SpecContext) {
			file := filepath.Join(dir, "large")
			Expect(os.WriteFile(file, []byte(strings.Repeat("x", 900<<10)), 0o600)).To(Succeed())
			kubectl(ctx, "", "create", "secret", "generic", "large", "--from-literal=auth=x", "--from-file="+file, "--namespace=prod")
			before := sent(ctx, "Secret", "")
			kubectl(ctx, "", "label", "secret", "large", "team=shop", "--namespace=prod")
			Expect(sent(ctx, "Secret", "")).To(Equal(before))
			kubectl(ctx, "", "patch", "secret", "large", "--namespace=prod", `--patch={"stringData":{"auth":"y"}}`)
			Expect(sent(ctx, "Secret", "")).To(Equal(before + 1))
		})

		It("is deleted as before when there is no Routegate", func(ctx SpecContext) {
			Expect(gate.Stop()).To(Succeed())
			_, warnings := kubectl(ctx, "", "delete", "secret", "users", "--namespace=prod")
			Expect(warnings).To(BeEmpty())
		})
	})
})
