package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func listDevices(c *call) (reply, error) {
	number, size, err := c.paging()
	if err != nil {
		return reply{}, err
	}
	f, err := c.filter()
	if err != nil {
		return reply{}, err
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	list := p.selectDevices(f)
	total := len(list)
	start := min(number*size, total)
	list = list[start:min(start+size, total)]

	path := stateKeys(c.param("statePath"))
	asked := len(c.params("statePath")) > 0
	body := append(make([]byte, 0, 64+900*len(list)), `{"list":[`...)
	written := 0
	for _, d := range list {
		if d = c.seen(d.id, d); d == nil {
			continue // a stale read: not made yet
		}
		if written++; written > 1 {
			body = append(body, ',')
		}
		var data []byte
		if asked {
			if data, err = c.listingData(d, path); err != nil {
				return reply{}, err
			}
		}
		body = p.appendDevice(body, d, data)
	}
	body = append(body, `],"page":`...)
	body = strconv.AppendInt(body, int64(number), 10)
	body = append(body, `,"perPage":`...)
	body = strconv.AppendInt(body, int64(size), 10)
	body = append(body, `,"total":`...)
	body = strconv.AppendInt(body, int64(total), 10)
	return reply{status: http.StatusOK, body: append(body, '}')}, nil
}

// filter narrows a listing; all conditions hold together.
type filter struct {
	name, hardware, blueprint, cohort, term string
	tags                                    []string
	enabled                                 string // "", "true" or "false"
}

func (c *call) filter() (filter, error) {
	f := filter{name: c.param("deviceName"), hardware: c.param("hardwareId"), blueprint: c.param("blueprintId"),
		cohort: c.param("cohortId"), term: c.param("term"), tags: c.params("tags")}
	if text := c.param("enabled"); text != "" {
		enabled, err := strconv.ParseBool(text)
		if err != nil {
			return f, invalid("parsing field %q: %v", "enabled", err)
		}
		f.enabled = strconv.FormatBool(enabled)
	}
	return f, nil
}

func (f filter) key() string {
	return strings.Join(append([]string{f.name, f.hardware, f.blueprint, f.cohort, f.term, f.enabled}, f.tags...), "\x00")
}

func (f filter) fits(d *device) bool {
	if f.name != "" && d.name != f.name || f.blueprint != "" && d.blueprint != f.blueprint || f.cohort != "" && d.cohort != f.cohort ||
		f.enabled != "" && f.enabled != strconv.FormatBool(d.enabled) || f.hardware != "" && !slices.Contains(d.hardware, f.hardware) {
		return false
	}
	for _, t := range f.tags {
		if !slices.Contains(d.tags, t) {
			return false
		}
	}
	has := func(h string) bool { return strings.Contains(h, f.term) }
	return f.term == "" || has(d.name) || slices.ContainsFunc(d.hardware, has)
}

// selection is a filter's result while nothing changes, so that paging through it is cheap.
type selection struct {
	generation uint64
	devices    []*device
}

// selectDevices gives what the filter lets through, ascending by id. Without conditions it costs nothing.
func (p *project) selectDevices(f filter) []*device {
	key := f.key()
	if strings.Trim(key, "\x00") == "" {
		return p.order
	}
	var one *device
	switch {
	case f.name != "":
		one = p.byName[f.name]
	case f.hardware != "":
		one = p.byHardware[f.hardware]
	default:
		if s, ok := p.selections[key]; ok && s.generation == p.generation {
			return s.devices
		}
		var list []*device
		for _, d := range p.order {
			if f.fits(d) {
				list = append(list, d)
			}
		}
		if len(p.selections) >= 16 {
			clear(p.selections)
		}
		p.selections[key] = selection{p.generation, list}
		return list
	}
	if one == nil || !f.fits(one) {
		return nil
	}
	return []*device{one}
}

func (c *call) deviceReply(d *device) reply {
	body := c.project.appendDevice([]byte(`{"data":`), d, nil)
	return reply{status: http.StatusOK, body: append(body, '}')}
}

func getDevice(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(c.vars["device"])
	if err != nil {
		return reply{}, err
	}
	return c.deviceReply(d), nil
}

func createDevice(c *call) (reply, error) {
	from, err := c.draft()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.project.create(from)
	if err != nil {
		return reply{}, err
	}
	return c.deviceReply(d), nil
}

// draft reads the body of a create or of a provisioning.
func (c *call) draft() (draft, error) {
	f, err := c.fields()
	if err != nil {
		return draft{}, err
	}
	var from draft
	for key, into := range map[string]*string{"name": &from.name, "blueprintId": &from.blueprint, "cohortId": &from.cohort} {
		if *into, err = f.text(key); err != nil {
			return draft{}, err
		}
	}
	if from.hardware, err = f.texts("hardwareIds"); err != nil {
		return draft{}, err
	}
	from.tags, err = f.texts("tagIds")
	return from, err
}

func patchDevice(c *call) (reply, error) {
	return c.updateDevice(func(d *device, f fields) (device, error) { return f.patch(*d) })
}

// putDevice replaces: what the body leaves out is cleared, as the switches say.
func putDevice(c *call) (reply, error) {
	return c.updateDevice(func(d *device, f fields) (device, error) {
		next := *d
		if c.server.unknowns.PutOmitted == "clear" {
			next.name, next.hardware, next.tags, next.blueprint, next.cohort = "", nil, nil, "", ""
		}
		if c.server.unknowns.PutEnabled == "disable" {
			next.enabled = false
		}
		return f.patch(next)
	})
}

func (c *call) updateDevice(edit func(*device, fields) (device, error)) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(c.vars["device"])
	if err != nil {
		return reply{}, err
	}
	next, err := edit(d, f)
	if err != nil {
		return reply{}, err
	}
	if err := c.project.edit(d, next); err != nil {
		return reply{}, err
	}
	return c.deviceReply(d), nil
}

