package storetest

import (
	"fmt"
	"time"

	"tandem"
)

// fillServerQueried gives an organization a thousand deliveries, observations and alerts.
func fillServerQueried(w *world, f *queried) {
	w.Helper()
	var c tandem.Changes
	var batch []tandem.Delivery
	f.channel = w.newChannel("ops")
	for i := range queryDevices / 5 {
		d := w.newDelivery(f.service, func(d *tandem.Delivery) {
			d.ExternalDeviceID, d.Type = fmt.Sprintf("ext-%d", i), fmt.Sprintf("type-%d", i%50)
			if i%50 > 0 {
				d.Status = tandem.DeliveryWaiting
			}
		})
		batch = append(batch, d)
		c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: f.device.ID, Path: "p", Value: raw("1"), ObservedAt: w.now.Add(time.Duration(i) * time.Second)})
		if i%10 == 0 {
			a := w.newAlert(f.service, tandem.AlertConflicts, func(a *tandem.Alert) {
				a.Subject, a.RaisedAt = fmt.Sprint(i), w.now.Add(time.Duration(i)*time.Second)
				if i%100 > 0 {
					a.Status, a.ResolvedAt = tandem.AlertResolved, &w.now
				}
			})
			n := w.newNotification(f.channel, a)
			n.SentAt = &w.now
			c.PutAlerts, c.PutNotifications = append(c.PutAlerts, a), append(c.PutNotifications, n)
		}
	}
	w.store(batch...)
	c.PutChannels = []tandem.Channel{f.channel}
	w.apply(c)
}

// readServer makes each read of what a server keeps.
func readServer(w *world, f queried) {
	w.Helper()
	check := func(_ any, err error) { w.Helper(); w.must(err) }
	listed := func(_ any, _ int, err error) { w.Helper(); w.must(err) }
	service, page := f.service.ID, tandem.Page{Number: 2, Limit: 20}
	for _, q := range []tandem.DeliveryFilter{{}, {IDs: []string{"x"}}, {ServiceID: service}, {Status: tandem.DeliveryStored}, {Status: tandem.DeliveryDead}, {Type: "type-7"},
		{ExternalDeviceID: "ext-7"}, {Status: tandem.DeliveryWaiting, ServiceID: service}} {
		q.Page = page
		listed(w.st.Deliveries(w.ctx, w.org, q))
	}
	check(w.st.CountDeliveries(w.ctx, w.org))
	check(w.st.WebhookService(w.ctx, service))
	check(w.st.ClaimDeliveries(w.ctx, "h", 10, time.Millisecond))
	listed(w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: f.device.ID, Page: page}))
	listed(w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: f.device.ID, Path: "p", Since: w.now, Until: w.now.Add(time.Hour), Page: page}))
	for _, q := range []tandem.AlertFilter{{}, {All: true}, {IDs: []string{"x"}}, {ServiceID: service}, {Kind: tandem.AlertRunFailed}, {Status: tandem.AlertAcknowledged}} {
		q.Page = page
		listed(w.st.Alerts(w.ctx, w.org, q))
	}
	if _, err := w.st.OpenAlert(w.ctx, w.org, tandem.AlertConflicts, "0"); err != nil {
		w.Error(err)
	}
	check(w.st.AlertsToEscalate(w.ctx, past, 10))
	check(w.st.ClaimNotifications(w.ctx, "h", 10, time.Minute))
	listed(w.st.Notifications(w.ctx, w.org, f.channel.ID, page))
	check(w.st.DueServices(w.ctx, w.now, 10))
	check(w.st.ActiveServices(w.ctx, "", 10))
	check(w.st.DuePushes(w.ctx, w.org, service, w.now, 10))
	check(w.st.ServicesToPush(w.ctx, w.now, 10))
	check(w.st.UnendedRuns(w.ctx, w.now, 10))
	check(w.st.LeaseHolder(w.ctx, w.org, service))
	check(w.st.TurnedOffline(w.ctx, w.org, service, w.now.Add(-time.Minute), w.now, 10))
	_, cursor, err := w.st.EventsSince(w.ctx, "", 10)
	w.must(err)
	w.apply(tandem.Changes{Along: tandem.Along{Events: []tandem.Event{{ID: w.id(), At: w.now, Kind: "k"}}}})
	_, _, err = w.st.EventsSince(w.ctx, cursor, 10)
	w.must(err)
}
