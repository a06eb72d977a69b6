// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/routing"
)

var update = flag.Bool("update", false, "rewrite the pages of docs/checks")

const (
	fixtures = "../checks/testdata"
	header   = "<!-- SPDX-License-Identifier: Apache-2.0 -->\n<!-- Made from checks/ by: go generate ./docs -->\n\n"
)

// TestCheckPages compares docs/checks with what checks.All says.
func TestCheckPages(t *testing.T) {
	want := map[string]string{"README.md": indexPage(checks.All())}
	for _, c := range checks.All() {
		page, err := checkPage(c)
		if err != nil {
			t.Errorf("check %q: %v", c.Name, err)
			continue
		}
		want[c.Name+".md"] = page
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := rewrite("checks", want); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range want {
		switch got, err := os.ReadFile(filepath.Join("checks", name)); {
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("docs/checks/%s is missing", name)
		case err != nil:
			t.Error(err)
		case string(got) != content:
			t.Errorf("docs/checks/%s differs from what the check says", name)
		}
	}
	entries, err := os.ReadDir("checks")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := want[entry.Name()]; !ok {
			t.Errorf("docs/checks/%s belongs to no check", entry.Name())
		}
	}
	if t.Failed() {
		t.Log("to repair docs/checks, run: go generate ./docs")
	}
}

func TestUnknownChecksHaveNoPage(t *testing.T) {
	for _, name := range []string{"no-such-check", "../docs", ""} {
		if page := CheckPage(name); page != "" {
			t.Errorf("%q: got %q", name, page)
		}
	}
}

