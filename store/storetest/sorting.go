package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"tandem"
)

// listing is one that is read page by page, and how to read it sorted; ids names its rows.
type listing struct {
	name string
	keys tandem.Sorts
	ids  func(w *world, f queried, by string, page tandem.Page) ([]string, error)
}

// each names the rows of a listing.
func each[T any](rows []T, _ int, err error) func(id func(*T) string) ([]string, error) {
	return func(id func(*T) string) ([]string, error) {
		ids := make([]string, len(rows))
		for i := range rows {
			ids[i] = id(&rows[i])
		}
		return ids, err
	}
}

// listings are all of them but devices, whose order is kept.
var listings = []listing{
	{"runs", tandem.RunSorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Runs(w.ctx, w.org, tandem.RunFilter{Sort: by, Page: page}))(func(r *tandem.Run) string { return r.ID })
	}},
	{"entries", tandem.EntrySorts, func(w *world, f queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Entries(w.ctx, w.org, tandem.EntryFilter{RunID: f.run.ID, Sort: by, Page: page}))(func(e *tandem.Entry) string { return e.ID })
	}},
	{"a device's entries", tandem.EntrySorts, func(w *world, f queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Entries(w.ctx, w.org, tandem.EntryFilter{DeviceID: f.device.ID, Sort: by, Page: page}))(func(e *tandem.Entry) string { return e.ID })
	}},
	{"conflicts", tandem.ConflictSorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{All: true, Sort: by, Page: page}))(func(c *tandem.Conflict) string { return c.ID })
	}},
	{"deliveries", tandem.DeliverySorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{Sort: by, Page: page}))(func(d *tandem.Delivery) string { return d.ID })
	}},
	{"deliveries of a status", tandem.DeliverySorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{Status: tandem.DeliveryWaiting, Sort: by, Page: page}))(func(d *tandem.Delivery) string { return d.ID })
	}},
	{"observations", tandem.ObservationSorts, func(w *world, f queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: f.device.ID, Sort: by, Page: page}))(func(o *tandem.DeviceObservation) string {
			return o.ObservedAt.String()
		})
	}},
	{"alerts", tandem.AlertSorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Alerts(w.ctx, w.org, tandem.AlertFilter{All: true, Sort: by, Page: page}))(func(a *tandem.Alert) string { return a.ID })
	}},
	{"the audit", tandem.AuditSorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Sort: by, Page: page}))(func(e *tandem.SealedEntry) string { return e.ID })
	}},
	{"remote devices", tandem.NotLinkedSorts, func(w *world, f queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.NotLinked(w.ctx, w.org, f.service.ID, tandem.NotLinkedFilter{Ignored: true, Sort: by, Page: page}))(func(n *tandem.NotLinked) string {
			return n.ExternalDeviceID
		})
	}},
	{"members", tandem.MemberSorts, func(w *world, _ queried, by string, page tandem.Page) ([]string, error) {
		return each(w.st.Members(w.ctx, w.org, tandem.MemberFilter{Sort: by, Page: page}))(func(m *tandem.Member) string { return m.ID })
	}},
}

// few are listings of which an organization has few rows: those are sorted once they are read.
var few = []string{"members"}

// readSorted makes the listings of what grows by each of their keys, both ways.
func readSorted(w *world, f queried) {
	w.Helper()
	for _, l := range listings {
		for _, by := range l.keys.All() {
			if slices.Contains(few, l.name) {
				continue
			}
			if _, err := l.ids(w, f, by, tandem.Page{Number: 2, Limit: 20}); err != nil {
				w.Errorf("%s by %s: %v", l.name, by, err)
			}
		}
	}
}

