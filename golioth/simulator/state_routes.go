package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tandem"
)

// stateKeys splits a state path; empty segments do not count. The root has none.
func stateKeys(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// statePath reads the call's path: segments are unescaped one by one.
func (c *call) statePath() ([]string, error) {
	keys := stateKeys(c.vars["path"])
	for i, key := range keys {
		text, err := url.PathUnescape(key)
		if err != nil {
			return nil, invalid("malformed path")
		}
		keys[i] = text
	}
	return keys, nil
}

// state gives a device's document, nil for none. It is never changed in place.
func (p *project) state(d *device) any {
	if d.generated {
		return p.firstState(d)
	}
	return d.doc
}

// setState puts a new document in place: activity, so that updatedAt stays.
func (p *project) setState(d *device, doc any) {
	p.remember(p.beforeState, d.id, &device{doc: p.state(d)})
	if d.generated {
		p.firstCredentials(d) // they are made while the device is still known to be as generated
		d.generated = false
	}
	d.doc = doc
	if d.cached != nil {
		p.cacheLeft += int64(cap(d.cached.data))
		d.cached.data = nil
	}
	p.moves++
}

// stateAt gives a value of a document, nil when it is not there.
func stateAt(doc any, keys []string) any {
	for _, key := range keys {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = m[key]
	}
	return doc
}

// stateWith gives the document with a value written: parents are made, what is not on the way is shared.
func stateWith(doc any, keys []string, value any, merge bool) any {
	if len(keys) > 0 {
		m, _ := doc.(map[string]any)
		next := maps.Clone(m)
		if next == nil {
			next = map[string]any{}
		}
		next[keys[0]] = stateWith(next[keys[0]], keys[1:], value, merge)
		return next
	}
	old, isOld := doc.(map[string]any)
	news, isNew := value.(map[string]any)
	if !merge || !isOld || !isNew {
		return value
	}
	next := maps.Clone(old)
	for key, v := range news {
		next[key] = stateWith(old[key], nil, v, true)
	}
	return next
}

// stateWithout gives the document with a value gone; its parent stays, perhaps empty.
func stateWithout(doc any, keys []string) any {
	m, ok := doc.(map[string]any)
	if len(keys) == 0 || !ok {
		if len(keys) == 0 {
			return nil
		}
		return doc
	}
	if _, ok := m[keys[0]]; !ok {
		return doc
	}
	next := maps.Clone(m)
	if len(keys) == 1 {
		delete(next, keys[0])
	} else {
		next[keys[0]] = stateWithout(m[keys[0]], keys[1:])
	}
	return next
}

// readState gives the document as this call sees it: behind by the delay of the switch or of a stale fault.
func (c *call) readState(d *device) any {
	lag := max(c.stale, c.server.unknowns.StateDelay)
	if lag > 0 {
		if old, ok := c.project.beforeState[d.id]; ok && c.now.Sub(old.at) < lag {
			return old.device.doc
		}
	}
	return c.project.state(d)
}

// listingData gives a device's "data" in a listing, nil for null, in the shape of the switch.
func (c *call) listingData(d *device, keys []string) ([]byte, error) {
	path := "/" + strings.Join(keys, "/")
	fresh := c.stale == 0 && c.server.unknowns.StateDelay == 0
	if fresh && d.cached != nil && d.cached.data != nil && d.cached.path == path {
		return d.cached.data, nil
	}
	value := stateAt(c.readState(d), keys)
	switch shape := c.server.unknowns.ListingData; {
	case shape == "null" || value == nil:
		return []byte("null"), nil
	case shape == "keyed" && len(keys) > 0:
		value = map[string]any{strings.Join(keys, "/"): value}
	case shape == "state":
		value = map[string]any{"state": value}
	case shape == "nested":
		for _, key := range slices.Backward(keys) {
			value = map[string]any{key: value}
		}
	}
	data, err := encode(value)
	if p := c.project; err == nil && fresh && d.cached != nil {
		p.cacheLeft += int64(cap(d.cached.data))
		d.cached.data = nil
		if p.cacheLeft >= int64(cap(data)) {
			p.cacheLeft -= int64(cap(data))
			d.cached.path, d.cached.data = path, data
		}
	}
	return data, err
}

func getState(c *call) (reply, error) {
	keys, err := c.statePath()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	id, err := c.parseID(c.vars["device"])
	if err != nil {
		return reply{}, err
	}
	d := c.project.byID[id]
	if d == nil {
		return reply{}, notFound("device not found")
	}
	return dataReply(stateAt(c.readState(d), keys))
}

func putState(c *call) (reply, error) {
	return c.writeState(c.deviceOfPath, c.server.unknowns.StateWrite == "merge")
}

func patchState(c *call) (reply, error) {
	return c.writeState(c.deviceOfPath, c.server.unknowns.StatePatch == "merge")
}

func putStateByTag(c *call) (reply, error) {
	return c.writeState(c.devicesOfTag, c.server.unknowns.StateWrite == "merge")
}

func patchStateByTag(c *call) (reply, error) {
	return c.writeState(c.devicesOfTag, c.server.unknowns.StatePatch == "merge")
}

func (c *call) deviceOfPath() ([]*device, error) {
	d, err := c.lookup(c.vars["device"])
	return []*device{d}, err
}

// devicesOfTag finds the devices that have the tag named in the path, by id or name as the switch says.
func (c *call) devicesOfTag() ([]*device, error) {
	p, by := c.project, c.server.unknowns.ByTag
	var tag *entity
	if by != "name" {
		tag = p.kind(tandem.TagEntity).byID[c.vars["tag"]]
	}
	if tag == nil && by != "id" {
		tag = p.kind(tandem.TagEntity).byName[c.vars["tag"]]
	}
	if tag == nil {
		return nil, notFound("tag not found")
	}
	return p.selectDevices(filter{tags: []string{tag.id}}), nil
}

func (c *call) writeState(choose func() ([]*device, error), merge bool) (reply, error) {
	keys, err := c.statePath()
	if err != nil {
		return reply{}, err
	}
	value, err := decode(c.body)
	if err != nil {
		return reply{}, invalid("invalid JSON value")
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	devices, err := choose()
	if err != nil {
		return reply{}, err
	}
	for _, d := range devices {
		c.project.setState(d, stateWith(c.project.state(d), keys, value, merge))
	}
	return dataReply(value)
}

func deleteState(c *call) (reply, error)      { return c.dropState(c.deviceOfPath) }
func deleteStateByTag(c *call) (reply, error) { return c.dropState(c.devicesOfTag) }

func (c *call) dropState(choose func() ([]*device, error)) (reply, error) {
	keys, err := c.statePath()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	devices, err := choose()
	if err != nil {
		return reply{}, err
	}
	for _, d := range devices {
		c.project.setState(d, stateWithout(c.project.state(d), keys))
	}
	return reply{status: http.StatusOK, body: []byte("{}")}, nil
}
