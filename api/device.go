package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/registry"
)

// object is a JSON object as it was sent.
type object struct{ text json.RawMessage }

// UnmarshalJSON keeps the text.
func (o *object) UnmarshalJSON(text []byte) error {
	o.text = append(json.RawMessage(nil), text...)
	return nil
}

// MarshalJSON gives it back.
func (o object) MarshalJSON() ([]byte, error) {
	if len(o.text) == 0 {
		return []byte("{}"), nil
	}
	return o.text, nil
}

// Schema says that it is an object.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// DeviceFields are what people edit of a device; what is left out stays as it is.
type DeviceFields struct {
	Name        *string           `json:"name,omitempty" maxLength:"255"`
	DeviceID    *string           `json:"device_id,omitempty" maxLength:"255" doc:"Unique in the organization; of a new device made from its name when left out."`
	DeviceType  *string           `json:"device_type,omitempty" maxLength:"255"`
	Lifecycle   *tandem.Lifecycle `json:"lifecycle,omitempty" enum:"active,inactive,maintenance,decommissioned"`
	HardwareIDs *[]string         `json:"hardware_ids,omitempty" maxItems:"100"`
	Tags        *[]string         `json:"tags,omitempty" maxItems:"100"`
	Enabled     *bool             `json:"enabled,omitempty"`
	Blueprint   *string           `json:"blueprint,omitempty" maxLength:"255"`
	Cohort      *string           `json:"cohort,omitempty" maxLength:"255"`
	Metadata    *object           `json:"metadata,omitempty" doc:"The whole of it."`
	Notes       *string           `json:"notes,omitempty" maxLength:"10000"`
}

// edit makes an edit of the fields.
func (f *DeviceFields) edit() (registry.DeviceEdit, error) {
	e := registry.DeviceEdit{Name: f.Name, DeviceID: f.DeviceID, DeviceType: f.DeviceType, Lifecycle: f.Lifecycle, HardwareIDs: f.HardwareIDs, Tags: f.Tags, Enabled: f.Enabled,
		Blueprint: f.Blueprint, Cohort: f.Cohort, Notes: f.Notes}
	if f.Metadata == nil {
		return e, nil
	}
	m, err := registry.ParseMetadata(f.Metadata.text)
	e.Metadata = &m
	return e, err
}

// DeviceFilter is how devices are found.
type DeviceFilter struct {
	IDs        string     `query:"ids" maxLength:"40000" doc:"These, by id, separated by commas."`
	Search     string     `query:"search" maxLength:"200" doc:"Part of the name, device_id or a hardware id."`
	Status     string     `query:"status" enum:"online,offline,never_seen"`
	Type       string     `query:"device_type" maxLength:"255"`
	Lifecycle  string     `query:"lifecycle" enum:"active,inactive,maintenance,decommissioned"`
	Tag        string     `query:"tag" maxLength:"255"`
	Blueprint  string     `query:"blueprint" maxLength:"255"`
	Cohort     string     `query:"cohort" maxLength:"255"`
	Enabled    string     `query:"enabled" enum:"true,false"`
	Service    string     `query:"service" maxLength:"200" doc:"Linked to this service, by id or name."`
	SyncStatus string     `query:"sync_status" enum:"pending,synced,error,conflict,unlinked" doc:"With this status on the service, or on any."`
	NotLinked  bool       `query:"not_linked" doc:"Not linked to the service, or to any."`
	Sort       deviceSort `query:"sort"`
}

func (a *API) deviceFilter(ctx context.Context, c caller, f *DeviceFilter) (tandem.DeviceFilter, error) {
	service, err := a.serviceID(ctx, c, f.Service)
	filter := tandem.DeviceFilter{IDs: splitList(f.IDs), Search: f.Search, Status: tandem.Status(f.Status), Type: f.Type, Lifecycle: tandem.Lifecycle(f.Lifecycle), Tag: f.Tag,
		Blueprint: f.Blueprint, Cohort: f.Cohort, ServiceID: service, SyncStatus: tandem.SyncStatus(f.SyncStatus), NotLinked: f.NotLinked, Sort: string(f.Sort)}
	if f.Enabled != "" {
		enabled := f.Enabled == "true"
		filter.Enabled = &enabled
	}
	return filter, err
}

// deviceList is a page of devices.
type deviceList struct {
	Devices    []tandem.DeviceRow `json:"devices"`
	Pagination tandem.Pagination  `json:"pagination"`
}

// DeviceByID names a device.
type DeviceByID struct {
	OrganizationParam
	ID string `path:"id" maxLength:"300" doc:"Its id, device_id, or name where only one has it."`
}

