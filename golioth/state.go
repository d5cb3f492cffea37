package golioth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"tandem"
)

// State reads a LightDB State value, nil for an absent one; numbers are json.Number. Path "" is the root.
// It may lag behind a write by seconds (API.md §6).
func (c *Client) State(ctx context.Context, id, path string) (any, error) {
	const op = "golioth: read state"
	k, err := c.stateCall(op, http.MethodGet, id, path)
	if err != nil {
		return nil, err
	}
	raw, err := c.data(ctx, k)
	if err != nil {
		return nil, err
	}
	value, err := decodeValue(raw)
	if err != nil {
		return nil, c.malformed(k, nil, err)
	}
	return value, nil
}

// SetState writes a value at a path. Whether Golioth merges or replaces an object is not certain: write leaves.
func (c *Client) SetState(ctx context.Context, id, path string, value any) error {
	const op = "golioth: write state"
	k, err := c.stateCall(op, http.MethodPut, id, path)
	if err != nil {
		return err
	}
	k.write = true
	if k.body, err = encode(op, k.thing, value); err != nil {
		return err
	}
	return c.drop(ctx, k)
}

// DeleteState removes what is at a path; removing what is absent is no error. The root is refused: it would
// take everything that the device itself keeps there.
func (c *Client) DeleteState(ctx context.Context, id, path string) error {
	const op = "golioth: delete state"
	k, err := c.stateCall(op, http.MethodDelete, id, path)
	if err != nil {
		return err
	}
	if strings.Trim(path, "/") == "" {
		return tandem.Errorf(tandem.Invalid, op, id, "the whole state of a device is not deleted").WithHint("name a path")
	}
	k.write = true
	return c.drop(ctx, k)
}

// stateCall addresses a path of a device's state, escaped segment by segment.
func (c *Client) stateCall(op, method, id, path string) (*call, error) {
	if err := checkID(op, id); err != nil {
		return nil, err
	}
	k := &call{op: op, thing: id, method: method, path: c.under("devices", id, "data")}
	path = strings.Trim(path, "/")
	if path == "" {
		return k, nil
	}
	k.thing += ": " + path
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return nil, tandem.Errorf(tandem.Invalid, op, k.thing, "a path segment %q cannot be addressed", segment).
				WithHint("use names between single slashes")
		}
		k.path += "/" + url.PathEscape(segment)
	}
	return k, nil
}

// decodeValue reads any JSON value, numbers exactly.
func decodeValue(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return value, nil
}
