// SPDX-License-Identifier: Apache-2.0

// Package certs_test runs two routegate processes that share a certificate
// against a real kube-apiserver, which asks them through a forwarder as it would
// through a Service.
package certs_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/retry"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/webhook"
)

func TestCerts(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Certificates", suite, reporter)
}

// patience is how long the parts may take to start or to catch up.
const patience = 90 * time.Second

// What all specs share. Each spec has namespaces and a webhook configuration of
// its own.
var (
	controlPlane *stack.ControlPlane
	// binary is the routegate program, and dir the folder for kubeconfig files and
	// logs.
	binary, dir string
	// clientCA issued the certificate that the API server shows to webhooks.
	clientCA *authority
)

var _ = BeforeSuite(func(ctx SpecContext) {
	dir = GinkgoT().TempDir()
	clientCA = newAuthority()
	var err error
	controlPlane, err = stack.StartControlPlaneWith(ctx, dir, map[string]string{
		"admission-control-config-file": showCertificate(clientCA, "kube-apiserver-webhooks"),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(controlPlane.Stop)
	binary, err = stack.Binary(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*time.Minute))

// showCertificate writes the files with which the API server shows a certificate
// to all webhooks, and returns the path of the first.
func showCertificate(ca *authority, name string) string {
	GinkgoHelper()
	cert, key := ca.issue(name)
	config := clientcmdapi.NewConfig()
	config.AuthInfos["*"] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	kubeconfig := filepath.Join(dir, "webhooks.kubeconfig")
	Expect(clientcmd.WriteToFile(*config, kubeconfig)).To(Succeed())
	path := filepath.Join(dir, "admission.yaml")
	Expect(os.WriteFile(path, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: `+kubeconfig+"\n"), 0o600)).To(Succeed())
	return path
}

// release is what a chart would install: names, a webhook configuration, and
// what stands for a Service.
type release struct {
	name string
	// ns is where the Secret and the Lease are, and ingresses where Ingresses are.
	ns, ingresses string
	service       *forwarder
	kubeconfig    string
	// certificate are the flags of where the certificate comes from.
	certificate, args []string
}

const (
	secretName = "routegate-tls"
	leaseName  = "routegate"
)

// install makes everything but the processes. With its own rights it makes the
// Secret and the Lease empty, and gives processes only the rights that the
// package certs names; else they are an administrator and make both.
func install(ctx SpecContext, name string, ownRights bool) *release {
	GinkgoHelper()
	r := &release{name: "routegate-" + name, service: startForwarder(ctx), kubeconfig: controlPlane.Kubeconfig}
	r.ns = makeNamespace(ctx, name+"-system-", nil)
	r.certificate = []string{"--managed-certificate=" + r.ns + "/" + secretName}
	r.ingresses = makeNamespace(ctx, name+"-", map[string]string{"gate": name})
	hook := stack.Webhook{Name: r.name, NamespaceLabels: map[string]string{"gate": name}, TimeoutSeconds: 20}
	Expect(hook.Install(ctx, controlPlane.Client, &stack.Routegate{URL: r.service.url})).To(Succeed())
	DeferCleanup(func(ctx SpecContext) error {
		return controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, r.name, metav1.DeleteOptions{})
	})
	if ownRights {
		r.grant(ctx)
	}
	return r
}

func makeNamespace(ctx SpecContext, prefix string, labels map[string]string) string {
	GinkgoHelper()
	ns, err := controlPlane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: prefix, Labels: labels},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return ns.Name
}

// grant gives a user of the release's own exactly what the package certs asks
// for, and what routegate reads.
func (r *release) grant(ctx SpecContext) {
	GinkgoHelper()
	c := controlPlane.Client
	_, err := c.CoreV1().Secrets(r.ns).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secretName}, Type: corev1.SecretTypeOpaque,
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = c.CoordinationV1().Leases(r.ns).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leaseName},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())

	read := []string{"get", "list", "watch"}
	user := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: r.name}}
	_, err = c.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses", "ingressclasses"}, Verbs: read},
			{APIGroups: []string{""}, Resources: []string{"services", "namespaces"}, Verbs: read},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
			{
				APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
				ResourceNames: []string{r.name}, Verbs: append(read, "update"),
			},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = c.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: r.name}, Subjects: user,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.name},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = c.RbacV1().Roles(r.ns).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secretName}, Verbs: append(read, "update")},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{leaseName}, Verbs: []string{"get", "update"}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = c.RbacV1().RoleBindings(r.ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: r.name}, Subjects: user,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: r.name},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	r.kubeconfig, err = controlPlane.KubeconfigFor(dir, r.name)
	Expect(err).NotTo(HaveOccurred())
	r.args = append(r.args, "--secret-access=off")
}

// start starts replicas at the same time and sends requests to them when they
// are ready.
func (r *release) start(ctx SpecContext, names ...string) []*stack.Routegate {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type started struct {
		at      int
		process *stack.Routegate
		err     error
	}
	all := make(chan started)
	for i, name := range names {
		go func() {
			process, err := stack.StartRoutegate(soon, stack.RoutegateOptions{
				Binary: binary, Kubeconfig: r.kubeconfig, Dir: dir, Name: r.name + "-" + name, DrainTime: 3 * time.Second,
				Certificate: append([]string{"--webhook-configuration=" + r.name, "--lease=" + r.ns + "/" + leaseName}, r.certificate...),
				Args:        append([]string{"--verbosity=1"}, r.args...),
			})
			all <- started{i, process, err}
		}()
	}
	processes := make([]*stack.Routegate, len(names))
	var errs []error
	for range names {
		s := <-all
		if s.err != nil {
			errs = append(errs, s.err)
			continue
		}
		processes[s.at] = s.process
		name := names[s.at]
		DeferCleanup(func() {
			if CurrentSpecReport().Failed() {
				AddReportEntry("log of "+name, s.process.Log())
			}
			_ = s.process.Kill()
		})
	}
	Expect(errs).To(BeEmpty())
	for _, process := range processes {
		r.service.add(process)
	}
	return processes
}

// configuration is the live webhook configuration.
func (r *release) configuration(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, r.name, metav1.GetOptions{})
}

func (r *release) bundle(ctx context.Context) (string, error) {
	config, err := r.configuration(ctx)
	if err != nil {
		return "", err
	}
	return string(config.Webhooks[0].ClientConfig.CABundle), nil
}

func (r *release) rules(ctx context.Context) ([]admissionregistrationv1.RuleWithOperations, error) {
	config, err := r.configuration(ctx)
	if err != nil {
		return nil, err
	}
	return config.Webhooks[0].Rules, nil
}

// edit changes the webhook configuration as somebody else would.
func (r *release) edit(ctx SpecContext, change func(*admissionregistrationv1.ValidatingWebhookConfiguration)) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		config, err := r.configuration(ctx)
		if err != nil {
			return err
		}
		change(config)
		_, err = controlPlane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(ctx, config, metav1.UpdateOptions{})
		return err
	})).To(Succeed())
}

// close makes of it what the chart installs where Ingresses are to be refused
// while nobody answers.
func (r *release) close(ctx SpecContext) {
	GinkgoHelper()
	r.edit(ctx, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
		fail := admissionregistrationv1.Fail
		config.Webhooks[0].FailurePolicy, config.Webhooks[0].Rules = &fail, nil
	})
	r.args = append(r.args, "--write-rules")
}

// closed waits until the rules are written.
func (r *release) closed(ctx SpecContext) {
	GinkgoHelper()
	Eventually(ctx, r.rules).WithTimeout(patience).Should(Equal(webhook.Rules()))
}

// entry reads an entry of the Secret.
func (r *release) entry(ctx context.Context, name string) (string, error) {
	secret, err := controlPlane.Client.CoreV1().Secrets(r.ns).Get(ctx, secretName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return string(secret.Data[name]), nil
}

func (r *release) holder(ctx context.Context) (string, error) {
	lease, err := controlPlane.Client.CoordinationV1().Leases(r.ns).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return "", err
	}
	return *lease.Spec.HolderIdentity, nil
}

// leader tells which process holds the lease.
func (r *release) leader(ctx SpecContext, processes []*stack.Routegate) (leader, other *stack.Routegate) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		holder, err := r.holder(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		leader, other = nil, nil
		for _, process := range processes {
			if holder != "" && strings.Contains(process.Log(), `"identity":"`+holder+`"`) {
				leader = process
			} else {
				other = process
			}
		}
		g.Expect(leader).NotTo(BeNil(), "holder is %q", holder)
	}).WithTimeout(patience).Should(Succeed())
	return leader, other
}

// asked waits until the API server asks the processes.
func (r *release) asked(ctx SpecContext) {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(stack.Wait(soon, controlPlane.Config, r.ingresses)).To(Succeed())
}
