// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/routegate/routegate/checks"
	"github.com/routegate/routegate/internal/settings"
	"github.com/routegate/routegate/routing"
)

// fault is something wrong with a field.
type fault struct {
	// path is the field, such as rules[0].match.classes.
	path string
	text string
}

// Parse reads a policy file for these checks. The name is what errors call the file;
// they name the line and the field of everything that is wrong, and what is accepted.
func Parse(name string, data []byte, all []checks.Check) (File, error) {
	var f File

	var document, more yaml.Node
	reader := yaml.NewDecoder(bytes.NewReader(data))
	switch err := reader.Decode(&document); {
	case errors.Is(err, io.EOF):
		return f, fmt.Errorf("%s: is empty: must be a %s of %s", name, Kind, APIVersion)
	case err != nil:
		return f, notYAML(name, err)
	}
	if err := reader.Decode(&more); err == nil {
		return f, fmt.Errorf("%s:%d: is a second document: must be one %s", name, more.Line, Kind)
	} else if !errors.Is(err, io.EOF) {
		return f, notYAML(name, err)
	}
	d := decoder{lines: map[string]int{}}
	d.decode("", document.Content[0], reflect.ValueOf(&f).Elem())
	faults := append(d.faults, f.headerFaults()...)
	if len(d.faults) == 0 {
		// What could not be read would be complained of twice.
		faults = append(faults, f.faults(all)...)
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(d.line(a.path), d.line(b.path)) })
	errs := make([]error, len(faults))
	for i, x := range faults {
		errs[i] = fmt.Errorf("%s:%d: %s: %s", name, d.line(x.path), cmp.Or(x.path, "file"), x.text)
	}
	return f, errors.Join(errs...)
}

// notYAML is the error for a text that is no YAML, with the line that it names where
// those of other errors have it.
func notYAML(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		text = rest
		if line, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s:%s: %s", name, line, what)
		}
	}
	return fmt.Errorf("%s: %s", name, text)
}

// decoder fills a File from YAML and notes where each field stands.
type decoder struct {
	lines  map[string]int
	faults []fault
}

// line is where a field stands, or the nearest field around it.
func (d *decoder) line(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
		if path == "" {
			return 1
		}
	}
}

func (d *decoder) fault(path string, format string, args ...any) {
	d.faults = append(d.faults, fault{path, fmt.Sprintf(format, args...)})
}

// note remembers where a field stands, if that was not noted where its name does.
func (d *decoder) note(path string, node *yaml.Node) {
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = node.Line
	}
}

func (d *decoder) decode(path string, node *yaml.Node, into reflect.Value) {
	d.note(path, node)
	if node.Kind == yaml.AliasNode {
		d.fault(path, "must not be an alias")
		return
	}
	if into.Type() == reflect.TypeFor[map[string]routing.ControllerSettings]() {
		d.controllers(path, node, into)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.decode(path, node, into.Elem())
	case reflect.Struct:
		d.object(path, node, into)
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		d.entries(path, node, func(path, key string, value *yaml.Node) {
			element := reflect.New(into.Type().Elem()).Elem()
			d.decode(path, value, element)
			into.SetMapIndex(reflect.ValueOf(key), element)
		})
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			d.fault(path, "is %s: must be a list", kindOf(node))
			return
		}
		into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
		for i, item := range node.Content {
			d.decode(fmt.Sprintf("%s[%d]", path, i), item, into.Index(i))
		}
	case reflect.String:
		if level := into.Type(); node.Tag == "!!bool" && node.Value == "false" &&
			(level == reflect.TypeFor[checks.Mode]() || level == reflect.TypeFor[Preset]()) {
			// What reads YAML 1.1, such as Helm, takes the word off for a boolean.
			into.SetString(string(off))
			return
		}
		if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
			d.fault(path, "is %s: must be a text", kindOf(node))
			return
		}
		into.SetString(node.Value)
	case reflect.Bool:
		if node.Tag != "!!bool" {
			d.fault(path, "is %s: must be true or false", kindOf(node))
			return
		}
		into.SetBool(node.Value == "true")
	case reflect.Int:
		n, err := strconv.Atoi(node.Value)
		if node.Tag != "!!int" || err != nil {
			d.fault(path, "is %s: must be a whole number", kindOf(node))
			return
		}
		into.SetInt(int64(n))
	default:
		panic(fmt.Sprintf("policy: field %s has type %s", path, into.Type()))
	}
}

// object fills a struct by the names that its fields have in JSON.
func (d *decoder) object(path string, node *yaml.Node, into reflect.Value) {
	fields := fieldsOf(into)
	d.entries(path, node, func(at, key string, value *yaml.Node) {
		field, ok := fields[key]
		if !ok {
			names := slices.Sorted(maps.Keys(fields))
			if near := checks.Nearest(key, names); near != "" {
				d.fault(at, "there is no such field; did you mean %q?", near)
				return
			}
			d.fault(at, "there is no such field; must be one of %s", strings.Join(names, ", "))
			return
		}
		d.decode(at, value, field)
	})
}

func fieldsOf(into reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		name, options, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		if options == "inline" {
			maps.Copy(fields, fieldsOf(into.Field(i)))
			continue
		}
		fields[name] = into.Field(i)
	}
	return fields
}

// entries calls do for each entry of a map, each key once.
func (d *decoder) entries(path string, node *yaml.Node, do func(path, key string, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		d.fault(path, "is %s: must be a map", kindOf(node))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := strings.TrimPrefix(path+"."+written(key.Value), ".")
		d.note(at, key)
		if seen[key.Value] {
			d.faults = append(d.faults, fault{at, fmt.Sprintf("stands here twice, in line %d again", key.Line)})
			continue
		}
		seen[key.Value] = true
		do(at, key.Value, value)
	}
}

// written is a key as errors show it, each of which is one line.
func written(key string) string {
	if strings.ContainsFunc(key, unicode.IsControl) {
		return strconv.Quote(key)
	}
	return key
}

// controllers reads settings as the file of --controller-settings has them.
func (d *decoder) controllers(path string, node *yaml.Node, into reflect.Value) {
	text, err := yaml.Marshal(node)
	if err != nil {
		d.fault(path, "%v", err)
		return
	}
	given, err := settings.ParseFile(text)
	if err != nil {
		d.fault(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	into.Set(reflect.ValueOf(given))
}

// kindOf describes a value, for messages.
func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if node.Tag == "!!null" {
		return "empty"
	}
	return strconv.Quote(node.Value)
}
