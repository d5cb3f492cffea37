package storetest

import (
	"time"

	"tandem"
)

// serverFilled names what a server keeps of an organization with one of everything.
type serverFilled struct {
	delivery     tandem.Delivery
	alert        tandem.Alert
	channel      tandem.Channel
	notification tandem.Notification
	push         tandem.Push
	credential   tandem.Credential
	command      tandem.Command
}

// fillServer puts one of everything that a server keeps into an organization.
func fillServer(w *world, f filled) (s serverFilled) {
	w.Helper()
	s.delivery = w.newDelivery(f.service, func(d *tandem.Delivery) { d.ExternalDeviceID, d.Status = f.external, tandem.DeliveryWaiting })
	refused := w.newDelivery(f.service, func(d *tandem.Delivery) { d.Status = tandem.DeliveryRefused })
	_, err := w.st.StoreDeliveries(w.ctx, []tandem.Delivery{s.delivery, refused})
	w.must(err)
	s.alert, s.channel = w.newAlert(f.service, tandem.AlertConflicts), w.newChannel("channel-"+w.org)
	s.notification = w.newNotification(s.channel, s.alert)
	s.notification.NextAt = w.now.Add(24 * 365 * 20 * time.Hour) // nobody else's test is to claim it
	s.push = tandem.Push{ServiceID: f.service.ID, DeviceID: f.device.ID, Trigger: tandem.ByEdit, First: w.now, Due: w.now}
	s.credential, s.command = w.newCredential(f.device, tandem.PSKCredential), w.newCommand(f.device)
	w.apply(tandem.Changes{PutCredentials: []tandem.Credential{s.credential}, PutCommands: []tandem.Command{s.command}, PutAlerts: []tandem.Alert{s.alert}, PutChannels: []tandem.Channel{s.channel}, PutNotifications: []tandem.Notification{s.notification},
		Observations: []tandem.DeviceObservation{{DeviceID: f.device.ID, ServiceID: f.service.ID, Path: "battery_level", Value: raw(`50`), ObservedAt: w.now}},
		Along:        tandem.Along{Pushes: []tandem.Push{s.push}, Jobs: []tandem.Job{{Kind: tandem.JobPush, Args: map[string]string{"service_id": f.service.ID}}}}})
	w.observeEach(f.device, "hourly", w.now, 40, time.Second)
	w.rollUp()
	s.alert, err = w.st.Alert(w.ctx, w.org, s.alert.ID)
	w.must(err)
	s.channel, err = w.st.Channel(w.ctx, w.org, s.channel.ID)
	w.must(err)
	return s
}

// snapshotServer puts what a server's reads show of an organization.
func snapshotServer(w *world, put func(name string, v any, err error)) {
	w.Helper()
	page := tandem.Page{Limit: 1000}
	deliveries, _, err := w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{Page: page})
	put("deliveries", deliveries, err)
	counts, err := w.st.CountDeliveries(w.ctx, w.org)
	put("delivery counts", counts, err)
	alerts, _, err := w.st.Alerts(w.ctx, w.org, tandem.AlertFilter{All: true, Page: page})
	put("alerts", alerts, err)
	channels, err := w.st.Channels(w.ctx, w.org)
	put("channels", channels, err)
	notifications, _, err := w.st.Notifications(w.ctx, w.org, "", page)
	put("notifications", notifications, err)
	services, err := w.st.Services(w.ctx, w.org)
	put("services", services, err)
	for _, s := range services {
		pushes, err := w.st.DuePushes(w.ctx, w.org, s.ID, w.now.Add(time.Hour), 1000)
		put("pushes "+s.ID, pushes, err)
	}
	commands, _, err := w.st.Commands(w.ctx, w.org, tandem.CommandFilter{Page: page})
	put("commands", commands, err)
	devices, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now, Page: page})
	put("devices", devices, err)
	for _, d := range devices {
		history, _, err := w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID, Page: page})
		put("history "+d.ID, history, err)
		hourly, err := w.st.Series(w.ctx, w.org, tandem.SeriesFilter{DeviceID: d.ID, Path: "hourly", Since: w.now.Add(-100 * time.Hour), Until: w.now.Add(100 * time.Hour), Points: 10})
		put("series "+d.ID, hourly, err)
		credentials, err := w.st.Credentials(w.ctx, w.org, d.ID)
		put("credentials "+d.ID, credentials, err)
	}
}

