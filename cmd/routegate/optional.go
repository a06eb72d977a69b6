// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/routegate/routegate/routing"
)

// optionalReads are the flags for what is read only where the operator wants it.
type optionalReads struct {
	readPods       bool
	controllerPods []string
}

func (o *optionalReads) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.readPods, "read-pods", false, "read Pods where a Service has no ready endpoints, to say why; needs list of Pods")
	f.StringArrayVar(&o.controllerPods, "controller-pods", nil, "where Pods of ingress-nginx run, as namespace or namespace/label=value,..., "+
		"so that a NetworkPolicy which keeps them out is warned of; give it for every installation, and not at all where one has hostNetwork; needs list and watch of NetworkPolicies")
}

// pods returns the places that --controller-pods names.
func (o *optionalReads) pods() ([]routing.ControllerPods, error) {
	var all []routing.ControllerPods
	for _, value := range o.controllerPods {
		namespace, selector, _ := strings.Cut(value, "/")
		set, err := labels.ConvertSelectorToLabelsMap(selector)
		if err == nil && len(validation.IsDNS1123Label(namespace)) > 0 {
			err = fmt.Errorf("%q is no name of a namespace", namespace)
		}
		if err != nil {
			return nil, fmt.Errorf("--controller-pods %q: must be namespace or namespace/label=value,...: %w", value, err)
		}
		all = append(all, routing.ControllerPods{Namespace: namespace, Labels: set})
	}
	return all, nil
}
