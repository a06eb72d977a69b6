// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/routegate/routegate/certs"
	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/webhook"
)

// ofRelease selects everything that the chart or Helm makes for the release.
const ofRelease = "app.kubernetes.io/instance=" + release

// listable returns every resource that can be listed and watched.
func listable() []schema.GroupVersionResource {
	GinkgoHelper()
	lists, err := controlPlane.Client.Discovery().ServerPreferredResources()
	Expect(err).NotTo(HaveOccurred())
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "watch", "delete"}}, lists)
	var resources []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		Expect(err).NotTo(HaveOccurred())
		for _, r := range list.APIResources {
			resources = append(resources, gv.WithResource(r.Name))
		}
	}
	return resources
}

// hook is the webhook of the release.
func hook(ctx context.Context) admissionregistrationv1.ValidatingWebhook {
	GinkgoHelper()
	config, err := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(config.Webhooks[0].Name).To(Equal("validate.ingress.routegate.dev"))
	return config.Webhooks[0]
}

// watchHook returns each state of the webhook of the release from now on.
func watchHook(ctx SpecContext) <-chan admissionregistrationv1.ValidatingWebhook {
	GinkgoHelper()
	configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	config, err := configs.Get(ctx, release, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	w, err := configs.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, release).String(), ResourceVersion: config.ResourceVersion,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.Stop)
	states := make(chan admissionregistrationv1.ValidatingWebhook, 100)
	go func() {
		for event := range w.ResultChan() {
			if config, ok := event.Object.(*admissionregistrationv1.ValidatingWebhookConfiguration); ok && event.Type == watch.Modified {
				states <- config.Webhooks[0]
			}
		}
	}()
	return states
}

// lead starts a replica of a release that fails closed, with the rights of the
// chart and no others.
func lead(ctx SpecContext, name, certificate string) {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	gate, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
		Binary: program, Kubeconfig: serviceAccountKubeconfig(ctx), Dir: dir, Name: "lead-" + name,
		Certificate: []string{certificate, "--webhook-configuration=" + release, "--lease=" + namespace + "/" + release, "--write-rules"},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error {
		if CurrentSpecReport().Failed() {
			AddReportEntry("log of the replica", gate.Log())
		}
		return gate.Stop()
	})
}

// left names what is there of the release.
func left(ctx context.Context) []string {
	GinkgoHelper()
	var names []string
	for _, resource := range listable() {
		for _, selector := range []string{ofRelease, "owner=helm,name=" + release} {
			list, err := dynamicAPI.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: selector})
			Expect(err).NotTo(HaveOccurred(), resource.String())
			for _, object := range list.Items {
				names = append(names, object.GetKind()+"/"+object.GetName())
			}
		}
	}
	return names
}

