// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// TestDemo runs the demo, as its steps are the first that a new user sees of Routegate.
func TestDemo(t *testing.T) {
	t.Setenv(keepVariable, "")
	if err := run(t.Context(), false, false); err != nil {
		t.Fatal(err)
	}
}
