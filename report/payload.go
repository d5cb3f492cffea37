package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"unicode/utf8"
)

// MostHistory is the largest payload that a device's history keeps, in bytes of JSON.
const MostHistory = 16 << 10

// Payload is a body, read.
type Payload struct {
	Value any             // as encoding/json decodes it, numbers as json.Number, int64, uint64 or float64
	Raw   json.RawMessage // the same as JSON that every database can hold, nil when it is too large for the history
}

// MediaType gives a content type without its parameters, in lower case.
func MediaType(contentType string) string {
	contentType, _, _ = strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(contentType))
}

// IsJSON reports whether a media type is JSON.
func IsJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

// IsCBOR reports whether a media type is CBOR.
func IsCBOR(mediaType string) bool {
	return mediaType == "application/cbor" || strings.HasSuffix(mediaType, "+cbor")
}

// Decode reads a body by its media type. What is neither JSON, CBOR nor text is kept as base64.
func Decode(mediaType string, body []byte) (Payload, error) {
	switch {
	case IsJSON(mediaType):
		value, err := DecodeJSON(body)
		if err != nil {
			return Payload{}, err
		}
		return Payload{value, Keep(value, body)}, nil
	case IsCBOR(mediaType):
		value, err := DecodeCBOR(body)
		if err != nil {
			return Payload{}, err
		}
		return Payload{value, Keep(value, nil)}, nil
	case strings.HasPrefix(mediaType, "text/") && utf8.Valid(body):
		return Payload{string(body), Keep(string(body), nil)}, nil
	}
	if len(body) > MostHistory {
		return Payload{}, nil
	}
	return Payload{nil, Keep(base64.StdEncoding.EncodeToString(body), nil)}, nil
}

var errJSON = errors.New("the body is not valid JSON")

// DecodeJSON reads one JSON text of a bounded depth.
func DecodeJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, errJSON
	}
	if depthOf(body) > mostDepth {
		return nil, errDeep
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, errJSON
	}
	if rest := bytes.TrimLeft(body[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, errJSON
	}
	return value, nil
}

// depthOf gives how deep a JSON text nests; of another text, at least as deep as its valid beginning.
func depthOf(text []byte) int {
	depth, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// Keep gives a value as JSON that every database can hold, nil when it is too large. Text is the value's own
// JSON where it has one.
func Keep(value any, text []byte) json.RawMessage {
	if len(text) > MostHistory {
		return nil
	}
	clean, same := storable(value)
	if text != nil && same {
		var compact bytes.Buffer
		if json.Compact(&compact, text) == nil {
			return compact.Bytes()
		}
	}
	encoded, err := json.Marshal(clean)
	if err != nil || len(encoded) > MostHistory {
		return nil
	}
	return encoded
}

// storable gives a value without what PostgreSQL has no room for: NUL characters, halves of surrogate pairs (which
// decode as U+FFFD) and numbers beyond float64. Same says that there was none of it.
func storable(value any) (clean any, same bool) {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "\uFFFD"), !strings.ContainsAny(v, "\x00\uFFFD")
	case json.Number:
		f, ok := number(v)
		if !ok || len(v) > 64 {
			return nil, false
		}
		if math.Abs(f) < 1e-300 && strings.ContainsAny(strings.SplitN(strings.ToLower(string(v)), "e", 2)[0], "123456789") {
			return json.Number("0"), false // a database refuses what is nearer to zero
		}
		return v, true
	case []any:
		same = true
		for i := range v {
			item, kept := storable(v[i])
			if !kept {
				v[i], same = item, false
			}
		}
		return v, same
	case map[string]any:
		same = true
		for key, member := range v {
			name, named := storable(key)
			item, kept := storable(member)
			if !named || !kept {
				delete(v, key)
				v[name.(string)], same = item, false
			}
		}
		return v, same
	}
	return value, true
}
