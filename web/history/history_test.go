package history_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is one whose devices were imported.
type world struct {
	*webtest.World
	t    *testing.T
	rows []tandem.DeviceRow
}

func open(t *testing.T, options ...webtest.Option) *world {
	t.Helper()
	w := &world{World: webtest.Open(t, append([]webtest.Option{webtest.WithService(nil)}, options...)...), t: t}
	w.Import()
	w.rows = w.Fleet()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// run reads a run by the address that a page is at.
func (w *world) run(p *webtest.Page) tandem.Run {
	w.t.Helper()
	id, _, _ := strings.Cut(strings.TrimPrefix(p.Path(), w.Path("history/")), "?")
	run, err := w.API.Run(w.t.Context(), w.Org.ID, id)
	w.must(err)
	return run
}

// ends waits for the end of a run.
func (w *world) ends(id string, status tandem.RunStatus) {
	w.t.Helper()
	w.Wait("a run that is "+string(status), func() bool {
		run, err := w.API.Run(w.t.Context(), w.Org.ID, id)
		return err == nil && run.Status == status
	})
}

// fault has the simulator fail.
func (w *world) fault(text string) {
	w.t.Helper()
	f, err := simulator.ParseFault(text)
	w.must(err)
	w.Simulator.AddFault(f)
}

// TestList: runs are found by their filters, and a new one shows without a reload.
func TestList(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("history")
	p.SeeIn("#live", "Live")
	p.WaitCount("#runs .card-table tbody tr", func(n int) bool { return n == 1 })
	w.Sync()
	p.WaitCount("#runs .card-table tbody tr", func(n int) bool { return n == 2 })
	p.Choose("#operation", "import")
	p.WaitCount("#runs .card-table tbody tr", func(n int) bool { return n == 1 })
	p.Choose("#status", "failed")
	p.See("No run fits")
	p.Open("history?since=2001-01-01&until=2001-01-02")
	p.See("No run fits")
}

// TestTheSameAgain: what the schedule repeats is folded below the newest, found there, and stays unfolded while the list moves.
func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Sync()
	var runs []tandem.Run
	for range 3 {
		runs = append(runs, w.Scheduled())
	}
	p := w.Browser(t, webtest.Options{})
	p.Open("history")
	p.SeeIn("#live", "Live")
	rows := "#runs .card-table tbody tr:not(.same)"
	p.WaitCount(rows, func(n int) bool { return n == 3 }) // the newest of them, and two by hand
	p.SeeIn("#runs .same", "2 earlier runs by the schedule came to the same and changed nothing")
	p.SeeIn("#runs [data-total]", "1–5 of 5")
	p.Axe()
	p.Click("#runs .same summary")
	w.Sync() // by hand: it stands by itself, and the list is read again
	p.WaitCount(rows, func(n int) bool { return n == 4 })
	p.Click(`#runs .same a[href$="` + runs[0].ID + `"]`)
	p.WaitPath(w.Path("history/" + runs[0].ID))
	p.Open("history?trigger=manual")
	p.WaitCount("#runs .same", func(n int) bool { return n == 0 })
	p.Open("")
	p.SeeIn("#activity", "the same 2 times before")
}

// TestRunPage: what a run did is found by device, and downloaded as it is listed.
func TestRunPage(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Edit(w.rows[0], "name", "renamed here")
	w.EditRemote(w.rows[1], "name", "renamed there")
	run := w.Sync()
	entries, total, err := w.API.Entries(t.Context(), w.Org.ID, tandem.EntryFilter{RunID: run.ID, Page: tandem.Page{Number: 1, Limit: 100}})
	w.must(err)
	p := w.Browser(t, webtest.Options{})
	p.Open("history")
	p.Click(`#runs a[href$="` + run.ID + `"]`)
	p.WaitPath(w.Path("history/" + run.ID))
	p.WaitCount("#entries tbody tr", func(n int) bool { return n == total })
	p.Fill("#search", "renamed there")
	p.WaitCount("#entries tbody tr", func(n int) bool { return n < total })
	p.Choose("#outcome", "failed")
	p.See("Nothing fits")
	for _, kind := range []string{"csv", "json"} {
		var text string
		p.Eval(`fetch("`+w.Path("history/"+run.ID+"/entries."+kind)+`").then((r) => r.text())`, &text)
		for _, e := range entries {
			if e.DeviceID != "" && !strings.Contains(text, e.DeviceID) {
				t.Errorf("the %s has nothing of device %s: %.300s", kind, e.DeviceID, text)
			}
		}
	}
}

// TestConflictOfARun: a run that met a conflict shows what each side has, and leads to where it is settled.
func TestConflictOfARun(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := w.Conflict(w.rows[0], "name", "named here", "named there")
	p := w.Browser(t, webtest.Options{Width: webtest.Phone})
	p.Open("history/" + c.RunID)
	p.SeeIn("#groups", "Changed on both sides")
	p.SeeIn("#entries", "Here: named here")
	p.SeeIn("#entries", "On Golioth: named there")
	p.Axe()
	p.Click("#groups a >> Settle them")
	p.WaitPath(w.Path("conflicts"))
}

