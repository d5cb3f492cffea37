package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tandem"
)

// importing is one import under way.
type importing struct {
	r        *Registry
	actor    Actor
	org      string
	options  ImportOptions
	services map[string]tandem.Service // by id and by name
}

// decided is what a batch of rows comes to.
type decided struct {
	changes                             tandem.Changes
	created, updated, unchanged, linked int
	shown                               []ImportChange
}

func (d *decided) empty() bool {
	return len(d.changes.CreateDevices)+len(d.changes.UpdateDevices)+len(d.changes.CreateAssignments)+len(d.changes.UpdateAssignments) == 0
}

// service gives the service that a row's external_device_id is of.
func (im *importing) service(row *Row) (tandem.Service, bool) {
	ref := row.Service
	if ref == "" {
		ref = im.options.ServiceID
	}
	s, ok := im.services[ref]
	return s, ok
}

// checkDoubles finds what one file says twice, and what no row may lack.
func (im *importing) checkDoubles(rows []Row) {
	devices, remotes := make(map[string]int, len(rows)), map[string]int{}
	once := func(seen map[string]int, row *Row, column, key, value string) {
		if first, ok := seen[key]; ok {
			row.wrong(column, fmt.Errorf("%s is on line %d already", value, first))
			return
		}
		seen[key] = row.Line
	}
	for i := range rows {
		row := &rows[i]
		if len(row.Problems) > 0 {
			continue
		}
		if row.DeviceID == "" && row.ID == "" {
			row.wrong("device_id", errors.New("is missing"))
			continue
		}
		if row.DeviceID != "" {
			once(devices, row, "device_id", row.DeviceID, row.DeviceID)
			row.Edit.DeviceID = &row.DeviceID
		}
		if row.External == "" {
			if row.Service != "" {
				if _, ok := im.services[row.Service]; !ok {
					row.wrong("service", fmt.Errorf("there is no service %s", row.Service))
				}
			}
			continue
		}
		s, ok := im.service(row)
		switch {
		case ok:
			once(remotes, row, "external_device_id", s.ID+"/"+row.External, row.External)
		case row.Service != "":
			row.wrong("service", fmt.Errorf("there is no service %s", row.Service))
		default:
			row.wrong("external_device_id", errors.New("needs a service: name it with --service or in a column named service"))
		}
	}
}

// decide reads what is there and says what the good rows change; it notes what is wrong on the others.
func (im *importing) decide(ctx context.Context, rows []Row) (decided, error) {
	var d decided
	existing, err := im.existing(ctx, rows)
	if err != nil {
		return d, err
	}
	links, err := im.links(ctx, rows)
	if err != nil {
		return d, err
	}
	pushing, err := im.pushing(ctx, existing)
	if err != nil {
		return d, err
	}
	now := im.r.Clock()
	for i := range rows {
		row := &rows[i]
		if len(row.Problems) > 0 {
			continue
		}
		before, found := existing.find(row)
		after := before
		if !found {
			if row.DeviceID == "" {
				row.wrong("id", errors.New("no device has this id, and a new one needs a device_id"))
				continue
			}
			after = im.r.newDevice(im.org, now)
		}
		apply(&after, row.Edit)
		if !found && after.Name == "" && row.Edit.Name == nil {
			after.Name = after.DeviceID
		}
		for _, problem := range checkDevice(&after) {
			row.wrong("", errors.New(problem))
		}
		link, assignment := im.link(row, &after, found, links)
		if len(row.Problems) > 0 {
			continue
		}
		fields := Diff(&before, &after)
		shown := ImportChange{Line: row.Line, DeviceID: after.DeviceID, Name: after.Name, Changes: fields}
		switch {
		case !found:
			touch(&tandem.Device{}, &after, now)
			d.changes.CreateDevices = append(d.changes.CreateDevices, after)
			d.created++
			shown.Action, shown.Changes = "create", nil
			im.note(&d, "device.create", &after, nil, deviceAudit(&after))
			pushing.created(&after, &d.changes.Along)
		case len(fields) > 0:
			touch(&before, &after, now)
			d.changes.UpdateDevices = append(d.changes.UpdateDevices, after)
			d.updated++
			shown.Action = "update"
			im.note(&d, "device.update", &before, was(fields), is(fields))
			pushing.edited(&after, fields, &d.changes.Along)
		default:
			d.unchanged++
		}
		if link != noLink {
			assignment.CreatedAt, assignment.UpdatedAt = firstTime(assignment, now), now
			if link == newLink {
				d.changes.CreateAssignments = append(d.changes.CreateAssignments, assignment)
			} else {
				d.changes.UpdateAssignments = append(d.changes.UpdateAssignments, assignment)
			}
			d.changes.DropNotLinked = append(d.changes.DropNotLinked,
				tandem.NotLinkedKey{ServiceID: assignment.ServiceID, ExternalDeviceID: assignment.ExternalDeviceID})
			d.linked++
			im.note(&d, "device.link", &after, nil, map[string]any{"service_id": assignment.ServiceID, "external_device_id": assignment.ExternalDeviceID})
			shown.ExternalDeviceID = assignment.ExternalDeviceID
			if shown.Action == "" {
				shown.Action = "link"
			}
		}
		if shown.Action != "" {
			d.shown = append(d.shown, shown)
		}
	}
	return d, nil
}

// note adds the audit entry of a row.
func (im *importing) note(d *decided, action string, device *tandem.Device, before, after any) {
	d.changes.Audit = append(d.changes.Audit, im.r.entry(im.actor, im.org, action, deviceThing(device), before, after))
}