var serverForeign = cases{
	"Deliveries": func(b *world, a filled) []outcome {
		return append(two(b.st.Deliveries(b.ctx, b.org, tandem.DeliveryFilter{})),
			two(b.st.Deliveries(b.ctx, b.org, tandem.DeliveryFilter{IDs: []string{a.server.delivery.ID}, Status: tandem.DeliveryWaiting}))...)
	},
	"Delivery": func(b *world, a filled) []outcome {
		_, err := b.st.Delivery(b.ctx, b.org, a.server.delivery.ID)
		return refused(err)
	},
	"ReplayDeliveries": func(b *world, a filled) []outcome {
		return one(b.st.ReplayDeliveries(b.ctx, b.org, []string{a.server.delivery.ID}))
	},
	"WakeDeliveries": func(b *world, a filled) []outcome {
		return one(b.st.WakeDeliveries(b.ctx, b.org, a.service.ID, []string{a.external}))
	},
	"CountDeliveries": func(b *world, _ filled) []outcome {
		counts, err := b.st.CountDeliveries(b.ctx, b.org)
		return got(len(counts), err)
	},
	"Observations": func(b *world, a filled) []outcome {
		return two(b.st.Observations(b.ctx, b.org, tandem.ObservationFilter{DeviceID: a.device.ID}))
	},
	"Alerts": func(b *world, a filled) []outcome {
		return append(two(b.st.Alerts(b.ctx, b.org, tandem.AlertFilter{All: true})), two(b.st.Alerts(b.ctx, b.org, tandem.AlertFilter{IDs: []string{a.server.alert.ID}}))...)
	},
	"Alert": func(b *world, a filled) []outcome {
		_, err := b.st.Alert(b.ctx, b.org, a.server.alert.ID)
		return refused(err)
	},
	"OpenAlert": func(b *world, a filled) []outcome {
		_, err := b.st.OpenAlert(b.ctx, b.org, a.server.alert.Kind, a.server.alert.Subject)
		return refused(err)
	},
	"Channels": func(b *world, _ filled) []outcome { return one(b.st.Channels(b.ctx, b.org)) },
	"Channel": func(b *world, a filled) []outcome {
		_, byID := b.st.Channel(b.ctx, b.org, a.server.channel.ID)
		_, byName := b.st.Channel(b.ctx, b.org, a.server.channel.Name)
		return refused(byID, byName)
	},
	"Notifications": func(b *world, a filled) []outcome {
		return append(two(b.st.Notifications(b.ctx, b.org, "", tandem.Page{})), two(b.st.Notifications(b.ctx, b.org, a.server.channel.ID, tandem.Page{}))...)
	},
	"NoteChannel": func(b *world, a filled) []outcome {
		return refused(b.st.NoteChannel(b.ctx, b.org, a.server.channel.ID, &b.now, "stolen"))
	},
	"DuePushes": func(b *world, a filled) []outcome {
		return one(b.st.DuePushes(b.ctx, b.org, a.service.ID, b.now.Add(time.Hour), 10))
	},
	"LeaseHolder": func(b *world, a filled) []outcome { return one(b.st.LeaseHolder(b.ctx, b.org, a.service.ID)) },
	"TurnedOffline": func(b *world, a filled) []outcome {
		return one(b.st.TurnedOffline(b.ctx, b.org, a.service.ID, time.Time{}, b.now.Add(time.Hour), 10))
	},
}

// foreignServerChanges tries what a server adds to Changes with a's ids.
func foreignServerChanges(b *world, a filled, must, may func(tandem.Changes) outcome) []outcome {
	alert, channel, notification := a.server.alert, a.server.channel, a.server.notification
	alert.Status, channel.Name, notification.Error = tandem.AlertResolved, "stolen", "stolen"
	own := b.newChannel("own")
	credential, command := a.server.credential, a.server.command
	credential.Version = 1
	return []outcome{
		must(tandem.Changes{PutAlerts: []tandem.Alert{alert}}),
		must(tandem.Changes{PutAlerts: []tandem.Alert{b.newAlert(a.service, tandem.AlertRunFailed)}}),
		must(tandem.Changes{PutChannels: []tandem.Channel{channel}}),
		must(tandem.Changes{PutNotifications: []tandem.Notification{notification}}),
		must(tandem.Changes{PutChannels: []tandem.Channel{own}, PutNotifications: []tandem.Notification{b.newNotification(own, a.server.alert)}}),
		must(tandem.Changes{Observations: []tandem.DeviceObservation{{DeviceID: a.device.ID, Path: "location", Value: raw(`1`), ObservedAt: b.now}}}),
		must(tandem.Changes{Along: tandem.Along{Pushes: []tandem.Push{a.server.push}}}),
		must(tandem.Changes{PutCredentials: []tandem.Credential{credential}}),
		must(tandem.Changes{PutCredentials: []tandem.Credential{b.newCredential(a.device, tandem.TokenCredential)}}),
		must(tandem.Changes{PutCommands: []tandem.Command{command}}),
		may(tandem.Changes{DropChannels: []tandem.Versioned{{ID: a.server.channel.ID}}}),
		may(tandem.Changes{DropPushes: []tandem.Push{{ServiceID: a.service.ID, DeviceID: a.device.ID, Due: b.now.Add(time.Hour)}}}),
		may(tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: a.server.delivery.ID, Status: tandem.DeliveryProcessed, At: b.now}}}),
	}
}
