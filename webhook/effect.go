package webhook

import (
	"encoding/json"
	"strconv"
	"time"

	"tandem"
)

// The types of device events (S36).
const (
	onlineEvent    = "device.online"
	offlineEvent   = "device.offline"
	statusEvent    = "device.status_changed"
	dataEvent      = "device.data"
	telemetryEvent = "device.telemetry"
	createdEvent   = "device.created"
	updatedEvent   = "device.updated"
	deletedEvent   = "device.deleted"
)

// futureLimit is how far ahead of its receipt a sender's time may be and still count (S5).
const futureLimit = 5 * time.Minute

// effect is what one delivery leads to, decided before anything is written.
type effect struct {
	status   tandem.DeliveryStatus
	note     string // why it is dead or waits, or what was left out
	hint     bool   // the device is to be read back
	observed tandem.Observed
	history  []tandem.DeviceObservation
	presence string // the event of a device that came or went, "" otherwise
}

// dead is the effect of a delivery that will never have one.
func dead(why string) effect { return effect{status: tandem.DeliveryDead, note: why} }

// decide says what a delivery leads to. Linked is nil while the device is not linked.
func decide(d *tandem.Delivery, service *tandem.Service, linked *tandem.Linked) effect {
	if foreign(service, d.ProjectID) {
		return dead("it is from the project " + d.ProjectID + ", not from the service's project " + service.Config.Project)
	}
	switch d.Type {
	case createdEvent, updatedEvent, deletedEvent:
		return effect{status: tandem.DeliveryProcessed, hint: true}
	case onlineEvent, offlineEvent, statusEvent, dataEvent, telemetryEvent, PipelineType:
	default:
		return dead("this program does not know events of the type " + d.Type)
	}
	body, err := decode(d.ContentType, d.Body)
	if err != nil {
		return dead(err.Error())
	}
	switch {
	case linked == nil:
		return effect{status: tandem.DeliveryWaiting, note: "the device is not linked yet"}
	case !linked.Assignment.SyncEnabled || linked.Assignment.Status == tandem.SyncUnlinked:
		return effect{status: tandem.DeliveryWaiting, note: "the device is not synced with this service"}
	}
	return report(d, service, &linked.Device, body)
}

// foreign reports whether a delivery is from another project than the service's. One that names none is not.
func foreign(service *tandem.Service, project string) bool {
	return project != "" && project != service.Config.Project && (service.Pin == nil || project != service.Pin.ID)
}

// report says what a linked device's report leads to.
func report(d *tandem.Delivery, service *tandem.Service, device *tandem.Device, body payload) effect {
	at := observedAt(d, device)
	data, on, find := body, d.Path, lookup(nil)
	if d.Type == PipelineType {
		find = mapped(&service.Config, on, data.value)
	} else {
		data, on = eventData(body), d.Type
		find = first(mapped(&service.Config, on, data.value), named(data.value))
	}
	r := read(find, service.Config.Fields, at)
	e := effect{status: tandem.DeliveryProcessed, note: r.remarks()}
	online := presenceOf(d.Type, &r)
	if service.Config.Fields.Has(tandem.FieldStatus) {
		e.come(d, service, device, online, at)
	}
	e.keep(d, &r, device, at)
	if path := historyPath(d); data.raw != nil && path != "" {
		e.remember(d, path, data.raw, at)
	}
	return e
}

// observedAt gives when a report was made: the sender's time where it counts, else that of its receipt (S5).
func observedAt(d *tandem.Delivery, device *tandem.Device) time.Time {
	received := d.ReceivedAt.UTC().Truncate(time.Microsecond)
	if d.SentAt == nil || d.SentAt.Before(device.CreatedAt) || d.SentAt.After(received.Add(futureLimit)) {
		return received
	}
	return d.SentAt.UTC().Truncate(time.Microsecond)
}

// presenceOf says whether a report shows its device online: it does, unless it says the contrary.
func presenceOf(kind string, r *reading) bool {
	switch kind {
	case onlineEvent:
		return true
	case offlineEvent:
		return false
	}
	return r.online == nil || *r.online
}

// come notes that a device was heard of, or that it went. An event about its status is history by itself.
func (e *effect) come(d *tandem.Delivery, service *tandem.Service, device *tandem.Device, online bool, at time.Time) {
	seen := at
	if seen.After(d.ReceivedAt) { // nobody was seen in the future
		seen = d.ReceivedAt.UTC().Truncate(time.Microsecond)
	}
	news := device.LastSeen == nil || seen.After(*device.LastSeen)
	window := time.Duration(service.Config.OnlineWindow) * time.Second
	if window <= 0 {
		window = tandem.DefaultOnlineWindow
	}
	was := tandem.StatusAt(device.LastSeen, d.ReceivedAt, window)
	told := d.Type == onlineEvent || d.Type == offlineEvent || d.Type == statusEvent
	is, event := tandem.Offline, offlineEvent
	if online {
		is, event = tandem.Online, onlineEvent
		e.observed.LastSeen = &seen
	}
	came := online && was != tandem.Online && tandem.StatusAt(&seen, d.ReceivedAt, window) == tandem.Online
	if news && (came || !online) {
		e.presence = event
	}
	if told || e.presence != "" {
		e.remember(d, statusHistory, json.RawMessage(strconv.Quote(string(is))), at)
	}
}

// keep takes over what was read. The store keeps the newer of each value (S5).
func (e *effect) keep(d *tandem.Delivery, r *reading, device *tandem.Device, at time.Time) {
	if r.battery != nil {
		e.observed.BatteryLevel, e.observed.BatteryAt = r.battery, &at
		e.remember(d, batteryField, json.RawMessage(strconv.FormatFloat(*r.battery, 'f', -1, 64)), at)
	}
	if r.location != nil {
		e.observed.Location, e.observed.LocationAt = r.location, &at
		if raw, err := json.Marshal(r.location); err == nil {
			e.remember(d, locationField, raw, at)
		}
	}
	if r.firmware != nil {
		packages := make(map[string]tandem.Firmware, len(device.Firmware)+len(r.firmware))
		for name, f := range device.Firmware {
			packages[name] = f
		}
		for name, f := range r.firmware {
			packages[name] = f
		}
		e.observed.Firmware, e.observed.FirmwareAt = packages, &at
	}
}

// remember adds to the device's history.
func (e *effect) remember(d *tandem.Delivery, path string, value json.RawMessage, at time.Time) {
	e.history = append(e.history, tandem.DeviceObservation{ServiceID: d.ServiceID, Path: path, Value: value, ObservedAt: at})
}

// historyPath gives where a payload stands in the history: on its path, or under its event's name; "" for those about a status.
func historyPath(d *tandem.Delivery) string {
	switch {
	case d.Type == dataEvent:
		return "data"
	case d.Type == telemetryEvent:
		return "telemetry"
	case d.Type != PipelineType:
		return ""
	case d.Path == "":
		return "/" // the root
	}
	return d.Path
}

// eventData gives an event's data, or what is there of it.
func eventData(body payload) payload {
	object, ok := body.value.(map[string]any)
	if !ok {
		return payload{}
	}
	data := object["data"]
	return payload{data, history(data, nil)}
}
