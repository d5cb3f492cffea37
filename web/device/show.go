package device

import (
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// page is one device as it is shown.
type page struct {
	c        *shell.Call
	d        tandem.DeviceRow
	services map[string]tandem.Service
	sides    []side
	asked    bool // the services were asked for their values
	pending  bool // they are asked as soon as the page is there
	troubles troubles
	history  history
	plots    plots
	values   []value // the last of all that it reported

	olderReports bool // there are more than values were looked for in
	credentials  credentials
	letIn        bool // it has a credential that works
	commands     commands
}

// troubles are what is not well with a device, and the syncs of it alone.
type troubles struct {
	conflicts []tandem.Conflict
	open      int
	failed    []failure
	runs      []tandem.Run
}

// show shows a device, or a part of its page that has to be read again.
func show(c *shell.Call) error {
	p, err := pageOf(c)
	if tandem.Is(err, tandem.NotFound) && c.Partial() && c.Query("part") != "" { // deleted, while somebody looks at it
		if c.Query("part") == "device" {
			return c.Part(gone(c))
		}
		return c.Nothing()
	}
	if err != nil {
		return err
	}
	switch c.Query("part") {
	case "device":
		return c.Part(summary(p))
	case "sides":
		if err := p.compare(); err != nil {
			return err
		}
		return c.Part(sidesCard(p))
	case "troubles":
		if err := p.readTroubles(); err != nil {
			return err
		}
		return c.Part(troublesCard(p))
	case "history":
		if err := p.readHistory(); err != nil {
			return err
		}
		return c.Part(historyCard(p))
	case "plots":
		if err := do(p.readValues, p.readPlots); err != nil {
			return err
		}
		return c.Part(plotsCard(p))
	case "values":
		if err := p.readValues(); err != nil {
			return err
		}
		return c.Part(valuesCard(p))
	case "credentials":
		if err := p.readCredentials(); err != nil {
			return err
		}
		return c.Part(credentialsCard(p))
	case "command":
		if err := p.readCredentials(); err != nil {
			return err
		}
		return c.Part(commandSend(p))
	case "commands":
		if err := p.readCommands(); err != nil {
			return err
		}
		return c.Part(commandList(p))
	}
	reads := []func() error{p.compareStored, p.readTroubles, p.readHistory, p.readValues, p.readCredentials, p.readCommands}
	if p.plots.pending = c.Query("span") == ""; !p.plots.pending { // else the page asks for them once it is there
		reads = append(reads, p.readPlots)
	}
	if err := do(reads...); err != nil {
		return err
	}
	if c.Query("compare") != "" { // asked for where no script does
		if err := p.compare(); err != nil {
			return err
		}
	}
	return c.Page(shell.Frame{Title: p.d.Name, Section: shell.Devices, Scripts: []string{"uplot.js", "plot.js", "device.js", "integration.js"}, Styles: []string{"uplot.css"}}, showPage(p))
}

// pageOf reads the device that the address names.
func pageOf(c *shell.Call) (*page, error) {
	ctx := c.R.Context()
	p := &page{c: c}
	d, err := c.Registry().Device(ctx, c.Actor, c.Org.ID, c.Value("id"))
	if tandem.Is(err, tandem.NotFound) {
		return p, tandem.Errorf(tandem.NotFound, "find device", c.Value("id"), "there is no such device").WithHint("it may have been deleted; search the list for its name")
	}
	if err != nil {
		return p, err
	}
	found, _, err := c.Registry().Devices(ctx, c.Actor, c.Org.ID, tandem.DeviceFilter{IDs: []string{d.ID}, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil {
		return p, err
	}
	if len(found) == 0 {
		return p, tandem.Errorf(tandem.NotFound, "find device", d.ID, "%s was deleted just now", d.Name)
	}
	p.d = found[0]
	all, err := services(c)
	p.services = named(all)
	p.choosePlots()
	return p, err
}

// do reads one thing after another.
func do(reads ...func() error) error {
	for _, read := range reads {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// path gives an address below the device's.
func (p *page) path(parts ...string) string {
	return p.c.Path(append([]string{"devices", p.d.ID}, parts...)...)
}

// state moves when the device or one of its links does; the page's script has the sides read again then.
func (p *page) state() string {
	parts := []string{strconv.FormatInt(p.d.Version, 10)}
	for _, a := range p.d.Assignments {
		parts = append(parts, string(a.Status), strconv.FormatInt(a.Version, 10))
	}
	return strings.Join(parts, ".")
}

// linked gives the links that are synced.
func (p *page) linked() []tandem.Assignment {
	var on []tandem.Assignment
	for _, a := range p.d.Assignments {
		if a.Status != tandem.SyncUnlinked {
			on = append(on, a)
		}
	}
	return on
}

// serviceName gives a service's name, or what is known of it where it may not be read.
func (p *page) serviceName(id string) string {
	if s, ok := p.services[id]; ok {
		return s.Name
	}
	return "another service"
}

// free reports whether there is a service on which the device has no link.
func (p *page) free() bool { return len(p.linked()) < len(p.services) }

// failuresLooked is how many of the newest failures are looked through for those that say the same.
const failuresLooked = 200

func (p *page) readTroubles() error {
	ctx, c := p.c.R.Context(), p.c
	var err error
	if c.May(registry.ReadConflicts) {
		if p.troubles.conflicts, p.troubles.open, err = c.Registry().Conflicts(ctx, c.Actor, c.Org.ID, tandem.ConflictFilter{DeviceIDs: []string{p.d.ID}, Page: tandem.Page{Number: 1, Limit: 20}}); err != nil {
			return err
		}
	}
	if !c.May(registry.ReadRuns) {
		return nil
	}
	failed, all, err := c.Registry().Entries(ctx, c.Actor, c.Org.ID, tandem.EntryFilter{DeviceID: p.d.ID, Outcome: tandem.OutcomeFailed, Newest: true, Page: tandem.Page{Number: 1, Limit: failuresLooked}})
	if err != nil {
		return err
	}
	p.troubles.failed = foldFailures(failed, all, 5)
	p.troubles.runs, _, err = c.Registry().Runs(ctx, c.Actor, c.Org.ID, tandem.RunFilter{DeviceID: p.d.ID, Page: tandem.Page{Number: 1, Limit: 5}})
	return err
}

// syncNow queues a run about this device alone.
func syncNow(c *shell.Call) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	service := c.Form("service")
	run, err := c.Registry().StartRun(c.R.Context(), c.Actor, c.Org.ID, tandem.RunRequest{ServiceID: service, DeviceIDs: []string{p.d.ID}})
	if err != nil {
		return err
	}
	return c.Done(p.d.Name+" is synced with "+p.serviceName(run.ServiceID)+" now; what it comes to shows below.", p.path(), "runs")
}

// deletePage asks whether the device is to go.
func deletePage(c *shell.Call) error {
	if !c.May(registry.DeleteDevices) {
		return notAllowed("delete devices")
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	if c.Partial() {
		return c.Part(deleteDialog(p))
	}
	return c.Page(shell.Frame{Title: "Delete " + p.d.Name, Section: shell.Devices}, deleteWhole(p))
}

// remove deletes the device at the version that the question was about.
func remove(c *shell.Call) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	version, err := strconv.ParseInt(c.Form("version"), 10, 64)
	if err != nil {
		return tandem.Errorf(tandem.Invalid, "delete device", "", "the form cannot be read").WithHint("open the device again")
	}
	d, err := c.Registry().DeleteDevice(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, version)
	if err != nil {
		return err
	}
	c.Toast("success", d.Name+" is deleted.")
	return c.Go(c.Path("devices"))
}