var _ = Describe("A release", func() {
	It("is upgraded without taking back what Routegate wrote, whether it fails open or closed", func(ctx SpecContext) {
		install(ctx)
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Ignore)))
		Expect(hook(ctx).Rules).To(Equal(webhook.Rules()))
		secrets := controlPlane.Client.CoreV1().Secrets(namespace)
		secret, err := secrets.Get(ctx, "routegate-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).To(BeEmpty())

		By("failing closed from now on, with nobody who could answer")
		helm(ctx, "upgrade", release, chart, "--set", "preset=strict")
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Fail)))
		Expect(hook(ctx).Rules).To(BeEmpty())
		Eventually(func() int {
			_, code := run(ctx, ingress, controlPlane.Kubectl, "apply", "--dry-run=server", "-f", "-")
			return code
		}).WithTimeout(patience).Should(BeZero())

		By("a replica, of which the API server cannot know that it is not where the Service is")
		lead(ctx, "upgraded", "--managed-certificate="+namespace+"/routegate-certificate")
		Eventually(func() []admissionregistrationv1.RuleWithOperations { return hook(ctx).Rules }).WithTimeout(patience).Should(Equal(webhook.Rules()))
		Eventually(func() string {
			out, _ := run(ctx, ingress, controlPlane.Kubectl, "apply", "--dry-run=server", "-f", "-")
			return out
		}).WithTimeout(patience).Should(ContainSubstring("failed calling webhook"))
		bundle := hook(ctx).ClientConfig.CABundle
		Expect(bundle).NotTo(BeEmpty())
		secret, err = secrets.Get(ctx, "routegate-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		written := secret.Data
		Expect(written).To(HaveKey("ca.crt"))

		seen := watchHook(ctx)
		By("upgrading with other values")
		helm(ctx, "upgrade", release, chart, "--set", "preset=strict,replicas=3,webhook.timeoutSeconds=4,secretAccess=get")
		deployment, err := controlPlane.Client.AppsV1().Deployments(namespace).Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(*deployment.Spec.Replicas).To(Equal(int32(3)))
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElements("--secret-access=get", "--write-rules"))
		Expect(hook(ctx).TimeoutSeconds).To(HaveValue(Equal(int32(4))))
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Fail)))

		By("failing open")
		helm(ctx, "upgrade", release, chart, "--reset-values")
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Ignore)))

		By("failing closed again, by a rollback")
		helm(ctx, "rollback", release, "3")
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Fail)))
		Expect(hook(ctx).TimeoutSeconds).To(HaveValue(Equal(int32(4))))

		By("and open, by another")
		helm(ctx, "rollback", release, "1")
		Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Ignore)))
		Expect(hook(ctx).TimeoutSeconds).To(HaveValue(Equal(int32(5))))

		var policies []admissionregistrationv1.FailurePolicyType
		for len(policies) < 4 {
			var is admissionregistrationv1.ValidatingWebhook
			Eventually(ctx, seen).WithTimeout(patience).Should(Receive(&is))
			Expect(is.Rules).To(Equal(webhook.Rules()), "they are in force all the time")
			Expect(is.ClientConfig.CABundle).To(Equal(bundle))
			policies = append(policies, *is.FailurePolicy)
		}
		Expect(policies).To(HaveExactElements(admissionregistrationv1.Fail, admissionregistrationv1.Ignore, admissionregistrationv1.Fail, admissionregistrationv1.Ignore))
		secret, err = secrets.Get(ctx, "routegate-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).To(Equal(written))
		lease, err := controlPlane.Client.CoordinationV1().Leases(namespace).Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(lease.Spec.HolderIdentity).To(HaveValue(Not(BeEmpty())))
	})

	for _, mode := range []string{"cert-manager", "secret"} {
		It("fails closed with certificates of the mode "+mode+" too", func(ctx SpecContext) {
			files := GinkgoT().TempDir()
			chain, key, err := certs.PEM([]string{"localhost"})
			Expect(err).NotTo(HaveOccurred())
			for name, content := range map[string][]byte{certs.CertName: chain, certs.KeyName: key} {
				Expect(os.WriteFile(filepath.Join(files, name), content, 0o600)).To(Succeed())
			}
			values := []string{"--set", "preset=strict,certificates.mode=" + mode}
			if mode == "secret" {
				values = append(values, "--set", "certificates.secret.name=mine", "--set-file", "certificates.secret.caBundle="+filepath.Join(files, certs.CertName))
			} else {
				installCRDs(ctx)
			}
			install(ctx, values...)
			Expect(hook(ctx).FailurePolicy).To(HaveValue(Equal(admissionregistrationv1.Fail)))
			Expect(hook(ctx).Rules).To(BeEmpty())
			if mode == "cert-manager" {
				// As its CA injector does.
				configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
				config, err := configs.Get(ctx, release, metav1.GetOptions{})
				Expect(err).NotTo(HaveOccurred())
				config.Webhooks[0].ClientConfig.CABundle = chain
				_, err = configs.Update(ctx, config, metav1.UpdateOptions{FieldManager: "cainjector"})
				Expect(err).NotTo(HaveOccurred())
			}
			lead(ctx, mode, "--cert-dir="+files)
			Eventually(func() []admissionregistrationv1.RuleWithOperations { return hook(ctx).Rules }).WithTimeout(patience).Should(Equal(webhook.Rules()))

			seen := watchHook(ctx)
			helm(ctx, append([]string{"upgrade", release, chart, "--set", "webhook.timeoutSeconds=4"}, values...)...)
			var is admissionregistrationv1.ValidatingWebhook
			Eventually(ctx, seen).WithTimeout(patience).Should(Receive(&is))
			Expect(is.TimeoutSeconds).To(HaveValue(Equal(int32(4))))
			Expect(is.Rules).To(Equal(webhook.Rules()))
			Expect(is.ClientConfig.CABundle).To(Equal(chain))
		})
	}

	It("lets Ingresses through while nobody answers, and the API server counts it", func(ctx SpecContext) {
		install(ctx)
		const counted = `apiserver_admission_webhook_fail_open_count{name="validate.ingress.routegate.dev"`
		Eventually(func() string {
			kubectl(ctx, ingress, "apply", "--dry-run=server", "-f", "-")
			return kubectl(ctx, "", "get", "--raw", "/metrics")
		}).WithTimeout(patience).Should(ContainSubstring(counted))
	})

	It("goes with its webhook first, and leaves nothing behind", func(ctx SpecContext) {
		install(ctx, "--set", "preset=strict,flowSchema.enabled=true,autoscaling.enabled=true")
		before := left(ctx)
		Expect(before).To(ContainElements(
			"ValidatingWebhookConfiguration/routegate", "Deployment/routegate", "Service/routegate", "ServiceAccount/routegate",
			"ClusterRole/routegate", "ClusterRoleBinding/routegate", "Role/routegate", "RoleBinding/routegate",
			"Secret/routegate-certificate", "Lease/routegate", "PodDisruptionBudget/routegate", "NetworkPolicy/routegate",
			"HorizontalPodAutoscaler/routegate", "FlowSchema/routegate", "PriorityLevelConfiguration/routegate",
			ContainSubstring("Secret/sh.helm.release"),
		))

		// A deletion is an event with the revision of the whole cluster at which it was
		// done, so that events of all kinds can be put in order.
		type deletion struct {
			revision int
			what     string
		}
		deleted := make(chan deletion, 100)
		watching, stop := context.WithCancel(ctx)
		defer stop()
		for _, resource := range listable() {
			list, err := dynamicAPI.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: ofRelease})
			Expect(err).NotTo(HaveOccurred())
			if len(list.Items) == 0 {
				continue
			}
			w, err := dynamicAPI.Resource(resource).Watch(watching, metav1.ListOptions{LabelSelector: ofRelease, ResourceVersion: list.GetResourceVersion()})
			Expect(err).NotTo(HaveOccurred())
			defer w.Stop()
			go func() {
				defer GinkgoRecover()
				for event := range w.ResultChan() {
					if object, ok := event.Object.(*unstructured.Unstructured); ok && event.Type == "DELETED" {
						revision, err := strconv.Atoi(object.GetResourceVersion())
						Expect(err).NotTo(HaveOccurred())
						deleted <- deletion{revision, object.GetKind() + "/" + object.GetName()}
					}
				}
			}()
		}
		helm(ctx, "uninstall", release)
		Expect(left(ctx)).To(BeEmpty())

		objects := slices.DeleteFunc(before, func(name string) bool { return strings.Contains(name, "sh.helm.release") })
		var order []deletion
		for range objects {
			var d deletion
			Eventually(ctx, deleted).WithTimeout(patience).Should(Receive(&d))
			order = append(order, d)
		}
		slices.SortFunc(order, func(a, b deletion) int { return a.revision - b.revision })
		var names []string
		for _, d := range order {
			names = append(names, d.what)
		}
		AddReportEntry("deleted in this order", strings.Join(names, "\n"), ReportEntryVisibilityAlways)
		Expect(names).To(ConsistOf(objects))
		Expect(names[0]).To(Equal("ValidatingWebhookConfiguration/routegate"))
	})

	It("refuses values that the chart does not know", func(ctx SpecContext) {
		out, code := run(ctx, "", helmPath(), "install", release, chart, "--namespace", namespace, "--set", "webhook.timeout=3")
		Expect(code).NotTo(BeZero())
		Expect(out).To(ContainSubstring("timeout"))
	})
})

