package golioth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// WirePage is a page of devices as it travels: what encoding/json makes of it. The benchmarks measure
// against decoding into it; Devices reads the same with less work where it can.
type WirePage struct {
	List    []WireDevice `json:"list"`
	Page    *count       `json:"page"`
	PerPage *count       `json:"perPage"`
	Total   *count       `json:"total"`
}

// WireDevice is a device as it travels (API.md §3). Pointers tell absent from empty.
type WireDevice struct {
	ID          string          `json:"id"`
	HardwareIDs []string        `json:"hardwareIds"`
	Name        *string         `json:"name"`
	CreatedAt   *time.Time      `json:"createdAt"`
	UpdatedAt   *time.Time      `json:"updatedAt"`
	TagIDs      []string        `json:"tagIds"`
	BlueprintID *string         `json:"blueprintId"`
	CohortID    *string         `json:"cohortId"`
	Data        json.RawMessage `json:"data"`
	LastReport  *time.Time      `json:"lastReport"`
	Metadata    *WireMetadata   `json:"metadata"`
	Enabled     *bool           `json:"enabled"`
}

// WireMetadata is what a device reported, as it travels.
type WireMetadata struct {
	Update         map[string]WireUpdate `json:"update"` // by package
	LastReport     *time.Time            `json:"lastReport"`
	LastSeenOnline *time.Time            `json:"lastSeenOnline"`
}

// WireUpdate is the firmware state of one package, as it travels.
type WireUpdate struct {
	Version    string `json:"version"`
	Target     string `json:"target"`
	State      string `json:"state"`
	StateCode  text   `json:"stateCode"`
	Reason     string `json:"reason"`
	ReasonCode text   `json:"reasonCode"`
	Time       string `json:"time"`
}

// count is a whole number that may travel as a string (64-bit fields do).
type count int

// UnmarshalJSON reads 12, "12" and null (which leaves it as it is).
func (n *count) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	digits := bytes.Trim(b, `"`)
	v, err := strconv.ParseInt(string(digits), 10, 62)
	if err != nil || v < 0 {
		return fmt.Errorf("%.40s is not a whole number", b)
	}
	*n = count(v)
	return nil
}

// text is a string that may travel as a number.
type text string

// UnmarshalJSON reads "0", 0 and null (which leaves it as it is).
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*t = text(n)
	return nil
}

// device gives the domain's device, with its Problem when something that must be there is not.
func (w *WireDevice) device() tandem.RemoteDevice {
	d := tandem.RemoteDevice{ID: w.ID, HardwareIDs: w.HardwareIDs, TagIDs: w.TagIDs, LastReport: w.LastReport}
	if w.Name != nil {
		d.Name = *w.Name
	}
	if w.Enabled != nil {
		d.Enabled = *w.Enabled
	}
	if w.BlueprintID != nil {
		d.BlueprintID = *w.BlueprintID
	}
	if w.CohortID != nil {
		d.CohortID = *w.CohortID
	}
	if w.CreatedAt != nil {
		d.CreatedAt = *w.CreatedAt
	}
	if w.UpdatedAt != nil {
		d.UpdatedAt = *w.UpdatedAt
	}
	if len(w.Data) > 0 && string(w.Data) != "null" {
		d.State = w.Data
	}
	if m := w.Metadata; m != nil {
		d.LastSeenOnline = m.LastSeenOnline
		if m.LastReport != nil {
			d.LastReport = m.LastReport
		}
		if len(m.Update) > 0 {
			d.Firmware = make(map[string]tandem.Firmware, len(m.Update))
			for name, u := range m.Update {
				d.Firmware[name] = tandem.Firmware{Version: u.Version, Target: u.Target, State: u.State,
					StateCode: string(u.StateCode), Reason: u.Reason, ReasonCode: string(u.ReasonCode), Time: u.Time}
			}
		}
	}
	finish(&d, w.Name != nil, w.Enabled != nil)
	return d
}

// finish fills in empty sets and marks a device that lacks what every device has. An absent enabled is
// not false and an absent name is not "": neither may be merged.
func finish(d *tandem.RemoteDevice, named, switched bool) {
	if d.HardwareIDs == nil {
		d.HardwareIDs = []string{}
	}
	if d.TagIDs == nil {
		d.TagIDs = []string{}
	}
	switch {
	case d.ID == "":
		d.Problem = unreadable(d, "it has no id", nil)
	case !named:
		d.Problem = unreadable(d, "it has no name", nil)
	case !switched:
		d.Problem = unreadable(d, "it does not say whether it is enabled", nil)
	}
}

