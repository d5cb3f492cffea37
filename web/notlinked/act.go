package notlinked

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// Importing reads each device from the service, so that many take a while: as many as a page shows are imported while a
// person waits, more in pieces, on a page that says how far it is.
const (
	piece    = 100
	mostMade = 1000 // devices that one run is asked to create there
)

// outcome is what became of an import.
type outcome struct {
	c        *shell.Call
	asked    int
	imported int
	failures []tandem.Entry // the first ones
	run      tandem.Run     // the last one
	at       string
}

// importRemote creates devices here for those that are selected, or for all that the list shows.
func importRemote(c *shell.Call) error {
	at := c.Form("at")
	v := outcome{c: c, at: at}
	if c.Form("whole") == "on" {
		q, err := url.ParseQuery(at)
		if err != nil {
			return tandem.Errorf(tandem.Invalid, "import devices", "", "the form cannot be read").WithHint("reload the page and try again")
		}
		return c.Working(frame(), importHead(), back(c, at), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
			ids, err := allRemote(c, q)
			if err == nil {
				err = v.importAll(ctx, ids, func(done int) { say(importing(done, len(ids))) })
			}
			return imported(v, true), err
		})
	}
	ids := c.Texts("id")
	if len(ids) == 0 {
		return nothingSelected()
	}
	if err := v.importAll(c.R.Context(), ids, func(int) {}); err != nil {
		return err
	}
	c.Event("devices")
	kind := "success"
	if len(v.failures) > 0 {
		kind = "warning"
	}
	c.Toast(kind, v.text())
	if len(v.failures) == 0 || !c.Partial() {
		return closeDialog(c, at)
	}
	return c.Part(dialog("What was not imported", imported(v, false)))
}

// allRemote gives the ids of all that a page's address names.
func allRemote(c *shell.Call, q url.Values) ([]string, error) {
	filter := remoteFilter(q)
	var ids []string
	for filter.Page = (tandem.Page{Number: 1, Limit: 1000}); ; filter.Number++ {
		found, total, err := c.Registry().NotLinked(c.R.Context(), c.Actor, c.Org.ID, c.Form("service"), filter)
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			ids = append(ids, one.ExternalDeviceID)
		}
		if filter.Number*filter.Limit >= total {
			return ids, nil
		}
	}
}

// importAll imports piece by piece.
func (v *outcome) importAll(ctx context.Context, ids []string, say func(done int)) error {
	v.asked = len(ids)
	done := 0
	for some := range slices.Chunk(ids, piece) {
		say(done)
		run, err := v.c.Registry().ImportRemote(ctx, v.c.Actor, v.c.Org.ID, v.c.Form("service"), some)
		if err != nil {
			return err
		}
		done += len(some)
		v.run = run
		v.imported += run.Summary.Local.Created
		if run.Summary.Failed > 0 && len(v.failures) < rows && v.c.May(registry.ReadRuns) {
			failed, _, err := v.c.Registry().Entries(ctx, v.c.Actor, v.c.Org.ID, tandem.EntryFilter{RunID: run.ID, Outcome: tandem.OutcomeFailed, Page: tandem.Page{Limit: rows}})
			if err != nil {
				return err
			}
			v.failures = append(v.failures, failed...)
		}
	}
	return nil
}

// text says what became of it.
func (v *outcome) text() string {
	text := part.Count(v.imported, "device is", "devices are") + " imported and linked"
	if n := v.asked - v.imported; n > 0 {
		text += ", " + part.Number(n) + " not"
	}
	return text + "."
}

// create asks for a run that makes devices on the service.
func create(c *shell.Call) error {
	at, ids := c.Form("at"), c.Texts("id")
	if c.Form("whole") == "on" {
		q, err := url.ParseQuery(at)
		if err != nil {
			return tandem.Errorf(tandem.Invalid, "create devices", "", "the form cannot be read").WithHint("reload the page and try again")
		}
		filter := localFilter(c.Form("service"), q)
		filter.Page = tandem.Page{Limit: mostMade}
		found, _, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, filter)
		if err != nil {
			return err
		}
		for i := range found {
			ids = append(ids, found[i].ID)
		}
	}
	if len(ids) == 0 {
		return nothingSelected()
	}
	run, err := c.Registry().StartRun(c.R.Context(), c.Actor, c.Org.ID, tandem.RunRequest{ServiceID: c.Form("service"), Operation: tandem.OpExport,
		DeviceIDs: ids, CreateMissing: tandem.MissingRemote})
	if err != nil {
		return err
	}
	c.Toast("success", part.Count(len(ids), "device is", "devices are")+" being created on Golioth.")
	c.Event("runs")
	if len(ids) > rows && c.May(registry.ReadRuns) { // long enough to be watched
		return c.Go(c.Path("history", run.ID))
	}
	return closeDialog(c, at)
}

// ignore hides remote devices from the list, or shows them again.
func ignore(c *shell.Call) error {
	ids, off := c.Texts("id"), c.Form("off") == "on"
	if len(ids) == 0 {
		return nothingSelected()
	}
	if err := c.Registry().IgnoreRemote(c.R.Context(), c.Actor, c.Org.ID, c.Form("service"), ids, !off); err != nil {
		return err
	}
	text := part.Count(len(ids), "device is", "devices are") + " ignored. The filter finds them again."
	if off {
		text = part.Count(len(ids), "device is", "devices are") + " listed again."
	}
	c.Toast("success", text)
	c.Event("devices")
	return closeDialog(c, c.Form("at"))
}

// link links the two that a person says are one.
func link(c *shell.Call) error {
	d, a, err := c.Registry().Link(c.R.Context(), c.Actor, c.Org.ID, c.Form("service"), c.Form("device"), c.Form("external"))
	if err != nil {
		return err
	}
	name := c.Form("name")
	if name == "" {
		name = a.ExternalDeviceID
	}
	c.Toast("success", d.Name+" is linked to "+name+". The next sync brings both together.")
	c.Event("devices")
	return closeDialog(c, c.Form("at"))
}

func nothingSelected() error {
	return tandem.Errorf(tandem.Invalid, "act on devices", "", "nothing is selected").WithHint("select some first")
}

// closeDialog takes a dialog away; where it is a page of its own, the person goes back to the list.
func closeDialog(c *shell.Call, at string) error {
	on, err := url.Parse(c.R.Header.Get("HX-Current-URL"))
	if !c.Partial() || err == nil && on.Path == c.Path("not-linked", "link") {
		return c.Go(back(c, at))
	}
	return c.Part(closed())
}

// failure says why one was not imported.
func failure(e *tandem.Entry) string { return strings.TrimSuffix(e.Error, ".") + "." }