// rewrite makes the folder hold those files and no others.
func rewrite(folder string, files map[string]string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, ok := files[entry.Name()]; !ok {
			if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// indexPage lists all checks.
func indexPage(all []checks.Check) string {
	var b strings.Builder
	b.WriteString(header)
	b.WriteString(`# Checks

Each check is one reason why an Ingress does not route. Its name stands in parentheses in every message.
` + "`routegate explain CHECK`" + ` shows these pages in a terminal.

| check | mode | what is wrong |
|---|---|---|
`)
	for _, c := range all {
		mode := string(c.Default)
		if c.Confirmed != "" {
			mode += ", confirmed: " + string(c.Confirmed)
		}
		if c.Strict != "" {
			mode += ", strict: " + string(c.Strict)
		}
		fmt.Fprintf(&b, "| [%[1]s](%[1]s.md) | %s | %s |\n", c.Name, mode, inline(c.Title))
	}
	b.WriteString(`
## Modes

| mode | what happens to the Ingress |
|---|---|
| deny | it is refused |
| warn | it is accepted, and the user sees a warning |
| off | it is accepted, and nothing is said |

The table shows the modes of the preset ` + "`standard`" + `. Under the preset ` + "`observe`" + ` what would deny only warns. Under the
preset ` + "`strict`" + ` the checks with a mode of that name have it. The mode named confirmed holds under the preset ` + "`standard`" + `
where the settings of the controller that serves the Ingress are confirmed: Routegate has read them from the controller, or
the operator has given them.

Even in mode deny a check only warns of a fault that the Ingress had before an update, of a fault in another object during a
dry run, and of what may heal by itself. [When it does not deny](../../README.md#when-it-does-not-deny) says more.

If something that a check reads could not be read, that check has no verdict. This is never a denial.
`)
	return b.String()
}

// checkPage is the page of one check.
func checkPage(c checks.Check) (string, error) {
	ex, err := readExample(c)
	if err != nil {
		return "", err
	}
	paragraphs := strings.Split(c.Text, "\n\n")
	headings := []string{"What happens", "How to fix it", "Limits"}
	if n := len(paragraphs); n < 2 || n > len(headings) {
		return "", fmt.Errorf("the Text has %d paragraphs; must be 2 or 3", n)
	}
	for _, text := range append(paragraphs, c.Title) {
		if i := strings.IndexAny(codeWords.ReplaceAllString(text, ""), "`*_<>[]|\\"); i >= 0 {
			return "", fmt.Errorf("Markdown would take a character for markup in: %s", text)
		}
	}
	reads, err := readsOf(c)
	if err != nil {
		return "", err
	}

	var b strings.Builder
	b.WriteString(header)
	fmt.Fprintf(&b, "# %s: %s\n\n", c.Name, inline(c.Title))
	fmt.Fprintf(&b, "- Mode: %s\n", modesOf(c))
	fmt.Fprintf(&b, "- Applies to: %s\n", appliesTo(c))
	fmt.Fprintf(&b, "- Reads: %s\n", reads)
	if slices.Contains(c.Reads, routing.Ingresses) && !c.Regardless && slices.Contains([]checks.Mode{c.Default, c.Confirmed, c.Strict}, checks.Deny) {
		b.WriteString("- With `--namespaces`: only warns, as an Ingress that is not read might refute it\n")
	}
	fmt.Fprintf(&b, "- Since: %s\n", c.Since)
	for i, text := range paragraphs {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", headings[i], inline(text))
	}
	b.WriteString("\n## Example\n\nThe Ingress comes first, then the objects around it in the cluster.\n")
	for _, setting := range ex.settings {
		fmt.Fprintf(&b, "Routegate runs with `--%s`.\n", setting)
	}
	fmt.Fprintf(&b, "\n```yaml\n%s```\n\n", ex.yaml)
	if c.Default == checks.Off {
		b.WriteString("Under the preset `strict`, ")
	}
	b.WriteString("Routegate says:\n\n")
	for _, message := range ex.messages {
		fmt.Fprintf(&b, "- `%s`\n", message)
	}
	fmt.Fprintf(&b, "\n[All checks](README.md) | [The example as a file](../%s)\n", filepath.ToSlash(ex.path))
	return b.String(), nil
}

var effects = map[checks.Mode]string{
	checks.Deny: "deny (the Ingress is refused)",
	checks.Warn: "warn (the Ingress is accepted, with a warning)",
	checks.Off:  "off (nothing is said)",
}

func modesOf(c checks.Check) string {
	text := effects[c.Default]
	if c.Confirmed != "" {
		text += "; where the settings of the controller are confirmed: " + effects[c.Confirmed]
	}
	if c.Strict != "" {
		text += "; under the preset `strict`: " + effects[c.Strict]
	}
	return text
}

func appliesTo(c checks.Check) string {
	text := "Ingresses of all controllers"
	if len(c.Controllers) > 0 {
		text = "Ingresses that are served by " + strings.Join(c.Controllers, ", ")
	}
	switch len(c.Annotations) {
	case 0:
	case 1:
		text += ", with the annotation `" + c.Annotations[0] + "`"
	default:
		text += ", with one of the annotations `" + strings.Join(c.Annotations, "`, `") + "`"
	}
	if c.Poison {
		text += "; none is exempt, because one with this fault harms all the others"
	}
	return text
}

var kindTexts = map[routing.Kind]string{
	routing.Ingresses:      "other Ingresses",
	routing.IngressClasses: "IngressClasses",
	routing.Services:       "Services",
	routing.EndpointSlices: "EndpointSlices",
	routing.Secrets:        "which Secrets exist",
	routing.SecretData:     "the certificates in Secrets",
	routing.ConfigMaps:     "the ConfigMaps that annotations name",
	routing.Namespaces:     "Namespaces",

	routing.Pods:            "Pods (with `--read-pods`)",
	routing.NetworkPolicies: "NetworkPolicies (with `--controller-pods`)",
}

func readsOf(c checks.Check) (string, error) {
	texts := []string{"the Ingress"}
	for _, kind := range c.Reads {
		text, ok := kindTexts[kind]
		if !ok {
			return "", fmt.Errorf("there is no text for the kind %q", kind)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", "), nil
}

// codeWords matches what is shown as code: commands, flags, fields, file and
// host names, labels and annotations. It matches within one line.
var codeWords = regexp.MustCompile(strings.Join([]string{
	`\bkubectl( [-=A-Za-z]+)+`,
	`--[a-z][-a-z]*[a-z]`,
	`\b(spec|metadata)(\.[A-Za-z]+)+`,
	`\b([a-z]+\.)*kubernetes\.io/[-.a-z]*[a-z]`,
	`\b[a-z]+[A-Z][A-Za-z]+\b`,
	`(\*\.)?(\b([a-z]+\.)+)?\bexample\.com\b`,
	`_by_lua\b`,
	`\b(tls|ca)\.(crt|key|crl)\b`,
	`\bservice-upstream\b`,
}, "|"))

// inline is text as Markdown.
func inline(text string) string {
	return codeWords.ReplaceAllString(text, "`$0`")
}

// example is a bad fixture as a page shows it.
type example struct {
	path     string
	settings []string // of Routegate, each as the name and value of a flag
	messages []string
	yaml     string
}

// pemBlock matches what a reader does not need to see.
var pemBlock = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END [A-Z0-9 ]+-----`)

func readExample(c checks.Check) (example, error) {
	ex := example{path: filepath.Join(fixtures, c.Name, c.Example+".bad.yaml")}
	data, err := os.ReadFile(ex.path)
	if err != nil {
		return example{}, fmt.Errorf("the Example must be a bad case of its fixtures: %w", err)
	}
	var yaml strings.Builder
	for line := range strings.Lines(string(data)) {
		comment, ok := strings.CutPrefix(line, "# ")
		if !ok || yaml.Len() > 0 {
			yaml.WriteString(line)
			continue
		}
		comment = strings.TrimSpace(comment)
		if message, ok := strings.CutPrefix(comment, "want "); ok {
			ex.messages = append(ex.messages, message)
		}
		if setting, ok := strings.CutPrefix(comment, "with "); ok {
			ex.settings = append(ex.settings, strings.Replace(setting, ": ", "=", 1))
		}
	}
	ex.yaml = pemBlock.ReplaceAllString(yaml.String(), "(PEM block $1, left out here)")
	for i, message := range ex.messages {
		if strings.Contains(message, "`") {
			return example{}, fmt.Errorf("a message of the Example holds a backtick: %s", message)
		}
		certain, tentative := strings.CutSuffix(message, " [tentative]")
		if tentative && slices.Contains([]checks.Mode{c.Default, c.Confirmed, c.Strict}, checks.Deny) {
			return example{}, fmt.Errorf("the Example must be one of which the check is certain")
		}
		ex.messages[i] = certain
	}
	if len(ex.messages) == 0 {
		return example{}, errors.New("the Example has no message")
	}
	return ex, nil
}