// unreadable makes the Problem of a device that fails alone (S33). Of its texts it leaves what can be told.
func unreadable(d *tandem.RemoteDevice, why string, cause error) error {
	d.Name = strings.ReplaceAll(d.Name, nul, "\uFFFD")
	if strings.Contains(d.ID, nul) {
		d.ID = ""
	}
	thing := d.ID
	if thing == "" {
		thing = "a device without an id"
	}
	if d.Name != "" {
		thing += " (" + d.Name + ")"
	}
	return &tandem.Error{Code: tandem.Malformed, Op: "golioth: read device", Thing: thing, Message: "the device cannot be read: " + why, Err: cause}
}

// decodeDevice reads one device by itself; what cannot be read becomes its Problem.
func decodeDevice(raw []byte) tandem.RemoteDevice {
	var w WireDevice
	err := json.Unmarshal(raw, &w)
	if err == nil {
		d := w.device()
		if d.Problem == nil && !storable(&d) {
			d.Problem = unreadable(&d, "it has a text with a NUL in it, which no database keeps", nil)
		}
		return d
	}
	// What can still be told of it: member by member, whatever reads.
	var members map[string]json.RawMessage
	d := tandem.RemoteDevice{HardwareIDs: []string{}, TagIDs: []string{}}
	if json.Unmarshal(raw, &members) == nil {
		_ = json.Unmarshal(members["id"], &d.ID)     // left empty when it cannot be read
		_ = json.Unmarshal(members["name"], &d.Name) // the same
	}
	d.Problem = unreadable(&d, err.Error(), err)
	return d
}

// nul is a character that JSON can carry and databases cannot.
const nul = "\x00"

// storable reports whether all texts of a device can be kept. Only the slow reader meets one that cannot: JSON escapes it.
func storable(d *tandem.RemoteDevice) bool {
	texts := slices.Concat([]string{d.ID, d.Name, d.BlueprintID, d.CohortID}, d.HardwareIDs, d.TagIDs)
	for name, f := range d.Firmware {
		texts = append(texts, name, f.Version, f.Target, f.State, f.StateCode, f.Reason, f.ReasonCode, f.Time)
	}
	return !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, nul) })
}

// devicePage is a page's numbers and devices.
type devicePage struct {
	number, perPage, total int
	devices                []tandem.RemoteDevice
}

// decodePage reads a page of devices. A device that cannot be read fails alone; an error means that the
// body is no page at all.
func decodePage(body []byte) (devicePage, error) {
	if page, ok := scanPage(body); ok {
		return page, nil
	}
	return decodePageSlowly(body)
}

// decodePageSlowly reads what scanPage would not: anything unusual, and anything wrong.
func decodePageSlowly(body []byte) (devicePage, error) {
	items, numbers, err := decodeList(body)
	if err != nil {
		return devicePage{}, err
	}
	page := devicePage{number: numbers.number, perPage: numbers.perPage, total: numbers.total, devices: make([]tandem.RemoteDevice, len(items))}
	for i, raw := range items {
		page.devices[i] = decodeDevice(raw)
	}
	return page, nil
}

// numbers are what a list says about itself.
type numbers struct{ number, perPage, total int }

// decodeList reads the envelope of a paged list and leaves its items as they are.
func decodeList(body []byte) ([]json.RawMessage, numbers, error) {
	var wire struct {
		List    *[]json.RawMessage `json:"list"`
		Page    *count             `json:"page"`
		PerPage *count             `json:"perPage"`
		Total   *count             `json:"total"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, numbers{}, err
	}
	switch {
	case wire.List == nil:
		return nil, numbers{}, fmt.Errorf("it has no list")
	case wire.Page == nil:
		return nil, numbers{}, fmt.Errorf("it has no page number")
	case wire.Total == nil:
		return nil, numbers{}, fmt.Errorf("it has no total")
	}
	n := numbers{number: int(*wire.Page), total: int(*wire.Total)}
	if wire.PerPage != nil {
		n.perPage = int(*wire.PerPage)
	}
	return *wire.List, n, nil
}
