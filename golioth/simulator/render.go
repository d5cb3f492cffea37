package simulator

import "strconv"

// cached is a device rendered: whole, with "data":null at dataAt, and its data for one state path.
type cached struct {
	body   []byte
	dataAt int
	path   string
	data   []byte
}

var stateNames = [...]string{"IDLE", "DOWNLOADING", "DOWNLOADED", "UPDATING"}

var reasonNames = [...]string{"ready state", "firmware updated successfully", "not enough flash memory", "out of RAM", "connection lost",
	"integrity check failure", "unsupported package type", "invalid URI", "firmware update failed", "unsupported protocol"}

// body gives a device's JSON, from the cache where there is room for it.
func (p *project) body(d *device) (body []byte, dataAt int) {
	if d.cached != nil {
		return d.cached.body, d.cached.dataAt
	}
	body, dataAt = d.render(make([]byte, 0, 768))
	if size := int64(cap(body)) + 80; p.cacheLeft >= size && p.byID[d.id] == d { // a past version is not kept
		p.cacheLeft -= size
		d.cached = &cached{body: body, dataAt: dataAt}
	}
	return body, dataAt
}

// forget drops a device's rendered form.
func (p *project) forget(d *device) {
	if d.cached != nil {
		p.cacheLeft += int64(cap(d.cached.body)) + int64(cap(d.cached.data)) + 80
		d.cached = nil
	}
}

// appendDevice writes a device; data nil for null.
func (p *project) appendDevice(b []byte, d *device, data []byte) []byte {
	body, at := p.body(d)
	if data == nil {
		return append(b, body...)
	}
	b = append(b, body[:at]...)
	b = append(b, data...)
	return append(b, body[at+len("null"):]...)
}

// render writes a device in the recorded order of keys: optional ones left out, the rest present.
func (d *device) render(b []byte) (body []byte, dataAt int) {
	b = append(append(b, `{"id":"`...), d.id.String()...)
	b = append(b, `","hardwareIds":`...)
	b = appendStrings(b, d.hardware)
	b = append(b, `,"name":`...)
	b = appendString(b, d.name)
	b = append(b, `,"createdAt":"`...)
	b = appendStamp(b, d.created)
	b = append(b, `","updatedAt":"`...)
	b = appendStamp(b, d.updated)
	b = append(b, `","tagIds":`...)
	b = appendStrings(b, d.tags)
	if d.blueprint != "" {
		b = appendString(append(b, `,"blueprintId":`...), d.blueprint)
	}
	b = append(b, `,"data":`...)
	dataAt = len(b)
	b = append(b, `null,"lastReport":`...)
	b = appendTime(b, d.lastReport)
	b = append(b, `,"status":"-","metadata":{"update":{`...)
	for i, u := range d.updates {
		if i > 0 {
			b = append(b, ',')
		}
		b = u.render(b)
	}
	b = append(b, `},"status":"-","lastReport":`...)
	b = appendTime(b, d.lastReport)
	b = append(b, `,"lastSeenOnline":`...)
	b = appendTime(b, d.online)
	b = append(b, `,"lastSeenOffline":null,"lastSettingsStatus":null},"enabled":`...)
	b = strconv.AppendBool(b, d.enabled)
	if d.certificate != "" {
		b = appendString(append(b, `,"certificateId":`...), d.certificate)
	}
	if d.cohort != "" {
		b = appendString(append(b, `,"cohortId":`...), d.cohort)
	}
	return append(b, '}'), dataAt
}

func (u update) render(b []byte) []byte {
	b = appendString(b, u.pack)
	b = append(b, `:{"package":`...)
	b = appendString(b, u.pack)
	b = append(b, `,"reason":"`...)
	b = append(b, reasonNames[u.reason]...)
	b = append(b, `","reasonCode":"`...)
	b = strconv.AppendInt(b, int64(u.reason), 10)
	b = append(b, `","state":"`...)
	b = append(b, stateNames[u.state]...)
	b = append(b, `","stateCode":"`...)
	b = strconv.AppendInt(b, int64(u.state), 10)
	b = append(b, `","target":`...)
	b = appendString(b, u.target)
	b = append(b, `,"time":"`...)
	b = appendStamp(b, u.at)
	b = append(b, `","version":`...)
	b = appendString(b, u.version)
	return append(b, '}')
}

func appendTime(b []byte, nanos int64) []byte {
	if nanos == 0 {
		return append(b, "null"...)
	}
	return append(appendStamp(append(b, '"'), nanos), '"')
}
