package alert_test

import (
	"os"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// open gives a world with an open alert: a conflict waits for a person.
func open(t *testing.T) (*webtest.World, tandem.Alert) {
	t.Helper()
	w := webtest.Open(t, webtest.WithService(nil))
	w.Import()
	w.Conflict(w.Fleet()[0], "name", "here", "there")
	var found []tandem.Alert
	w.Wait("an alert", func() bool {
		var err error
		found, _, err = w.API.Alerts(t.Context(), w.Org.ID, tandem.AlertFilter{})
		return err == nil && len(found) == 1
	})
	return w, found[0]
}

// is waits until the API says so of an alert.
func is(t *testing.T, w *webtest.World, id string, status tandem.AlertStatus) tandem.Alert {
	t.Helper()
	var a tandem.Alert
	w.Wait("an alert that is "+string(status), func() bool {
		var err error
		a, err = w.API.Alert(t.Context(), w.Org.ID, id)
		return err == nil && a.Status == status
	})
	return a
}

// TestAcknowledgeAndResolve: an alert is acknowledged and resolved in the list, by whoever did it, and is still found then.
func TestAcknowledgeAndResolve(t *testing.T) {
	t.Parallel()
	w, a := open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("alerts")
	p.SeeIn("#alert-"+a.ID, a.Message)
	p.SeeIn("#nav", "1")
	p.Click("#alert-" + a.ID + " button >> Acknowledge")
	p.Told("Acknowledged")
	p.WaitGone("#alert-" + a.ID + " button >> Acknowledge")
	if got := is(t, w, a.ID, tandem.AlertAcknowledged); got.AcknowledgedBy != w.Owner.Email {
		t.Errorf("the API says that %q acknowledged it", got.AcknowledgedBy)
	}
	p.Click("#alert-" + a.ID + " button >> Resolve")
	p.Told("Resolved")
	p.See("Nothing needs you")
	if got := is(t, w, a.ID, tandem.AlertResolved); got.ResolvedBy != w.Owner.Email {
		t.Errorf("the API says that %q resolved it", got.ResolvedBy)
	}
	p.Choose("#status", "resolved")
	p.SeeIn("#alerts", a.Message)
	p.Choose("#status", "raised")
	p.See("No alert fits")
}

// TestAlertPage: the page of one says what it is about, leads to its cause, and acts.
func TestAlertPage(t *testing.T) {
	t.Parallel()
	w, a := open(t)
	p := w.Browser(t, webtest.Options{})
	p.OpenAt("/alerts/" + a.ID)
	p.WaitPath(w.Path("alerts/" + a.ID))
	p.SeeIn("#alert", a.Message)
	p.SeeIn("#alert", w.Service.Name)
	p.Click("#alert button >> Acknowledge")
	p.SeeIn("#alert", "by "+w.Owner.Email)
	is(t, w, a.ID, tandem.AlertAcknowledged)
	p.Click("#alert button >> Resolve")
	p.SeeIn("#alert", "resolved")
	is(t, w, a.ID, tandem.AlertResolved)
	p.Click("a >> To the conflicts")
	p.WaitPath(w.Path("conflicts"))
}

// TestLive: what another person does shows without a reload, and a viewer is offered nothing to do.
func TestLive(t *testing.T) {
	t.Parallel()
	w, a := open(t)
	p := w.Browser(t, webtest.Options{As: w.Member(tandem.Viewer)})
	p.Open("alerts")
	p.SeeIn("#alert-"+a.ID, "raised")
	p.SeeIn("#live", "Live")
	p.WaitGone("#alert-" + a.ID + " button")
	_, err := w.API.AcknowledgeAlert(t.Context(), w.Org.ID, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.SeeIn("#alert-"+a.ID, "acknowledged")
	if _, err = w.API.ResolveAlert(t.Context(), w.Org.ID, a.ID); err != nil {
		t.Fatal(err)
	}
	p.WaitGone("#alert-" + a.ID)
}