// ingress is good for every admission plugin but Routegate.
var ingress = fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: bad
  namespace: %s
  annotations:
    kubernetes.io/ingress.class: nginx
spec:
  rules:
    - host: bad.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: no-such-service
                port:
                  number: 80
`, metav1.NamespaceDefault)

// seriesOf returns the series of the metrics that begin so.
func seriesOf(ctx context.Context, gate *stack.Routegate, prefix string) map[string]float64 {
	GinkgoHelper()
	all, err := stack.Metrics(ctx, gate.MetricsURL)
	Expect(err).NotTo(HaveOccurred())
	maps.DeleteFunc(all, func(series string, _ float64) bool { return !strings.HasPrefix(series, prefix) })
	return all
}

// serviceAccountKubeconfig writes a kubeconfig file of the release's ServiceAccount.
func serviceAccountKubeconfig(ctx context.Context) string {
	GinkgoHelper()
	token, err := controlPlane.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, release, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	config := clientcmdapi.NewConfig()
	config.Clusters["it"] = &clientcmdapi.Cluster{Server: controlPlane.Config.Host, CertificateAuthorityData: controlPlane.Config.CAData}
	config.AuthInfos["it"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	config.CurrentContext = "it"
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}

var _ = Describe("The rights of the chart", func() {
	for _, access := range []string{"full", "metadata", "get", "off"} {
		It("suffice for secretAccess "+access, func(ctx SpecContext) {
			// The webhook of the release, which nobody answers, is kept out of it.
			install(ctx, "--set-string", "secretAccess="+access+",webhook.objectSelector.matchLabels.none=none")
			kubeconfig := serviceAccountKubeconfig(ctx)

			By("serving with nothing but them")
			soon, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			gate, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
				Binary: program, Kubeconfig: kubeconfig, Dir: dir, Name: "rights-" + access, Args: []string{"--secret-access=" + access},
			})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(gate.Stop)
			Eventually(func() map[string]float64 { return seriesOf(ctx, gate, "routegate_cache_synced{") }).WithTimeout(patience).
				Should(And(Not(BeEmpty()), HaveEach(1.0)))

			By("denying, which reads the objects one by one")
			hook := stack.Webhook{Name: "rights-" + access}
			Expect(hook.Install(ctx, controlPlane.Client, gate)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) {
				err := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, hook.Name, metav1.DeleteOptions{})
				Expect(err).NotTo(HaveOccurred())
			})
			Expect(stack.Wait(soon, controlPlane.Config, metav1.NamespaceDefault)).To(Succeed())
			out, code := run(ctx, ingress, controlPlane.Kubectl, "create", "-f", "-")
			Expect(code).NotTo(BeZero())
			Expect(out).To(ContainSubstring("(service-missing)"))
			for series := range seriesOf(ctx, gate, "routegate_live_reads_total{") {
				Expect(series).NotTo(ContainSubstring("failed"))
			}
			Expect(seriesOf(ctx, gate, `routegate_live_reads_total{kind="Service"`)).NotTo(BeEmpty())

			By("reading Secrets of others only as it was told")
			for _, verb := range []string{"get", "list", "watch"} {
				may := map[string]bool{"full": true, "metadata": true, "get": verb == "get", "off": false}[access]
				out, code := run(ctx, "", controlPlane.Kubectl, "--kubeconfig", kubeconfig, "auth", "can-i", verb, "secrets", "--all-namespaces")
				Expect(code == 0).To(Equal(may), "%s: %s", verb, out)
			}
			out, code = run(ctx, "", controlPlane.Kubectl, "--kubeconfig", kubeconfig, "get", "secret", "routegate-certificate", "--namespace", namespace)
			Expect(code).To(BeZero(), out)
			out, code = run(ctx, "", controlPlane.Kubectl, "--kubeconfig", kubeconfig, "create", "secret", "generic", "other", "--namespace", namespace)
			Expect(code).NotTo(BeZero())
			Expect(out).To(ContainSubstring("cannot create"))
		})
	}
})
