package golioth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"tandem"
)

// Device reads one device. One that cannot be read whole comes with its Problem.
func (c *Client) Device(ctx context.Context, id string) (tandem.RemoteDevice, error) {
	const op = "golioth: read device"
	if err := checkID(op, id); err != nil {
		return tandem.RemoteDevice{}, err
	}
	return c.device(ctx, &call{op: op, thing: id, method: http.MethodGet, path: c.under("devices", id)}, id)
}

// CreateDevice creates a device, once (S14). Exists means that the name or a hardware id is taken.
func (c *Client) CreateDevice(ctx context.Context, n tandem.NewRemoteDevice) (tandem.RemoteDevice, error) {
	const op = "golioth: create device"
	body, err := encode(op, n.Name, struct {
		Name        string   `json:"name"`
		HardwareIDs []string `json:"hardwareIds,omitempty"`
		TagIDs      []string `json:"tagIds,omitempty"`
		BlueprintID string   `json:"blueprintId,omitempty"`
		CohortID    string   `json:"cohortId,omitempty"`
	}(n))
	if err != nil {
		return tandem.RemoteDevice{}, err
	}
	k := &call{op: op, thing: n.Name, method: http.MethodPost, path: c.under("devices"), body: body, write: true, subject: aboutDevice}
	return c.device(ctx, k, "")
}

// UpdateDevice changes only what the patch names, in one request; an empty patch only reads.
func (c *Client) UpdateDevice(ctx context.Context, id string, patch tandem.RemotePatch) (tandem.RemoteDevice, error) {
	const op = "golioth: update device"
	if err := checkID(op, id); err != nil {
		return tandem.RemoteDevice{}, err
	}
	members := patchBody(patch)
	if len(members) == 0 {
		return c.Device(ctx, id)
	}
	body, err := encode(op, id, members)
	if err != nil {
		return tandem.RemoteDevice{}, err
	}
	k := &call{op: op, thing: id, method: http.MethodPatch, path: c.under("devices", id), body: body, write: true, subject: aboutDevice}
	return c.device(ctx, k, id)
}

// DeleteDevice deletes a device with its data.
func (c *Client) DeleteDevice(ctx context.Context, id string) error {
	const op = "golioth: delete device"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: id, method: http.MethodDelete, path: c.under("devices", id), write: true})
}

// patchBody gives the members of a PATCH. A member has three states: absent keeps, null clears, a value sets.
func patchBody(p tandem.RemotePatch) map[string]any {
	m := map[string]any{}
	if p.Name != nil {
		m["name"] = *p.Name
	}
	if p.Enabled != nil {
		m["enabled"] = *p.Enabled
	}
	reference := func(name string, id *string) {
		switch {
		case id == nil:
		case *id == "":
			m[name] = nil
		default:
			m[name] = *id
		}
	}
	reference("blueprintId", p.BlueprintID)
	reference("cohortId", p.CohortID)
	set := func(name string, ids []string) {
		if len(ids) > 0 {
			m[name] = ids
		}
	}
	set("addTagId", p.AddTagIDs)
	set("removeTagId", p.RemoveTagIDs)
	set("addHardwareId", p.AddHardwareIDs)
	set("removeHardwareId", p.RemoveHardwareIDs)
	return m
}

// device sends a call whose reply is a device, the one with the given id unless that is "".
func (c *Client) device(ctx context.Context, k *call, id string) (tandem.RemoteDevice, error) {
	raw, err := c.data(ctx, k)
	if err != nil {
		return tandem.RemoteDevice{}, err
	}
	d := decodeDevice(raw)
	switch {
	case d.ID == "":
		return tandem.RemoteDevice{}, c.malformed(k, nil, d.Problem)
	case id != "" && d.ID != id:
		return tandem.RemoteDevice{}, c.malformed(k, nil, fmt.Errorf("the reply is about device %q", d.ID))
	}
	return d, nil
}

// data sends a call whose reply is {"data": …} and gives what is inside, which must be there.
func (c *Client) data(ctx context.Context, k *call) (json.RawMessage, error) {
	var wire struct {
		Data json.RawMessage `json:"data"`
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return nil, err
	}
	if wire.Data == nil {
		return nil, c.malformed(k, nil, fmt.Errorf("it has no data"))
	}
	return wire.Data, nil
}

// drop sends a call whose reply is {} or says nothing of use.
func (c *Client) drop(ctx context.Context, k *call) error {
	var ignored map[string]json.RawMessage
	_, err := c.do(ctx, k, &ignored)
	return err
}
