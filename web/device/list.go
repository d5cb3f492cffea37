package device

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tandem"
	"tandem/web/part"
	"tandem/web/shell"
)

// listing is the list as it is shown.
type listing struct {
	c        *shell.Call
	l        part.Listing
	devices  []tandem.DeviceRow
	services []tandem.Service
	byID     map[string]tandem.Service
	facets   tandem.DeviceFacets
	columns  []column
}

// The keys of the list's address. What filters stands first; the others say how it is shown.
var (
	filterKeys = []string{"search", "status", "type", "tag", "service", "sync", "lifecycle", "blueprint", "cohort", "enabled"}
	moreKeys   = []string{"lifecycle", "blueprint", "cohort", "enabled"}
)

// notLinked is the sync state of what is on no service, or not on the one chosen.
const notLinked = "none"

// filterOf reads a filter from the values of an address or a form.
func filterOf(q url.Values) tandem.DeviceFilter {
	get := func(key string) string { return strings.TrimSpace(q.Get(key)) }
	f := tandem.DeviceFilter{Search: get("search"), Status: tandem.Status(get("status")), Type: get("type"), Tag: get("tag"), ServiceID: get("service"),
		SyncStatus: tandem.SyncStatus(get("sync")), Lifecycle: tandem.Lifecycle(get("lifecycle")), Blueprint: get("blueprint"), Cohort: get("cohort"), Sort: get("sort")}
	if f.SyncStatus == notLinked {
		f.SyncStatus, f.NotLinked = "", true
	}
	if text := get("enabled"); text != "" {
		on := text == "yes"
		f.Enabled = &on
	}
	return f
}

// tidy gives the values that say something, in the list's own words: the address that people keep.
func tidy(q url.Values) url.Values {
	kept := url.Values{}
	for _, key := range append(slices.Clone(filterKeys), "sort", "page") {
		if text := strings.TrimSpace(q.Get(key)); text != "" {
			kept.Set(key, text)
		}
	}
	return kept
}

// filters gives of an address what filters, as a form carries it.
func filters(q url.Values) string {
	kept := tidy(q)
	kept.Del("sort")
	kept.Del("page")
	return kept.Encode()
}

func list(c *shell.Call) error {
	query := tidy(c.R.URL.Query())
	v := listing{c: c, l: part.NewListing(c.Path("devices"), query, rows), columns: columnsOf(c.R)}
	filter := filterOf(query)
	filter.Page = tandem.Page{Number: v.l.Page, Limit: rows}
	var err error
	if v.devices, v.l.Total, err = c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if v.services, err = services(c); err != nil {
		return err
	}
	v.byID = named(v.services)
	if c.Query("part") == "list" {
		if c.Query("pushed") != "" { // by the filter: the address is the list's own then, to be kept and sent on
			c.W.Header().Set("HX-Push-Url", v.l.With("page", query.Get("page")))
		}
		return c.Part(table(v))
	}
	if v.facets, err = c.Registry().DeviceFacets(c.R.Context(), c.Actor, c.Org.ID); err != nil {
		return err
	}
	return c.Page(shell.Frame{Title: "Devices", Section: shell.Devices, Scripts: []string{"device.js"}, Wide: true}, listPage(v))
}

// filtered reports whether a filter is set.
func (v listing) filtered() bool { return v.l.Filtered(filterKeys...) }

// more reports whether one of the less usual filters is set.
func (v listing) more() bool { return v.l.Filtered(moreKeys...) }

// get gives a filter's value.
func (v listing) get(key string) string { return v.l.Query.Get(key) }

// withChosen puts a value that is filtered by among the choices, where it is not one of the usual ones.
func withChosen(values []string, chosen string) []string {
	if chosen == "" || slices.Contains(values, chosen) {
		return values
	}
	return append(slices.Clone(values), chosen)
}

