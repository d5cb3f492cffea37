package client

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
)

// fields is a device's edit as it is sent.
type fields struct {
	Name        *string           `json:"name,omitempty"`
	DeviceID    *string           `json:"device_id,omitempty"`
	DeviceType  *string           `json:"device_type,omitempty"`
	Lifecycle   *tandem.Lifecycle `json:"lifecycle,omitempty"`
	HardwareIDs *[]string         `json:"hardware_ids,omitempty"`
	Tags        *[]string         `json:"tags,omitempty"`
	Enabled     *bool             `json:"enabled,omitempty"`
	Blueprint   *string           `json:"blueprint,omitempty"`
	Cohort      *string           `json:"cohort,omitempty"`
	Metadata    *tandem.Map       `json:"metadata,omitempty"`
	Notes       *string           `json:"notes,omitempty"`
}

func fieldsOf(e registry.DeviceEdit) fields {
	return fields{e.Name, e.DeviceID, e.DeviceType, e.Lifecycle, filled(e.HardwareIDs), filled(e.Tags), e.Enabled, e.Blueprint, e.Cohort, e.Metadata, e.Notes}
}

// filled sends an empty list for none.
func filled(set *[]string) *[]string {
	if set != nil && *set == nil {
		return &[]string{}
	}
	return set
}

func deviceQuery(f *tandem.DeviceFilter) []string {
	enabled := ""
	if f.Enabled != nil {
		enabled = strconv.FormatBool(*f.Enabled)
	}
	return []string{"ids", strings.Join(f.IDs, ","), "search", f.Search, "status", string(f.Status), "device_type", f.Type, "lifecycle", string(f.Lifecycle), "tag", f.Tag,
		"blueprint", f.Blueprint, "cohort", f.Cohort, "enabled", enabled, "service", f.ServiceID, "sync_status", string(f.SyncStatus), "not_linked", truth(f.NotLinked), "sort", f.Sort}
}

// Devices lists devices with where they are linked, and counts all matches.
func (c *Client) Devices(ctx context.Context, org string, filter tandem.DeviceFilter) ([]tandem.DeviceRow, int, error) {
	var r struct {
		Devices    []tandem.DeviceRow
		Pagination tandem.Pagination
	}
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices"), org: org, query: paging(values(deviceQuery(&filter)...), filter.Page)}, &r)
	return r.Devices, r.Pagination.Total, err
}

// Device finds one by id, device_id, or name where only one has it.
func (c *Client) Device(ctx context.Context, org, ref string) (tandem.Device, error) {
	var row tandem.DeviceRow
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref), org: org}, &row)
	return row.Device, err
}

// CreateDevice adds a device.
func (c *Client) CreateDevice(ctx context.Context, org string, edit registry.DeviceEdit) (tandem.Device, error) {
	var row tandem.DeviceRow
	err := c.do(ctx, call{method: http.MethodPost, path: path("devices"), org: org, body: fieldsOf(edit), once: true}, &row)
	return row.Device, err
}

// UpdateDevice changes what the edit names and gives the device with what changed. Without a version in the edit it
// changes whatever is there.
func (c *Client) UpdateDevice(ctx context.Context, org, ref string, edit registry.DeviceEdit) (tandem.Device, []registry.FieldChange, error) {
	before, err := c.Device(ctx, org, ref)
	if err != nil {
		return before, nil, err
	}
	var row tandem.DeviceRow
	err = c.do(ctx, call{method: http.MethodPatch, path: path("devices", before.ID), org: org, body: fieldsOf(edit), match: version(edit.IfVersion)}, &row)
	if err != nil {
		return before, nil, err
	}
	return row.Device, registry.Diff(&before, &row.Device), nil
}

// DeleteDevice deletes a device, with a version only that one.
func (c *Client) DeleteDevice(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Device, error) {
	d, err := c.Device(ctx, org, ref)
	if err != nil {
		return d, err
	}
	return d, c.do(ctx, call{method: http.MethodDelete, path: path("devices", d.ID), org: org, match: versions(ifVersion)}, nil)
}

// Link links a device to a remote one; the service is named by id or name.
func (c *Client) Link(ctx context.Context, org, service, ref, externalID string) (tandem.Device, tandem.Assignment, error) {
	var a tandem.Assignment
	d, err := c.Device(ctx, org, ref)
	if err != nil {
		return d, a, err
	}
	err = c.do(ctx, call{method: http.MethodPost, path: path("devices", d.ID, "link"), org: org, body: map[string]string{"service": service, "external_device_id": externalID}, once: true}, &a)
	return d, a, err
}

// Unlink unlinks a device; it stays on both sides.
func (c *Client) Unlink(ctx context.Context, org, service, ref string) (tandem.Device, error) {
	d, err := c.Device(ctx, org, ref)
	if err != nil {
		return d, err
	}
	return d, c.do(ctx, call{method: http.MethodPost, path: path("devices", d.ID, "unlink"), org: org, body: map[string]string{"service": service}}, nil)
}

