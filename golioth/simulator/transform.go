package simulator

import (
	"errors"
	"strings"
)

// transform gives a message as a transformer leaves it; an error drops the message (API.md §13).
func (p *project) transform(by *plugin, m message) (message, error) {
	switch by.Type {
	case "cbor-to-json":
		if m.contentType != cborType {
			return m, errors.New("the message is not CBOR")
		}
		value, err := decodeCBOR(m.body)
		if err != nil {
			return m, err
		}
		if m.body, err = encode(value); err != nil {
			return m, err
		}
		m.contentType = jsonType
	case "inject-metadata":
		return m.wrap(func(payload any) any {
			return map[string]any{"data": payload, "device_id": m.device.String(), "project_id": p.id,
				"timestamp": map[string]any{"seconds": m.at.Unix(), "nanos": m.at.Nanosecond()}}
		})
	case "inject-path":
		segments := strings.FieldsFunc(m.path, func(r rune) bool { return r == '/' })
		return m.wrap(func(payload any) any {
			for i := len(segments) - 1; i >= 0; i-- {
				payload = map[string]any{segments[i]: payload}
			}
			return payload
		})
	}
	return m, nil
}

// wrap puts a JSON payload into something larger.
func (m message) wrap(around func(any) any) (message, error) {
	payload, err := decode(m.body)
	if err != nil {
		return m, errors.New("the message is not JSON")
	}
	m.body, err = encode(around(payload))
	return m, err
}
