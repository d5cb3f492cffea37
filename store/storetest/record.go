package storetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

var runTests = map[string]func(*world){
	"are added, rewritten, read and listed, newest first": func(w *world) {
		s, u := w.service("s"), w.service("u")
		done := w.now.Add(time.Minute)
		first := w.newRun(s, func(r *tandem.Run) {
			r.Forced, r.Details, r.PlanID, r.Reverts, r.CreatedBy = true, raw(`{"phases":["list"],"n":1}`), "p", "r0", "ada"
			r.Summary = tandem.Summary{Processed: 9, Successful: 7, Failed: 1, Conflicts: 1, Local: tandem.Counts{Created: 1, Updated: 2, Deleted: 3}, Remote: tandem.Counts{Created: 4, Updated: 5, Deleted: 6}}
		})
		second := w.newRun(s, func(r *tandem.Run) { r.CreatedAt, r.Operation, r.DeviceID = w.now.Add(time.Hour), tandem.OpImport, "d" })
		third := w.newRun(u, func(r *tandem.Run) {
			r.CreatedAt, r.StartedAt, r.Status = w.now.Add(2*time.Hour), nil, tandem.RunQueued
		})
		w.apply(tandem.Changes{PutRuns: []tandem.Run{first, second, third}})
		first.Status, first.CompletedAt, first.DurationMS, first.Error, first.Summary.Processed = tandem.RunPartial, &done, 60_000, "some failed", 10
		w.apply(tandem.Changes{PutRuns: []tandem.Run{first}})
		got, err := w.st.Run(w.ctx, w.org, first.ID)
		w.must(err)
		w.equal(got, first)
		names := map[string]string{first.ID: "1", second.ID: "2", third.ID: "3"}
		for _, test := range []struct {
			filter tandem.RunFilter
			want   string
			total  int
		}{
			{tandem.RunFilter{}, "3 2 1", 3}, {tandem.RunFilter{ServiceID: s.ID}, "2 1", 2}, {tandem.RunFilter{Status: tandem.RunPartial}, "1", 1},
			{tandem.RunFilter{Operation: tandem.OpImport}, "2", 1}, {tandem.RunFilter{ServiceID: u.ID, Status: tandem.RunRunning}, "", 0},
			{tandem.RunFilter{Page: tandem.Page{Number: 2, Limit: 2}}, "1", 3},
		} {
			list, total, err := w.st.Runs(w.ctx, w.org, test.filter)
			w.must(err)
			if got := strings.Join(pick(list, func(r tandem.Run) string { return names[r.ID] }), " "); got != test.want || total != test.total {
				w.Errorf("%+v gives %q of %d, want %q of %d", test.filter, got, total, test.want, test.total)
			}
		}
		_, err = w.st.Run(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"a request to cancel stays until it is seen": func(w *world) {
		run := w.newRun(w.service("s"))
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}})
		asked := func() bool {
			yes, err := w.st.CancelRequested(w.ctx, w.org, run.ID)
			w.must(err)
			return yes
		}
		if asked() {
			w.Error("asked before it was")
		}
		w.must(w.st.RequestCancel(w.ctx, w.org, run.ID))
		run.Summary.Processed = 5
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}}) // the run's own progress does not undo it
		if !asked() {
			w.Error("the request is gone")
		}
		w.wantCode(w.st.RequestCancel(w.ctx, w.org, "none"), tandem.NotFound)
	},
	"entries are filtered, oldest first": func(w *world) {
		s := w.service("s")
		run, other, d, e := w.newRun(s), w.newRun(s), w.device("Düse 1"), w.device("e")
		at := func(minutes int) func(*tandem.Entry) {
			return func(e *tandem.Entry) { e.CreatedAt = w.now.Add(time.Duration(minutes) * time.Minute) }
		}
		a := w.newEntry(run, d, at(1))
		b := w.newEntry(run, e, at(2), func(e *tandem.Entry) {
			e.Side, e.Action, e.Path, e.Outcome = tandem.RemoteSide, tandem.ActCreate, "", tandem.OutcomeFailed
			e.Code, e.Error, e.Note, e.Before, e.After = tandem.Exists, "The NAME is taken (100%)", "note", nil, raw(`{"name":"é","tags":[]}`)
		})
		c := w.newEntry(run, d, at(0), func(e *tandem.Entry) { e.Path = "metadata/site" })
		x := w.newEntry(other, d, at(3))
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run, other}, Entries: []tandem.Entry{a, b, c, x}})
		names := map[string]string{a.ID: "a", b.ID: "b", c.ID: "c", x.ID: "x"}
		for _, test := range []struct {
			filter tandem.EntryFilter
			want   string
			total  int
		}{
			{tandem.EntryFilter{RunID: run.ID}, "c a b", 3}, {tandem.EntryFilter{DeviceID: d.ID}, "c a x", 3}, {tandem.EntryFilter{}, "c a b x", 4},
			{tandem.EntryFilter{RunID: run.ID, Path: "name"}, "a", 1}, {tandem.EntryFilter{RunID: run.ID, Side: tandem.RemoteSide}, "b", 1},
			{tandem.EntryFilter{RunID: run.ID, Action: tandem.ActCreate}, "b", 1}, {tandem.EntryFilter{RunID: run.ID, Outcome: tandem.OutcomeFailed}, "b", 1},
			{tandem.EntryFilter{RunID: run.ID, Search: "SE 1"}, "c a", 2}, {tandem.EntryFilter{RunID: run.ID, Search: "name IS taken (100%"}, "b", 1},
			{tandem.EntryFilter{RunID: run.ID, Search: "_"}, "", 0}, {tandem.EntryFilter{RunID: run.ID, Page: tandem.Page{Number: 2, Limit: 2}}, "b", 3},
		} {
			list, total, err := w.st.Entries(w.ctx, w.org, test.filter)
			w.must(err)
			if got := strings.Join(pick(list, func(e tandem.Entry) string { return names[e.ID] }), " "); got != test.want || total != test.total {
				w.Errorf("%+v gives %q of %d, want %q of %d", test.filter, got, total, test.want, test.total)
			}
		}
		list, _, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{RunID: run.ID, Outcome: tandem.OutcomeFailed})
		w.must(err)
		w.equal(list, []tandem.Entry{b})
	},
}

