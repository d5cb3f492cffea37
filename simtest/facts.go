package simtest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"tandem"
)

// facts are one side of one device: a value for each path, as canonical JSON; an absent path has none.
// An element of a set is a path of its own ("tags/roof": true), as is each leaf of metadata.
type facts map[tandem.Path]string

// itself is the path of the device itself, which is here, or gone.
const itself tandem.Path = ""

const (
	here    = "here"
	gone    = "gone"
	present = "true" // of an element
)

// factsOf gives the facts of the fields that are known.
func factsOf(s tandem.Shared) facts {
	f := facts{}
	if s.Known.Has(tandem.FieldName) {
		f.put("name", s.Name)
	}
	if s.Known.Has(tandem.FieldEnabled) {
		f.put("enabled", s.Enabled)
	}
	if s.Known.Has(tandem.FieldHardwareIDs) {
		f.put("hardware_ids", s.HardwareIDs)
	}
	if s.Known.Has(tandem.FieldTags) {
		f.put("tags", s.Tags)
	}
	if s.Known.Has(tandem.FieldBlueprint) {
		f.put("blueprint", s.Blueprint)
	}
	if s.Known.Has(tandem.FieldCohort) {
		f.put("cohort", s.Cohort)
	}
	if s.Known.Has(tandem.FieldMetadata) {
		f.put("metadata", s.Metadata)
	}
	return f
}

// put adds a value at a path: a set by its elements, a map by its leaves, nothing for what is absent.
func (f facts) put(p tandem.Path, value any) {
	switch v := value.(type) {
	case nil:
	case string:
		if v != "" || strings.HasPrefix(string(p), "metadata/") {
			f[p] = text(v)
		}
	case map[string]any:
		for key, inner := range v {
			f.put(p+"/"+tandem.Path(escape.Replace(key)), inner)
		}
	case []string:
		for _, element := range v {
			f[p+"/"+tandem.Path(element)] = present
		}
	case []any:
		if p == "tags" || p == "hardware_ids" {
			for _, element := range v {
				name, _ := element.(string)
				f[p+"/"+tandem.Path(name)] = present
			}
			return
		}
		f[p] = text(v)
	default:
		f[p] = text(v)
	}
}

var escape = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

// text gives a value as canonical JSON. Values come out of JSON or are ours, so that it cannot fail.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return string(b)
}

// factsAt gives the facts of one value at one path, as an entry or a conflict records it.
func factsAt(p tandem.Path, raw json.RawMessage) facts {
	f := facts{}
	if len(raw) == 0 || string(raw) == "null" {
		return f
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return facts{p: "unreadable: " + err.Error()}
	}
	f.put(p, v)
	return f
}

// edge is one change of one path.
type edge struct {
	Path          tandem.Path
	Before, After string // "" for absent
}

// edges gives what differs, in the order of the paths.
func edges(before, after facts) []edge {
	paths := map[tandem.Path]bool{}
	for p := range before {
		paths[p] = true
	}
	for p := range after {
		paths[p] = true
	}
	var list []edge
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if before[p] != after[p] {
			list = append(list, edge{p, before[p], after[p]})
		}
	}
	return list
}

// isElement reports whether a path is an element of a set.
func isElement(p tandem.Path) bool {
	return strings.HasPrefix(string(p), "tags/") || strings.HasPrefix(string(p), "hardware_ids/")
}

// within reports whether p is root or lies below it.
func within(p, root tandem.Path) bool {
	return p == root || strings.HasPrefix(string(p), string(root)+"/")
}
