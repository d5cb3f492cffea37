package overview_test

import (
	"os"
	"strconv"
	"testing"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// figure gives what a figure of the page has to be.
func figure(name string) string { return `[data-figure="` + name + `"]` }

// TestEmpty: an organization without anything is told what to do next.
func TestEmpty(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("")
	p.See("Connect your first Golioth project")
	p.Click("a >> Add an integration")
	p.WaitPath(w.Path("integrations/new"))
}

// TestFigures: the page shows what the API counts, and moves with it without a reload.
func TestFigures(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.WithService(nil))
	w.Import()
	p := w.Browser(t, webtest.Options{})
	p.Open("")
	p.SeeIn("#live", "Live")
	counts, err := w.API.Overview(t.Context(), w.Org.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.SeeIn(figure("Devices"), strconv.Itoa(counts.Devices))
	p.SeeIn(figure("Online"), strconv.Itoa(counts.ByStatus[tandem.Online]))
	p.SeeIn(figure("Open conflicts"), "0")
	p.See("Nothing. The fleet is in step.")
	p.SeeIn("#services", w.Service.Name)
	p.SeeIn("#activity", "completed")

	row := w.Fleet()[0]
	w.Conflict(row, "name", "here", "there")
	p.SeeIn(figure("Open conflicts"), "1")
	p.WaitFor("#attention a.list-group-item")
	p.SeeIn("#nav [data-count=conflicts]", "1")
	p.Click("#fleet a >> Open conflicts")
	p.WaitPath(w.Path("conflicts"))
}

// TestAttention: a device that fails and a run that waits are named, and lead to their pages.
func TestAttention(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.WithService(func(c *tandem.ServiceConfig) { c.OnRemoteDelete = tandem.DeleteLocal }))
	w.Import()
	rows := w.Fleet()
	fault, err := simulator.ParseFault("422:PATCH /v1/projects/" + webtest.Project + "/devices/" + rows[0].Assignments[0].ExternalDeviceID)
	if err != nil {
		t.Fatal(err)
	}
	w.Simulator.AddFault(fault)
	w.Edit(rows[0], "name", "refused there")
	w.Run(tandem.OpBidirectional)
	p := w.Browser(t, webtest.Options{})
	p.Open("")
	p.SeeIn(figure("Failing"), "1")
	p.Click("#attention a >> refused there")
	p.WaitPath(w.Path("devices/" + rows[0].ID))
	for _, row := range rows[5:20] {
		if err := w.Simulator.DeleteDevice(webtest.Project, row.Assignments[0].ExternalDeviceID); err != nil {
			t.Fatal(err)
		}
	}
	run := w.Run(tandem.OpImport)
	p.Open("")
	p.Click("#services a >> A run waits for somebody to let it through")
	p.WaitPath(w.Path("history/" + run.ID))
}

// TestDeliveries: what devices report shows as it comes.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.Devices(3), webtest.WithService(nil))
	w.Import()
	p := w.Browser(t, webtest.Options{})
	p.Open("")
	p.SeeIn("#deliveries", "None in the last two hours")
	p.SeeIn("#live", "Live")
	if _, err := w.API.ConnectWebhook(t.Context(), w.Org.ID, w.Service.ID, w.URL, false); err != nil {
		t.Fatal(err)
	}
	percent := 50
	if err := w.Simulator.Report(webtest.Project, w.Fleet()[0].Assignments[0].ExternalDeviceID, simulator.Activity{Online: true, Battery: &percent}); err != nil {
		t.Fatal(err)
	}
	p.NotSeeIn("#deliveries", "None in the last two hours")
	p.WaitFor("#deliveries .plot")
	p.Click("#deliveries a >> All deliveries")
	p.WaitPath(w.Path("deliveries"))
}
