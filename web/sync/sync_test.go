package sync_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is an organization with a service.
type world struct {
	*webtest.World
	t *testing.T
}

func open(t *testing.T, options ...webtest.Option) *world {
	t.Helper()
	return &world{webtest.Open(t, append([]webtest.Option{webtest.WithService(nil)}, options...)...), t}
}

// page opens the page of runs.
func (w *world) page(o webtest.Options) *webtest.Page {
	w.t.Helper()
	p := w.Browser(w.t, o)
	p.Open("sync")
	return p
}

// runs lists the service's runs, the newest first.
func (w *world) runs() []tandem.Run {
	w.t.Helper()
	runs, _, err := w.API.Runs(w.t.Context(), w.Org.ID, tandem.RunFilter{ServiceID: w.Service.ID})
	w.must(err)
	return runs
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// ended waits for the newest run to end.
func (w *world) ended(status tandem.RunStatus) tandem.Run {
	w.t.Helper()
	var run tandem.Run
	w.Wait("a run that is "+string(status), func() bool {
		all := w.runs()
		if len(all) > 0 {
			run = all[0]
		}
		return run.Status == status
	})
	return run
}

// preview keeps a plan through the API and gives its page's address.
func (w *world) preview(operation tandem.Operation) string {
	w.t.Helper()
	p, err := w.API.Preview(w.t.Context(), w.Org.ID, tandem.RunRequest{ServiceID: w.Service.ID, Operation: operation}, true, func(tandem.Change) error { return nil })
	w.must(err)
	return "sync/plans/" + p.PlanID
}

// lose deletes devices at the other end.
func (w *world) lose(n int) {
	w.t.Helper()
	for _, row := range w.Fleet()[:n] {
		w.must(w.Simulator.DeleteDevice(webtest.Project, w.Remote(row).ID))
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	w := open(t)
	first := w.preview(tandem.OpImport)
	w.Import()
	w.lose(20)
	if run := w.Run(tandem.OpImport); run.Status != tandem.RunBlocked {
		t.Fatalf("the run is %s", run.Status)
	}
	held := w.runs()[0].PlanID
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open(first)
		p.See("What it would do")
		p.Axe()
		p.Fits()
		p.Shot("plan")
		p.Open("sync/plans/" + held)
		p.See("Held back by a guard")
		p.Axe()
		p.Fits()
		p.Shot("plan-held")
		p.Open("sync")
		p.See("held back")
		p.Axe()
		p.Shot("sync")
	})
}

func TestAPreviewIsAppliedAndNothingElse(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.page(webtest.Options{})
	p.Click("button >> Preview: Import from Golioth")
	p.WaitPath(w.Path("sync/plans/"))
	p.SeeIn("#counts", "24")
	p.See("Apply 24 changes")
	if n := len(w.Fleet()); n != 0 || len(w.runs()) != 0 {
		t.Fatalf("the preview made %d devices and %d runs", n, len(w.runs()))
	}
	_, err := w.Simulator.CreateDevice(webtest.Project, tandem.NewRemoteDevice{Name: "came later", HardwareIDs: []string{"later"}})
	w.must(err)
	p.Click("button >> Apply")
	p.Told("being applied")
	w.ended(tandem.RunCompleted)
	p.SeeIn("#status-"+w.Service.ID, "24 created") // by itself
	if n := len(w.Fleet()); n != 24 {
		t.Errorf("%d devices are here, want the 24 of the plan", n)
	}
	p.Open("sync")
	p.NotSee("not applied")
}

