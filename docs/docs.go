// SPDX-License-Identifier: Apache-2.0

// Package docs holds the pages that the command shows, so that the binary needs
// no copy of the repository.
package docs

import "embed"

//go:generate go test . -count=1 "-run=TestCheckPages|TestPolicySchema$DOLLAR" -update

//go:embed checks/*.md
var pages embed.FS

// CheckPage returns docs/checks/<name>.md, the page of a check, in Markdown. It
// is empty where there is no such page.
func CheckPage(name string) string {
	page, err := pages.ReadFile("checks/" + name + ".md")
	if err != nil {
		return ""
	}
	return string(page)
}