// unlike fills an organization with a few rows of everything, of different ages and kinds.
func unlike(w *world) queried {
	w.Helper()
	f := queried{service: w.service("s")}
	f.device = w.device("d")
	var c tandem.Changes
	var batch []tandem.Delivery
	for i := range 7 {
		at := w.now.Add(time.Duration(i*3%7) * time.Minute)
		f.run = w.newRun(f.service, func(r *tandem.Run) {
			r.Status, r.Operation = []tandem.RunStatus{tandem.RunCompleted, tandem.RunFailed}[i%2], []tandem.Operation{tandem.OpImport, tandem.OpExport, tandem.OpRevert}[i%3]
			r.CreatedAt = at
		})
		c.PutRuns = append(c.PutRuns, f.run)
		c.PutConflicts = append(c.PutConflicts, w.newConflict(f.service, f.device, tandem.Path(fmt.Sprintf("metadata/%d", i*5%7)), func(c *tandem.Conflict) {
			c.Type, c.CreatedAt = []tandem.ConflictType{tandem.ConcurrentModification, tandem.InitialMismatch}[i%2], at
		}))
		c.PutNotLinked = append(c.PutNotLinked, w.newNotLinked(f.service, fmt.Sprintf("x-%d", i*5%7), fmt.Sprintf("Name %d", i%3)))
		c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: f.device.ID, Path: "p", Value: raw("1"), ObservedAt: at})
		c.PutAlerts = append(c.PutAlerts, w.newAlert(f.service, []tandem.AlertKind{tandem.AlertConflicts, tandem.AlertRunFailed}[i%2], func(a *tandem.Alert) {
			a.Subject, a.RaisedAt = fmt.Sprint(i), at
		}))
		c.Along.Audit = append(c.Along.Audit, w.newAudit([]string{"device.update", "device.create"}[i%2], func(e *tandem.AuditEntry) { e.At = at }))
		batch = append(batch, w.newDelivery(f.service, func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting }))
		w.user([]tandem.Role{tandem.Viewer, tandem.Owner}[i%2], func(u *tandem.User) { u.Name = fmt.Sprintf("Name %d", i*2%7) })
	}
	for i := range 7 {
		c.Entries = append(c.Entries, w.newEntry(f.run, f.device, func(e *tandem.Entry) { e.CreatedAt = w.now.Add(time.Duration(i*3%7) * time.Minute) }))
	}
	w.apply(c)
	w.store(batch...)
	return f
}

var sortingTests = map[string]func(*world){
	"a minus turns the order of all rows round, and pages follow it": func(w *world) {
		f := unlike(w)
		for _, l := range listings {
			for _, key := range l.keys {
				up, err := l.ids(w, f, key, tandem.Page{})
				w.must(err)
				down, err := l.ids(w, f, "-"+key, tandem.Page{})
				w.must(err)
				if len(up) < 7 {
					w.Errorf("%s: %d rows", l.name, len(up))
				}
				slices.Reverse(down)
				w.equal(down, up)
				part, err := l.ids(w, f, key, tandem.Page{Number: 2, Limit: 3})
				w.must(err)
				w.equal(part, up[3:6])
			}
		}
	},
	"the rows are in the order of the key": func(w *world) {
		unlike(w)
		runs, _, err := w.st.Runs(w.ctx, w.org, tandem.RunFilter{Sort: "-operation"})
		w.must(err)
		if !slices.IsSortedFunc(runs, func(a, b tandem.Run) int {
			if a.Operation != b.Operation {
				return cmp.Compare(b.Operation, a.Operation)
			}
			return b.CreatedAt.Compare(a.CreatedAt)
		}) {
			w.Error("runs are not sorted by their operation, then by their age")
		}
		people, _, err := w.st.Members(w.ctx, w.org, tandem.MemberFilter{Sort: "name"})
		w.must(err)
		if !slices.IsSortedFunc(people, func(a, b tandem.Member) int { return cmp.Compare(a.Name, b.Name) }) {
			w.Error("members are not sorted by their name")
		}
		conflicts, _, err := w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{Sort: "field_name"})
		w.must(err)
		if !slices.IsSortedFunc(conflicts, func(a, b tandem.Conflict) int { return cmp.Compare(string(a.FieldName), string(b.FieldName)) }) {
			w.Error("conflicts are not sorted by their field")
		}
	},
	"another key is refused with those that there are": func(w *world) {
		f := unlike(w)
		for _, l := range listings {
			for _, by := range []string{"colour", "--" + l.keys[0], "id; DROP TABLE devices"} {
				_, err := l.ids(w, f, by, tandem.Page{})
				w.wantCode(err, tandem.Invalid)
			}
		}
	},
	"what grows without end is counted up to a bound, and one more says so": func(w *world) {
		d := w.device("d")
		var c tandem.Changes
		for i := range tandem.CountedTo + 5 {
			c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: d.ID, Path: "p", Value: raw("1"), ObservedAt: w.now.Add(time.Duration(i) * time.Second)})
		}
		w.apply(c)
		page := tandem.Page{Number: 1, Limit: 10}
		_, total, err := w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID, Page: page})
		w.must(err)
		w.equal(tandem.PaginatedSome(page, total), tandem.Pagination{Page: 1, Limit: 10, Total: tandem.CountedTo, Pages: tandem.CountedTo / 10, Capped: true})
		_, total, err = w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID, Since: w.now.Add(5 * time.Second), Page: page})
		w.must(err)
		w.equal(tandem.PaginatedSome(page, total), tandem.Pagination{Page: 1, Limit: 10, Total: tandem.CountedTo, Pages: tandem.CountedTo / 10})
	},
}
