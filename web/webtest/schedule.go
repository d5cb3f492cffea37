package webtest

import (
	"strings"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/store/sqlite"
)

// Scheduled has the schedule run the world's service now, which otherwise takes a minute, and gives the run once it has
// ended. A full sync by hand has to have let the settings run, and the server keeps its data in SQLite.
func (w *World) Scheduled() tandem.Run {
	w.t.Helper()
	ctx := w.t.Context()
	filter := tandem.RunFilter{ServiceID: w.Service.ID, Trigger: tandem.BySchedule, Page: tandem.Page{Limit: 1}}
	_, before, err := w.API.Runs(ctx, w.Org.ID, filter)
	must(w.t, err)
	on, every := true, 3600
	_, err = w.API.UpdateService(ctx, w.Org.ID, w.Service.ID, client.ServiceEdit{SyncEnabled: &on, SyncInterval: &every})
	must(w.t, err)
	if before > 0 { // the first one's time has come as soon as the schedule is on
		db, err := sqlite.Open(ctx, strings.TrimPrefix(w.server.database, "sqlite:"))
		must(w.t, err)
		past := time.Unix(1, 0).UTC()
		at := &past
		err = db.Apply(ctx, w.Org.ID, &tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: w.Service.ID, NextSyncAt: &at}}})
		must(w.t, err)
		must(w.t, db.Close())
	}
	var run tandem.Run
	w.Wait("a run by the schedule", func() bool {
		runs, total, err := w.API.Runs(ctx, w.Org.ID, filter)
		if err != nil || total <= before || !runs[0].Status.Ended() {
			return false
		}
		run = runs[0]
		return true
	})
	return run
}
