package merge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Equal reports whether two JSON values are the same in canonical form (S6): the order of keys and the
// spelling of numbers do not matter, RFC 3339 times are instants, and absent = null = {}, at any depth.
// Arrays are ordered: sets are for the caller to compare as sets. Numbers are compared exactly, as the
// decimals they are spelled as.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		if b == nil {
			return true
		}
	case string:
		if y, ok := b.(string); ok {
			return x == y || sameInstant(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return x == y
		}
	case json.Number:
		if y, ok := b.(json.Number); ok && x == y {
			return true
		}
	case float64:
		if y, ok := b.(float64); ok && x == y {
			return true
		}
	case tandem.Map:
		if y, ok := b.(tandem.Map); ok {
			return equalMaps(x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return slices.EqualFunc(x, y, Equal)
		}
	}
	return equalPlain(plain(a), plain(b))
}

// equalMaps compares objects; a key whose value is absent is no key.
func equalMaps(a, b tandem.Map) bool {
	for k, x := range a {
		if !Equal(x, b[k]) {
			return false
		}
	}
	for k, y := range b {
		if _, ok := a[k]; !ok && !absent(y) {
			return false
		}
	}
	return true
}

// equalPlain compares values of which at least one is not the commonest type of its kind.
func equalPlain(a, b any) bool {
	if absent(a) && absent(b) {
		return true
	}
	if x, ok := decimalOf(a); ok {
		y, ok := decimalOf(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return ok && (x == y || sameInstant(x, y))
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, Equal)
	case tandem.Map:
		y, ok := b.(tandem.Map)
		return ok && equalMaps(x, y)
	}
	return false
}

// absent reports whether v is nothing: null, or an object in which there is nothing.
func absent(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case tandem.Map:
		for _, e := range x {
			if !absent(e) {
				return false
			}
		}
		return true
	}
	return false
}

// plain gives v as one of nil, bool, string, a number, []any or tandem.Map.
func plain(v any) any {
	switch x := v.(type) {
	case nil, bool, string, []any, tandem.Map:
		return v
	case []string:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = e
		}
		return list
	}
	if _, ok := decimalOf(v); ok {
		return v
	}
	// Another Go type is what its JSON says it is.
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T %v", v, v) // not JSON: equal to what is spelled the same
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var decoded any
	if err := decoder.Decode(&decoded); err != nil {
		return string(text)
	}
	return decoded
}

// sameInstant reports whether two texts are RFC 3339 times of the same instant.
func sameInstant(a, b string) bool {
	x, ok := instant(a)
	if !ok {
		return false
	}
	y, ok := instant(b)
	return ok && x.Equal(y)
}

// timeShaped tells most texts that are no time apart without parsing them.
func timeShaped(s string) bool {
	return len(s) >= len("2006-01-02T15:04:05Z") && len(s) <= len("2006-01-02T15:04:05.999999999+07:00") &&
		s[4] == '-' && s[7] == '-' && s[10] == 'T' && s[13] == ':' && s[16] == ':'
}

// instant reads an RFC 3339 time. One that is finer than a nanosecond stays text: it cannot be told apart.
func instant(s string) (time.Time, bool) {
	if !timeShaped(s) {
		return time.Time{}, false
	}
	if s[19] == ',' || s[19] == '.' && strings.IndexAny(s[20:], "Z+-") > 9 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}
