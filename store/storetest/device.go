package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

var deviceTests = map[string]func(*world){
	"are read as they were written": func(w *world) {
		seen, battery := w.now.Add(-time.Minute), 55.5
		want := w.newDevice("Gerät 'ß' \\ \"7\" 🌡", func(d *tandem.Device) {
			d.DeviceType, d.Lifecycle, d.HardwareIDs, d.Tags = "sensor", tandem.Maintenance, []string{"AA:01", "bb"}, []string{"x", "日本"}
			d.Enabled, d.Blueprint, d.Cohort, d.Notes = false, "bp", "co", "line\nline\ttab"
			d.Metadata = tandem.Map{"site": map[string]any{"floor": 3.0, "name": "Nord"}, "list": []any{1.0, nil, true}}
			d.FieldEditedAt = tandem.EditTimes{"name": w.now, "metadata/site/floor": w.now.Add(-time.Hour)}
			d.Observed = tandem.Observed{LastSeen: &seen, BatteryLevel: &battery, BatteryAt: &seen,
				Location: &tandem.Location{Latitude: -33.5, Longitude: 151.25, Accuracy: 5}, LocationAt: &seen,
				Firmware: map[string]tandem.Firmware{"main": {Version: "1.2.3", State: "idle"}}, FirmwareAt: &seen}
		})
		w.apply(tandem.Changes{CreateDevices: []tandem.Device{want}})
		got := w.readDevice(want.ID)
		want.Version = got.Version
		w.equal(got, want)
		_, err := w.st.Device(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"device_id is unique among the living": func(w *world) {
		d := w.device("a")
		twin := w.newDevice("b", func(e *tandem.Device) { e.DeviceID = d.DeviceID })
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{CreateDevices: []tandem.Device{twin}}), tandem.Exists)
		gone := w.now
		d.DeletedAt = &gone
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{d}})
		w.apply(tandem.Changes{CreateDevices: []tandem.Device{twin}})
	},
	"a ref finds by id or device_id, else by name": func(w *world) {
		a := w.device("twin")
		b := w.device("twin")
		c := w.device("c", func(d *tandem.Device) { d.DeviceID = "twin-id" })
		gone := w.device("twin")
		at := w.now
		gone.DeletedAt = &at
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
		w.device("twin-id") // named as another's device_id: the device_id wins
		for ref, want := range map[string][]string{a.ID: {a.ID}, b.DeviceID: {b.ID}, "twin": {a.ID, b.ID}, "twin-id": {c.ID}, "none": nil, gone.ID: nil} {
			got, err := w.st.FindDevices(w.ctx, w.org, ref)
			w.must(err)
			if joined(got, func(d tandem.Device) string { return d.ID }) != strings.Join(want, " ") {
				w.Errorf("%s found %v, want %v", ref, pick(got, func(d tandem.Device) string { return d.ID }), want)
			}
		}
	},
	"the filters of the listing": filterDevices,
	"the sorts and pages of the listing": func(w *world) {
		var made []tandem.Device
		for i := range 23 {
			made = append(made, w.newDevice(fmt.Sprintf("%c-%02d", 'a'+(i*7)%5, i), func(d *tandem.Device) {
				d.CreatedAt = w.now.Add(time.Duration((i*5)%23) * time.Minute)
				d.UpdatedAt = d.CreatedAt
				if i%3 > 0 {
					seen, level := w.now.Add(time.Duration(-i)*time.Hour), float64((i*11)%100)
					d.LastSeen, d.BatteryLevel, d.BatteryAt = &seen, &level, &seen
				}
			}))
		}
		w.apply(tandem.Changes{CreateDevices: made})
		for _, sort := range []string{"", "name", "device_id", "last_seen", "battery_level", "created_at", "updated_at"} {
			forward := w.walkDevices(tandem.DeviceFilter{Sort: sort, Now: w.now}, 5)
			if len(forward) != len(made) {
				w.Fatalf("sort %q walks %d of %d", sort, len(forward), len(made))
			}
			if !slices.IsSortedFunc(known(forward, sort), func(a, b tandem.DeviceRow) int { return compareBy(a, b, sort) }) {
				w.Errorf("sort %q is not in order", sort)
			}
			if sort == "" {
				continue
			}
			backward := known(w.walkDevices(tandem.DeviceFilter{Sort: "-" + sort, Now: w.now}, 7), sort)
			slices.Reverse(backward)
			if !slices.IsSortedFunc(backward, func(a, b tandem.DeviceRow) int { return compareBy(a, b, sort) }) {
				w.Errorf("sort -%s is not in order", sort)
			}
		}
		_, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Sort: "name; DROP TABLE devices", Now: w.now})
		w.wantCode(err, tandem.Invalid)
		rows, total, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now, Page: tandem.Page{Number: 99, Limit: 5}})
		w.must(err)
		if len(rows) != 0 || total != len(made) {
			w.Errorf("past the end: %d rows, total %d", len(rows), total)
		}
	},
	"a row has its assignments": func(w *world) {
		d, s, u := w.device("d"), w.service("s"), w.service("u")
		w.link(d, s, "x")
		w.link(d, u, "y", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
		rows, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now})
		w.must(err)
		list, err := w.st.Assignments(w.ctx, w.org, []string{d.ID})
		w.must(err)
		external := func(a tandem.Assignment) string { return a.ExternalDeviceID }
		if len(rows) != 1 || joined(rows[0].Assignments, external) != "x y" || joined(list, external) != "x y" {
			w.Errorf("rows %+v, assignments %+v", rows, list)
		}
		_, err = w.st.Assignment(w.ctx, w.org, s.ID, "none")
		w.wantCode(err, tandem.NotFound)
	},
}