// The choices of the filters that do not depend on the devices.
var (
	statusOptions = []part.Option{{Label: "Any status"}, {Value: string(tandem.Online), Label: "Online"}, {Value: string(tandem.Offline), Label: "Offline"}, {Value: string(tandem.NeverSeen), Label: "Never seen"}}
	syncOptions   = []part.Option{{Label: "Any sync state"}, {Value: string(tandem.SyncSynced), Label: "Synced"}, {Value: string(tandem.SyncPending), Label: "Pending"},
		{Value: string(tandem.SyncError), Label: "Error"}, {Value: string(tandem.SyncConflict), Label: "Conflict"}, {Value: string(tandem.SyncUnlinked), Label: "Unlinked"}, {Value: notLinked, Label: "Not linked at all"}}
	lifecycleOptions = []part.Option{{Value: string(tandem.Active), Label: "Active"}, {Value: string(tandem.Inactive), Label: "Inactive"},
		{Value: string(tandem.Maintenance), Label: "Maintenance"}, {Value: string(tandem.Decommissioned), Label: "Decommissioned"}}
	anyLifecycle   = append([]part.Option{{Label: "Any lifecycle"}}, lifecycleOptions...)
	enabledOptions = []part.Option{{Label: "Enabled or not"}, {Value: "yes", Label: "Enabled"}, {Value: "no", Label: "Disabled"}}
)

// column is one of the table's, beside the name, which is always there.
type column struct {
	Key, Label string
	Sort       string // what it is sorted by, "" where it cannot be
	usual      bool   // shown to whoever chose nothing
	phone      bool   // shown where there is little room
}

var allColumns = []column{
	{Key: "device_id", Label: "Device ID", Sort: "device_id"},
	{Key: "status", Label: "Status", usual: true, phone: true},
	{Key: "sync", Label: "Sync", usual: true, phone: true},
	{Key: "type", Label: "Type", usual: true},
	{Key: "tags", Label: "Tags", usual: true},
	{Key: "battery", Label: "Battery", Sort: "battery_level", usual: true},
	{Key: "last_seen", Label: "Last seen", Sort: "last_seen", usual: true},
	{Key: "firmware", Label: "Firmware"},
	{Key: "lifecycle", Label: "Lifecycle"},
	{Key: "enabled", Label: "Enabled"},
	{Key: "hardware_ids", Label: "Hardware IDs"},
	{Key: "blueprint", Label: "Blueprint"},
	{Key: "cohort", Label: "Cohort"},
	{Key: "notes", Label: "Notes"},
	{Key: "updated_at", Label: "Changed", Sort: "updated_at"},
	{Key: "created_at", Label: "Created", Sort: "created_at"},
}

// columnCookie remembers the columns in a browser: they depend on its screen.
const columnCookie = "tandem-device-columns"

// columnsOf gives the columns that a browser's person has chosen, in the table's order.
func columnsOf(r *http.Request) []column {
	cookie, err := r.Cookie(columnCookie)
	chosen := []string{}
	if err == nil {
		chosen = strings.Split(cookie.Value, ".")
	}
	var shown []column
	for _, one := range allColumns {
		if err == nil && slices.Contains(chosen, one.Key) || err != nil && one.usual {
			shown = append(shown, one)
		}
	}
	return shown
}

// shows reports whether a column is shown.
func (v listing) shows(key string) bool {
	return slices.ContainsFunc(v.columns, func(c column) bool { return c.Key == key })
}

func chooseColumns(c *shell.Call) error {
	var chosen []string
	for _, one := range allColumns {
		if slices.Contains(c.Texts("column"), one.Key) && c.Form("usual") == "" || c.Form("usual") != "" && one.usual {
			chosen = append(chosen, one.Key)
		}
	}
	http.SetCookie(c.W, &http.Cookie{Name: columnCookie, Value: strings.Join(chosen, "."), Path: c.Path("devices"), MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.R.TLS != nil})
	back := c.Path("devices")
	if query, err := url.ParseQuery(c.Form("query")); err == nil && len(tidy(query)) > 0 {
		back += "?" + tidy(query).Encode()
	}
	c.Toast("success", "The table shows these columns from now on, in this browser.")
	return c.Go(back)
}

// class hides what has no room on a phone.
func (col column) class() string {
	if col.phone {
		return ""
	}
	return "hide-phone"
}

// linkedOn gives the assignments that are to be shown of a device: of the service filtered by, or all.
func (v listing) linkedOn(d *tandem.DeviceRow) []tandem.Assignment {
	if v.get("service") == "" {
		return d.Assignments
	}
	return slices.DeleteFunc(slices.Clone(d.Assignments), func(a tandem.Assignment) bool { return a.ServiceID != v.get("service") })
}
