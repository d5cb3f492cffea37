package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"tandem"
	"tandem/registry"
)

// DeviceCmd is `tandem device`.
type DeviceCmd struct {
	Create  DeviceCreateCmd  `cmd:"" help:"Add a device to the registry."`
	List    DeviceListCmd    `cmd:"" help:"List devices."`
	Show    DeviceShowCmd    `cmd:"" help:"Show one: local, base and remote side by side, conflicts and history."`
	History DeviceHistoryCmd `cmd:"" help:"List what changed a device: runs, webhooks and people, newest first."`
	Update  DeviceUpdateCmd  `cmd:"" help:"Change a device."`
	Delete  DeviceDeleteCmd  `cmd:"" help:"Delete a device here; the next sync decides about the remote one."`
	Link    DeviceLinkCmd    `cmd:"" help:"Link a device to one on a service."`
	Unlink  DeviceUnlinkCmd  `cmd:"" help:"Stop syncing a device with a service."`
	Import  DeviceImportCmd  `cmd:"" help:"Add, update and link devices from a CSV or JSON file."`
	Export  DeviceExportCmd  `cmd:"" help:"Write devices to a CSV or JSON file."`

	Credential DeviceCredentialCmd `cmd:"" help:"What a device authenticates with when it speaks to Tandem itself."`
	Command    DeviceCommandCmd    `cmd:"" help:"Tell a device to do something."`
}

// DeviceFields are a device's fields as flags; what is not given stays as it is.
type DeviceFields struct {
	DeviceID    *string `name:"device-id" help:"Its id here, unique in the organization."`
	DeviceType  *string `name:"device-type" help:"What it is."`
	Lifecycle   *string `help:"active, inactive, maintenance or decommissioned."`
	HardwareIDs Listed  `name:"hardware-ids" placeholder:"ID,…" help:"All of its hardware ids."`
	Tags        Listed  `placeholder:"TAG,…" help:"All of its tags."`
	Enabled     *bool   `negatable:"" help:"Whether it may connect."`
	Blueprint   *string `help:"Its blueprint's name; empty for none."`
	Cohort      *string `help:"Its cohort's name; empty for none."`
	Metadata    *string `placeholder:"JSON" help:"All of its metadata, a JSON object."`
	Notes       *string `help:"Free text."`
}

func (f *DeviceFields) edit(name *string) (registry.DeviceEdit, error) {
	e := registry.DeviceEdit{Name: name, DeviceID: f.DeviceID, DeviceType: f.DeviceType, Lifecycle: (*tandem.Lifecycle)(f.Lifecycle),
		HardwareIDs: f.HardwareIDs.Values, Tags: f.Tags.Values, Enabled: f.Enabled, Blueprint: f.Blueprint, Cohort: f.Cohort, Notes: f.Notes}
	if f.Metadata != nil {
		m, err := registry.ParseMetadata([]byte(*f.Metadata))
		if err != nil {
			return e, err
		}
		e.Metadata = &m
	}
	return e, nil
}

// DeviceCreateCmd is `tandem device create`.
type DeviceCreateCmd struct {
	In
	DeviceFields
	Name string `arg:"" help:"Its name."`
}

// Run creates it.
func (c *DeviceCreateCmd) Run(ctx context.Context, a *app) error {
	edit, err := c.edit(&c.Name)
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		d, err := s.CreateDevice(ctx, org.ID, edit)
		if err != nil {
			return err
		}
		if a.out.json {
			d.Whole()
			return a.out.value(d)
		}
		a.out.printf("created the device %s (device_id %s)\n", a.out.bold(clean(d.Name)), clean(d.DeviceID))
		return nil
	})
}

// DeviceFilter narrows a listing, as flags.
type DeviceFilter struct {
	Search     string `help:"Part of a name, device_id or hardware id."`
	Status     string `enum:",online,offline,never_seen" default:"" help:"online, offline or never_seen."`
	DeviceType string `name:"device-type" help:"Of this type."`
	Lifecycle  string `enum:",active,inactive,maintenance,decommissioned" default:"" help:"active, inactive, maintenance or decommissioned."`
	Tag        string `help:"With this tag."`
	Blueprint  string `help:"With this blueprint."`
	Cohort     string `help:"In this cohort."`
	Enabled    *bool  `negatable:"" help:"Only enabled ones, or with --no-enabled disabled ones."`
	Service    string `help:"Linked to this service."`
	SyncStatus string `enum:",pending,synced,error,conflict,unlinked" default:"" help:"pending, synced, error, conflict or unlinked."`
	NotLinked  bool   `help:"Not linked to the service, or to any."`
	Sort       string `enum:"${sort_device}" default:"" help:"${sorts_device}"`
}

