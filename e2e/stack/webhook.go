// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/routegate/routegate/webhook"
)

// WebhookName is the name of the webhook, as denials spell it.
const WebhookName = "validate.ingress.routegate.dev"

// The label by which a namespace opts out of the webhook.
const (
	OptOutLabel = "routegate.dev/enforce"
	OptOutValue = "off"
)

// PreviewName is the name of the webhook for Namespaces.
const PreviewName = "namespaces.routegate.dev"

// labelChanges is the condition under which the API server asks about a Namespace, as the
// chart has it.
const labelChanges = `['routegate.dev/enforce', 'routegate.dev/warn', 'routegate.dev/audit'].exists(label,
(has(object.metadata.labels) && label in object.metadata.labels ? object.metadata.labels[label] : '') !=
(has(oldObject.metadata.labels) && label in oldObject.metadata.labels ? oldObject.metadata.labels[label] : ''))`

// Webhook is a ValidatingWebhookConfiguration that makes the API server ask
// routegate about Ingresses that are created or updated, and about Namespaces of which a
// label of routegate changes. The zero value of a
// field is its default.
type Webhook struct {
	// Name is the name of the configuration. Default: routegate.
	Name string
	// FailurePolicy says what happens when routegate cannot be asked. Default:
	// Ignore.
	FailurePolicy admissionregistrationv1.FailurePolicyType
	// TimeoutSeconds is how long the API server waits. Default: 5.
	TimeoutSeconds int32
	// NamespaceLabels limits the webhook to namespaces with these labels. Those
	// that opt out are always left alone.
	NamespaceLabels map[string]string
	// NoRules leaves the rules to routegate.
	NoRules bool
}

// Install creates the configuration for a running routegate, or replaces the one
// of that name.
func (w Webhook) Install(ctx context.Context, client kubernetes.Interface, r *Routegate) error {
	configs := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	config := w.configuration(r)
	_, err := configs.Create(ctx, config, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var old *admissionregistrationv1.ValidatingWebhookConfiguration
		if old, err = configs.Get(ctx, config.Name, metav1.GetOptions{}); err == nil {
			config.ResourceVersion = old.ResourceVersion
			_, err = configs.Update(ctx, config, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("webhook configuration: %w", err)
	}
	return nil
}

func (w Webhook) configuration(r *Routegate) *admissionregistrationv1.ValidatingWebhookConfiguration {
	if w.Name == "" {
		w.Name = "routegate"
	}
	if w.FailurePolicy == "" {
		w.FailurePolicy = admissionregistrationv1.Ignore
	}
	if w.TimeoutSeconds == 0 {
		w.TimeoutSeconds = 5
	}
	equivalent, none := admissionregistrationv1.Equivalent, admissionregistrationv1.SideEffectClassNone
	rules := webhook.Rules()
	if w.NoRules {
		rules = nil
	}
	cluster, ignore := admissionregistrationv1.ClusterScope, admissionregistrationv1.Ignore
	preview := strings.Replace(r.URL, "/validate-ingress", "/validate-namespaces", 1)
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:           WebhookName,
			ClientConfig:   admissionregistrationv1.WebhookClientConfig{URL: &r.URL, CABundle: r.CABundle},
			Rules:          rules,
			FailurePolicy:  &w.FailurePolicy,
			MatchPolicy:    &equivalent,
			SideEffects:    &none,
			TimeoutSeconds: &w.TimeoutSeconds,
			NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: w.NamespaceLabels,
				MatchExpressions: []metav1.LabelSelectorRequirement{{
					Key: OptOutLabel, Operator: metav1.LabelSelectorOpNotIn, Values: []string{OptOutValue},
				}},
			},
			AdmissionReviewVersions: []string{"v1"},
		}, {
			Name:         PreviewName,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &preview, CABundle: r.CABundle},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces"}, Scope: &cluster,
				},
			}},
			FailurePolicy:           &ignore,
			MatchPolicy:             &equivalent,
			SideEffects:             &none,
			TimeoutSeconds:          &w.TimeoutSeconds,
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: w.NamespaceLabels},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "a-label-changes", Expression: labelChanges}},
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// Wait returns when the API server asks a routegate about Ingresses of the
// namespace: when it passes on what routegate says of a dry run of an Ingress
// without its Service. The API server learns of configurations and of changed
// labels with a delay.
func Wait(ctx context.Context, config *rest.Config, namespace string) error {
	said := &Warnings{}
	config = rest.CopyConfig(config)
	config.WarningHandler = said
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	probe := probeIngress(namespace)
	last := errors.New("the webhook said nothing")
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, err := client.NetworkingV1().Ingresses(namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && ctx.Err() == nil {
			last = err
		}
		const words = "(service-missing)"
		return strings.Contains(strings.Join(said.Take(), "\n"), words) || (err != nil && strings.Contains(err.Error(), words)), nil
	})
	if err != nil {
		return fmt.Errorf("the API server does not ask routegate: %w: %w", err, last)
	}
	return nil
}

// probeIngress names no IngressClass, so that the verdict on it needs none.
func probeIngress(namespace string) *networkingv1.Ingress {
	prefix := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:    namespace,
			GenerateName: "probe-",
			Annotations:  map[string]string{"kubernetes.io/ingress.class": "nginx"},
		},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: "probe.example.com",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "no-such-service", Port: networkingv1.ServiceBackendPort{Number: 80},
					}},
				}},
			}},
		}}},
	}
}

// Warnings collects what the API server warns of. It is a rest.WarningHandler,
// and safe for concurrent use.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader notes one warning.
func (w *Warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// Take returns the warnings since it was last called, in their order.
func (w *Warnings) Take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}
