// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"fmt"
	"maps"
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/ptr"

	"github.com/routegate/routegate/e2e/stack"
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
	It("is upgraded without taking back what Routegate wrote", func(ctx SpecContext) {
		install(ctx)

		By("writing as Routegate does while it runs")
		certificate, _, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
		Expect(err).NotTo(HaveOccurred())
		configs := controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		config, err := configs.Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(*config.Webhooks[0].FailurePolicy).To(Equal(admissionregistrationv1.Ignore))
		config.Webhooks[0].ClientConfig.CABundle = certificate
		// A webhook of its own closes the door. Were the failurePolicy of the chart's own
		// changed, Helm would refuse the next upgrade as a conflict.
		closed := config.Webhooks[0].DeepCopy()
		closed.Name, closed.FailurePolicy = "closed."+closed.Name, ptr.To(admissionregistrationv1.Fail)
		config.Webhooks = append(config.Webhooks, *closed)
		_, err = configs.Update(ctx, config, metav1.UpdateOptions{FieldManager: "routegate"})
		Expect(err).NotTo(HaveOccurred())
		secrets := controlPlane.Client.CoreV1().Secrets(namespace)
		secret, err := secrets.Get(ctx, "routegate-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).To(BeEmpty())
		secret.Data = map[string][]byte{"ca.crt": certificate}
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: "routegate"})
		Expect(err).NotTo(HaveOccurred())
		leases := controlPlane.Client.CoordinationV1().Leases(namespace)
		lease, err := leases.Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		lease.Spec.HolderIdentity = ptr.To("one")
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: "routegate"})
		Expect(err).NotTo(HaveOccurred())

		By("upgrading with other values")
		helm(ctx, "upgrade", release, chart, "--set", "replicas=3,webhook.timeoutSeconds=4,secretAccess=get")
		deployment, err := controlPlane.Client.AppsV1().Deployments(namespace).Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(*deployment.Spec.Replicas).To(Equal(int32(3)))
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--secret-access=get"))
		config, err = configs.Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Webhooks).To(ConsistOf(
			HaveField("FailurePolicy", HaveValue(Equal(admissionregistrationv1.Ignore))),
			HaveField("FailurePolicy", HaveValue(Equal(admissionregistrationv1.Fail))),
		))
		Expect(*config.Webhooks[0].TimeoutSeconds).To(Equal(int32(4)))
		Expect(config.Webhooks[0].ClientConfig.CABundle).To(Equal(certificate))
		secret, err = secrets.Get(ctx, "routegate-certificate", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(secret.Data).To(HaveKeyWithValue("ca.crt", certificate))
		lease, err = leases.Get(ctx, release, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(lease.Spec.HolderIdentity).To(HaveValue(Equal("one")))
	})

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