// edit checks a new version and puts it in place.
func (p *project) edit(d *device, next device) error {
	if err := p.check(d, &next); err != nil {
		return err
	}
	same := d.name == next.name && d.enabled == next.enabled && d.blueprint == next.blueprint && d.cohort == next.cohort &&
		slices.Equal(d.hardware, next.hardware) && slices.Equal(d.tags, next.tags)
	if same && p.server.unknowns.EmptyPatch == "ignore" {
		return nil
	}
	p.change(d, next)
	return nil
}

// patch applies the keys that are present, null, "" and [] included; absent ones keep.
// Full lists come before additions, additions before removals.
func (f fields) patch(d device) (device, error) {
	for key, into := range map[string]*string{"name": &d.name, "blueprintId": &d.blueprint, "cohortId": &d.cohort} {
		if !f.has(key) {
			continue
		}
		text, err := f.text(key)
		if err != nil {
			return d, err
		}
		*into = text
	}
	if err := f.read("enabled", "bool", &d.enabled); err != nil {
		return d, err
	}
	sets := []struct {
		list             *[]string
		full, plus, less string
	}{
		{&d.hardware, "hardwareIds", "addHardwareId", "removeHardwareId"},
		{&d.tags, "tagIds", "addTagId", "removeTagId"},
	}
	for _, set := range sets {
		full, err := f.texts(set.full)
		if err != nil {
			return d, err
		}
		plus, err := f.texts(set.plus)
		if err != nil {
			return d, err
		}
		less, err := f.texts(set.less)
		if err != nil {
			return d, err
		}
		list := slices.Clone(*set.list)
		if f.has(set.full) {
			list = full
		}
		list = unique(append(list, plus...))
		*set.list = slices.DeleteFunc(list, func(s string) bool { return slices.Contains(less, s) })
	}
	return d, nil
}

func deleteDevice(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(c.vars["device"])
	if err != nil {
		return reply{}, err
	}
	c.project.remove(d)
	return emptyReply, nil
}

// activity is a row of the device activity log: the latest of each device.
type activity struct {
	ID              string  `json:"id"`
	DeviceID        string  `json:"deviceId"`
	DeviceName      string  `json:"deviceName"`
	LastReport      *string `json:"lastReport"`
	LastSeenOnline  *string `json:"lastSeenOnline"`
	LastSeenOffline *string `json:"lastSeenOffline"`
	Status          string  `json:"status"`
}

func listActivity(c *call) (reply, error) {
	number, size, err := c.paging()
	if err != nil {
		return reply{}, err
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	total := len(p.order)
	start := min(number*size, total)
	rows := []activity{}
	for _, d := range p.order[start:min(start+size, total)] {
		r := activity{ID: d.id.String(), DeviceID: d.id.String(), DeviceName: d.name, Status: "-"}
		for _, t := range []struct {
			nanos int64
			into  **string
		}{{d.lastReport, &r.LastReport}, {d.online, &r.LastSeenOnline}} {
			if t.nanos != 0 {
				text := string(appendStamp(nil, t.nanos))
				*t.into = &text
			}
		}
		rows = append(rows, r)
	}
	return jsonReply(page{rows, number, size, total})
}