// walkDevices reads all pages.
func (w *world) walkDevices(filter tandem.DeviceFilter, limit int) []tandem.DeviceRow {
	w.Helper()
	var all []tandem.DeviceRow
	for page := 1; ; page++ {
		filter.Page = tandem.Page{Number: page, Limit: limit}
		rows, total, err := w.st.Devices(w.ctx, w.org, filter)
		w.must(err)
		all = append(all, rows...)
		if len(rows) == 0 || len(all) >= total {
			ids := pick(all, func(d tandem.DeviceRow) string { return d.ID })
			slices.Sort(ids)
			if len(slices.Compact(ids)) != len(all) {
				w.Errorf("sort %q shows a device twice", filter.Sort)
			}
			return all
		}
	}
}

// known leaves out the rows that have no value to sort by: where they stand is not promised.
func known(rows []tandem.DeviceRow, sort string) []tandem.DeviceRow {
	return slices.DeleteFunc(slices.Clone(rows), func(d tandem.DeviceRow) bool {
		return sort == "last_seen" && d.LastSeen == nil || sort == "battery_level" && d.BatteryLevel == nil
	})
}

func compareBy(a, b tandem.DeviceRow, sort string) int {
	switch sort {
	case "name":
		return strings.Compare(a.Name, b.Name)
	case "device_id":
		return strings.Compare(a.DeviceID, b.DeviceID)
	case "last_seen":
		return a.LastSeen.Compare(*b.LastSeen)
	case "battery_level":
		return int(*a.BatteryLevel) - int(*b.BatteryLevel)
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	return 0
}

func filterDevices(w *world) {
	s, u := w.service("s"), w.service("u")
	recent, old := w.now.Add(-time.Minute), w.now.Add(-24*time.Hour)
	a := w.device("Alpha_1%", func(d *tandem.Device) {
		d.DeviceType, d.Tags, d.Blueprint, d.Cohort, d.LastSeen = "sensor", []string{"red", "blue"}, "bp", "co", &recent
	})
	b := w.device("ÄRGER", func(d *tandem.Device) {
		d.DeviceType, d.Tags, d.Lifecycle, d.LastSeen = "valve", []string{"blue"}, tandem.Maintenance, &old
	})
	c := w.device("Alpha21", func(d *tandem.Device) { d.Enabled, d.HardwareIDs = false, []string{"HW-Ünique"} })
	gone := w.device("Alpha gone")
	at := w.now
	gone.DeletedAt = &at
	w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
	w.link(a, s, "x1")
	w.link(b, s, "x2", func(a *tandem.Assignment) { a.Status = tandem.SyncError })
	w.link(b, u, "y2")
	yes, no := true, false
	names := map[string]string{a.ID: "a", b.ID: "b", c.ID: "c", gone.ID: "gone"}
	for want, filters := range map[string][]tandem.DeviceFilter{
		"a b c": {{}, {IDs: []string{a.ID, b.ID, c.ID, gone.ID, "none"}}, {Search: "-"}},
		"a b":   {{Tag: "blue"}, {Enabled: &yes}, {ServiceID: s.ID}},
		"a c":   {{Search: "alpha"}, {Search: "ALPHA"}, {NotLinked: true, ServiceID: u.ID}, {Lifecycle: tandem.Active}},
		"a": {{Search: "1%"}, {Search: "a_1"}, {Status: tandem.Online}, {Type: "sensor"}, {Tag: "red"}, {Blueprint: "bp"}, {Cohort: "co"}, {IDs: []string{a.ID}},
			{ServiceID: s.ID, SyncStatus: tandem.SyncSynced}, {Tag: "blue", Search: "alpha"}},
		"b": {{Search: "ärger"}, {Search: "är"}, {Status: tandem.Offline}, {Lifecycle: tandem.Maintenance}, {SyncStatus: tandem.SyncError},
			{ServiceID: u.ID}, {ServiceID: s.ID, SyncStatus: tandem.SyncError}, {Search: b.DeviceID}},
		"c": {{Search: "hw-ÜNIQUE"}, {Status: tandem.NeverSeen}, {Enabled: &no}, {NotLinked: true}, {NotLinked: true, ServiceID: s.ID}},
		"":  {{Search: "%_%"}, {Search: `\`}, {Search: "'"}, {Tag: "re"}, {IDs: []string{"none"}}, {Cohort: "CO"}, {ServiceID: "none"}, {Search: "gone"}},
	} {
		for _, filter := range filters {
			filter.Now = w.now
			rows, total, err := w.st.Devices(w.ctx, w.org, filter)
			w.must(err)
			got := joined(rows, func(d tandem.DeviceRow) string { return names[d.ID] })
			if got != want || total != len(rows) {
				w.Errorf("filter %+v gives %q (total %d), want %q", filter, got, total, want)
			}
		}
	}
	rows, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now})
	w.must(err)
	for _, row := range rows {
		if want := map[string]tandem.Status{"a": tandem.Online, "b": tandem.Offline, "c": tandem.NeverSeen}[names[row.ID]]; row.Status != want {
			w.Errorf("%s is %s, want %s", row.Name, row.Status, want)
		}
	}
}
