// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/routing"
)

// TestSecretAccess compares what is known of Secrets in each mode, and which
// rights were used to know it.
func TestSecretAccess(t *testing.T) {
	for _, tc := range []struct {
		access                 cluster.SecretAccess
		cert, gone             routing.Known // whether they exist
		data                   routing.Known // what cert holds
		client, metadataClient string        // verbs on Secrets
	}{
		{cluster.SecretsOff, routing.Unread, routing.Unread, routing.Unread, "", ""},
		{cluster.SecretsGet, routing.Present, routing.Absent, routing.Present, "get", ""},
		{cluster.SecretsMetadata, routing.Present, routing.Absent, routing.Unread, "", "list watch"},
		{cluster.SecretsFull, routing.Present, routing.Absent, routing.Present, "list watch", ""},
	} {
		t.Run(string(tc.access), func(t *testing.T) {
			client := fake.NewClientset(objects()...)
			scheme := metadatafake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			meta := metadatafake.NewSimpleMetadataClient(scheme, &metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
				ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "cert"},
			})
			cl, err := cluster.New(cluster.Config{
				Client: client, Metadata: meta, SecretAccess: tc.access,
				LiveReads: 2, Log: logr.Discard(), Metrics: prometheus.NewRegistry(),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { cl.Start(ctx) })
			t.Cleanup(func() { cancel(); running.Wait() })
			await(t, "sync", func() bool { return cl.Ready() == nil && cl.Synced() })

			missed := false
			snap := snapshot(t, cl).Observe(func(routing.Ref) { missed = true })
			if got := snap.SecretExists("app", "cert"); got != tc.cert {
				t.Errorf("cert: got %d, want %d", got, tc.cert)
			}
			if got := snap.SecretExists("app", "gone"); got != tc.gone {
				t.Errorf("gone: got %d, want %d", got, tc.gone)
			}
			if facts, got := snap.Secret("app", "cert"); got != tc.data || (got == routing.Present && facts.Unusable == "") {
				t.Errorf("what cert holds: got %+v, %d, want %d", facts, got, tc.data)
			}
			if missed {
				t.Error("a lookup was noted as missed, though nothing is amiss")
			}
			var used, usedForMetadata []string
			for _, a := range client.Actions() {
				if a.GetResource().Resource == "secrets" {
					used = append(used, a.GetVerb())
				}
			}
			for _, a := range meta.Actions() {
				usedForMetadata = append(usedForMetadata, a.GetVerb())
			}
			if got := verbs(used); got != tc.client {
				t.Errorf("verbs: got %q, want %q", got, tc.client)
			}
			if got := verbs(usedForMetadata); got != tc.metadataClient {
				t.Errorf("verbs on metadata: got %q, want %q", got, tc.metadataClient)
			}
		})
	}
}

// verbs lists each verb once, in the order of first use.
func verbs(used []string) string {
	var once []string
	for _, verb := range used {
		if !strings.Contains(strings.Join(once, " "), verb) {
			once = append(once, verb)
		}
	}
	return strings.Join(once, " ")
}

func TestSecretAccessIsValidated(t *testing.T) {
	_, err := cluster.New(cluster.Config{SecretAccess: "some"})
	if err == nil || !strings.Contains(err.Error(), `secret access "some": must be one of off, get, metadata, full`) {
		t.Errorf("got %v", err)
	}
	_, err = cluster.New(cluster.Config{SecretAccess: cluster.SecretsMetadata})
	if err == nil || !strings.Contains(err.Error(), "the field Metadata must be set") {
		t.Errorf("got %v", err)
	}
}
