package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// The fields that a payload may hold, as WebhookConfig.Paths names them.
const (
	Battery   = "battery_level"
	Location  = "location"
	Latitude  = "lat"
	Longitude = "lon"
	Firmware  = "firmware"
	Online    = "online"
)

const (
	mainFirmware = "main" // the package that a version without a name is of
	mostPackages = 64
	mostFirmware = 100 // bytes of a name or version
	mostRemarks  = 500 // bytes
)

// Reading is what a payload says of its device.
type Reading struct {
	Battery  *float64 // percent
	Location *tandem.Location
	Firmware map[string]tandem.Firmware // by package
	Online   *bool
	notes    []string // what was there and could not be meant
}

// Lookup finds a field's value; ok is false where the payload says nothing of it.
type Lookup func(field string) (value any, ok bool)

// Mapped finds values by a service's paths, in a payload that came on a path (or is of a type).
func Mapped(config *tandem.ServiceConfig, on string, value any) Lookup {
	return func(field string) (any, bool) {
		if spec := config.Webhook.Paths[field]; spec != "" {
			return follow(spec, on, value)
		}
		switch field { // what a run reads from the stream, a pipeline brings sooner
		case Battery:
			return streamed(config.Paths.Battery, on, value)
		case Location:
			return streamed(config.Paths.Location, on, value)
		}
		return nil, false
	}
}

// follow takes a path such as "sensor:battery/level" into a payload.
func follow(spec, on string, value any) (any, bool) {
	if prefix, path, found := strings.Cut(spec, ":"); found {
		if strings.Trim(prefix, "/") != on {
			return nil, false
		}
		spec = path
	}
	return walk(value, strings.Trim(spec, "/"))
}

// streamed finds what a stream path, "stream:sensor/battery", means in a payload on the path "sensor": inside the
// payload, or inside a document with the payload at its path.
func streamed(spec, on string, value any) (any, bool) {
	path, found := strings.CutPrefix(spec, "stream:")
	if !found {
		return nil, false
	}
	path = strings.Trim(path, "/")
	if rest, below := strings.CutPrefix(path, on+"/"); below && on != "" {
		if v, ok := walk(value, rest); ok {
			return v, true
		}
	}
	if path == on && on != "" {
		return value, value != nil
	}
	return walk(value, path)
}

// walk follows slash-separated segments through objects and arrays; null is nothing.
func walk(value any, path string) (any, bool) {
	if path != "" {
		for segment := range strings.SplitSeq(path, "/") {
			switch v := value.(type) {
			case map[string]any:
				value = v[segment]
			case []any:
				i, err := strconv.Atoi(segment)
				if err != nil || i < 0 || i >= len(v) {
					return nil, false
				}
				value = v[i]
			default:
				return nil, false
			}
		}
	}
	return value, value != nil
}

// Named finds values by the names that events use for them.
func Named(data any) Lookup {
	object, _ := data.(map[string]any)
	names := map[string][]string{Battery: {"battery_level", "battery"}, Location: {"location"},
		Latitude: {"lat", "latitude"}, Longitude: {"lon", "lng", "longitude"},
		Firmware: {"firmware", "firmware_version"}, Online: {"online", "status"}}
	return func(field string) (any, bool) {
		for _, name := range names[field] {
			if v := object[name]; v != nil {
				return v, true
			}
		}
		return nil, false
	}
}

// First asks one Lookup after another.
func First(lookups ...Lookup) Lookup {
	return func(field string) (any, bool) {
		for _, find := range lookups {
			if v, ok := find(field); ok {
				return v, true
			}
		}
		return nil, false
	}
}

// Read takes the values of some fields out of a payload.
func Read(find Lookup, fields tandem.Fields, at time.Time) Reading {
	var r Reading
	if fields.Has(tandem.FieldBattery) {
		r.readBattery(find)
	}
	if fields.Has(tandem.FieldLocation) {
		r.readLocation(find)
	}
	if fields.Has(tandem.FieldFirmware) {
		r.readFirmware(find, at)
	}
	if fields.Has(tandem.FieldStatus) {
		r.readOnline(find)
	}
	return r
}

