package tandem

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Field is one unit of selection: what a service may switch on or off (SYNC.md §2).
type Field uint8

// The fields. Those up to FieldMetadata are shared and merged; the rest are observations.
const (
	FieldName Field = iota
	FieldEnabled
	FieldHardwareIDs
	FieldTags
	FieldBlueprint
	FieldCohort
	FieldMetadata
	FieldStatus // last seen and online
	FieldBattery
	FieldLocation
	FieldFirmware
	fieldCount
)

var fieldNames = [fieldCount]string{"name", "enabled", "hardware_ids", "tags", "blueprint", "cohort", "metadata",
	"status", "battery", "location", "firmware"}

// String gives the field's name as it stands in paths, settings, tables and JSON.
func (f Field) String() string {
	if f < fieldCount {
		return fieldNames[f]
	}
	return fmt.Sprintf("field(%d)", uint8(f))
}

// ParseField reads a field's name.
func ParseField(s string) (Field, error) {
	for i, name := range fieldNames {
		if s == name {
			return Field(i), nil
		}
	}
	return 0, Errorf(Invalid, "parse field", s, "no such field").WithHint("fields are %s", strings.Join(fieldNames[:], ", "))
}

// Fields is a set of fields.
type Fields uint16

// The sets that have names.
const (
	NoFields     Fields = 0
	SharedFields Fields = 1<<(FieldMetadata+1) - 1
	AllFields    Fields = 1<<fieldCount - 1
)

// FieldSet makes a set of the given fields.
func FieldSet(fields ...Field) Fields {
	var s Fields
	for _, f := range fields {
		s |= 1 << f
	}
	return s
}

// Has reports whether f is in the set.
func (s Fields) Has(f Field) bool { return s&(1<<f) != 0 }

// With gives the set with f in it.
func (s Fields) With(f Field) Fields { return s | 1<<f }

// Without gives the set with f not in it.
func (s Fields) Without(f Field) Fields { return s &^ (1 << f) }

// Names lists the set in the order of the constants.
func (s Fields) Names() []string {
	names := []string{}
	for f := Field(0); f < fieldCount; f++ {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return names
}

// MarshalJSON writes the set as a list of names.
func (s Fields) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON reads a list of names; an unknown one is an error.
func (s *Fields) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = 0
	for _, name := range names {
		f, err := ParseField(name)
		if err != nil {
			return err
		}
		*s = s.With(f)
	}
	return nil
}

// Path names one unit of merging: a field, or a leaf of metadata as "metadata" followed by its
// JSON Pointer (RFC 6901), such as "metadata/site/floor". The empty path is the device itself.
type Path string

// Field gives the field that the path lies in; ok is false for the empty or an unknown path.
func (p Path) Field() (f Field, ok bool) {
	head, _, _ := strings.Cut(string(p), "/")
	f, err := ParseField(head)
	return f, err == nil
}

// Pointer gives the JSON Pointer inside the field, "" for the whole of it.
func (p Path) Pointer() string {
	if i := strings.IndexByte(string(p), '/'); i >= 0 {
		return string(p)[i:]
	}
	return ""
}