func (a *API) devices() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		DeviceFilter
	}
	handle(a, route("devices-list", http.MethodGet, "/api/v1/devices", "devices", "List devices"),
		func(ctx context.Context, in *listInput) (*body[deviceList], error) {
			c := callerOf(ctx)
			filter, err := a.deviceFilter(ctx, c, &in.DeviceFilter)
			if err != nil {
				return nil, err
			}
			filter.Page = in.page()
			rows, total, err := a.options.Registry.Devices(ctx, c.actor, c.org, filter)
			for i := range rows {
				whole(&rows[i])
			}
			return with(deviceList{list(rows), in.pagination(total)}, err)
		})

	type showInput struct {
		DeviceByID
		Selection
	}
	handle(a, route("devices-show", http.MethodGet, "/api/v1/devices/{id}", "devices", "Show a device"),
		func(ctx context.Context, in *showInput) (*tagged[tandem.DeviceRow], error) {
			c := callerOf(ctx)
			row, err := a.deviceRow(ctx, c, in.ID)
			return &tagged[tandem.DeviceRow]{versionTag(row.Version), row}, err
		})

	type createInput struct {
		InOrg
		Once
		Body DeviceFields
	}
	type createOutput struct {
		ETag     string `header:"ETag" doc:"The version, for If-Match."`
		Location string `header:"Location" doc:"The device."`
		Body     tandem.DeviceRow
	}
	handle(a, created(route("devices-create", http.MethodPost, "/api/v1/devices", "devices", "Create a device")),
		func(ctx context.Context, in *createInput) (*createOutput, error) {
			c := callerOf(ctx)
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			d, err := a.options.Registry.CreateDevice(ctx, c.actor, c.org, edit)
			if err != nil {
				return nil, err
			}
			return &createOutput{versionTag(d.Version), "/api/v1/devices/" + d.ID, a.fresh(d)}, nil
		})
	a.deviceEdits()
}

// deviceEdits registers the changing and deleting.
func (a *API) deviceEdits() {
	type updateInput struct {
		DeviceByID
		Edit
		Body DeviceFields
	}
	handle(a, describing(route("devices-update", http.MethodPatch, "/api/v1/devices/{id}", "devices", "Change a device"), "Members that are left out stay as they are."),
		func(ctx context.Context, in *updateInput) (*tagged[tandem.DeviceRow], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			edit.IfVersion = expected(version)
			d, _, err := a.options.Registry.UpdateDevice(ctx, c.actor, c.org, in.ID, edit)
			if err != nil {
				return nil, a.staleDevice(ctx, c, in.ID, err)
			}
			row, err := a.rowOf(ctx, c, &d)
			return &tagged[tandem.DeviceRow]{versionTag(row.Version), row}, err
		})

	type deleteInput struct {
		DeviceByID
		Edit
	}
	handle(a, describing(route("devices-delete", http.MethodDelete, "/api/v1/devices/{id}", "devices", "Delete a device"),
		"What becomes of its remote device is decided by the service's settings, at the next run."),
		func(ctx context.Context, in *deleteInput) (*body[deleted], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			d, err := a.options.Registry.DeleteDevice(ctx, c.actor, c.org, in.ID, named(version)...)
			return with(deleted{d.ID}, a.staleDevice(ctx, c, in.ID, err))
		})

	type deviceLinkInput struct {
		DeviceByID
		Once
		Body struct {
			Service          string `json:"service,omitempty" maxLength:"200" doc:"By id or name; may be left out where there is one only."`
			ExternalDeviceID string `json:"external_device_id" minLength:"1" maxLength:"255"`
		}
	}
	handle(a, route("devices-link", http.MethodPost, "/api/v1/devices/{id}/link", "devices", "Link a device to a remote one"),
		func(ctx context.Context, in *deviceLinkInput) (*body[tandem.Assignment], error) {
			c := callerOf(ctx)
			service, err := a.oneService(ctx, c, in.Body.Service)
			if err != nil {
				return nil, err
			}
			_, assignment, err := a.options.Registry.Link(ctx, c.actor, c.org, service, in.ID, in.Body.ExternalDeviceID)
			return with(assignment, err)
		})

	type deviceUnlinkInput struct {
		DeviceByID
		Body struct {
			Service string `json:"service,omitempty" maxLength:"200" doc:"By id or name; may be left out where there is one only."`
		}
	}
	type unlinked struct {
		DeviceID  string            `json:"device_id"`
		ServiceID string            `json:"service_id"`
		Status    tandem.SyncStatus `json:"sync_status"`
	}
	handle(a, describing(route("devices-unlink", http.MethodPost, "/api/v1/devices/{id}/unlink", "devices", "Unlink a device"), "It stays on both sides, and is not synced until it is linked again."),
		func(ctx context.Context, in *deviceUnlinkInput) (*body[unlinked], error) {
			c := callerOf(ctx)
			service, err := a.oneService(ctx, c, in.Body.Service)
			if err != nil {
				return nil, err
			}
			d, err := a.options.Registry.Unlink(ctx, c.actor, c.org, service, in.ID)
			return with(unlinked{d.ID, service, tandem.SyncUnlinked}, err)
		})
}

// expected makes a version to be held against, nil for any.
func expected(version int64) *int64 {
	if version == anyVersion {
		return nil
	}
	return &version
}

// whole puts empty values where there are none.
func whole(row *tandem.DeviceRow) {
	row.Whole()
	row.Assignments = list(row.Assignments)
}

