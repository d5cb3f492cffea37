package report

import (
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	"tandem"
)

// The events that tell of a device that came or went.
const (
	OnlineEvent  = "device.online"
	OfflineEvent = "device.offline"
)

// FutureLimit is how far ahead of its receipt a sender's time may be and still count (S5).
const FutureLimit = 5 * time.Minute

// StatusPath is where a device's coming and going stands in its history.
const StatusPath = "status"

// Said is one report about one device.
type Said struct {
	ServiceID  string     // "" for what the device itself told the gateway
	SentAt     *time.Time // by the sender's clock, nil where it said none
	ReceivedAt time.Time
	Fields     tandem.Fields // those that may be read
	Window     time.Duration // in which a report makes a device online; 0 for the default
	Find       Lookup        // into the payload; nil where there is none
	Status     *bool         // that the report is about the device's status, and which, whatever the payload says
	Told       bool          // the report is about the status, which goes into the history even where it is no news
	Path       string        // where the payload stands in the history, "" for nowhere
	Raw        json.RawMessage
	Note       string // what is left out already, and why
}

// Effect is what a report leads to, decided before anything is written.
type Effect struct {
	Observed tandem.Observed // the store keeps the newer of each value (S5)
	History  []tandem.DeviceObservation
	Presence string // the event of a device that came or went, "" otherwise
	Note     string // what was left out, and why
}

// Decide says what a report leads to. Of the device it looks at what it is (id, created_at), and at last_seen and
// firmware as they are known now.
func Decide(s *Said, device *tandem.Device) Effect {
	at := ObservedAt(s.SentAt, s.ReceivedAt, device.CreatedAt)
	var r Reading
	if s.Find != nil {
		r = Read(s.Find, s.Fields, at)
	}
	e := Effect{Note: cmp.Or(r.Remarks(), s.Note)}
	if s.Note != "" && e.Note != s.Note {
		e.Note += "; " + s.Note
	}
	if s.Fields.Has(tandem.FieldStatus) {
		online := r.Online == nil || *r.Online // whoever reports is there, unless the report says the contrary
		if s.Status != nil {
			online = *s.Status
		}
		e.come(s, device, online, at)
	}
	e.keep(s, &r, device, at)
	if s.Raw != nil && s.Path != "" {
		e.remember(s, device, s.Path, s.Raw, at)
	}
	return e
}

// ObservedAt gives when a report was made: the sender's time where it counts, else that of its receipt (S5).
func ObservedAt(sent *time.Time, received, created time.Time) time.Time {
	received = received.UTC().Truncate(time.Microsecond)
	if sent == nil || sent.Before(created) || sent.After(received.Add(FutureLimit)) {
		return received
	}
	return sent.UTC().Truncate(time.Microsecond)
}

// come notes that a device was heard of, or that it went.
func (e *Effect) come(s *Said, device *tandem.Device, online bool, at time.Time) {
	seen := at
	if seen.After(s.ReceivedAt) { // nobody was seen in the future
		seen = s.ReceivedAt.UTC().Truncate(time.Microsecond)
	}
	news := device.LastSeen == nil || seen.After(*device.LastSeen)
	window := s.Window
	if window <= 0 {
		window = tandem.DefaultOnlineWindow
	}
	was := device.StatusAt(s.ReceivedAt, window)
	is, event := tandem.Offline, OfflineEvent
	if online {
		is, event = tandem.Online, OnlineEvent
		e.Observed.LastSeen = &seen
	} else {
		e.Observed.OfflineAt = &seen
	}
	came := online && was != tandem.Online && tandem.StatusAt(&seen, s.ReceivedAt, window) == tandem.Online
	if news && (came || !online) {
		e.Presence = event
	}
	if s.Told || e.Presence != "" {
		e.remember(s, device, StatusPath, json.RawMessage(strconv.Quote(string(is))), at)
	}
}

// keep takes over what was read. The store keeps the newer of each value (S5).
func (e *Effect) keep(s *Said, r *Reading, device *tandem.Device, at time.Time) {
	if r.Battery != nil {
		e.Observed.BatteryLevel, e.Observed.BatteryAt = r.Battery, &at
		e.remember(s, device, Battery, json.RawMessage(strconv.FormatFloat(*r.Battery, 'f', -1, 64)), at)
	}
	if r.Location != nil {
		e.Observed.Location, e.Observed.LocationAt = r.Location, &at
		if raw, err := json.Marshal(r.Location); err == nil {
			e.remember(s, device, Location, raw, at)
		}
	}
	if r.Firmware != nil { // a report of one package says nothing of the others
		packages := make(map[string]tandem.Firmware, len(device.Firmware)+len(r.Firmware))
		for name, f := range device.Firmware {
			packages[name] = f
		}
		for name, f := range r.Firmware {
			packages[name] = f
		}
		e.Observed.Firmware, e.Observed.FirmwareAt = packages, &at
	}
}

// remember adds to the device's history.
func (e *Effect) remember(s *Said, device *tandem.Device, path string, value json.RawMessage, at time.Time) {
	e.History = append(e.History, tandem.DeviceObservation{DeviceID: device.ID, ServiceID: s.ServiceID, Path: path, Value: value, ObservedAt: at})
}

// Observes reports whether the effect changes what is observed of the device.
func (e *Effect) Observes() bool {
	o := &e.Observed
	return o.LastSeen != nil || o.OfflineAt != nil || o.BatteryAt != nil || o.LocationAt != nil || o.FirmwareAt != nil
}

// Leave puts into device what the next report about it is held against.
func (e *Effect) Leave(device *tandem.Device) {
	o := &e.Observed
	if o.LastSeen != nil && (device.LastSeen == nil || o.LastSeen.After(*device.LastSeen)) {
		device.LastSeen = o.LastSeen
	}
	if o.OfflineAt != nil && (device.OfflineAt == nil || o.OfflineAt.After(*device.OfflineAt)) {
		device.OfflineAt = o.OfflineAt
	}
	if o.FirmwareAt != nil && (device.FirmwareAt == nil || o.FirmwareAt.After(*device.FirmwareAt)) {
		device.Firmware, device.FirmwareAt = o.Firmware, o.FirmwareAt
	}
}
