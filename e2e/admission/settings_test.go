// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("Settings of the controller", func() {
	const words = `metadata.annotations[nginx.ingress.kubernetes.io/configuration-snippet]: ingress-nginx refuses the annotation, ` +
		`whatever its value; must not be set: its risk is Critical and this controller takes High at most (annotation-risk-drop): ` +
		`ingress-nginx does not take up the Ingress: requests get 404, or are served by its former version`
	risky := annotated("nginx.ingress.kubernetes.io/configuration-snippet", "deny all;")

	It("decide on a snippet once they were read, and again when they change", func(ctx SpecContext) {
		By("warning where they are not known")
		s := shop(ctx, standard, fault{})
		_, warnings, err := s.create(ctx, ingress("bad", risky))
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(ConsistOf(ContainSubstring("(annotation-risk-drop)")))

		By("denying where the controller confirms them")
		labels := map[string]string{"app": "edge"}
		deployment := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "edge"},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec: corev1.PodSpec{Containers: []corev1.Container{{
						Name: "controller", Image: "registry.example/ingress-nginx/controller:v1.15.1",
						Args: []string{"/nginx-ingress-controller", "--configmap=$(POD_NAMESPACE)/edge"},
						Env: []corev1.EnvVar{{Name: "POD_NAMESPACE", ValueFrom: &corev1.EnvVarSource{
							FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"},
						}}},
					}}},
				},
			},
		}
		deployment, err = s.client.AppsV1().Deployments(s.ns).Create(ctx, deployment, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		g := startGate(ctx, "settings", gateOptions{args: []string{"--controller-deployment", s.ns + "/edge"}})
		Eventually(ctx, g.Log).WithTimeout(patience).Should(ContainSubstring(`"class":"k8s.io/ingress-nginx","version":"v1.15.1","confirmed":true`))
		s = shop(ctx, g, fault{})
		_, _, err = s.create(ctx, ingress("bad", risky))
		expectDenied(err, "annotation-risk-drop", words)

		By("allowing what the ConfigMap allows")
		_, err = s.client.CoreV1().ConfigMaps(deployment.Namespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "edge"},
			Data:       map[string]string{"annotations-risk-level": "Critical", "allow-snippet-annotations": "true"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() error {
			_, warnings, err = s.create(ctx, ingress("good", risky), metav1.DryRunAll)
			return err
		}).WithTimeout(patience).Should(Succeed())
		Expect(warnings).To(BeEmpty())
	})
})
