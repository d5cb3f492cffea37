package merge

import (
	"maps"
	"slices"
	"strings"

	"tandem"
)

// Value gives what a side holds at a path: a string, a bool, a sorted []string for a set, or a metadata value.
// It is not present where the field is not known, the path is none of a shared field, or metadata has
// nothing there (absent = null = {}); the value is nil then. Empty text and empty sets are present.
func Value(side tandem.Shared, p tandem.Path) (value any, present bool) {
	f, keys, err := split(p)
	if err != nil || !side.Known.Has(f) {
		return nil, false
	}
	if f != tandem.FieldMetadata {
		return fieldValue(&side, f), true
	}
	value = lookup(side.Metadata, keys)
	return value, value != nil
}

// Apply gives the side with the edits made, one after the other, and marks what it sets as known.
// The side itself is never changed. A set's After is the full new set; a metadata leaf's parents are created,
// and removed again when the edit leaves them empty. Invalid when a path is none of a shared field,
// a value is of the wrong type, or a leaf would have to be written under another leaf.
func Apply(side tandem.Shared, edits []Edit) (tandem.Shared, error) {
	for _, e := range edits {
		if err := set(&side, e.Path, e.After, false); err != nil {
			return tandem.Shared{}, err
		}
	}
	return side, nil
}

// SetBase gives the base with the pair of a path set, which is how a person keeps both values (S10).
// A path or a value that cannot be set leaves the base as it is.
func SetBase(b tandem.Base, p tandem.Path, local, remote any) tandem.Base {
	moved := b
	if set(&moved.Local, p, local, true) != nil || set(&moved.Remote, p, remote, true) != nil {
		return b
	}
	return moved
}

// DropFields gives the base of the fields in keep only: a field that is switched off has no base any more (§2).
func DropFields(b tandem.Base, keep tandem.Fields) tandem.Base {
	return tandem.Base{Local: dropFields(b.Local, keep), Remote: dropFields(b.Remote, keep)}
}

func dropFields(side tandem.Shared, keep tandem.Fields) tandem.Shared {
	kept := tandem.Shared{Known: side.Known & keep}
	for f := tandem.FieldName; f <= tandem.FieldMetadata; f++ {
		if kept.Known.Has(f) {
			copyField(&kept, &side, f)
		}
	}
	return kept
}

// copyField copies one field; what sets and metadata hold is shared.
func copyField(to, from *tandem.Shared, f tandem.Field) {
	switch f {
	case tandem.FieldName:
		to.Name = from.Name
	case tandem.FieldEnabled:
		to.Enabled = from.Enabled
	case tandem.FieldHardwareIDs:
		to.HardwareIDs = from.HardwareIDs
	case tandem.FieldTags:
		to.Tags = from.Tags
	case tandem.FieldBlueprint:
		to.Blueprint = from.Blueprint
	case tandem.FieldCohort:
		to.Cohort = from.Cohort
	case tandem.FieldMetadata:
		to.Metadata = from.Metadata
	}
}

// fieldValue gives a scalar or a set.
func fieldValue(side *tandem.Shared, f tandem.Field) any {
	switch f {
	case tandem.FieldName:
		return side.Name
	case tandem.FieldEnabled:
		return side.Enabled
	case tandem.FieldHardwareIDs:
		return sortedSet(side.HardwareIDs)
	case tandem.FieldTags:
		return sortedSet(side.Tags)
	case tandem.FieldBlueprint:
		return side.Blueprint
	case tandem.FieldCohort:
		return side.Cohort
	}
	return nil
}

// set makes one edit of the side, without touching what the side shares with others.
// Over lets a leaf give way to what is set below it.
func set(side *tandem.Shared, p tandem.Path, value any, over bool) error {
	f, keys, err := split(p)
	if err != nil {
		return err
	}
	ok := true
	switch f {
	case tandem.FieldName:
		side.Name, ok = text(value)
	case tandem.FieldBlueprint:
		side.Blueprint, ok = text(value)
	case tandem.FieldCohort:
		side.Cohort, ok = text(value)
	case tandem.FieldEnabled:
		side.Enabled, ok = value.(bool)
	case tandem.FieldHardwareIDs:
		side.HardwareIDs, ok = elements(value)
	case tandem.FieldTags:
		side.Tags, ok = elements(value)
	case tandem.FieldMetadata:
		if len(keys) > 0 {
			side.Metadata, ok = put(side.Metadata, keys, value, over)
			break
		}
		side.Metadata, ok = value.(tandem.Map)
		if value == nil {
			side.Metadata, ok = tandem.Map{}, true
		}
	}
	if !ok {
		return tandem.Errorf(tandem.Invalid, "apply edit", string(p), "a value of type %T cannot be set there", value).
			WithHint("read the device again and repeat")
	}
	side.Known = side.Known.With(f)
	return nil
}