func (f *DeviceFilter) filter(ctx context.Context, s *desk, org tandem.Organization) (tandem.DeviceFilter, error) {
	filter := tandem.DeviceFilter{Search: f.Search, Status: tandem.Status(f.Status), Type: f.DeviceType, Lifecycle: tandem.Lifecycle(f.Lifecycle),
		Tag: f.Tag, Blueprint: f.Blueprint, Cohort: f.Cohort, Enabled: f.Enabled, SyncStatus: tandem.SyncStatus(f.SyncStatus),
		NotLinked: f.NotLinked, Sort: f.Sort, Now: s.Clock()}
	if f.Service != "" {
		v, err := s.service(ctx, org, f.Service, "--service")
		if err != nil {
			return filter, err
		}
		filter.ServiceID = v.ID
	}
	return filter, nil
}

// DeviceListCmd is `tandem device list`.
type DeviceListCmd struct {
	In
	DeviceFilter
	Paging
}

// Run lists them.
func (c *DeviceListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter, err := c.filter(ctx, s, org)
		if err != nil {
			return err
		}
		filter.Page = page
		rows, total, err := s.Devices(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		if a.out.json {
			if rows == nil {
				rows = []tandem.DeviceRow{}
			}
			for i := range rows {
				rows[i].Whole()
				if rows[i].Assignments == nil {
					rows[i].Assignments = []tandem.Assignment{}
				}
			}
			return a.out.value(map[string]any{"devices": rows, "pagination": pagination(page, total)})
		}
		if total == 0 {
			return a.noDevices(ctx, s, org)
		}
		lines := make([][]string, len(rows))
		for i := range rows {
			d := &rows[i]
			lines[i] = []string{short(d.Name, 32), short(d.DeviceID, 32), string(d.Status), a.out.ago(d.LastSeen), battery(d.BatteryLevel),
				short(list(d.Tags), 30), dash(short(registry.FirmwareText(d.Firmware), 30)), syncText(d.Assignments)}
		}
		a.out.table([]string{"name", "device_id", "status", "last seen", "battery", "tags", "firmware", "sync"}, lines)
		a.out.more(page, (page.Number-1)*page.Limit+len(rows), total)
		return nil
	})
}

// noDevices says why a list is empty and what to do next.
func (a *app) noDevices(ctx context.Context, s *desk, org tandem.Organization) error {
	_, all, err := s.Devices(ctx, org.ID, tandem.DeviceFilter{Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil {
		return err
	}
	if all > 0 {
		a.out.printf("no device matches; %s has %s\n", org.Slug, devices(all))
		return nil
	}
	services, err := s.Services(ctx, org.ID)
	if err != nil {
		return err
	}
	if len(services) > 0 {
		a.out.printf("no device yet; import those of a service: tandem sync %s --org %s --operation import\n", word(services[0].Name), org.Slug)
		return nil
	}
	a.out.printf("no device yet; connect a project (tandem service add golioth --org %s …), or import a file: tandem device import FILE --org %s\n", org.Slug, org.Slug)
	return nil
}

func battery(level *float64) string {
	if level == nil {
		return "-"
	}
	return number(int(*level+0.5)) + "%"
}

// syncText says where a device is linked, worst first.
func syncText(assignments []tandem.Assignment) string {
	if len(assignments) == 0 {
		return "not linked"
	}
	words := make([]string, len(assignments))
	for i := range assignments {
		words[i] = string(assignments[i].Status)
	}
	return strings.Join(words, ", ")
}

// DeviceUpdateCmd is `tandem device update`.
type DeviceUpdateCmd struct {
	In
	DeviceFields
	Device string  `arg:"" help:"Its id, device_id or name."`
	Name   *string `help:"The new name."`
}

// Run changes it.
func (c *DeviceUpdateCmd) Run(ctx context.Context, a *app) error {
	edit, err := c.edit(c.Name)
	if err != nil {
		return err
	}
	if edit == (registry.DeviceEdit{}) {
		return &usageError{"nothing to change", "give at least one of --name, --tags, --enabled, --metadata, …"}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		d, changes, err := s.UpdateDevice(ctx, org.ID, c.Device, edit)
		if err != nil {
			return err
		}
		if a.out.json {
			d.Whole()
			return a.out.value(d)
		}
		if len(changes) == 0 {
			a.out.printf("%s is like that already\n", clean(d.Name))
			return nil
		}
		a.out.printf("updated the device %s\n", a.out.bold(clean(d.Name)))
		a.showChanges(changes)
		return nil
	})
}

func (a *app) showChanges(changes []registry.FieldChange) {
	for _, c := range changes {
		a.out.printf("  %s: %s → %s\n", c.Field, short(valueText(c.Before), 60), short(valueText(c.After), 60))
	}
}

// valueText gives a field's value on one line.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return dash(v)
	case []string:
		return list(v)
	case json.RawMessage:
		var inner any
		if len(v) == 0 || json.Unmarshal(v, &inner) != nil {
			return dash(string(v))
		}
		return valueText(inner)
	case []any:
		words := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return jsonText(v)
			}
			words = append(words, s)
		}
		return list(words)
	}
	return jsonText(v)
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return clean(string(text))
}

