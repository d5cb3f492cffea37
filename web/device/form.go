package device

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// The fields of a device that people edit, in the order in which they stand.
var fieldNames = []string{"name", "device_id", "device_type", "lifecycle", "enabled", "tags", "hardware_ids", "blueprint", "cohort", "metadata", "notes"}

// values are the fields of a form as texts, as they were typed.
type values map[string]string

// form is one device's fields as they are entered.
type form struct {
	c      *shell.Call
	ID     string // "" for a new one
	Name   string // of the device as it is stored
	Values values
	Was    values // what the fields were when the edit began
	At     int64  // the version that Was is of
	Errors map[string]string
	Other  string // what is wrong with none of the fields alone
	Moved  []clash
	facets tandem.DeviceFacets
}

// valuesOf gives a device's fields as a form has them.
func valuesOf(d *tandem.Device) values {
	v := values{"name": d.Name, "device_id": d.DeviceID, "device_type": d.DeviceType, "lifecycle": string(d.Lifecycle), "enabled": "no",
		"tags": strings.Join(d.Tags, ", "), "hardware_ids": strings.Join(d.HardwareIDs, "\n"), "blueprint": d.Blueprint, "cohort": d.Cohort, "notes": d.Notes}
	if d.Enabled {
		v["enabled"] = "yes"
	}
	if len(d.Metadata) > 0 {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if e.Encode(d.Metadata) == nil { // what was stored as JSON can be written so
			v["metadata"] = strings.TrimSpace(text.String())
		}
	}
	return v
}

// valuesIn reads a submitted form.
func valuesIn(posted url.Values) values {
	v := values{}
	for _, name := range fieldNames {
		v[name] = strings.ReplaceAll(strings.TrimSpace(posted.Get(name)), "\r\n", "\n")
	}
	if v["enabled"] == "" {
		v["enabled"] = "no"
	}
	return v
}

// same reports whether two texts of a field mean the same.
func same(field, a, b string) bool {
	switch field {
	case "tags", "hardware_ids":
		return slices.Equal(slices.Sorted(slices.Values(elements(a))), slices.Sorted(slices.Values(elements(b))))
	case "metadata":
		x, wrongX := registry.ParseMetadata([]byte(a))
		y, wrongY := registry.ParseMetadata([]byte(b))
		if wrongX == nil && wrongY == nil {
			return bytes.Equal(rawOf(x), rawOf(y))
		}
	}
	return strings.TrimSpace(a) == strings.TrimSpace(b)
}

// editOf makes an edit of the fields in which values differ from what was; all of them where was is nil.
func editOf(v, was values) (registry.DeviceEdit, error) {
	var e registry.DeviceEdit
	changed := func(name string) bool { return was == nil || !same(name, v[name], was[name]) }
	text := func(name string, to **string) {
		if changed(name) {
			value := v[name]
			*to = &value
		}
	}
	text("name", &e.Name)
	text("device_id", &e.DeviceID)
	text("device_type", &e.DeviceType)
	text("blueprint", &e.Blueprint)
	text("cohort", &e.Cohort)
	text("notes", &e.Notes)
	if changed("lifecycle") {
		l := tandem.Lifecycle(v["lifecycle"])
		e.Lifecycle = &l
	}
	if changed("enabled") {
		on := v["enabled"] == "yes"
		e.Enabled = &on
	}
	if changed("tags") {
		all := elements(v["tags"])
		e.Tags = &all
	}
	if changed("hardware_ids") {
		all := elements(v["hardware_ids"])
		e.HardwareIDs = &all
	}
	if !changed("metadata") {
		return e, nil
	}
	m, err := registry.ParseMetadata([]byte(v["metadata"]))
	e.Metadata = &m
	return e, err
}

// wrong puts what is wrong beside its field; false for what is no matter of the form.
func (f *form) wrong(err error) bool {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code != tandem.Invalid && e.Code != tandem.Exists {
		return false
	}
	f.Errors = map[string]string{}
	if e.Code == tandem.Exists {
		f.Errors["device_id"] = reason(err)
		return true
	}
	for _, said := range strings.Split(e.Message, "; ") {
		about := strings.TrimPrefix(said, "an element of ")
		at := slices.IndexFunc(fieldNames, func(name string) bool { return strings.HasPrefix(about, name+" ") })
		if at < 0 {
			f.Other = strings.TrimSpace(f.Other + " " + said + ".")
			continue
		}
		text := title(fieldNames[at]) + strings.TrimPrefix(about, fieldNames[at]) + "."
		if about != said {
			text = "One of them" + strings.TrimPrefix(about, fieldNames[at]) + "."
		}
		f.Errors[fieldNames[at]] = strings.TrimSpace(f.Errors[fieldNames[at]] + " " + text)
	}
	return true
}

