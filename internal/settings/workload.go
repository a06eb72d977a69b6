// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"strings"

	"github.com/routegate/routegate/routing"
)

// Workload names what runs a controller. To read its settings, these rights are needed
// in its namespace: get, list and watch for the one object of deployments or daemonsets
// (group apps), and for the one of configmaps that its flag --configmap names. Where an
// object is only read once, get is enough.
type Workload struct {
	// DaemonSet is true for a DaemonSet, false for a Deployment.
	DaemonSet bool
	routing.Key
}

// ParseWorkload reads namespace/name for a Deployment, or deployment/namespace/name, or
// daemonset/namespace/name.
func ParseWorkload(text string) (Workload, error) {
	parts := strings.Split(text, "/")
	kind := "deployment"
	if len(parts) == 3 {
		kind, parts = parts[0], parts[1:]
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" || (kind != "deployment" && kind != "daemonset") {
		return Workload{}, fmt.Errorf("%q: must be namespace/name of a Deployment, deployment/namespace/name or daemonset/namespace/name", text)
	}
	return Workload{DaemonSet: kind == "daemonset", Key: routing.Key{Namespace: parts[0], Name: parts[1]}}, nil
}

// ParseWorkloads reads several, each once.
func ParseWorkloads(texts []string) ([]Workload, error) {
	var workloads []Workload
	seen := map[Workload]bool{}
	for _, text := range texts {
		w, err := ParseWorkload(text)
		if err != nil {
			return nil, err
		}
		if !seen[w] {
			seen[w] = true
			workloads = append(workloads, w)
		}
	}
	return workloads, nil
}

// Kind is the kind of the object.
func (w Workload) Kind() string {
	if w.DaemonSet {
		return "DaemonSet"
	}
	return "Deployment"
}

// String names the object for people.
func (w Workload) String() string {
	return w.Kind() + " " + w.Namespace + "/" + w.Name
}
