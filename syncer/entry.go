package syncer

import (
	"encoding/json"

	"tandem"
)

// value gives v as JSON; nil, which stands for absent, as null.
func value(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // values come out of JSON or are our own types
		return json.RawMessage("null")
	}
	return b
}

// entry makes a line of the run's record.
func (r *run) entry(c tandem.Change, outcome tandem.EntryOutcome) tandem.Entry {
	return tandem.Entry{ID: r.e.NewID(), OrganizationID: r.org, RunID: r.record.ID, ServiceID: r.service.ID,
		Change: c, Outcome: outcome, CreatedAt: r.now()}
}

// failure makes the line of something that could not be done, with its reason for a person.
func (r *run) failure(c tandem.Change, err error) tandem.Entry {
	e := r.entry(c, tandem.OutcomeFailed)
	e.Code, e.Error = tandem.CodeOf(err), err.Error()
	return e
}

// about names the device of a linked pair in a change.
func about(l *tandem.Linked) tandem.Change {
	return tandem.Change{DeviceID: l.Device.ID, DeviceName: l.Device.Name, ExternalDeviceID: l.Assignment.ExternalDeviceID}
}

// snapshot is what a created or deleted device was, for the record and for undoing.
func snapshot(s tandem.Shared) json.RawMessage { return value(s) }
