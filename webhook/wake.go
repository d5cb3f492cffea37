package webhook

import (
	"context"

	"tandem"
)

// again wakes what began to wait while its device was being linked.
func (p *Processor) again(ctx context.Context, w *work) error {
	waits := map[string][]string{}
	for i := range w.deliveries {
		if w.changes.Deliveries[i].Status == tandem.DeliveryWaiting {
			d := &w.deliveries[i]
			waits[d.ServiceID] = append(waits[d.ServiceID], d.ExternalDeviceID)
		}
	}
	for service, ids := range waits {
		if _, err := p.wake(ctx, w.org, service, ids); err != nil {
			p.o.Log.Warn("waiting deliveries are not looked at", "error", err) // they are at the next sweep
		}
	}
	return nil
}

// wake sets those deliveries free whose devices are linked.
func (p *Processor) wake(ctx context.Context, org, service string, ids []string) (int, error) {
	found, err := p.o.Store.Reporting(ctx, org, service, ids)
	if err != nil {
		return 0, err
	}
	var free []string
	for i := range found {
		a := &found[i].Assignment
		if a.SyncEnabled && a.Status != tandem.SyncUnlinked && found[i].Device.DeletedAt == nil {
			free = append(free, a.ExternalDeviceID)
		}
	}
	if len(free) == 0 {
		return 0, nil
	}
	n, err := p.o.Store.WakeDeliveries(ctx, org, service, free)
	if n > 0 {
		p.Poke()
	}
	return n, err
}

// sweepPage is how many waiting deliveries a sweep looks at in one go.
const sweepPage = 1000

// Wake looks at all deliveries that wait, and sets those free whose devices are linked (S35). The store does that as
// devices are linked; this is for what began to wait in the same moment, in a process that did not live to look again.
func (p *Processor) Wake(ctx context.Context) (woken int, err error) {
	orgs, err := p.o.Store.Organizations(ctx)
	if err != nil {
		return 0, err
	}
	for i := range orgs {
		n, err := p.wakeOrganization(ctx, orgs[i].ID)
		woken += n
		if err != nil {
			return woken, err
		}
	}
	return woken, nil
}

// wakeOrganization does it for one organization.
func (p *Processor) wakeOrganization(ctx context.Context, org string) (woken int, err error) {
	about := map[string]map[string]bool{}
	for number := 1; number <= 20; number++ {
		page, _, err := p.o.Store.Deliveries(ctx, org, tandem.DeliveryFilter{Status: tandem.DeliveryWaiting,
			Page: tandem.Page{Number: number, Limit: sweepPage}})
		if err != nil {
			return woken, err
		}
		for i := range page {
			d := &page[i]
			if about[d.ServiceID] == nil {
				about[d.ServiceID] = map[string]bool{}
			}
			about[d.ServiceID][d.ExternalDeviceID] = true
		}
		if len(page) < sweepPage {
			break
		}
	}
	for service, devices := range about {
		ids := make([]string, 0, len(devices))
		for id := range devices {
			ids = append(ids, id)
		}
		n, err := p.wake(ctx, org, service, ids)
		woken += n
		if err != nil {
			return woken, err
		}
	}
	return woken, nil
}
