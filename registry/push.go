package registry

import (
	"context"
	"time"

	"tandem"
)

// pushDelay is how long an edit waits for the next one before it leaves for the remote (S38).
const pushDelay = time.Second

// pushing decides which edits leave for which services (S38).
type pushing struct {
	now      time.Time
	by       string
	services map[string]*tandem.Service      // those with automatic sync that let changes out
	links    map[string][]*tandem.Assignment // of the devices asked about, by device
}

// pushing reads what is needed to decide about some devices.
func (r *Registry) pushing(ctx context.Context, org, by string, deviceIDs []string) (*pushing, error) {
	p := &pushing{now: r.Clock().UTC(), by: by, services: map[string]*tandem.Service{}, links: map[string][]*tandem.Assignment{}}
	services, err := r.Store.Services(ctx, org)
	if err != nil {
		return nil, err
	}
	for i := range services {
		if s := &services[i]; s.IsActive && s.SyncEnabled && s.Config.Direction != tandem.Import {
			p.services[s.ID] = s
		}
	}
	if len(p.services) == 0 || len(deviceIDs) == 0 {
		return p, nil
	}
	links, err := r.Store.Assignments(ctx, org, deviceIDs)
	for i := range links {
		if a := &links[i]; a.SyncEnabled && a.Status != tandem.SyncUnlinked && p.services[a.ServiceID] != nil {
			p.links[a.DeviceID] = append(p.links[a.DeviceID], a)
		}
	}
	return p, err
}

// created adds the pushes of a new device: to the services that create what is missing there.
func (p *pushing) created(d *tandem.Device, along *tandem.Along) {
	for id, s := range p.services {
		if s.Config.CreateRemote {
			p.push(d.ID, id, along)
		}
	}
}

// edited adds the pushes of a device of which something changed that a service is told of.
func (p *pushing) edited(d *tandem.Device, changes []FieldChange, along *tandem.Along) {
	for _, a := range p.links[d.ID] {
		for _, c := range changes {
			if f, err := tandem.ParseField(c.Field); err == nil && p.services[a.ServiceID].Config.Fields.Has(f) {
				p.push(d.ID, a.ServiceID, along)
				break
			}
		}
	}
}

// deleted adds the pushes of a device that was deleted here (S17), or linked anew.
func (p *pushing) deleted(d *tandem.Device, along *tandem.Along) {
	for _, a := range p.links[d.ID] {
		p.push(d.ID, a.ServiceID, along)
	}
}

// push adds one, and the job of its service once.
func (p *pushing) push(device, service string, along *tandem.Along) {
	due := p.now.Add(pushDelay)
	first := true
	for i := range along.Pushes {
		first = first && along.Pushes[i].ServiceID != service
	}
	along.Pushes = append(along.Pushes, tandem.Push{ServiceID: service, DeviceID: device, Trigger: tandem.ByEdit, By: p.by, First: p.now, Due: due})
	if first {
		along.Jobs = append(along.Jobs, tandem.Job{Kind: tandem.JobPush, OrganizationID: p.services[service].OrganizationID, Args: map[string]string{"service_id": service}, At: due})
	}
}