var conflictTests = map[string]func(*world){
	"S9 at most one is open for a service, device and field": func(w *world) {
		s, u, d, e := w.service("s"), w.service("u"), w.device("d"), w.device("e")
		put := func(c tandem.Conflict) error {
			return w.st.Apply(w.ctx, w.org, &tandem.Changes{PutConflicts: []tandem.Conflict{c}})
		}
		first := w.newConflict(s, d, "name")
		w.must(put(first))
		w.wantCode(put(w.newConflict(s, d, "name")), tandem.Stale)
		w.wantCode(put(w.newConflict(s, d, "name", func(c *tandem.Conflict) { c.Status = tandem.ConflictResolving })), tandem.Stale)
		w.must(put(w.newConflict(s, d, "tags")))
		w.must(put(w.newConflict(s, d, "")))
		w.must(put(w.newConflict(s, e, "name")))
		w.must(put(w.newConflict(u, d, "name")))
		w.must(put(w.newConflict(s, d, "name", func(c *tandem.Conflict) { c.Status = tandem.ConflictAutoResolved })))
		ambiguous := func(external string) tandem.Conflict {
			return w.newConflict(s, tandem.Device{}, "", func(c *tandem.Conflict) { c.Type, c.ExternalDeviceID = tandem.AmbiguousMatch, external })
		}
		w.must(put(ambiguous("x1")))
		w.must(put(ambiguous("x2")))
		w.wantCode(put(ambiguous("x1")), tandem.Stale)
		stored, err := w.st.Conflict(w.ctx, w.org, first.ID)
		w.must(err)
		if stored.Version <= 0 {
			w.Errorf("version %d once stored", stored.Version)
		}
		by, at := "ada", w.now.Add(time.Hour)
		stored.Status, stored.ResolutionStrategy, stored.ResolvedValue, stored.ResolvedBy, stored.ResolvedAt = tandem.ConflictResolved, "local", raw(`"l"`), by, &at
		w.must(put(stored))
		w.wantCode(put(stored), tandem.Stale) // the version moved
		got, err := w.st.Conflict(w.ctx, w.org, first.ID)
		w.must(err)
		want := stored
		want.Version = stored.Version + 1
		w.equal(got, want)
		w.must(put(w.newConflict(s, d, "name")))
		_, err = w.st.Conflict(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"are filtered, newest first, open ones only unless asked": func(w *world) {
		s, u, d, e := w.service("s"), w.service("u"), w.device("Düse"), w.device("e")
		at := func(minutes int) func(*tandem.Conflict) {
			return func(c *tandem.Conflict) { c.CreatedAt = w.now.Add(time.Duration(minutes) * time.Minute) }
		}
		a := w.newConflict(s, d, "name", at(1), func(c *tandem.Conflict) { c.ByHand, c.Explanation, c.ExternalDeviceID = true, "why", "x1" })
		b := w.newConflict(s, d, "metadata/site/floor", at(2), func(c *tandem.Conflict) { c.Status = tandem.ConflictResolving })
		c := w.newConflict(u, e, "metadata", at(3), func(c *tandem.Conflict) { c.Type = tandem.InitialMismatch })
		x := w.newConflict(s, tandem.Device{}, "", at(4), func(c *tandem.Conflict) {
			c.Type, c.ExternalDeviceID, c.DeviceName = tandem.AmbiguousMatch, "x9", "Remote"
		})
		z := w.newConflict(s, e, "name", at(5), func(c *tandem.Conflict) { c.Status = tandem.ConflictIgnored })
		f := w.newConflict(s, e, "metadata2", at(6), func(c *tandem.Conflict) { c.Status = tandem.ConflictConverged })
		w.apply(tandem.Changes{PutConflicts: []tandem.Conflict{a, b, c, x, z, f}})
		names := map[string]string{a.ID: "a", b.ID: "b", c.ID: "c", x.ID: "x", z.ID: "z", f.ID: "f"}
		for _, test := range []struct {
			filter tandem.ConflictFilter
			want   string
			total  int
		}{
			{tandem.ConflictFilter{}, "x c b a", 4}, {tandem.ConflictFilter{All: true}, "f z x c b a", 6}, {tandem.ConflictFilter{ServiceID: u.ID}, "c", 1},
			{tandem.ConflictFilter{Status: tandem.ConflictIgnored}, "z", 1}, {tandem.ConflictFilter{Field: "metadata"}, "c b", 2},
			{tandem.ConflictFilter{Field: "metadata/site/floor"}, "b", 1}, {tandem.ConflictFilter{DeviceIDs: []string{d.ID, "none"}}, "b a", 2},
			{tandem.ConflictFilter{ExternalDeviceIDs: []string{"x9", "x1"}}, "x a", 2}, {tandem.ConflictFilter{Type: tandem.AmbiguousMatch}, "x", 1},
			{tandem.ConflictFilter{Search: "DÜSE"}, "b a", 2}, {tandem.ConflictFilter{IDs: []string{a.ID, c.ID}}, "c a", 2},
			{tandem.ConflictFilter{Page: tandem.Page{Number: 2, Limit: 3}}, "a", 4},
		} {
			list, total, err := w.st.Conflicts(w.ctx, w.org, test.filter)
			w.must(err)
			if got := strings.Join(pick(list, func(c tandem.Conflict) string { return names[c.ID] }), " "); got != test.want || total != test.total {
				w.Errorf("%+v gives %q of %d, want %q of %d", test.filter, got, total, test.want, test.total)
			}
		}
	},
}

var planTests = map[string]func(*world){
	"S27 a plan keeps its rows in order and is used once": func(w *world) {
		s := w.service("s")
		p := tandem.Plan{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, RunID: "r", Operation: tandem.OpExport, Reason: tandem.PlanSaved, Status: tandem.PlanOpen,
			ConfigPrint: "print", CreatedBy: "ada", CreatedAt: w.now}
		w.must(w.st.CreatePlan(w.ctx, w.org, p))
		var rows []tandem.Change
		for i := range 1203 {
			rows = append(rows, tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: fmt.Sprintf("d%d", i%400), ExternalDeviceID: fmt.Sprintf("x%d", i),
				DeviceName: "é", Path: "name", Before: raw(`{"b":1, "a":[ ]}`), After: raw(`1.50`), Note: "why"})
		}
		w.must(w.st.AppendPlan(w.ctx, w.org, p.ID, rows[:700]))
		w.must(w.st.AppendPlan(w.ctx, w.org, p.ID, rows[700:]))
		w.must(w.st.SealPlan(w.ctx, w.org, p.ID, len(rows), "sum"))
		got, err := w.st.Plan(w.ctx, w.org, p.ID)
		w.must(err)
		p.Rows, p.Checksum = len(rows), "sum"
		w.equal(got, p)
		var read []tandem.Change
		for {
			page, err := w.st.PlanRows(w.ctx, w.org, p.ID, len(read), 500)
			w.must(err)
			if len(page) == 0 {
				break
			}
			read = append(read, page...)
		}
		if string(marshal(read)) != string(marshal(rows)) || string(read[0].Before) != `{"b":1, "a":[ ]}` {
			w.Error("the rows are not as they were, byte by byte")
		}
		of, err := w.st.PlanRowsOf(w.ctx, w.org, p.ID, []string{"d7"}, []string{"x5", "none"})
		w.must(err)
		if ids := joined(of, func(c tandem.Change) string { return c.ExternalDeviceID }); ids != "x1207 x407 x5 x7 x807" && ids != "x407 x5 x7 x807" {
			w.Errorf("rows of d7 and x5: %s", ids)
		}
		viewPlan(w, p)
		second := p
		second.ID, second.CreatedAt, second.Status, second.Rows, second.Checksum = w.id(), w.now.Add(time.Hour), tandem.PlanOpen, 0, ""
		w.must(w.st.CreatePlan(w.ctx, w.org, second))
		list, err := w.st.Plans(w.ctx, w.org, s.ID)
		w.must(err)
		w.equal(pick(list, func(p tandem.Plan) string { return p.ID }), []string{second.ID, p.ID})

		var wins atomic.Int64
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				err := w.handles[i%len(w.handles)].ClosePlan(w.ctx, w.org, p.ID, tandem.PlanUsed, w.now)
				if err == nil {
					wins.Add(1)
				} else if !tandem.Is(err, tandem.Stale) {
					w.Error(err)
				}
			})
		}
		wait.Wait()
		if wins.Load() != 1 {
			w.Errorf("used %d times", wins.Load())
		}
		w.wantCode(w.st.ClosePlan(w.ctx, w.org, p.ID, tandem.PlanDiscarded, w.now), tandem.Stale)
		got, err = w.st.Plan(w.ctx, w.org, p.ID)
		w.must(err)
		if got.Status != tandem.PlanUsed || got.UsedAt == nil || !got.UsedAt.Equal(w.now) {
			w.Errorf("%s at %v", got.Status, got.UsedAt)
		}
		_, err = w.st.Plan(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
		w.wantCode(w.st.AppendPlan(w.ctx, w.org, "none", rows[:1]), tandem.NotFound)
		w.wantCode(w.st.ClosePlan(w.ctx, w.org, "none", tandem.PlanUsed, w.now), tandem.NotFound, tandem.Stale)
	},
}
