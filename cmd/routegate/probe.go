// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// errNotFound ends a probe in which Routegate did not find the fault.
var errNotFound = errors.New("the fault was not found")

const (
	// webhookSuffix is how the names of Routegate's webhooks end.
	webhookSuffix = "ingress.routegate.dev"
	// probeService is what the probe's Ingress names and what does not exist.
	probeService = "routegate-probe-no-such-service"
	// probePause is the time between two tries, and probeDial how long the webhook's own
	// address is tried.
	probePause, probeDial = 500 * time.Millisecond, 5 * time.Second
)

type probeOptions struct {
	config        *genericclioptions.ConfigFlags
	configuration string
	wait          time.Duration
}

func probeCommand() *cobra.Command {
	o := &probeOptions{config: genericclioptions.NewConfigFlags(true)}
	o.config.CacheDir, o.config.DisableCompression = nil, nil
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "See that the API server asks Routegate, with an Ingress that cannot route",
		Long: `Send the API server an Ingress whose Service does not exist, as a dry run in a namespace, and
expect Routegate to say so. When it says nothing, look for the reason. Nothing is stored.

It needs the right to create Ingresses in the namespace and, to explain, the rights to get
the namespace and the webhook configuration.

Exit codes:
  0  Routegate found the fault
  1  it did not; the reasons are shown
  2  the API server could not be asked: no access, no rights, or somebody else refused`,
		Example: `  # Does Routegate guard the namespace shop?
  routegate probe --namespace shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.wait < 0 {
				return fmt.Errorf("--wait %s: must not be negative", o.wait)
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	o.config.AddFlags(f)
	f.StringVar(&o.configuration, "webhook-configuration", "routegate", "name of Routegate's ValidatingWebhookConfiguration")
	f.DurationVar(&o.wait, "wait", 0, "how long to try again before giving up")
	return cmd
}

func (o *probeOptions) run(ctx context.Context, out io.Writer) error {
	config, err := o.config.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("cluster access: %w", err)
	}
	namespace, _, err := o.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return fmt.Errorf("cluster access: %w", err)
	}
	said := &spoken{}
	config = rest.CopyConfig(config)
	config.WarningHandler = said
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cluster access: %w", err)
	}

	deadline := time.Now().Add(o.wait)
	for {
		_, err := client.NetworkingV1().Ingresses(namespace).Create(ctx, probeIngress(namespace), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		text, outcome := heard(said.take(), err)
		if outcome == nil {
			_, _ = fmt.Fprintf(out, "In namespace %q Routegate answers: %s\n", namespace, text)
			return nil
		}
		if time.Until(deadline) < probePause {
			_, _ = fmt.Fprintf(out, "In namespace %q: %s\n", namespace, text)
			if errors.Is(outcome, errNotFound) && err == nil {
				for _, reason := range o.reasons(ctx, client, namespace) {
					_, _ = fmt.Fprintf(out, "- %s\n", reason)
				}
			}
			return outcome
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probePause):
		}
	}
}

// heard is what an answer of the API server means: nil, errNotFound, or that it
// could not be asked.
func heard(warnings []string, err error) (string, error) {
	const found, undecided = "(service-missing)", "no verdict on "
	said := func(words string) string {
		for _, w := range warnings {
			if strings.Contains(w, words) {
				return w
			}
		}
		return ""
	}
	switch {
	case err != nil && strings.Contains(err.Error(), found) && strings.Contains(err.Error(), probeService):
		return err.Error(), nil
	case said(found) != "":
		return said(found), nil
	case err != nil && strings.Contains(err.Error(), webhookSuffix):
		return "the API server cannot ask Routegate, and refuses: " + err.Error(), errNotFound
	case err != nil:
		return "the API server does not take the Ingress, and not because of Routegate", err
	case said(undecided) != "":
		return "Routegate is asked, but could not judge: " + said(undecided), errNotFound
	}
	return "an Ingress whose Service does not exist is let through without a word", errNotFound
}

// reasons looks for why Routegate said nothing.
func (o *probeOptions) reasons(ctx context.Context, client kubernetes.Interface, namespace string) []string {
	config, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, o.configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []string{fmt.Sprintf("there is no ValidatingWebhookConfiguration %q; install Routegate, or give its name with --webhook-configuration", o.configuration)}
	}
	if err != nil {
		return []string{fmt.Sprintf("the webhook configuration cannot be looked at: %v", err)}
	}
	ns, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return []string{fmt.Sprintf("the namespace cannot be looked at: %v", err)}
	}
	var reasons []string
	known := false
	for i := range config.Webhooks {
		w := &config.Webhooks[i]
		if !strings.HasSuffix(w.Name, webhookSuffix) {
			continue
		}
		known = true
		if len(w.Rules) == 0 {
			reasons = append(reasons, fmt.Sprintf("webhook %s: it has no rules yet, so it is never called; the log of Routegate's leader says what they wait for", w.Name))
			continue
		}
		if why := excluded(w, ns); why != "" {
			reasons = append(reasons, fmt.Sprintf("webhook %s: %s", w.Name, why))
			continue
		}
		reasons = append(reasons, fmt.Sprintf("webhook %s: %s", w.Name, reach(ctx, w)))
	}
	if !known {
		return []string{fmt.Sprintf("ValidatingWebhookConfiguration %q has no webhook whose name ends with %s", o.configuration, webhookSuffix)}
	}
	return reasons
}

// excluded says why the API server does not ask the webhook about the probe's
// Ingress in the namespace, or nothing.
func excluded(w *admissionregistrationv1.ValidatingWebhook, ns *corev1.Namespace) string {
	for _, part := range []struct {
		field    string
		selector *metav1.LabelSelector
		labels   map[string]string
		advice   string
	}{
		{"namespaceSelector", w.NamespaceSelector, ns.Labels, fmt.Sprintf("namespace %q is left out; probe another one (test.namespace in the chart)", ns.Name)},
		{"objectSelector", w.ObjectSelector, nil, "the Ingress of the probe, which has no labels, is left out"},
	} {
		if part.selector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(part.selector)
		if err != nil {
			return fmt.Sprintf("%s: %v", part.field, err)
		}
		if !selector.Matches(labels.Set(part.labels)) {
			return fmt.Sprintf("%s %q does not match the labels %q: %s", part.field, selector, labels.Set(part.labels), part.advice)
		}
	}
	return ""
}

// reach says whether the webhook can be reached from here.
func reach(ctx context.Context, w *admissionregistrationv1.ValidatingWebhook) string {
	if len(w.ClientConfig.CABundle) == 0 {
		return "it has no CA bundle yet, so the API server trusts no certificate; see the log of Routegate, or of cert-manager's cainjector"
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(w.ClientConfig.CABundle) {
		return "its CA bundle holds no certificate in PEM"
	}
	address, name := addressOf(w.ClientConfig)
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: probeDial},
		Config:    &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Sprintf("%s cannot be reached from here: %v", address, err)
	}
	_ = conn.Close()
	return fmt.Sprintf("%s can be reached from here and its certificate is good, so look for a firewall between the API server and the Pods, or for matchConditions that leave the Ingress out", address)
}

// addressOf returns where the API server calls, and the name that the certificate
// must have.
func addressOf(c admissionregistrationv1.WebhookClientConfig) (address, name string) {
	if s := c.Service; s != nil {
		port := int32(443)
		if s.Port != nil {
			port = *s.Port
		}
		name = s.Name + "." + s.Namespace + ".svc"
		return net.JoinHostPort(name, strconv.Itoa(int(port))), name
	}
	if c.URL != nil {
		if u, err := url.Parse(*c.URL); err == nil {
			port := u.Port()
			if port == "" {
				port = "443"
			}
			return net.JoinHostPort(u.Hostname(), port), u.Hostname()
		}
	}
	return "", ""
}

// probeIngress names no IngressClass, so that the verdict on it needs none.
func probeIngress(namespace string) *networkingv1.Ingress {
	prefix := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:    namespace,
			GenerateName: "routegate-probe-",
			Annotations:  map[string]string{"kubernetes.io/ingress.class": "nginx"},
		},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: "routegate-probe.invalid",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: probeService, Port: networkingv1.ServiceBackendPort{Number: 80},
					}},
				}},
			}},
		}}},
	}
}

// spoken collects the warnings of the API server. It is safe for concurrent use.
type spoken struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader notes one warning.
func (s *spoken) HandleWarningHeader(_ int, _ string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, text)
}

// take returns the warnings since it was last called.
func (s *spoken) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	texts := s.texts
	s.texts = nil
	return texts
}
