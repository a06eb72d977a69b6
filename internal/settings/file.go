// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/routegate/routegate/routing"
)

// versionField is the field that decides the defaults of the others.
const versionField = "version"

// ParseFile reads what an operator says of controllers: a YAML map from the values of
// spec.controller to the fields of routing.ControllerSettings. A field that is left out
// has the default of the version, which is v1.15.1 where that is left out. The settings
// are confirmed, unless the version is one of which this program knows too little.
//
// An error names every field that is unknown, written twice or of a bad value.
func ParseFile(data []byte) (map[string]routing.ControllerSettings, error) {
	var controllers map[string]map[string]json.RawMessage
	if err := yaml.UnmarshalStrict(data, &controllers); err != nil {
		return nil, err
	}
	all := map[string]routing.ControllerSettings{}
	var errs []error
	for _, class := range slices.Sorted(maps.Keys(controllers)) {
		s, faults := parseFields(controllers[class])
		for _, fault := range faults {
			errs = append(errs, fmt.Errorf("%q: %w", class, fault))
		}
		all[class] = s
	}
	return all, errors.Join(errs...)
}

func parseFields(fields map[string]json.RawMessage) (routing.ControllerSettings, []error) {
	s := routing.ControllerSettings{Confirmed: true}
	if value, ok := fields[versionField]; ok {
		var text string
		if err := json.Unmarshal(value, &text); err != nil || !version.MatchString(text) {
			return s, []error{fmt.Errorf("%s %s: must be a version such as v1.15.1", versionField, value)}
		}
		s = defaultsOf(text)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name == versionField {
			continue
		}
		if err := parseField(name, fields[name], &s); err != nil {
			errs = append(errs, err)
		}
	}
	for _, code := range s.CustomHTTPErrors {
		if code < 300 || code > 599 {
			errs = append(errs, fmt.Errorf("customHTTPErrors %d: must be 300 to 599", code))
		}
	}
	if s.ProxyBuffersNumber < 0 {
		errs = append(errs, fmt.Errorf("proxyBuffersNumber %d: must not be negative", s.ProxyBuffersNumber))
	}
	for _, field := range []struct{ name, value string }{
		{"defaultBackendService", s.DefaultBackendService}, {"defaultSSLCertificate", s.DefaultSSLCertificate},
	} {
		if _, ok := keyOf(field.value); field.value != "" && !ok {
			errs = append(errs, fmt.Errorf("%s %q: must be namespace/name", field.name, field.value))
		}
	}
	return s, errs
}

// parseField reads one field, alone so that an error can name it with its value.
func parseField(name string, value json.RawMessage, into *routing.ControllerSettings) error {
	doc, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(doc, into)
	if err == nil {
		return errors.Join(strict...)
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s %s: must be of type %s", name, value, wrong.Type)
	}
	return fmt.Errorf("%s %w", name, err)
}
