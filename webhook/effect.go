package webhook

import (
	"time"

	"tandem"
	"tandem/report"
)

// The types of device events (S36).
const (
	onlineEvent    = report.OnlineEvent
	offlineEvent   = report.OfflineEvent
	statusEvent    = "device.status_changed"
	dataEvent      = "device.data"
	telemetryEvent = "device.telemetry"
	createdEvent   = "device.created"
	updatedEvent   = "device.updated"
	deletedEvent   = "device.deleted"
)

// effect is what one delivery leads to, decided before anything is written.
type effect struct {
	status tandem.DeliveryStatus
	note   string // why it is dead or waits, or what was left out
	hint   bool   // the device is to be read back
	report.Effect
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
	body, err := report.Decode(d.ContentType, d.Body)
	if err != nil {
		return dead(err.Error())
	}
	switch {
	case linked == nil:
		return effect{status: tandem.DeliveryWaiting, note: "the device is not linked yet"}
	case !linked.Assignment.SyncEnabled || linked.Assignment.Status == tandem.SyncUnlinked:
		return effect{status: tandem.DeliveryWaiting, note: "the device is not synced with this service"}
	}
	return told(d, service, &linked.Device, body)
}

// foreign reports whether a delivery is from another project than the service's. One that names none is not.
func foreign(service *tandem.Service, project string) bool {
	return project != "" && project != service.Config.Project && (service.Pin == nil || project != service.Pin.ID)
}

// told says what a linked device's report leads to.
func told(d *tandem.Delivery, service *tandem.Service, device *tandem.Device, body report.Payload) effect {
	said := report.Said{ServiceID: d.ServiceID, SentAt: d.SentAt, ReceivedAt: d.ReceivedAt, Fields: service.Config.Fields,
		Window: time.Duration(service.Config.OnlineWindow) * time.Second, Path: historyPath(d)}
	if d.Type == PipelineType {
		said.Find = report.Mapped(&service.Config, d.Path, body.Value)
	} else {
		body = eventData(body)
		said.Find = report.First(report.Mapped(&service.Config, d.Type, body.Value), report.Named(body.Value))
	}
	said.Raw = body.Raw
	online := d.Type == onlineEvent
	switch d.Type {
	case onlineEvent, offlineEvent:
		said.Status, said.Told = &online, true
	case statusEvent:
		said.Told = true
	}
	decided := report.Decide(&said, device)
	return effect{status: tandem.DeliveryProcessed, note: decided.Note, Effect: decided}
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
func eventData(body report.Payload) report.Payload {
	object, ok := body.Value.(map[string]any)
	if !ok {
		return report.Payload{}
	}
	data := object["data"]
	return report.Payload{Value: data, Raw: report.Keep(data, nil)}
}