func TestAPlanIsFiltered(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	fleet := w.Fleet()
	w.EditRemote(fleet[0], "name", "Quite another name")
	w.Edit(fleet[1], "metadata/site", "Here")
	w.must(w.Simulator.DeleteDevice(webtest.Project, w.Remote(fleet[2]).ID))
	// The edit here goes over by itself, so it is not in the plan.
	w.ended(tandem.RunCompleted)
	p := w.Browser(t, webtest.Options{})
	p.Open(w.preview(tandem.OpBidirectional))
	p.SeeIn("#removals", fleet[2].Name)
	p.NotSeeIn("#rows", fleet[2].Name)
	p.SeeIn("#rows", "Quite another name")
	p.Choose("#action", "unlink")
	p.SeeIn("#rows", fleet[2].Name)
	p.NotSeeIn("#rows", "Quite another name")
	p.Choose("#action", "")
	p.Fill("#search", "quite")
	p.NotSeeIn("#rows", fleet[2].Name)
	p.Fill("#search", "nothing has this")
	p.SeeIn("#rows", "No change fits")
}

// TestWhatStaysDifferentIsNoChange: an import does not send what was changed here, so there is nothing to apply.
func TestWhatStaysDifferentIsNoChange(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	off := false
	_, err := w.API.UpdateService(t.Context(), w.Org.ID, w.Service.ID, client.ServiceEdit{SyncEnabled: &off})
	w.must(err)
	w.Edit(w.Fleet()[0], "name", "Renamed here")
	path := w.preview(tandem.OpImport)
	p := w.page(webtest.Options{})
	p.SeeIn("[data-saved]", "0 changes")
	p.Open(path)
	p.SeeIn("#counts", "leave different")
	p.See("There is nothing to apply")
	if p.Count("button >> Apply") != 0 {
		t.Error("what is left different can be applied")
	}
}

func TestAPreviewIsDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	path := w.preview(tandem.OpImport)
	p := w.page(webtest.Options{})
	p.SeeIn("[data-saved]", "24 changes")
	p.Click("[data-saved] button")
	p.Told("Dropped")
	p.WaitGone("[data-saved]")
	if plan, err := w.API.Plan(t.Context(), w.Org.ID, strings.TrimPrefix(path, "sync/plans/")); err != nil || plan.Status != tandem.PlanDiscarded {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	p.Open(path)
	p.See("It was discarded")
	if p.Count("button >> Apply") != 0 {
		t.Error("it can still be applied")
	}
}

func TestTheFirstRunIsSeenBefore(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.page(webtest.Options{})
	p.Click("button >> Full sync")
	p.WaitPath(w.Path("sync/plans/"))
	if len(w.runs()) != 0 {
		t.Fatal("it ran unseen")
	}
	p.Click("button >> Start this sync")
	p.Told("is starting")
	w.ended(tandem.RunCompleted)
	if s, err := w.API.Service(t.Context(), w.Org.ID, w.Service.ID); err != nil || !s.Approved {
		t.Errorf("the settings may run: %t, %v", s.Approved, err)
	}
	p.Open("sync")
	w.EditRemote(w.Fleet()[0], "name", "Renamed there")
	before := len(w.runs())
	p.Click("button >> Full sync")
	p.Told("is starting")
	w.Wait("another run", func() bool { return len(w.runs()) > before })
	if run := w.ended(tandem.RunCompleted); run.Operation != tandem.OpBidirectional || run.Trigger != tandem.ByHand || run.CreatedBy != w.Owner.Email {
		t.Errorf("the run is %+v", run)
	}
	if name := w.Fleet(); !named(name, "Renamed there") {
		t.Error("the name did not come over")
	}
}

func named(rows []tandem.DeviceRow, name string) bool {
	for _, r := range rows {
		if r.Name == name {
			return true
		}
	}
	return false
}

