package storetest

import (
	"time"

	"tandem"
)

// newDelivery gives a delivery that is not stored.
func (w *world) newDelivery(s tandem.Service, edits ...func(*tandem.Delivery)) tandem.Delivery {
	id := w.id()
	d := tandem.Delivery{ID: id, OrganizationID: w.org, ServiceID: s.ID, EventID: "event-" + id, Digest: "digest-" + id, Type: "device.data",
		ExternalDeviceID: "ext-" + id, ProjectID: "p", ContentType: "application/json", Headers: map[string]string{"Ce-Type": "x"}, Body: []byte(`{"a":1}`),
		Status: tandem.DeliveryStored, ReceivedAt: w.now}
	for _, edit := range edits {
		edit(&d)
	}
	return d
}

// newAlert gives a raised alert that is not stored.
func (w *world) newAlert(s tandem.Service, kind tandem.AlertKind, edits ...func(*tandem.Alert)) tandem.Alert {
	a := tandem.Alert{ID: w.id(), OrganizationID: w.org, Kind: kind, Subject: s.ID, ServiceID: s.ID, Severity: tandem.Warning, Message: "m", Hint: "h", Count: 1,
		Status: tandem.AlertRaised, RaisedAt: w.now, LastAt: w.now}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

// newChannel gives a channel that is not stored.
func (w *world) newChannel(name string) tandem.Channel {
	return tandem.Channel{ID: w.id(), OrganizationID: w.org, Name: name, Type: tandem.SlackChannel, Config: raw(`{"a":1}`), Credentials: []byte{0, 1, 255},
		Kinds: []tandem.AlertKind{tandem.AlertConflicts}, MinSeverity: tandem.Critical, EscalationOnly: true, ThrottleS: 60, IsActive: true, CreatedAt: w.now, UpdatedAt: w.now}
}

// newNotification gives a notification that is not stored.
func (w *world) newNotification(c tandem.Channel, a tandem.Alert) tandem.Notification {
	return tandem.Notification{ID: w.id(), OrganizationID: w.org, ChannelID: c.ID, AlertID: a.ID, Reason: "raised", NextAt: w.now, CreatedAt: w.now}
}

// past is long before the database's clock, as the world's own time may be.
var past = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
