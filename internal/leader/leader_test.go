// SPDX-License-Identifier: Apache-2.0

package leader_test

import (
	"strings"
	"testing"

	"github.com/routegate/routegate/internal/leader"
)

// The rest is tested with real processes and a real API server, in e2e/certs.
func TestElectionNamesWhatIsMissing(t *testing.T) {
	err := (&leader.Election{}).Run(t.Context())
	for _, want := range []string{"Client", "Lease.Namespace", "Lease.Name", "Identity", "Lead "} {
		if err == nil || !strings.Contains(err.Error(), "election: "+want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