// pushing decides which of the edits leave for which services.
func (im *importing) pushing(ctx context.Context, existing found) (*pushing, error) {
	var ids []string
	for _, d := range existing.byDeviceID {
		ids = append(ids, d.ID)
	}
	for id := range existing.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return im.r.pushing(ctx, im.org, im.actor.By(), slices.Compact(ids))
}

// found are devices that rows may mean.
type found struct{ byID, byDeviceID map[string]tandem.Device }

func (f found) find(row *Row) (tandem.Device, bool) {
	if row.DeviceID != "" {
		if d, ok := f.byDeviceID[row.DeviceID]; ok {
			return d, true
		}
	}
	if row.ID != "" {
		d, ok := f.byID[row.ID]
		return d, ok
	}
	return tandem.Device{}, false
}

// existing reads the live devices that the rows name, in few queries.
func (im *importing) existing(ctx context.Context, rows []Row) (found, error) {
	f := found{map[string]tandem.Device{}, map[string]tandem.Device{}}
	probes := make([]tandem.Probe, 0, len(rows))
	var ids []string
	for i := range rows {
		if rows[i].DeviceID != "" {
			probes = append(probes, tandem.Probe{Name: rows[i].DeviceID})
		}
		if rows[i].ID != "" {
			ids = append(ids, rows[i].ID)
		}
	}
	if len(probes) > 0 {
		candidates, err := im.r.Store.Candidates(ctx, im.org, im.options.ServiceID, probes)
		if err != nil {
			return f, err
		}
		for _, c := range candidates {
			if c.Device.DeletedAt == nil {
				f.byDeviceID[c.Device.DeviceID] = c.Device
			}
		}
	}
	if len(ids) > 0 {
		devices, _, err := im.r.Store.Devices(ctx, im.org, tandem.DeviceFilter{IDs: ids, Now: im.r.Clock(), Page: tandem.Page{Number: 1, Limit: 1000}})
		if err != nil {
			return f, err
		}
		for i := range devices {
			f.byID[devices[i].ID] = devices[i].Device
		}
	}
	return f, nil
}

// linkKey names one side of an assignment on a service: a device or a remote device.
type linkKey struct{ serviceID, id string }

// links are the assignments that rows may meet.
type links struct{ byExternal, byDevice map[linkKey]tandem.Assignment }

// links reads the assignments of the remote devices and the devices that the rows would link.
func (im *importing) links(ctx context.Context, rows []Row) (links, error) {
	l := links{map[linkKey]tandem.Assignment{}, map[linkKey]tandem.Assignment{}}
	externals, probes := map[string][]string{}, map[string][]tandem.Probe{}
	for i := range rows {
		row := &rows[i]
		if row.External == "" || len(row.Problems) > 0 {
			continue
		}
		if s, ok := im.service(row); ok {
			externals[s.ID] = append(externals[s.ID], row.External)
			if row.DeviceID != "" {
				probes[s.ID] = append(probes[s.ID], tandem.Probe{Name: row.DeviceID})
			}
		}
	}
	for service, ids := range externals {
		linked, err := im.r.Store.LinkedByExternal(ctx, im.org, service, ids)
		if err != nil {
			return l, err
		}
		for i := range linked {
			a := linked[i].Assignment
			l.byExternal[linkKey{service, a.ExternalDeviceID}] = a
			l.byDevice[linkKey{service, a.DeviceID}] = a
		}
		candidates, err := im.r.Store.Candidates(ctx, im.org, service, probes[service])
		if err != nil {
			return l, err
		}
		for _, c := range candidates {
			if a := c.Assignment; a != nil {
				l.byDevice[linkKey{service, a.DeviceID}] = *a
			}
		}
	}
	return l, nil
}

// linking is what a row does to an assignment.
type linking uint8

const (
	noLink linking = iota
	newLink
	reviveLink // of an unlinked assignment
)

// link decides about a row's external_device_id.
func (im *importing) link(row *Row, device *tandem.Device, found bool, l links) (linking, tandem.Assignment) {
	if row.External == "" {
		return noLink, tandem.Assignment{}
	}
	s, _ := im.service(row)
	if other, ok := l.byExternal[linkKey{s.ID, row.External}]; ok && (!found || other.DeviceID != device.ID) {
		row.wrong("external_device_id", fmt.Errorf("%s is linked to another device on %s", row.External, s.Name))
		return noLink, other
	}
	own, ok := l.byDevice[linkKey{s.ID, device.ID}]
	switch {
	case !found || !ok:
		return newLink, tandem.Assignment{ID: im.r.NewID(), OrganizationID: im.org, DeviceID: device.ID, ServiceID: s.ID,
			ExternalDeviceID: row.External, SyncEnabled: true, Status: tandem.SyncPending, Version: 1}
	case own.Status == tandem.SyncUnlinked:
		own.ExternalDeviceID, own.Status, own.SyncEnabled, own.Error, own.Retries = row.External, tandem.SyncPending, true, "", 0
		own.Base, own.Drift = tandem.Base{}, nil // a person links anew: the two are compared as at first (S4)
		return reviveLink, own
	case own.ExternalDeviceID != row.External:
		row.wrong("external_device_id", fmt.Errorf("the device is linked to %s on %s; unlink it first", own.ExternalDeviceID, s.Name))
	}
	return noLink, own
}

func firstTime(a tandem.Assignment, now time.Time) time.Time {
	if a.CreatedAt.IsZero() {
		return now
	}
	return a.CreatedAt
}
