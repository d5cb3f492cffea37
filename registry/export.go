package registry

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// Format is how devices are written to a file.
type Format string

// The formats. All of them can be imported again.
const (
	CSV       Format = "csv"
	JSON      Format = "json"  // {"devices":[…]}
	JSONLines Format = "jsonl" // one object a line
)

// exported is a device with its link on one service.
type exported struct {
	tandem.DeviceRow
	Service          string `json:"service,omitempty"`
	ExternalDeviceID string `json:"external_device_id,omitempty"`
}

// exportColumns are the CSV's, in order.
var exportColumns = []string{"device_id", "name", "device_type", "lifecycle", "hardware_ids", "tags", "enabled", "blueprint", "cohort",
	"metadata", "notes", "service", "external_device_id", "id", "status", "last_seen", "battery_level", "firmware"}

// ExportDevices writes all devices that match, page by page, with the link on the given service
// (its zero value: none). It gives how many there were.
func (r *Registry) ExportDevices(ctx context.Context, actor Actor, org string, filter tandem.DeviceFilter, service tandem.Service, format Format, to io.Writer) (int, error) {
	w, err := newRowWriter(to, format)
	if err != nil {
		return 0, err
	}
	if filter.Sort == "" {
		filter.Sort = "device_id"
	}
	n := 0
	for filter.Page = (tandem.Page{Number: 1, Limit: 1000}); ; filter.Page.Number++ {
		rows, _, err := r.Devices(ctx, actor, org, filter)
		if err != nil {
			return n, err
		}
		for i := range rows {
			row := exported{DeviceRow: rows[i]}
			for _, a := range rows[i].Assignments {
				if service.ID != "" && a.ServiceID == service.ID && a.Status != tandem.SyncUnlinked {
					row.Service, row.ExternalDeviceID = service.Name, a.ExternalDeviceID
				}
			}
			if err := w.write(&row); err != nil {
				return n, unwritable(err)
			}
			n++
		}
		if len(rows) < filter.Page.Limit {
			break
		}
	}
	return n, unwritable(w.end())
}

func unwritable(err error) error {
	if err == nil {
		return nil
	}
	return tandem.Errorf(tandem.Unavailable, "export devices", "", "the file cannot be written: %w", err).
		WithHint("look at the disk's space and the folder's permissions")
}

// rowWriter writes one format.
type rowWriter interface {
	write(*exported) error
	end() error
}

func newRowWriter(to io.Writer, format Format) (rowWriter, error) {
	switch format {
	case CSV:
		w := csv.NewWriter(to)
		return &csvWriter{w: w}, unwritable(w.Write(exportColumns))
	case JSON:
		_, err := io.WriteString(to, "{\"devices\":[")
		return &jsonWriter{to: to, list: true}, unwritable(err)
	case JSONLines:
		return &jsonWriter{to: to}, nil
	}
	return nil, tandem.Errorf(tandem.Invalid, "export devices", string(format), "no such format").WithHint("use csv, json or jsonl")
}

type csvWriter struct{ w *csv.Writer }

func (c *csvWriter) write(d *exported) error {
	metadata := ""
	if len(d.Metadata) > 0 {
		text, err := json.Marshal(d.Metadata)
		if err != nil {
			return err
		}
		metadata = string(text)
	}
	battery, seen := "", ""
	if d.BatteryLevel != nil {
		battery = strconv.FormatFloat(*d.BatteryLevel, 'f', -1, 64)
	}
	if d.LastSeen != nil {
		seen = d.LastSeen.UTC().Format(time.RFC3339Nano)
	}
	hardware, err := joinSet(d.HardwareIDs)
	if err != nil {
		return err
	}
	tags, err := joinSet(d.Tags)
	if err != nil {
		return err
	}
	row := []string{d.DeviceID, d.Name, d.DeviceType, string(d.Lifecycle), hardware, tags, strconv.FormatBool(d.Enabled),
		d.Blueprint, d.Cohort, metadata, d.Notes, d.Service, d.ExternalDeviceID, d.ID, string(d.Status), seen, battery, FirmwareText(d.Firmware)}
	for i := range row {
		row[i] = asText(row[i])
	}
	return c.w.Write(row)
}

// asText has a spreadsheet take a value as text that it would take for a formula, by a quote before it: device names come
// from whoever names devices on a service. fromText takes the quote away again.
func asText(value string) string {
	if isFormula(value) {
		return "'" + value
	}
	return value
}

func fromText(value string) string {
	if strings.HasPrefix(value, "'") && isFormula(value) {
		return value[1:]
	}
	return value
}

// isFormula reports whether a value begins as formulas do, after any number of quotes.
func isFormula(value string) bool {
	value = strings.TrimLeft(value, "'")
	return value != "" && strings.ContainsRune("=+-@\t\r", rune(value[0]))
}

func (c *csvWriter) end() error {
	c.w.Flush()
	return c.w.Error()
}

// joinSet writes a set into one cell, as a JSON list where an element would not survive a separator.
func joinSet(set []string) (string, error) {
	for i, element := range set {
		if strings.ContainsAny(element, ";|") || i == 0 && strings.HasPrefix(element, "[") {
			text, err := json.Marshal(set)
			return string(text), err
		}
	}
	return strings.Join(set, ";"), nil
}

type jsonWriter struct {
	to    io.Writer
	list  bool
	begun bool
}

func (j *jsonWriter) write(d *exported) error {
	d.Whole()
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	before := ""
	if j.list {
		before = "\n"
		if j.begun {
			before = ",\n"
		}
	}
	j.begun = true
	after := ""
	if !j.list {
		after = "\n"
	}
	_, err = fmt.Fprintf(j.to, "%s%s%s", before, text, after)
	return err
}

func (j *jsonWriter) end() error {
	if !j.list {
		return nil
	}
	_, err := io.WriteString(j.to, "\n]}\n")
	return err
}