func (r *Reading) readBattery(find Lookup) {
	v, ok := find(Battery)
	if !ok {
		return
	}
	level, ok := number(v)
	if !ok || level < 0 || level > 100 {
		r.note(Battery, "a percentage from 0 to 100")
		return
	}
	r.Battery = &level
}

func (r *Reading) readLocation(find Lookup) {
	if v, ok := find(Location); ok {
		if r.Location = asLocation(Named(v)); r.Location != nil {
			if object, isObject := v.(map[string]any); isObject {
				if accuracy, ok := number(object["accuracy"]); ok && accuracy > 0 {
					r.Location.Accuracy = accuracy
				}
			}
			return
		}
		r.note(Location, "a place on earth")
		return
	}
	_, lat := find(Latitude)
	_, lon := find(Longitude)
	if !lat && !lon {
		return
	}
	if r.Location = asLocation(find); r.Location == nil {
		r.note(Location, "a place on earth")
	}
}

// asLocation reads a latitude and a longitude in degrees.
func asLocation(find Lookup) *tandem.Location {
	v, _ := find(Latitude)
	lat, ok1 := number(v)
	v, _ = find(Longitude)
	lon, ok2 := number(v)
	if !ok1 || !ok2 || math.Abs(lat) > 90 || math.Abs(lon) > 180 {
		return nil
	}
	return &tandem.Location{Latitude: lat, Longitude: lon}
}

func (r *Reading) readFirmware(find Lookup, at time.Time) {
	v, ok := find(Firmware)
	if !ok {
		return
	}
	stamp := at.UTC().Format(time.RFC3339Nano)
	packages := map[string]tandem.Firmware{}
	switch v := v.(type) {
	case string:
		if firmwareWord(v) {
			packages[mainFirmware] = tandem.Firmware{Version: v, Time: stamp}
		}
	case map[string]any:
		if version, ok := v["version"].(string); ok && firmwareWord(version) {
			packages[mainFirmware] = tandem.Firmware{Version: version, Time: stamp}
			break
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			version, ok := v[name].(string)
			if object, isObject := v[name].(map[string]any); isObject {
				version, ok = object["version"].(string)
			}
			if ok && firmwareWord(name) && firmwareWord(version) && len(packages) < mostPackages {
				packages[name] = tandem.Firmware{Version: version, Time: stamp}
			}
		}
	}
	if len(packages) == 0 {
		r.note(Firmware, "a version, or versions by package")
		return
	}
	r.Firmware = packages
}

// Printable reports whether a text holds nothing that cannot be stored or shown.
func Printable(text string) bool { return !strings.ContainsFunc(text, unicode.IsControl) }

// firmwareWord reports whether a text can be a package or a version.
func firmwareWord(text string) bool {
	return text != "" && len(text) <= mostFirmware && utf8.ValidString(text) && Printable(text)
}

func (r *Reading) readOnline(find Lookup) {
	v, ok := find(Online)
	if !ok {
		return
	}
	yes, no := true, false
	switch v := v.(type) {
	case bool:
		r.Online = &v
		return
	case string:
		switch strings.ToLower(v) {
		case "online", "connected", "up", "true":
			r.Online = &yes
			return
		case "offline", "disconnected", "down", "false":
			r.Online = &no
			return
		case "-", "": // Golioth's own status says nothing
			return
		}
	}
	r.note(Online, "online or offline")
}

// note remembers a value that cannot be meant.
func (r *Reading) note(field, want string) {
	r.notes = append(r.notes, fmt.Sprintf("%s is not %s and was left out", field, want))
}

// Remarks names what was there and could not be meant, as one text.
func (r *Reading) Remarks() string {
	text := strings.Join(r.notes, "; ")
	return text[:min(len(text), mostRemarks)]
}

// number reads a JSON or CBOR number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil && !math.IsInf(f, 0)
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}
