package store

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"tandem"
)

// The values of a linked device are read and written by the ten thousand in a run, so the shapes that nearly
// all of them have are read and written here by hand. Any other shape goes to encoding/json, with the same result.

// appendString writes a JSON string.
func appendString(buf []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, err := json.Marshal(s)
			if err != nil { // cannot happen to a string
				return append(buf, `""`...)
			}
			return append(buf, text...)
		}
	}
	buf = append(buf, '"')
	buf = append(buf, s...)
	return append(buf, '"')
}

func appendStrings(buf []byte, items []string) []byte {
	buf = append(buf, '[')
	for i, item := range items {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendString(buf, item)
	}
	return append(buf, ']')
}

// encodeBase writes a base as its MarshalJSON does.
func encodeBase(base *tandem.Base) ([]byte, error) {
	if len(base.Local.Metadata) > 0 || len(base.Remote.Metadata) > 0 || !sameShared(&base.Local, &base.Remote) {
		return base.MarshalJSON()
	}
	s := &base.Local
	buf := append(make([]byte, 0, 256), `{"local":{"known":`...)
	buf = appendStrings(buf, s.Known.Names())
	if s.Name != "" {
		buf = appendString(append(buf, `,"name":`...), s.Name)
	}
	if s.Enabled {
		buf = append(buf, `,"enabled":true`...)
	}
	if len(s.HardwareIDs) > 0 {
		buf = appendStrings(append(buf, `,"hardware_ids":`...), s.HardwareIDs)
	}
	if len(s.Tags) > 0 {
		buf = appendStrings(append(buf, `,"tags":`...), s.Tags)
	}
	if s.Blueprint != "" {
		buf = appendString(append(buf, `,"blueprint":`...), s.Blueprint)
	}
	if s.Cohort != "" {
		buf = appendString(append(buf, `,"cohort":`...), s.Cohort)
	}
	return append(buf, '}', '}'), nil
}

// sameShared compares all but metadata.
func sameShared(a, b *tandem.Shared) bool {
	return a.Known == b.Known && a.Name == b.Name && a.Enabled == b.Enabled && sameStrings(a.HardwareIDs, b.HardwareIDs) &&
		sameStrings(a.Tags, b.Tags) && a.Blueprint == b.Blueprint && a.Cohort == b.Cohort
}

// sameStrings compares in order; nil and empty are different to encoding/json only where omitempty is absent.
func sameStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// decodeBase reads what encodeBase wrote.
func decodeBase(text word, base *tandem.Base) error {
	r := reader{text: string(text)}
	local := tandem.Shared{}
	if r.literal(`{"local":`) && r.shared(&local) && r.literal("}") && r.pos == len(r.text) {
		base.Local, base.Remote = local, local
		return nil
	}
	return text.decode(base)
}

// decodeStrings reads a list of strings; never nil.
func decodeStrings(text word) ([]string, error) {
	r := reader{text: string(text)}
	if items, ok := r.strings(); ok && r.pos == len(r.text) {
		if items == nil {
			items = []string{}
		}
		return items, nil
	}
	items := []string{}
	err := text.decode(&items)
	if items == nil {
		items = []string{}
	}
	return items, err
}

// decodeEdits reads times by path.
func decodeEdits(text word) (tandem.EditTimes, error) {
	if text == "" {
		return nil, nil
	}
	edits := make(tandem.EditTimes, 8)
	r := reader{text: string(text)}
	var last string // one edit usually touches many paths: parse its time once
	var at time.Time
	ok := r.object(func(key string) bool {
		value, ok := r.string()
		if ok && value != last {
			last = value
			at, ok = fastTime(value)
		}
		edits[tandem.Path(key)] = at
		return ok
	})
	if ok && r.pos == len(r.text) {
		return edits, nil
	}
	edits = nil
	err := text.decode(&edits)
	return edits, err
}

// decodeFirmware reads what packages reported.
func decodeFirmware(text word) (map[string]tandem.Firmware, error) {
	if text == "" {
		return nil, nil
	}
	packages := make(map[string]tandem.Firmware, 2)
	r := reader{text: string(text)}
	ok := r.object(func(name string) bool {
		f := tandem.Firmware{}
		ok := r.object(func(key string) (ok bool) {
			switch key {
			case "version":
				f.Version, ok = r.string()
			case "target":
				f.Target, ok = r.string()
			case "state":
				f.State, ok = r.string()
			case "state_code":
				f.StateCode, ok = r.string()
			case "reason":
				f.Reason, ok = r.string()
			case "reason_code":
				f.ReasonCode, ok = r.string()
			case "time":
				f.Time, ok = r.string()
			}
			return ok
		})
		packages[name] = f
		return ok
	})
	if ok && r.pos == len(r.text) {
		return packages, nil
	}
	packages = nil
	err := text.decode(&packages)
	return packages, err
}

