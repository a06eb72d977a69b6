// SPDX-License-Identifier: Apache-2.0

// Package imports holds the test that keeps imports going one way.
package imports
