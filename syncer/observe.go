package syncer

import (
	"bytes"
	"encoding/json"
	"maps"
	"time"

	"tandem"
)

// futureLimit is how far ahead of our clock a source's time may be and still count (S5).
const futureLimit = 5 * time.Minute

// sourceTime gives a source's time where it counts: between the device's creation and receipt + 5 minutes (S5).
func sourceTime(at *time.Time, created, receipt time.Time) (time.Time, bool) {
	if at == nil || at.Before(created) || at.After(receipt.Add(futureLimit)) {
		return time.Time{}, false
	}
	return at.UTC(), true
}

// lastSeen gives the newest report or connection of a device. A time that does not count is the time
// of first receipt: now when nothing is known yet, else what is known.
func lastSeen(rd *tandem.RemoteDevice, d *tandem.Device, now time.Time) *time.Time {
	var newest *time.Time
	strange := false
	for _, at := range []*time.Time{rd.LastReport, rd.LastSeenOnline} {
		t, ok := sourceTime(at, rd.CreatedAt, now)
		strange = strange || (at != nil && !ok)
		if ok && (newest == nil || t.After(*newest)) {
			newest = &t
		}
	}
	if newest == nil && strange && d.LastSeen == nil {
		return &now
	}
	return newest
}

// firmwareTime gives when the newest of a device's packages reported, as S5 counts it.
func firmwareTime(rd *tandem.RemoteDevice, now time.Time) time.Time {
	var newest time.Time
	for _, f := range rd.Firmware {
		at, err := time.Parse(time.RFC3339Nano, f.Time)
		if err != nil {
			continue
		}
		if t, ok := sourceTime(&at, rd.CreatedAt, now); ok && t.After(newest) {
			newest = t
		}
	}
	if newest.IsZero() {
		return now
	}
	return newest
}

// observations gives what a listing says of a device that nobody edits, nil when it says nothing new (S5).
func (r *run) observations(d *tandem.Device, rd *tandem.RemoteDevice, state observedState) *tandem.Observation {
	fields := r.service.Config.Fields
	o := tandem.Observation{DeviceID: d.ID}
	news := false
	now := r.now()
	if fields.Has(tandem.FieldStatus) {
		if at := lastSeen(rd, d, now); at != nil && (d.LastSeen == nil || at.After(*d.LastSeen)) {
			o.LastSeen, news = at, true
		}
	}
	if fields.Has(tandem.FieldFirmware) && len(rd.Firmware) > 0 && !maps.Equal(rd.Firmware, d.Firmware) {
		at := firmwareTime(rd, now)
		if d.FirmwareAt == nil || !at.Before(*d.FirmwareAt) {
			o.Firmware, o.FirmwareAt, news = rd.Firmware, &at, true
		}
	}
	if state.battery != nil && (d.BatteryAt == nil || state.at.After(*d.BatteryAt)) && (d.BatteryLevel == nil || *d.BatteryLevel != *state.battery) {
		o.BatteryLevel, o.BatteryAt, news = state.battery, &state.at, true
	}
	if state.location != nil && (d.LocationAt == nil || state.at.After(*d.LocationAt)) && (d.Location == nil || *d.Location != *state.location) {
		o.Location, o.LocationAt, news = state.location, &state.at, true
	}
	if !news {
		return nil
	}
	return &o
}

// decode reads a stored JSON value; numbers keep their spelling. What cannot be read is absent.
func decode(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil
	}
	return v
}