// reader reads JSON without spaces, as this package writes it. Its methods are not ok on anything unusual.
type reader struct {
	text string
	pos  int
}

func (r *reader) literal(s string) bool {
	if len(r.text)-r.pos < len(s) || r.text[r.pos:r.pos+len(s)] != s {
		return false
	}
	r.pos += len(s)
	return true
}

// string reads a string without escapes.
func (r *reader) string() (string, bool) {
	if r.pos >= len(r.text) || r.text[r.pos] != '"' {
		return "", false
	}
	for i := r.pos + 1; i < len(r.text); i++ {
		switch r.text[i] {
		case '"':
			s := r.text[r.pos+1 : i]
			r.pos = i + 1
			return s, true
		case '\\':
			return "", false
		}
	}
	return "", false
}

func (r *reader) strings() ([]string, bool) {
	if !r.literal("[") {
		return nil, false
	}
	if r.literal("]") {
		return nil, true
	}
	items := make([]string, 0, 2)
	for {
		item, ok := r.string()
		if !ok {
			return nil, false
		}
		items = append(items, item)
		if r.literal("]") {
			return items, true
		}
		if !r.literal(",") {
			return nil, false
		}
	}
}

// object calls member after each key.
func (r *reader) object(member func(key string) bool) bool {
	if !r.literal("{") {
		return false
	}
	if r.literal("}") {
		return true
	}
	for {
		key, ok := r.string()
		if !ok || !r.literal(":") || !member(key) {
			return false
		}
		if r.literal("}") {
			return true
		}
		if !r.literal(",") {
			return false
		}
	}
}

// shared reads one side; metadata is not ok, being rare and deep.
func (r *reader) shared(s *tandem.Shared) bool {
	return r.object(func(key string) (ok bool) {
		switch key {
		case "known":
			return r.fields(&s.Known)
		case "name":
			s.Name, ok = r.string()
		case "enabled":
			s.Enabled = r.literal("true")
			return s.Enabled || r.literal("false")
		case "hardware_ids":
			s.HardwareIDs, ok = r.strings()
		case "tags":
			s.Tags, ok = r.strings()
		case "blueprint":
			s.Blueprint, ok = r.string()
		case "cohort":
			s.Cohort, ok = r.string()
		}
		return ok
	})
}

// The sets of fields that nearly every base knows.
var (
	listedFields = tandem.SharedFields.Without(tandem.FieldMetadata)
	allKnown     = string(appendStrings(nil, tandem.SharedFields.Names()))
	listedKnown  = string(appendStrings(nil, listedFields.Names()))
)

func (r *reader) fields(set *tandem.Fields) bool {
	switch {
	case r.literal(allKnown):
		*set = tandem.SharedFields
		return true
	case r.literal(listedKnown):
		*set = listedFields
		return true
	}
	names, ok := r.strings()
	for _, name := range names {
		f, err := tandem.ParseField(name)
		if err != nil {
			return false
		}
		*set = set.With(f)
	}
	return ok
}

// firmware writes what packages reported, NULL for nothing.
func (b *bulk) firmware(packages map[string]tandem.Firmware) {
	if len(packages) == 0 {
		b.put(isJSON, nil)
		return
	}
	if len(packages) > 1 {
		b.json(packages, false)
		return
	}
	buf := make([]byte, 0, 128)
	for name, f := range packages {
		buf = appendString(append(buf, '{'), name)
		buf = appendString(append(buf, `:{"version":`...), f.Version)
		for _, m := range [...]struct{ key, value string }{{`,"target":`, f.Target}, {`,"state":`, f.State}, {`,"state_code":`, f.StateCode},
			{`,"reason":`, f.Reason}, {`,"reason_code":`, f.ReasonCode}, {`,"time":`, f.Time}} {
			if m.value != "" {
				buf = appendString(append(buf, m.key...), m.value)
			}
		}
		buf = append(buf, '}', '}')
	}
	b.string(isJSON, string(buf))
}
