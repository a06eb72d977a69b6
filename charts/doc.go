// SPDX-License-Identifier: Apache-2.0

// Package charts tests what the chart routegate renders. The chart itself is no
// Go code; its own unit tests are in routegate/tests, and e2e/chart installs it.
//
// The tests need helm, helm-unittest, helm-docs and ruletest in the folder
// CHART_TOOLS, which "make helm" builds and prints.
package charts

//go:generate go -C tools tool helm-docs --chart-search-root=../routegate --log-level=warning