// TestCauses: what did not get done is grouped by its cause, with the device and what to do.
func TestCauses(t *testing.T) {
	t.Parallel()
	w := open(t)
	row := w.rows[0]
	w.fault("422:PATCH /v1/projects/" + webtest.Project + "/devices/" + row.Assignments[0].ExternalDeviceID)
	w.Edit(row, "name", "refused there")
	run := w.Run(tandem.OpBidirectional)
	groups, err := w.API.EntryGroups(t.Context(), w.Org.ID, run.ID)
	w.must(err)
	if len(groups) != 1 {
		t.Fatalf("the API groups the failures as %+v", groups)
	}
	p := w.Browser(t, webtest.Options{})
	p.Open("history/" + run.ID)
	p.SeeIn("#groups", strings.TrimPrefix(groups[0].Hint, groups[0].Hint[:1])) // as a sentence
	p.SeeIn("#state", "It went through, but 1 device failed.")
	p.Click("#groups a >> refused there")
	p.WaitPath(w.Path("devices/" + row.ID))
}

// TestUndo: a run is undone after its preview, on both sides.
func TestUndo(t *testing.T) {
	t.Parallel()
	w := open(t)
	here, there := w.rows[0], w.rows[1]
	w.Edit(here, "name", "renamed here")
	w.EditRemote(there, "name", "renamed there")
	done := w.Sync()
	p := w.Browser(t, webtest.Options{})
	p.Open("history/" + done.ID)
	p.Click("#state a >> Undo this run")
	p.WaitPath(w.Path("history/" + done.ID + "/undo"))
	p.See("renamed there")
	if got := w.Device(there.ID).Name; got != "renamed there" {
		t.Errorf("the preview alone made the name %q", got)
	}
	p.Click("button >> Undo it")
	p.Told("Undoing has begun")
	undo := w.run(p)
	w.ends(undo.ID, tandem.RunCompleted)
	p.SeeIn("#state", "completed")
	p.SeeIn("#state", "undoes another run")
	if undo.Reverts != done.ID {
		t.Errorf("the run undoes %q", undo.Reverts)
	}
	if got := w.Device(there.ID).Name; got != there.Name {
		t.Errorf("here the name is %q, it was %q", got, there.Name)
	}
	if got := w.Remote(here).Name; got != here.Name {
		t.Errorf("at the other end the name is %q, it was %q", got, here.Name)
	}
}

// held makes a run that a guard holds back: most devices are gone at the other end.
func held(t *testing.T) (*world, tandem.Run) {
	t.Helper()
	w := open(t, webtest.WithService(func(c *tandem.ServiceConfig) { c.OnRemoteDelete = tandem.DeleteLocal }))
	for _, row := range w.rows[:12] {
		w.must(w.Simulator.DeleteDevice(webtest.Project, row.Assignments[0].ExternalDeviceID))
	}
	run := w.Run(tandem.OpImport)
	if run.Status != tandem.RunBlocked {
		t.Fatalf("the run is %s: %s", run.Status, run.Error)
	}
	return w, run
}

// TestLetThrough: what a guard held back is done once somebody says so.
func TestLetThrough(t *testing.T) {
	t.Parallel()
	w, run := held(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("history")
	p.SeeIn("#runs", "would be deleted")
	var clipped int
	p.Eval(`(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector("#runs .table-responsive"))`, &clipped)
	if clipped > 0 {
		t.Errorf("%d pixels of the list are out of sight beside a long reason", clipped)
	}
	p.Open("history/" + run.ID)
	p.SeeIn("#state", "This run waits for somebody")
	p.NotSeeIn("#state", "ended with an error") // it waits, and says why once
	p.Click("#state button >> Let it through")
	p.Confirm(true)
	p.Told("let through")
	w.ends(w.run(p).ID, tandem.RunCompleted)
	if n := len(w.Fleet()); n != len(w.rows)-12 {
		t.Errorf("%d devices are left, want %d", n, len(w.rows)-12)
	}
}

// TestDiscard: what a guard held back is dropped, and nothing of it happens.
func TestDiscard(t *testing.T) {
	t.Parallel()
	w, run := held(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("history/" + run.ID)
	p.Click("#state button >> Discard")
	p.Confirm(true)
	p.Told("Discarded")
	p.SeeIn("#state", "It was discarded")
	plan, err := w.API.Plan(t.Context(), w.Org.ID, run.PlanID)
	w.must(err)
	if plan.Status == tandem.PlanOpen || plan.Status == tandem.PlanUsed {
		t.Errorf("the API says that the plan is %s", plan.Status)
	}
	for _, row := range w.rows[:12] {
		w.Device(row.ID)
	}
}

// TestStop: a run that goes on shows how far it is, and stops.
func TestStop(t *testing.T) {
	t.Parallel()
	w := open(t, webtest.Devices(200), webtest.WithService(func(c *tandem.ServiceConfig) { c.Concurrency, c.Paths = 1, tandem.Paths{} }))
	w.Simulator.SetLatency(simulator.Latency{Mean: 300 * time.Millisecond})
	for _, row := range w.rows[:60] {
		w.Edit(row, "name", row.Name+" x")
	}
	run, err := w.API.StartRun(t.Context(), w.Org.ID, tandem.RunRequest{ServiceID: w.Service.ID, Operation: tandem.OpExport, Trigger: tandem.ByHand, Force: true})
	w.must(err)
	p := w.Browser(t, webtest.Options{})
	p.Open("history/" + run.ID)
	p.WaitFor("#state progress")
	p.Click("#state button >> Stop")
	p.Told("The run stops")
	w.ends(run.ID, tandem.RunCanceled)
	p.SeeIn("#state", "canceled")
	p.WaitGone("#state progress")
}