// fresh is a device that was made a moment ago.
func (a *API) fresh(d tandem.Device) tandem.DeviceRow {
	row := tandem.DeviceRow{Device: d, Status: d.StatusAt(a.options.Clock(), tandem.DefaultOnlineWindow)}
	whole(&row)
	return row
}

// deviceRow finds a device with where it is linked.
func (a *API) deviceRow(ctx context.Context, c caller, ref string) (tandem.DeviceRow, error) {
	if uuid.MatchString(ref) { // the usual case, in one look
		rows, _, err := a.options.Registry.Devices(ctx, c.actor, c.org, tandem.DeviceFilter{IDs: []string{ref}, Page: tandem.Page{Number: 1, Limit: 1}})
		if err != nil {
			return tandem.DeviceRow{}, err
		}
		if len(rows) == 1 {
			whole(&rows[0])
			return rows[0], nil
		}
	}
	d, err := a.options.Registry.Device(ctx, c.actor, c.org, ref)
	if err != nil {
		return tandem.DeviceRow{}, err
	}
	return a.rowOf(ctx, c, &d)
}

// rowOf adds to a device where it is linked. Who may change devices but not read them gets the device alone.
func (a *API) rowOf(ctx context.Context, c caller, d *tandem.Device) (tandem.DeviceRow, error) {
	rows, _, err := a.options.Registry.Devices(ctx, c.actor, c.org, tandem.DeviceFilter{IDs: []string{d.ID}, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil && !tandem.Is(err, tandem.Forbidden) {
		return tandem.DeviceRow{}, err
	}
	row := a.fresh(*d)
	if len(rows) == 1 && rows[0].Version == d.Version {
		row = rows[0]
		whole(&row)
	}
	return row, nil
}

// staleDevice adds to the refusal of an old version the device as it is now.
func (a *API) staleDevice(ctx context.Context, c caller, ref string, err error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	row, readErr := a.deviceRow(ctx, c, ref)
	return stale(ctx, err, row, row.Version, readErr)
}

// oneService gives the id of the service that is named, or of the only one.
func (a *API) oneService(ctx context.Context, c caller, ref string) (string, error) {
	if ref != "" {
		s, err := a.options.Registry.Service(ctx, c.actor, c.org, ref)
		return s.ID, err
	}
	all, err := a.options.Registry.Services(ctx, c.actor, c.org)
	switch {
	case err != nil:
		return "", err
	case len(all) == 1:
		return all[0].ID, nil
	}
	return "", tandem.Errorf(tandem.Invalid, "find service", "", "there are %d services, and the request names none", len(all)).WithHint("name it by id or name")
}

// deviceViews registers what is told about one device.
func (a *API) deviceViews() {
	type compared struct {
		Service     string            `json:"service"`
		Assignment  tandem.Assignment `json:"assignment"`
		Base        tandem.Base       `json:"base"`
		Local       tandem.Shared     `json:"local"`
		Remote      *tandem.Shared    `json:"remote"`
		RemoteError string            `json:"remote_error,omitempty"`
	}
	type comparisons struct {
		Comparisons []compared `json:"comparisons"`
	}
	handle(a, describing(route("devices-compare", http.MethodGet, "/api/v1/devices/{id}/compare", "devices", "Compare both sides and their base"), "Asks each service that the device is on."),
		func(ctx context.Context, in *DeviceByID) (*body[comparisons], error) {
			c := callerOf(ctx)
			sides, err := a.options.Registry.CompareDevice(ctx, c.actor, c.org, in.ID)
			all := comparisons{Comparisons: []compared{}}
			for i := range sides {
				s := &sides[i]
				one := compared{Service: s.Service.Name, Assignment: s.Assignment, Base: s.Base, Local: s.Local, Remote: s.Remote}
				if s.RemoteError != nil {
					one.RemoteError = refusal(s.RemoteError)
				}
				all.Comparisons = append(all.Comparisons, one)
			}
			return with(all, err)
		})

	type observedInput struct {
		DeviceByID
		Listing
		Path  string          `query:"path" maxLength:"300" doc:"Of this path, such as battery_level."`
		Since time.Time       `query:"since" doc:"Not before."`
		Until time.Time       `query:"until" doc:"Before."`
		Sort  observationSort `query:"sort"`
	}
	type observedPage struct {
		Observations []tandem.DeviceObservation `json:"observations"`
		Pagination   tandem.Pagination          `json:"pagination"`
	}
	handle(a, route("devices-observations", http.MethodGet, "/api/v1/devices/{id}/observations", "devices", "List what a device reported, newest first"),
		func(ctx context.Context, in *observedInput) (*body[observedPage], error) {
			c := callerOf(ctx)
			all, total, err := a.options.Registry.DeviceObservations(ctx, c.actor, c.org, in.ID, tandem.ObservationFilter{Path: in.Path, Since: in.Since, Until: in.Until,
				Sort: string(in.Sort), Page: in.page()})
			return with(observedPage{list(all), tandem.PaginatedSome(in.page(), total)}, err)
		})
}