// CompareDevice puts a device's base, local and remote values side by side. Of the services it gives id and name.
func (c *Client) CompareDevice(ctx context.Context, org, ref string) ([]tandem.Comparison, error) {
	var r struct {
		Comparisons []struct {
			Service     string
			Assignment  tandem.Assignment
			Base        tandem.Base
			Local       tandem.Shared
			Remote      *tandem.Shared
			RemoteError string `json:"remote_error"`
		}
	}
	if err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "compare"), org: org}, &r); err != nil {
		return nil, err
	}
	var all []tandem.Comparison
	for _, side := range r.Comparisons {
		one := tandem.Comparison{Service: tandem.Service{ID: side.Assignment.ServiceID, OrganizationID: side.Assignment.OrganizationID, Name: side.Service},
			Assignment: side.Assignment, Base: side.Base, Local: side.Local, Remote: side.Remote}
		if side.RemoteError != "" {
			one.RemoteError = &tandem.Error{Code: tandem.Unavailable, Op: "compare device", Message: side.RemoteError}
		}
		all = append(all, one)
	}
	return all, nil
}

// Observations lists what a device reported, newest first; more than tandem.CountedTo matches are so many or more.
func (c *Client) Observations(ctx context.Context, org, ref string, filter tandem.ObservationFilter) ([]tandem.DeviceObservation, int, error) {
	var r struct {
		Observations []tandem.DeviceObservation
		Pagination   tandem.Pagination
	}
	query := paging(values("path", filter.Path, "since", instant(filter.Since), "until", instant(filter.Until), "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "observations"), org: org, query: query}, &r)
	return r.Observations, r.Pagination.Matches(), err
}

// ImportDevices sends a file of devices. The server shows at most the first 1000 changes to each; each may be nil.
func (c *Client) ImportDevices(ctx context.Context, org string, file io.Reader, options registry.ImportOptions, each func(registry.ImportChange)) (registry.ImportReport, error) {
	var r struct {
		registry.ImportReport
		Changes []registry.ImportChange
	}
	const most = 64 << 20
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return r.ImportReport, err
	}
	if len(text) >= most {
		return r.ImportReport, tandem.Errorf(tandem.Invalid, "import devices", "", "the file has more than %d MB", most>>20).WithHint("send it in parts")
	}
	query := values("service", options.ServiceID, "skip_bad", truth(options.SkipBad), "dry_run", truth(options.DryRun))
	err = c.do(ctx, call{method: http.MethodPost, path: path("devices", "import"), org: org, query: query, raw: text, media: "text/csv", once: true}, &r)
	if err != nil {
		return r.ImportReport, err
	}
	for _, change := range r.Changes {
		if each != nil {
			each(change)
		}
	}
	if r.NotImported && !options.DryRun {
		return r.ImportReport, tandem.Errorf(tandem.Invalid, "import devices", "", "wrong rows: %d of %d; nothing was imported", r.Bad, r.Rows).
			WithHint("mend them, or import the others with --skip-bad")
	}
	return r.ImportReport, nil
}

// ExportDevices writes all devices that match, with the link on a service (its zero value: none), and says how many there were.
func (c *Client) ExportDevices(ctx context.Context, org string, filter tandem.DeviceFilter, service tandem.Service, format registry.Format, to io.Writer) (int, error) {
	_, total, err := c.Devices(ctx, org, first(filter))
	if err != nil {
		return 0, err
	}
	query := values(append(deviceQuery(&filter), "format", string(format), "external_of", service.ID)...)
	one := call{method: http.MethodGet, path: path("devices", "export"), org: org, query: query}
	request, err := c.request(ctx, one, nil, "", "")
	if err != nil {
		return 0, err
	}
	request.Header.Del("Accept")
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, c.away(ctx, one, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		r := reply{status: answer.StatusCode, header: answer.Header}
		if r.body, err = io.ReadAll(io.LimitReader(answer.Body, maxProblem)); err != nil {
			return 0, c.away(ctx, one, err)
		}
		return 0, c.problem(one, &r)
	}
	if _, err := io.Copy(to, answer.Body); err != nil {
		return 0, c.away(ctx, one, err)
	}
	return total, nil
}

func first(filter tandem.DeviceFilter) tandem.DeviceFilter {
	filter.Page = tandem.Page{Number: 1, Limit: 1}
	return filter
}

// NotLinked lists what the last listing of a service showed and nothing here is linked to.
func (c *Client) NotLinked(ctx context.Context, org, service string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error) {
	var r struct {
		RemoteDevices []tandem.NotLinked `json:"remote_devices"`
		Pagination    tandem.Pagination
	}
	query := paging(values("service", service, "search", filter.Search, "reason", filter.Reason, "ignored", truth(filter.Ignored), "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("remote-devices"), org: org, query: query}, &r)
	return r.RemoteDevices, r.Pagination.Total, err
}

// IgnoreRemote hides remote devices from that list, or shows them again.
func (c *Client) IgnoreRemote(ctx context.Context, org, service string, externalIDs []string, ignore bool) error {
	return c.do(ctx, call{method: http.MethodPost, path: path("remote-devices", "ignore"), org: org,
		body: map[string]any{"service": service, "external_device_ids": externalIDs, "undo": !ignore}}, nil)
}

// ImportRemote creates devices for remote ones.
func (c *Client) ImportRemote(ctx context.Context, org, service string, externalIDs []string) (tandem.Run, error) {
	var run runReply
	err := c.do(ctx, call{method: http.MethodPost, path: path("remote-devices", "import"), org: org, once: true,
		body: map[string]any{"service": service, "external_device_ids": externalIDs}}, &run)
	return run.run(), err
}
