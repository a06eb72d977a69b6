// SPDX-License-Identifier: Apache-2.0

package policy

// Remembered is how many Policies the Rules hold.
func Remembered(r *Rules) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.known)
}