func TestOperationsAndCreatingMissing(t *testing.T) {
	t.Parallel()
	w := open(t, webtest.WithService(func(c *tandem.ServiceConfig) { c.Direction = tandem.Import }))
	w.Import()
	_, err := w.Simulator.CreateDevice(webtest.Project, tandem.NewRemoteDevice{Name: "only there", HardwareIDs: []string{"there"}})
	w.must(err)
	name := "only here"
	_, err = w.API.CreateDevice(t.Context(), w.Org.ID, registry.DeviceEdit{Name: &name})
	w.must(err)
	p := w.page(webtest.Options{})
	p.Click("summary >> Options")
	p.Choose("label >> Devices that are on one side only", "none")
	p.Click("button >> Import from Golioth")
	p.Told("is starting")
	if run := w.ended(tandem.RunCompleted); run.Operation != tandem.OpImport || run.Summary.Local.Created != 0 {
		t.Errorf("importing without creating did %+v", run)
	}
	w.Wait("the options unfolded", func() bool { // they may be so still
		if p.Count("label >> Devices that are on one side only") > 0 {
			return true
		}
		p.Click("summary >> Options")
		return false
	})
	p.Choose("label >> Devices that are on one side only", "remote")
	p.Click("button >> Export to Golioth")
	p.Told("Export to Golioth")
	w.Wait("the device at the other end", func() bool { _, err := w.Simulator.DeviceByName(webtest.Project, "only here"); return err == nil })
	if run := w.runs()[0]; run.Operation != tandem.OpExport {
		t.Errorf("the run was an %s", run.Operation)
	}
	if named(w.Fleet(), "only there") {
		t.Error("an export brought a device here")
	}
}

func TestForceIsSeenFirst(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	row := w.Fleet()[0]
	w.Conflict(row, "name", "As it is here", "As it is there")
	p := w.page(webtest.Options{})
	p.Click("summary >> Options")
	p.Click("label >> Force")
	p.Click("button >> Import from Golioth")
	p.WaitPath(w.Path("sync/plans/"))
	p.SeeIn("#rows", "As it is there")
	if got := w.Device(row.ID).Name; got != "As it is here" {
		t.Fatalf("before it is applied the name is %q", got)
	}
	p.Click("button >> Apply")
	p.Told("being applied")
	w.Wait("the other side's name", func() bool { return w.Device(row.ID).Name == "As it is there" })
}

func TestARunIsWatchedAndStopped(t *testing.T) {
	t.Parallel()
	w := open(t, webtest.Devices(900), webtest.WithService(func(c *tandem.ServiceConfig) { c.Paths = tandem.Paths{} }))
	plan := w.preview(tandem.OpImport)
	w.Simulator.SetLatency(simulator.Latency{Mean: 5 * time.Second}) // it lasts until it is stopped
	p := w.Browser(t, webtest.Options{})
	p.Open(plan)
	p.Click("button >> Apply 900 changes")
	p.Told("being applied")
	p.WaitFor("[data-run] progress")
	p.Axe()
	p.Click("button >> Stop")
	p.Told("stops at its next step")
	w.Simulator.SetLatency(simulator.Latency{})
	run := w.ended(tandem.RunCanceled)
	p.WaitGone("[data-run]")
	p.SeeIn("#status-"+w.Service.ID, "canceled")
	if n := len(w.Fleet()); n == 900 || n != run.Summary.Local.Created {
		t.Errorf("%d devices are here, %d were created, want fewer than 900", n, run.Summary.Local.Created)
	}
}

func TestWhatIsHeldBackIsLetThrough(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Sync()
	w.lose(20)
	p := w.page(webtest.Options{})
	p.Click("button >> Import from Golioth")
	p.Told("is starting")
	w.ended(tandem.RunBlocked)
	p.SeeIn("[data-held]", "held back 20 changes") // by itself
	if n := len(w.Fleet()); n != 24 {
		t.Fatalf("%d are linked before anybody let it through", n)
	}
	p.Click("a >> See what it holds")
	p.WaitPath(w.Path("sync/plans/"))
	p.SeeIn("#removals", "20 deletions and unlinkings")
	p.Open("sync")
	p.Click("button >> Let it through")
	p.SeeIn("#confirm", "20 devices would be deleted, unlinked or recreated")
	p.Confirm(true)
	p.Told("Let through")
	w.Wait("what was held back", func() bool { return w.linked() == 4 })
	p.WaitGone("[data-held]")
}

