// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Origin is where an object stands in the manifests.
type Origin struct {
	// File is its file or URL, StandardInput, or the file of the kustomization that it
	// was made from.
	File string
	// Document is the number of the document in there, from 1.
	Document int
	// Template is what Helm's comment "# Source:" says that the object was made from,
	// empty where there is none.
	Template string

	at   place
	old  bool
	root *yaml.Node
}

// Position is a place in a file. Lines and columns count from 1, columns in
// characters. It is the zero Position where the file was not written by anybody, such
// as what a kustomization makes.
type Position struct {
	Line, Column int
	// EndColumn is the column after the last character of the field's name, 0 where the
	// place is no name.
	EndColumn int
}

// source is the comment that Helm writes above what it made of a template.
var source = regexp.MustCompile(`^# Source: (\S.*?)\s*$`)

func newOrigin(at place, gvk schema.GroupVersionKind) *Origin {
	o := &Origin{File: at.file, Document: at.document, at: at, old: gvk.Version == "v1beta1"}
	for line := range bytes.Lines(at.text) {
		text := strings.TrimSpace(string(line))
		if found := source.FindStringSubmatch(text); found != nil {
			o.Template = found[1]
			break
		}
		if text != "" && text != "---" && !strings.HasPrefix(text, "#") {
			break
		}
	}
	return o
}

// Position returns where the field stands: its name, or an item of a list. Where it is
// not written down, that is the place of the nearest field around it. The Position of
// nil is that of the object.
func (o *Origin) Position(path *field.Path) Position {
	if o.at.text == nil {
		return Position{}
	}
	if o.root == nil {
		var document yaml.Node
		if err := yaml.Unmarshal(o.at.text, &document); err != nil || len(document.Content) == 0 {
			// It was read before, so that only the place of the document is left to say.
			return Position{Line: o.at.line, Column: 1}
		}
		o.root = document.Content[0]
	}
	pos, node := position(o.root, nil), o.root
	steps := stepsOf(o.at.item)
	objectDepth := len(steps)
	if path != nil {
		own := stepsOf(path.String())
		if o.old {
			own = oldSteps(own)
		}
		steps = append(steps, own...)
	}
	for depth, s := range steps {
		name, value := s.find(node)
		if value == nil {
			break
		}
		pos, node = position(value, name), value
		if depth < objectDepth {
			pos = position(value, nil)
		}
	}
	pos.Line += o.at.line - 1
	return pos
}

// position is that of a field with a name, or of an item without one.
func position(value, name *yaml.Node) Position {
	if name == nil {
		return Position{Line: value.Line, Column: value.Column}
	}
	p := Position{Line: name.Line, Column: name.Column}
	width := len([]rune(name.Value))
	switch {
	case name.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		// What is escaped is rare in names, and would only move the end.
		width += 2
	case name.Style != 0 && name.Style != yaml.TaggedStyle:
		return p
	}
	p.EndColumn = p.Column + width
	return p
}

// step is one step of a path: into a field, or to an item.
type step struct {
	name  string
	index int
}

// stepsOf reads a path as field.Path writes it.
func stepsOf(path string) []step {
	var steps []step
	for path != "" {
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return steps
			}
			within := path[1:end]
			if n, err := strconv.Atoi(within); err == nil {
				steps = append(steps, step{index: n})
			} else {
				steps = append(steps, step{name: within})
			}
			path = strings.TrimPrefix(path[end+1:], ".")
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		steps = append(steps, step{name: path[:end]})
		path = strings.TrimPrefix(path[end:], ".")
	}
	return steps
}

// find returns the node that the step leads to, with that of the name where it has
// one; nil where there is none.
func (s step) find(node *yaml.Node) (name, value *yaml.Node) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.SequenceNode && s.name == "" && s.index < len(node.Content):
		return nil, node.Content[s.index]
	case node.Kind == yaml.MappingNode && s.name != "":
		return findKey(node, s.name)
	}
	return nil, nil
}

func findKey(node *yaml.Node, key string) (name, value *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	// What is merged in counts for less than what stands there.
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Tag != "!!merge" {
			continue
		}
		merged := node.Content[i+1]
		all := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			all = merged.Content
		}
		for _, from := range all {
			for from.Kind == yaml.AliasNode {
				from = from.Alias
			}
			if from.Kind == yaml.MappingNode {
				if name, value := findKey(from, key); value != nil {
					return name, value
				}
			}
		}
	}
	return nil, nil
}
