package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tandem"
)

var valueTests = map[string]func(*world){
	"times keep their microseconds, in UTC": func(w *world) {
		zone := time.FixedZone("X", -5*3600-1800)
		for _, at := range []time.Time{time.Date(2026, 3, 29, 1, 30, 0, 999999000, zone), time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC), time.Date(2999, 1, 1, 0, 0, 0, 0, zone)} {
			d := w.device("d", func(d *tandem.Device) { d.CreatedAt, d.UpdatedAt, d.LastSeen = at, at, &at })
			for _, got := range []time.Time{d.CreatedAt, d.UpdatedAt, *d.LastSeen} {
				if !got.Equal(at) || got.Location() != time.UTC {
					w.Errorf("%v became %v", at, got)
				}
			}
		}
		now, err := w.st.Now(w.ctx)
		w.must(err)
		if now.Location() != time.UTC || now.Year() < 2024 {
			w.Errorf("the database's clock says %v", now)
		}
	},
	"text of every alphabet, and what SQL finds special": func(w *world) {
		for i, text := range []string{"日本語 العربية", "e\u0301 \u200d 👩‍👩‍👧", `'";--\`, "?1 $1 :a @b {0} %s", "\t\r\n", strings.Repeat("ü", 10_000), "\u0001\u001f\u007f", "NULL"} {
			d := w.device(text, func(d *tandem.Device) {
				d.Notes, d.Tags, d.HardwareIDs, d.Metadata = text, []string{text}, []string{text}, tandem.Map{text: text}
			})
			if d.Name != text || d.Notes != text || d.Tags[0] != text || d.HardwareIDs[0] != text || d.Metadata[text] != text {
				w.Errorf("text %d changed: %.60q", i, d.Name)
			}
			got, err := w.st.FindDevices(w.ctx, w.org, text)
			w.must(err)
			if len(got) != 1 || got[0].ID != d.ID {
				w.Errorf("text %d is not found by name", i)
			}
		}
	},
	"big JSON and big numbers": func(w *world) {
		big := tandem.Map{"n": json.Number("9007199254740993"), "f": json.Number("0.1"), "deep": nest(40)}
		for i := range 5_000 {
			big[fmt.Sprintf("key-%d", i)] = strings.Repeat("x", 200)
		}
		d := w.device("d", func(d *tandem.Device) { d.Metadata = big })
		if canonical(marshal(d.Metadata)) != canonical(marshal(big)) {
			w.Error("the metadata changed")
		}
	},
	"lists of ids may be of any length": func(w *world) {
		s, d := w.service("s"), w.device("d")
		w.link(d, s, "x")
		run := w.newRun(s)
		conflict := w.newConflict(s, d, "name")
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Entries: []tandem.Entry{w.newEntry(run, d)}, PutConflicts: []tandem.Conflict{conflict},
			PutNotLinked: []tandem.NotLinked{w.newNotLinked(s, "n1", "n")}})
		ids, probes := make([]string, 10_000), make([]tandem.Probe, 10_001)
		for i := range ids {
			ids[i] = fmt.Sprintf("0190-none-%d", i)
			probes[i] = tandem.Probe{Name: ids[i], HardwareIDs: []string{ids[i]}}
		}
		with := func(id string) []string { return append(append([]string(nil), ids...), id) }
		probes[len(ids)] = tandem.Probe{Name: "d"}
		count := func(name string, n int, err error) {
			w.Helper()
			w.must(err)
			if n != 1 {
				w.Errorf("%s found %d, want 1", name, n)
			}
		}
		assignments, err := w.st.Assignments(w.ctx, w.org, with(d.ID))
		count("Assignments", len(assignments), err)
		linked, err := w.st.LinkedByExternal(w.ctx, w.org, s.ID, with("x"))
		count("LinkedByExternal", len(linked), err)
		linked, err = w.st.Reporting(w.ctx, w.org, s.ID, with("x"))
		count("Reporting", len(linked), err)
		linked, err = w.st.LinkedByDevice(w.ctx, w.org, s.ID, with(d.ID))
		count("LinkedByDevice", len(linked), err)
		candidates, err := w.st.Candidates(w.ctx, w.org, s.ID, probes)
		count("Candidates", len(candidates), err)
		entries, err := w.st.RecentChanges(w.ctx, w.org, with(d.ID), 2)
		count("RecentChanges", len(entries), err)
		rows, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{IDs: with(d.ID), Now: w.now})
		count("Devices", len(rows), err)
		conflicts, _, err := w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{IDs: with(conflict.ID)})
		count("Conflicts by id", len(conflicts), err)
		conflicts, _, err = w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{DeviceIDs: with(d.ID)})
		count("Conflicts by device", len(conflicts), err)
		remote, _, err := w.st.NotLinked(w.ctx, w.org, s.ID, tandem.NotLinkedFilter{ExternalDeviceIDs: with("n1")})
		count("NotLinked", len(remote), err)
		changes, err := w.st.PlanRowsOf(w.ctx, w.org, "none", ids, ids)
		if len(changes) != 0 {
			w.Errorf("PlanRowsOf found %d", len(changes))
		}
		if err != nil {
			w.wantCode(err, tandem.NotFound)
		}
		w.apply(tandem.Changes{DropIntents: ids})
	},
	"thousands of rows in one transaction": func(w *world) {
		s := w.service("s")
		var devices []tandem.Device
		var links []tandem.Assignment
		for i := range 3_001 {
			d := w.newDevice(fmt.Sprint(i))
			devices, links = append(devices, d), append(links, w.newAssignment(d, s, fmt.Sprintf("x%05d", i)))
		}
		w.apply(tandem.Changes{CreateDevices: devices, CreateAssignments: links})
		n, err := w.st.LinkedCount(w.ctx, w.org, s.ID)
		w.must(err)
		if n != len(devices) {
			w.Errorf("%d of %d", n, len(devices))
		}
		for i := range devices {
			devices[i].Name = "edited"
		}
		w.apply(tandem.Changes{UpdateDevices: devices})
		_, total, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Search: "edited", Now: w.now})
		w.must(err)
		if total != len(devices) {
			w.Errorf("%d of %d edited", total, len(devices))
		}
	},
}

// nest gives a map n levels deep.
func nest(n int) map[string]any {
	if n == 0 {
		return map[string]any{"leaf": true}
	}
	return map[string]any{"a": nest(n - 1)}
}