// text gives the value of a text field; nil is empty.
func text(value any) (string, bool) {
	if value == nil {
		return "", true
	}
	s, ok := value.(string)
	return s, ok
}

// elements gives the value of a set, sorted, each element once; nil is empty.
func elements(value any) ([]string, bool) {
	switch x := value.(type) {
	case nil:
		return []string{}, true
	case []string:
		return sortedSet(x), true
	case []any: // as JSON decodes it
		list := make([]string, len(x))
		for i, e := range x {
			var ok bool
			if list[i], ok = e.(string); !ok {
				return nil, false
			}
		}
		return sortedSet(list), true
	}
	return nil, false
}

// sortedSet gives a sorted copy in which each element stands once; never nil.
func sortedSet(set []string) []string {
	sorted := append(make([]string, 0, len(set)), set...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// lookup gives the value under the keys, nil for an absent one.
func lookup(v any, keys []string) any {
	for _, k := range keys {
		m, ok := v.(tandem.Map)
		if !ok {
			return nil
		}
		v = m[k]
	}
	if absent(v) {
		return nil
	}
	return v
}

// put gives the map with the value under the keys, sharing what it does not change. An absent value is removed.
// It fails when a leaf stands where a parent should be, unless over lets it give way.
func put(m tandem.Map, keys []string, value any, over bool) (tandem.Map, bool) {
	k, remove := keys[0], absent(value)
	old, had := m[k]
	if len(keys) > 1 {
		child, isMap := old.(tandem.Map)
		if !isMap && !absent(old) {
			if remove {
				return m, true // nothing can be below a leaf
			}
			if !over {
				return nil, false
			}
		}
		below, ok := put(child, keys[1:], value, over)
		if !ok {
			return nil, false
		}
		value, remove = below, len(below) == 0
		if remove && len(child) == 0 {
			return m, true // it was empty before: not for this edit to remove
		}
	}
	if remove && !had {
		return m, true
	}
	changed := maps.Clone(m)
	if changed == nil {
		changed = tandem.Map{}
	}
	if remove {
		delete(changed, k)
	} else {
		changed[k] = value
	}
	return changed, true
}

// split takes a path apart into its field and the keys below it.
func split(p tandem.Path) (tandem.Field, []string, error) {
	f, ok := p.Field()
	if !ok || !tandem.SharedFields.Has(f) {
		return 0, nil, tandem.Errorf(tandem.Invalid, "read path", string(p), "this is no path of a shared field").
			WithHint("paths are a field's name, or metadata/ and a JSON Pointer")
	}
	pointer := p.Pointer()
	if pointer == "" {
		return f, nil, nil
	}
	if f != tandem.FieldMetadata {
		return 0, nil, tandem.Errorf(tandem.Invalid, "read path", string(p), "%s has nothing below it", f).
			WithHint("use %s alone", f)
	}
	keys := strings.Split(pointer[1:], "/")
	for i, k := range keys {
		key, ok := unescape(k)
		if !ok {
			return 0, nil, tandem.Errorf(tandem.Invalid, "read path", string(p), "a ~ stands alone in %q", k).
				WithHint("write ~0 for ~ and ~1 for / (RFC 6901)")
		}
		keys[i] = key
	}
	return f, keys, nil
}

var escaper, unescaper = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~0", "~", "~1", "/")

// join gives the path of a key below a path.
func join(p tandem.Path, key string) tandem.Path {
	if strings.ContainsAny(key, "~/") {
		key = escaper.Replace(key)
	}
	return p + "/" + tandem.Path(key)
}

// unescape reads one reference token of a JSON Pointer.
func unescape(token string) (string, bool) {
	if !strings.Contains(token, "~") {
		return token, true
	}
	if rest := strings.NewReplacer("~0", "", "~1", "").Replace(token); strings.Contains(rest, "~") {
		return "", false
	}
	return unescaper.Replace(token), true
}