func TestWhatIsHeldBackIsDiscarded(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	w.lose(20)
	w.Run(tandem.OpImport)
	p := w.page(webtest.Options{Theme: "dark", Width: webtest.Phone})
	p.Click("button >> Discard")
	p.Confirm(false)
	p.Click("button >> Discard")
	p.Confirm(true)
	p.Told("Discarded")
	p.WaitGone("[data-held]")
	plans, err := w.API.Plans(t.Context(), w.Org.ID, w.Service.ID)
	w.must(err)
	if len(plans) != 1 || plans[0].Status != tandem.PlanDiscarded || w.linked() != 24 {
		t.Errorf("plans %+v, %d linked", plans, w.linked())
	}
}

// linked counts what is linked and not unlinked.
func (w *world) linked() (n int) {
	w.t.Helper()
	for _, row := range w.Fleet() {
		for _, a := range row.Assignments {
			if a.Status != tandem.SyncUnlinked {
				n++
			}
		}
	}
	return n
}

func TestRolesSeeWhatTheyMayDo(t *testing.T) {
	t.Parallel()
	w := open(t)
	viewer := w.page(webtest.Options{As: w.Member(tandem.Viewer)})
	viewer.See("It has not run yet")
	if n := viewer.Count("main button"); n != 0 {
		t.Errorf("a viewer has %d buttons", n)
	}
	operator := w.page(webtest.Options{As: w.Member(tandem.Operator)})
	operator.Click("button >> Preview: Import from Golioth")
	operator.SeeIn("#counts", "24")
	operator.See("Somebody who may approve runs")
	operator.Axe()
	if operator.Count("button >> Apply") != 0 || operator.Count("button >> Start it") != 0 {
		t.Error("an operator may not let new settings run")
	}
	w.Sync()
	w.EditRemote(w.Fleet()[0], "name", "Renamed there")
	operator.Open("sync")
	operator.Click("button >> Preview: Import from Golioth")
	operator.See("Renamed there")
	operator.Click("button >> Start it")
	operator.Told("is starting")
	w.Wait("the name", func() bool { return named(w.Fleet(), "Renamed there") })
	if plans, err := w.API.Plans(t.Context(), w.Org.ID, ""); err != nil || len(plans) != 0 {
		t.Errorf("an operator's previews kept %d plans, %v", len(plans), err)
	}
}

// What Golioth would refuse is said before anything is applied, and not offered where nothing else is left.
func TestWhatWouldBeRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Sync()
	rows := w.Fleet()
	w.Edit(rows[0], "name", rows[1].Name)
	p := w.page(webtest.Options{})
	p.Click("button >> Preview: Full sync")
	p.See("Golioth would refuse 1 of these changes")
	p.SeeIn("#rows", "would be refused")
	if p.Count("button >> Apply") != 0 {
		t.Error("applying what would be refused is offered")
	}
	p.Axe()
	w.Edit(rows[2], "name", "Renamed here")
	p.Open("sync")
	p.Click("button >> Preview: Full sync")
	p.Click("a >> Show them")
	p.SeeIn("#rows", rows[1].Name)
	p.NotSeeIn("#rows", "Renamed here")
	p.Click("button >> Apply 2 changes")
	p.Told("being applied")
	run := w.ended(tandem.RunPartial)
	if got := w.Remote(rows[2]).Name; got != "Renamed here" || run.Summary.Failed != 1 {
		t.Errorf("there the name is %q, %d failed", got, run.Summary.Failed)
	}
}

func TestAPreviewThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Simulator.SetFaults(simulator.Fault{Kind: "401"})
	p := w.page(webtest.Options{})
	p.Click("button >> Preview: Full sync")
	p.See("key")
	p.WaitFor("[role=alert]")
	p.Click("main a >> Back")
	p.WaitPath(w.Path("sync"))
	if s := fmt.Sprint(w.runs()); strings.Contains(s, "running") {
		t.Error("a run goes on")
	}
}