// DeviceDeleteCmd is `tandem device delete`.
type DeviceDeleteCmd struct {
	In
	Device string `arg:"" help:"Its id, device_id or name."`
	Yes    bool   `help:"Do not ask."`
}

// Run deletes it here.
func (c *DeviceDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		d, err := s.Device(ctx, org.ID, c.Device)
		if err != nil {
			return err
		}
		if err := a.confirm(c.Yes || !a.out.ask, "delete the device "+clean(d.Name)+" here"); err != nil {
			return err
		}
		if d, err = s.DeleteDevice(ctx, org.ID, d.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deleted": d.ID})
		}
		a.out.printf("deleted the device %s\n", clean(d.Name))
		return nil
	})
}

// DeviceLinkCmd is `tandem device link`.
type DeviceLinkCmd struct {
	In
	Device   string `arg:"" help:"Its id, device_id or name."`
	External string `arg:"" name:"external-device-id" help:"The remote device's id."`
	Service  string `help:"The service; may be left out where there is only one."`
}

// Run links.
func (c *DeviceLinkCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "--service")
		if err != nil {
			return err
		}
		d, assignment, err := s.Link(ctx, org.ID, v.ID, c.Device, c.External)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(assignment)
		}
		a.out.printf("linked %s to %s on %s\n", a.out.bold(clean(d.Name)), clean(c.External), clean(v.Name))
		a.out.note("the next sync compares the two: tandem sync %s --org %s\n", word(v.Name), org.Slug)
		return nil
	})
}

// DeviceUnlinkCmd is `tandem device unlink`.
type DeviceUnlinkCmd struct {
	In
	Device  string `arg:"" help:"Its id, device_id or name."`
	Service string `help:"The service; may be left out where there is only one."`
}

// Run unlinks.
func (c *DeviceUnlinkCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "--service")
		if err != nil {
			return err
		}
		d, err := s.Unlink(ctx, org.ID, v.ID, c.Device)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"device_id": d.ID, "service_id": v.ID, "sync_status": tandem.SyncUnlinked})
		}
		a.out.printf("unlinked %s from %s; both devices stay as they are\n", a.out.bold(clean(d.Name)), clean(v.Name))
		return nil
	})
}

// openFile opens a named file, or standard input for "-".
func (a *app) openFile(name string) (readCloser, error) {
	if name == "-" {
		return readCloser{Reader: a.Stdin, Close: func() error { return nil }}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return readCloser{}, tandem.Errorf(tandem.NotFound, "open file", name, "the file cannot be read: %w", unpath(err))
	}
	if stat, err := f.Stat(); err == nil && stat.IsDir() {
		return readCloser{}, errors.Join(tandem.Errorf(tandem.Invalid, "open file", name, "this is a folder").WithHint("name a file"), f.Close())
	}
	return readCloser{Reader: f, Close: f.Close}, nil
}
