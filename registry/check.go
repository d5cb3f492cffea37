package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// The bounds of what a device may hold, far above what is met in the field.
const (
	maxName     = 255    // characters of a name, device_id, hardware id, tag, …
	maxNotes    = 10_000 // characters
	maxSet      = 100    // elements of hardware_ids or tags
	maxMetadata = 64 << 10
	maxDepth    = 32 // of metadata
)

// invalid makes the error for one wrong value of a named field.
func invalid(field, format string, args ...any) *tandem.Error {
	return tandem.Errorf(tandem.Invalid, "check "+field, "", "%s", field+" "+fmt.Sprintf(format, args...))
}

// checkLine accepts one line of printable text with a length between least and most characters.
func checkLine(field, s string, least, most int) error {
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s):
		return invalid(field, "is not valid UTF-8")
	case n < least:
		return invalid(field, "is missing")
	case n > most:
		return invalid(field, "has %d characters, at most %d are allowed", n, most)
	case strings.TrimSpace(s) != s:
		return invalid(field, "begins or ends with a space")
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return invalid(field, "holds a control character at byte %d", i)
	}
	return nil
}

// checkText accepts text of several lines.
func checkText(field, s string, most int) error {
	if n := utf8.RuneCountInString(s); n > most {
		return invalid(field, "has %d characters, at most %d are allowed", n, most)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return invalid(field, "is not valid UTF-8 text")
	}
	return nil
}

// checkSet accepts a set in canonical form: see canonicalSet.
func checkSet(field string, set []string) error {
	if len(set) > maxSet {
		return invalid(field, "has %d elements, at most %d are allowed", len(set), maxSet)
	}
	for _, element := range set {
		if err := checkLine("an element of "+field, element, 1, maxName); err != nil {
			return err
		}
	}
	return nil
}

// canonicalSet gives the set trimmed, sorted and without doubles or blanks; never nil.
func canonicalSet(set []string) []string {
	out := make([]string, 0, len(set))
	for _, element := range set {
		if element = strings.TrimSpace(element); element != "" {
			out = append(out, element)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func checkMetadata(m tandem.Map) error {
	text, err := json.Marshal(m)
	if err != nil {
		return invalid("metadata", "cannot be written as JSON: %v", err)
	}
	if len(text) > maxMetadata {
		return invalid("metadata", "has %d bytes as JSON, at most %d are allowed", len(text), maxMetadata)
	}
	if deeper(m, maxDepth) {
		return invalid("metadata", "is nested deeper than %d levels", maxDepth)
	}
	return nil
}

func deeper(v any, levels int) bool {
	if levels < 0 {
		return true
	}
	switch v := v.(type) {
	case tandem.Map:
		for _, inner := range v {
			if deeper(inner, levels-1) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if deeper(inner, levels-1) {
				return true
			}
		}
	}
	return false
}

// ParseMetadata reads a JSON object; "" and null are an empty one.
func ParseMetadata(text []byte) (tandem.Map, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return tandem.Map{}, nil
	}
	if len(text) > maxMetadata {
		return nil, invalid("metadata", "has %d bytes, at most %d are allowed", len(text), maxMetadata)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m tandem.Map
	if err := d.Decode(&m); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, invalid("metadata", "must be a JSON object, such as {\"site\": \"Berlin\"}, and is of the kind %s", wrong.Value)
		}
		return nil, invalid("metadata", "is not JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("metadata", "goes on after its JSON object")
	}
	if m == nil {
		m = tandem.Map{}
	}
	return m, nil
}

var lifecycles = []tandem.Lifecycle{tandem.Active, tandem.Inactive, tandem.Maintenance, tandem.Decommissioned}

func checkLifecycle(l tandem.Lifecycle) error {
	if !slices.Contains(lifecycles, l) {
		return invalid("lifecycle", "cannot be %q; it is one of active, inactive, maintenance, decommissioned", l)
	}
	return nil
}

// checkDevice says everything that is wrong with a device, each with its field first.
func checkDevice(d *tandem.Device) problems {
	var p problems
	p.add(checkLine("name", d.Name, 1, maxName))
	p.add(checkLine("device_id", d.DeviceID, 1, maxName))
	p.add(checkLine("device_type", d.DeviceType, 0, maxName))
	p.add(checkLifecycle(d.Lifecycle))
	p.add(checkSet("hardware_ids", d.HardwareIDs))
	p.add(checkSet("tags", d.Tags))
	p.add(checkLine("blueprint", d.Blueprint, 0, maxName))
	p.add(checkLine("cohort", d.Cohort, 0, maxName))
	p.add(checkMetadata(d.Metadata))
	p.add(checkText("notes", d.Notes, maxNotes))
	return p
}
