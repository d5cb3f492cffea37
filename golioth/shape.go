package golioth

import (
	"encoding/json"
	"strings"
)

// Shape is the form in which a listing carries the state that its statePath asks for. Golioth does not say
// which it is (API.md §18.9): find out from a sample, compared with direct reads, and then trust one.
type Shape string

// The shapes, for a path site/floor whose value is 3.
const (
	ShapeUnknown Shape = ""
	ShapeValue   Shape = "value"  // 3
	ShapeNested  Shape = "nested" // {"site": {"floor": 3}}
	ShapeKeyed   Shape = "keyed"  // {"site/floor": 3} or {"site.floor": 3}
	ShapeState   Shape = "state"  // {"state": …}, around any of the others
)

// Shapes lists the known shapes, the most telling first.
var Shapes = []Shape{ShapeState, ShapeKeyed, ShapeNested, ShapeValue}

// StateFromListing reads a device's State (the listing's data) as the most telling shape that fits. ok is
// false for null, which may be an absent value as well as an unanswered question: read directly then.
func StateFromListing(data json.RawMessage, path string) (value any, ok bool, shape Shape) {
	for _, shape := range Shapes {
		if value, ok := StateAs(data, path, shape); ok {
			return value, true, shape
		}
	}
	return nil, false, ShapeUnknown
}

// StateAs reads a device's State as one shape, numbers as json.Number; ok is false when it does not have it.
func StateAs(data json.RawMessage, path string, shape Shape) (value any, ok bool) {
	whole, err := decodeValue(data)
	if err != nil || whole == nil {
		return nil, false
	}
	return stateAs(whole, strings.Trim(path, "/"), shape)
}

func stateAs(whole any, path string, shape Shape) (any, bool) {
	if shape == ShapeValue {
		return whole, true
	}
	object, isObject := whole.(map[string]any)
	if !isObject || len(object) != 1 {
		return nil, false
	}
	switch shape {
	case ShapeKeyed:
		if !strings.Contains(path, "/") {
			return nil, false // the same as nested
		}
		if value, ok := object[path]; ok {
			return value, true
		}
		value, ok := object[strings.ReplaceAll(path, "/", ".")]
		return value, ok
	case ShapeNested:
		if path == "" {
			return nil, false // the same as the value
		}
		return descend(object, path)
	case ShapeState:
		inner, ok := object["state"]
		if !ok || path == "state" || strings.HasPrefix(path, "state/") {
			return nil, false // cannot be told from nested
		}
		for _, shape := range []Shape{ShapeKeyed, ShapeNested, ShapeValue} {
			if value, ok := stateAs(inner, path, shape); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// descend follows a path of single members: what a filter on that path leaves of a document.
func descend(object map[string]any, path string) (any, bool) {
	var value any = object
	for segment := range strings.SplitSeq(path, "/") {
		inside, ok := value.(map[string]any)
		if !ok || len(inside) != 1 {
			return nil, false
		}
		if value, ok = inside[segment]; !ok {
			return nil, false
		}
	}
	return value, true
}

// StateCandidates gives what a device's State means by each shape that fits, by the shape's name, for a
// caller that compares them with a direct read.
func (c *Client) StateCandidates(data json.RawMessage, path string) map[string]any {
	candidates := map[string]any{}
	for _, shape := range Shapes {
		if value, ok := StateAs(data, path, shape); ok {
			candidates[string(shape)] = value
		}
	}
	return candidates
}
