package device

import (
	"encoding/json"
	"slices"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// How many commands are shown: on the device's page, and on a page of theirs.
const (
	newestCommands = 5
	commandRows    = 50
)

// commands are what the device was told to do.
type commands struct {
	shown []tandem.Command
	total int
	l     part.Listing // of their own page
	own   bool         // shown on that
}

// sending is the form of a command, with what is wrong with it.
type sending struct {
	p     *page
	Wrong map[string]string
}

// The choices of how long a device has for its answer.
var answerTimes = []part.Option{{Value: "1m", Label: "a minute"}, {Value: "10m", Label: "10 minutes"}, {Value: "1h", Label: "an hour"}, {Value: "24h", Label: "a day"},
	{Value: "168h", Label: "a week"}, {Value: "720h", Label: "30 days"}}

// commandStates are what commands can be narrowed to.
var commandStates = []string{string(tandem.CommandQueued), string(tandem.CommandSent), string(tandem.CommandAcknowledged), string(tandem.CommandFailed),
	string(tandem.CommandExpired), string(tandem.CommandCanceled)}

// callers are the services through which the device can be called.
func (p *page) callers() []tandem.Service {
	var all []tandem.Service
	for _, a := range p.linked() {
		if s, ok := p.services[a.ServiceID]; ok && s.IsActive && s.ServiceType == "golioth" {
			all = append(all, s)
		}
	}
	return all
}

// reachable reports whether there is any way to tell the device something.
func (p *page) reachable() bool { return p.letIn || len(p.callers()) > 0 }

// ways are the choices of how a command goes out; none where there is only one.
func (p *page) ways() []part.Option {
	callers := p.callers()
	if n := len(callers); n == 0 || n == 1 && !p.letIn {
		return nil
	}
	var options []part.Option
	if p.letIn {
		options = append(options, part.Option{Label: "to the device itself, when it is connected"})
	}
	for _, s := range callers {
		options = append(options, part.Option{Value: s.ID, Label: "as a remote call through " + s.Name})
	}
	return options
}

// readCommands reads the newest ones, for the device's page.
func (p *page) readCommands() error {
	return p.listCommands(tandem.CommandFilter{Page: tandem.Page{Number: 1, Limit: newestCommands}})
}

func (p *page) listCommands(f tandem.CommandFilter) (err error) {
	p.commands.shown, p.commands.total, err = p.c.Registry().Commands(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, f)
	return err
}

// listOwn reads a page of all of them.
func (p *page) listOwn() error {
	q := p.c.R.URL.Query()
	l := part.NewListing(p.path("commands"), q, commandRows)
	state := q.Get("status")
	if !slices.Contains(commandStates, state) {
		state = ""
	}
	err := p.listCommands(tandem.CommandFilter{Status: tandem.CommandStatus(state), Page: tandem.Page{Number: l.Page, Limit: commandRows}})
	l.Total = p.commands.total
	p.commands.l, p.commands.own = l, true
	return err
}

// source is where the list is read again.
func (s commands) source(p *page) string {
	if s.own {
		return withPart(s.l.With("part", ""), "commands")
	}
	return p.path() + "?part=commands"
}

func commandsPage(c *shell.Call) error {
	p, err := pageOf(c)
	if err == nil {
		err = do(p.listOwn)
	}
	if err != nil {
		return err
	}
	if c.Query("part") == "commands" {
		return c.Part(commandList(p))
	}
	return c.Page(shell.Frame{Title: "Commands of " + p.d.Name, Section: shell.Devices, Scripts: []string{"device.js"}}, commandsWhole(p))
}

// sendCommand tells the device to do something.
func sendCommand(c *shell.Call) error {
	if !c.May(registry.CommandDevices) {
		return notAllowed("send commands to devices")
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	f := sending{p: p}
	if err := do(p.readCredentials, p.readCommands); err != nil {
		return err
	}
	add := registry.NewCommand{Name: c.Form("name"), Service: c.Form("service")}
	if text := c.Form("payload"); text != "" {
		add.Payload = json.RawMessage(text)
	}
	add.Life, err = lifeOf(c.Form("expires_in"))
	var sent tandem.Command
	if err == nil {
		sent, err = c.Registry().SendCommand(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, add)
	}
	if err != nil {
		if f.Wrong = wrongIn(err, "name", "payload", "expires_in"); f.Wrong == nil {
			return err
		}
		return c.Invalid(commandForm(f), func() error {
			return c.Page(shell.Frame{Title: "Command for " + p.d.Name, Section: shell.Devices, Scripts: []string{"device.js"}}, commandWhole(f))
		})
	}
	kind, said := became(&sent)
	c.Toast(kind, said)
	c.Event("commands-here")
	if c.Partial() {
		return c.Part(commandForm(f))
	}
	return c.Go(p.path())
}

// became says what a command came to by now.
func became(c *tandem.Command) (kind, said string) {
	switch c.Status {
	case tandem.CommandAcknowledged:
		return "success", c.Name + ": the device did it."
	case tandem.CommandFailed:
		return "warning", c.Name + " failed: " + c.Error + "."
	case tandem.CommandExpired:
		return "warning", c.Name + ": " + c.Error + "."
	}
	return "success", c.Name + " waits for the device; what it answers shows below."
}

// cancelCommand withdraws one that was not sent.
func cancelCommand(c *shell.Call) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	one, err := c.Registry().CancelCommand(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, c.Value("command"))
	if err != nil {
		return err
	}
	return c.Done(one.Name+" is withdrawn: the device never gets it.", p.path(), "commands-here")
}

// stateText says where a command stands.
func stateText(c *tandem.Command) string {
	switch c.Status {
	case tandem.CommandQueued:
		return "waits for the device"
	case tandem.CommandSent:
		return "no answer yet"
	case tandem.CommandAcknowledged:
		return "done"
	case tandem.CommandCanceled:
		return "withdrawn"
	}
	return string(c.Status)
}

// stateColor is its badge's.
func stateColor(s tandem.CommandStatus) string {
	switch s {
	case tandem.CommandAcknowledged:
		return "green"
	case tandem.CommandFailed:
		return "red"
	case tandem.CommandExpired:
		return "orange"
	case tandem.CommandQueued, tandem.CommandSent:
		return "azure"
	}
	return "secondary"
}

// viaText says by which way it went, or would.
func (p *page) viaText(c *tandem.Command) string {
	switch c.Via {
	case tandem.ViaHTTP:
		return "over HTTP"
	case tandem.ViaMQTT:
		return "over MQTT"
	case tandem.ViaCoAP:
		return "over CoAP"
	case tandem.ViaGolioth:
		return "through " + p.serviceName(c.ServiceID)
	}
	return ""
}

// ends gives when an open command's time is over, nil for one that ended.
func ends(c *tandem.Command) *time.Time {
	if !c.Status.Open() {
		return nil
	}
	return &c.ExpiresAt
}
