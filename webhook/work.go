package webhook

import (
	"fmt"
	"time"

	"tandem"
)

// remoteKey names a remote device of a service.
type remoteKey struct{ service, device string }

// work is one attempt at some deliveries of one organization.
type work struct {
	now        time.Time
	org        string
	ids        tandem.IDs
	deliveries []tandem.Delivery
	services   map[string]*tandem.Service // nil for one that is not there any more
	linked     map[remoteKey]*tandem.Linked
	changes    tandem.Changes
}

// decide fills changes, without asking anybody.
func (w *work) decide() {
	pushes := map[remoteKey]bool{}
	presence := map[string][]string{} // device ids by the event that tells of it
	for i := range w.deliveries {
		d := &w.deliveries[i]
		linked := w.linked[remoteKey{d.ServiceID, d.ExternalDeviceID}]
		e := w.effect(d, linked)
		out := tandem.DeliveryOutcome{ID: d.ID, ServiceID: d.ServiceID, Status: e.status, Attempts: d.Attempts + 1, Error: e.note, At: w.now}
		w.changes.Deliveries = append(w.changes.Deliveries, out)
		if e.hint {
			pushes[remoteKey{d.ServiceID, d.ExternalDeviceID}] = true
		}
		if linked == nil || e.status != tandem.DeliveryProcessed {
			continue
		}
		w.take(&linked.Device, &e)
		if e.Presence != "" {
			presence[e.Presence] = append(presence[e.Presence], linked.Device.ID)
		}
	}
	w.push(pushes)
	w.announce(presence)
}

// effect decides one delivery. A fault of this program kills that one alone.
func (w *work) effect(d *tandem.Delivery, linked *tandem.Linked) (e effect) {
	defer func() {
		if fault := recover(); fault != nil {
			e = dead(fmt.Sprintf("this program failed over it: %v", fault))
			e.note = e.note[:min(len(e.note), mostNote)]
		}
	}()
	service := w.services[d.ServiceID]
	if service == nil {
		return dead("its service was removed or is not active; replay it when it is back")
	}
	return decide(d, service, linked)
}

// take adds what a delivery says of its device. The next one in the batch meets the device as this one leaves it.
func (w *work) take(device *tandem.Device, e *effect) {
	w.changes.Observations = append(w.changes.Observations, e.History...)
	if e.Observes() {
		w.changes.Observe = append(w.changes.Observe, tandem.Observation{DeviceID: device.ID, Observed: e.Observed})
		e.Leave(device)
	}
}

// push asks for runs about the devices that were hinted at (S36).
func (w *work) push(about map[remoteKey]bool) {
	told := map[string]bool{}
	due := w.now.Add(hintDelay)
	for key := range about {
		push := tandem.Push{ServiceID: key.service, ExternalDeviceID: key.device, Trigger: tandem.ByWebhook, By: hintsBy, First: w.now, Due: due}
		if linked := w.linked[key]; linked != nil {
			push.DeviceID, push.ExternalDeviceID = linked.Device.ID, ""
		}
		w.changes.Pushes = append(w.changes.Pushes, push)
		if !told[key.service] {
			told[key.service] = true
			w.changes.Jobs = append(w.changes.Jobs, tandem.Job{Kind: tandem.JobPush, OrganizationID: w.org,
				Args: map[string]string{"service_id": key.service}, At: due})
		}
	}
}

// mostAnnounced is how many devices one event names.
const mostAnnounced = 100

// announce tells whoever looks who came and who went.
func (w *work) announce(presence map[string][]string) {
	for _, kind := range []string{onlineEvent, offlineEvent} {
		if devices := presence[kind]; len(devices) > 0 {
			w.changes.Events = append(w.changes.Events, tandem.Event{ID: w.ids(), OrganizationID: w.org, At: w.now, Kind: kind,
				IDs: devices[:min(len(devices), mostAnnounced)], Many: len(devices) > mostAnnounced})
		}
	}
}