// field describes one of the fields, with what is wrong with it.
func (f form) field(name, label, hint string) part.Field {
	return part.Field{Name: name, Label: label, Value: f.Values[name], Hint: hint, Error: f.Errors[name], Autocomplete: "off"}
}

// reply reads the rest of what the form shows, and shows it.
func (f form) reply(page func(form) error) error {
	var err error
	if f.facets, err = f.c.Registry().DeviceFacets(f.c.R.Context(), f.c.Actor, f.c.Org.ID); err != nil {
		return err
	}
	return page(f)
}

func newDevice(c *shell.Call) error {
	f := form{c: c, Values: values{"lifecycle": string(tandem.Active), "enabled": "yes"}}
	if !c.May(registry.CreateDevices) {
		return notAllowed("create devices")
	}
	return f.reply(newWhole)
}

func newWhole(f form) error {
	return f.c.Page(shell.Frame{Title: "New device", Section: shell.Devices}, formPage(f))
}

func create(c *shell.Call) error {
	f := form{c: c, Values: valuesIn(c.R.PostForm)}
	e, err := editOf(f.Values, nil)
	if err == nil && f.Values["device_id"] == "" {
		e.DeviceID = nil // made from the name
	}
	var d tandem.Device
	if err == nil {
		d, err = c.Registry().CreateDevice(c.R.Context(), c.Actor, c.Org.ID, e)
	}
	if err == nil {
		c.Toast("success", d.Name+" is created.")
		return c.Go(c.Path("devices", d.ID))
	}
	if !f.wrong(err) {
		return err
	}
	return f.reply(func(f form) error {
		return c.Invalid(deviceForm(f), func() error { return newWhole(f) })
	})
}

// notAllowed refuses a page whose action would be refused.
func notAllowed(what string) error {
	return tandem.Errorf(tandem.Forbidden, what, "", "your role does not let you %s", what).WithHint("ask an administrator of the organization")
}

func editPage(c *shell.Call) error {
	if !c.May(registry.UpdateDevices) {
		return notAllowed("edit devices")
	}
	d, err := c.Registry().Device(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return formOf(c, &d).reply(editWhole)
}

// formOf begins an edit of a device.
func formOf(c *shell.Call, d *tandem.Device) form {
	return form{c: c, ID: d.ID, Name: d.Name, Values: valuesOf(d), Was: valuesOf(d), At: d.Version}
}

func editWhole(f form) error {
	return f.c.Page(shell.Frame{Title: "Edit " + f.Name, Section: shell.Devices}, formPage(f))
}

// edit stores what was changed in the form, on the version that it was made of.
func edit(c *shell.Call) error {
	ctx := c.R.Context()
	at, err := strconv.ParseInt(c.Form("version"), 10, 64)
	var was values
	if err == nil {
		err = json.Unmarshal([]byte(c.R.PostForm.Get("was")), &was)
	}
	if err != nil {
		return tandem.Errorf(tandem.Invalid, "edit device", "", "the form cannot be read").WithHint("open it again")
	}
	f := form{c: c, ID: c.Value("id"), Name: was["name"], Values: chosen(c, valuesIn(c.R.PostForm)), Was: was, At: at}
	e, err := editOf(f.Values, was)
	var d tandem.Device
	var changes []registry.FieldChange
	if err == nil {
		e.IfVersion = &at
		d, changes, err = c.Registry().UpdateDevice(ctx, c.Actor, c.Org.ID, f.ID, e)
	}
	switch {
	case err == nil && len(changes) == 0:
		c.Toast("success", "Nothing was changed on "+d.Name+".")
		return c.Go(c.Path("devices", f.ID))
	case err == nil:
		c.Toast("success", d.Name+": "+changedText(changes)+" saved.")
		return c.Go(c.Path("devices", f.ID))
	case tandem.Is(err, tandem.Stale) && d.ID != "":
		f.meet(&d)
	case !f.wrong(err):
		return err
	}
	return f.reply(func(f form) error {
		return c.Invalid(deviceForm(f), func() error { return editWhole(f) })
	})
}

// changedText names the fields that changed.
func changedText(changes []registry.FieldChange) string {
	names := make([]string, len(changes))
	for i, one := range changes {
		names[i] = words(one.Field)
	}
	return strings.Join(names, ", ")
}

// wasText is Was as the form carries it.
func (f form) wasText() string { return string(rawOf(f.Was)) }
