// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// Metrics reads the page at url/metrics and returns the value of each series by
// its text: routegate_cache_objects{kind="Service"}.
func Metrics(ctx context.Context, url string) (map[string]float64, error) {
	status, body, err := Get(ctx, url+"/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s/metrics answers %d: %s", url, status, body)
	}
	values := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || space < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("%s/metrics: line %q: %w", url, line, err)
		}
		values[line[:space]] = value
	}
	return values, nil
}

// CacheObjects is the series that counts the objects of a kind in routegate's
// cache.
func CacheObjects(kind string) string {
	return fmt.Sprintf("routegate_cache_objects{kind=%q}", kind)
}

// CatchUp returns when the routegate with its metrics at url keeps as many
// objects of the kinds as there are, so that all which were created before are
// there; of every kind when none is given. What was only updated may still be on
// its way.
func CatchUp(ctx context.Context, client kubernetes.Interface, url string, kinds ...string) error {
	want, err := countObjects(ctx, client, kinds)
	if err != nil {
		return fmt.Errorf("counting objects: %w", err)
	}
	var missing string
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		values, err := Metrics(ctx, url)
		if err != nil {
			return false, err
		}
		for kind, n := range want {
			if got := values[CacheObjects(kind)]; got != float64(n) {
				missing = fmt.Sprintf("%s: %v of %d", kind, got, n)
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("routegate's cache did not catch up (%s): %w", missing, err)
	}
	return nil
}

func countObjects(ctx context.Context, client kubernetes.Interface, kinds []string) (map[string]int64, error) {
	// One object comes with the number of those that remain, except where a
	// selector picks some.
	first := metav1.ListOptions{Limit: 1}
	notHelm := metav1.ListOptions{FieldSelector: "type!=helm.sh/release.v1"}
	lists := map[string]func() (runtime.Object, error){
		"Ingress":       func() (runtime.Object, error) { return client.NetworkingV1().Ingresses("").List(ctx, first) },
		"IngressClass":  func() (runtime.Object, error) { return client.NetworkingV1().IngressClasses().List(ctx, first) },
		"Service":       func() (runtime.Object, error) { return client.CoreV1().Services("").List(ctx, first) },
		"EndpointSlice": func() (runtime.Object, error) { return client.DiscoveryV1().EndpointSlices("").List(ctx, first) },
		"Secret":        func() (runtime.Object, error) { return client.CoreV1().Secrets("").List(ctx, notHelm) },
		"Namespace":     func() (runtime.Object, error) { return client.CoreV1().Namespaces().List(ctx, first) },
	}
	counts := make(map[string]int64, len(lists))
	for kind, list := range lists {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		objs, err := list()
		if err != nil {
			return nil, err
		}
		accessor, err := meta.ListAccessor(objs)
		if err != nil {
			return nil, err
		}
		counts[kind] = int64(meta.LenList(objs))
		if remaining := accessor.GetRemainingItemCount(); remaining != nil {
			counts[kind] += *remaining
		}
	}
	return counts, nil
}
