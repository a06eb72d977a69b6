// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/report"
)

// page is what the html format shows beside the findings on the Ingresses of the cluster.
func (o *judgeOptions) page(title string, about []report.Fact, static *cluster.Static, ingresses []*networkingv1.Ingress, notes []string) *report.Page {
	how := "preset " + o.preset
	if o.policyFile != "" {
		how = o.policyFile
	}
	about = append(about, report.Fact{Name: "Policy", Value: how})
	if len(o.checks) > 0 {
		about = append(about, report.Fact{Name: "Checks", Value: strings.Join(o.checks, ", ")})
	}
	judged := make(map[string]bool, len(ingresses))
	for _, ing := range ingresses {
		judged[ing.Namespace+"/"+ing.Name] = true
	}
	snap, all := static.Everything()
	routes := report.NewRoutes(report.Installations(snap, all), snap, all, report.Filter{Ingresses: judged})
	return &report.Page{Title: title, About: about, At: static.Now, Notes: notes, Routes: routes}
}

// clusterText names the cluster that was looked at, and adds a note where its version is
// not known.
func (o *sourceOptions) clusterText(ctx context.Context, w *world, notes *[]string) string {
	if w.client == nil {
		return "snapshot " + o.snapshot
	}
	text := w.server
	if kubeconfig, err := o.config.ToRawKubeConfigLoader().RawConfig(); err == nil && kubeconfig.CurrentContext != "" {
		text = "context " + kubeconfig.CurrentContext
	}
	if *o.config.Context != "" {
		text = "context " + *o.config.Context
	}
	version, err := w.client.Discovery().ServerVersionWithContext(ctx)
	if err != nil {
		*notes = append(*notes, fmt.Sprintf("The version of the cluster was not read: %v", err))
		return text
	}
	return text + ", Kubernetes " + version.GitVersion
}
