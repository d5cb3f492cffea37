package device_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/web/webtest"
)

// commands reads what a device was told, as the API tells.
func (w *world) commands(id string) []tandem.Command {
	w.t.Helper()
	all, _, err := w.API.Commands(w.t.Context(), w.Org.ID, id, tandem.CommandFilter{Page: tandem.Page{Number: 1, Limit: 100}})
	w.must(err)
	return all
}

// TestCommands: a command is sent, comes to the device, and its answer shows; another is withdrawn.
func TestCommands(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	_, token := w.token(d.ID)
	p := w.page(t, d.ID)
	p.SeeIn("#live", "Live")
	p.Allow(422, "/commands$")
	p.Fill("#command-name", "blink")
	p.Fill("#command-payload", `{"times": }`)
	p.Click("#command-form button >> Send") // the page itself says what is wrong
	var said string
	if p.Eval(`document.querySelector("#command-payload").validationMessage`, &said); said == "" {
		t.Error("the page takes what is not JSON")
	}
	p.Eval(`document.querySelector("#command-form").noValidate = true`, nil)
	p.Click("#command-form button >> Send")
	p.SeeIn("#command-payload-error", "is not JSON")
	if got := p.Value("#command-payload"); got != `{"times": }` || len(w.commands(d.ID)) != 0 {
		t.Errorf("what was typed is %q by now, the commands are %+v", got, w.commands(d.ID))
	}
	p.Axe()
	p.Fill("#command-payload", `{"times": 3}`)
	p.Choose("#command-life", "10 minutes")
	p.Click("#command-form button >> Send")
	p.Told("blink waits for the device")
	p.WaitGone("#command-payload-error")
	p.SeeIn("#command-list tbody tr:first-child", "waits for the device")
	sent := w.commands(d.ID)
	if len(sent) != 1 || string(sent[0].Payload) != `{"times":3}` || sent[0].ExpiresAt.Sub(sent[0].CreatedAt).Minutes() != 10 || sent[0].Via != "" {
		t.Fatalf("the commands are %+v", sent)
	}

	p.Fill("#command-name", "half-typed")
	status, reply := w.asDevice(t.Context(), http.MethodGet, "commands?wait=20", token, "")
	var told struct{ Commands []struct{ ID string } }
	if err := json.Unmarshal([]byte(reply), &told); err != nil || status != http.StatusOK || len(told.Commands) != 1 || told.Commands[0].ID != sent[0].ID {
		t.Fatalf("the device is told %d %s", status, reply)
	}
	p.SeeIn("#command-"+sent[0].ID, "no answer yet")
	p.SeeIn("#command-"+sent[0].ID, "over HTTP")
	if status, reply := w.asDevice(t.Context(), http.MethodPost, "commands/"+sent[0].ID, token, `{"status":"ok","reply":{"blinked":3}}`); status >= 300 {
		t.Fatalf("the answer is replied to by %d %s", status, reply)
	}
	p.SeeIn("#command-"+sent[0].ID, "done")
	p.SeeIn("#command-"+sent[0].ID, `{"blinked":3}`)
	if got := p.Value("#command-name"); got != "half-typed" {
		t.Errorf("what was being typed is %q by now", got)
	}

	p.Fill("#command-name", "reboot")
	p.Fill("#command-payload", "")
	p.Click("#command-form button >> Send")
	p.Told("reboot waits for the device")
	p.Click("#command-list button >> Cancel reboot")
	p.Told("reboot is withdrawn")
	p.SeeIn("#command-list tbody tr:first-child", "withdrawn")
	if got := w.commands(d.ID)[0]; got.Status != tandem.CommandCanceled || string(got.Payload) != "null" {
		t.Errorf("the command is %+v", got)
	}
	for range 4 {
		p.Fill("#command-name", "blink")
		p.Click("#command-form button >> Send")
		p.WaitFor("#command-list tbody tr:first-child[data-status=queued]")
		w.must(second(w.API.CancelCommand(t.Context(), w.Org.ID, d.ID, w.commands(d.ID)[0].ID)))
		p.WaitFor("#command-list tbody tr:first-child[data-status=canceled]")
	}
	p.Click("#command-list a >> All 6 commands")
	p.WaitCount("#command-list tbody tr", func(n int) bool { return n == 6 })
	p.Choose("#command-status", "acknowledged")
	p.Click("button >> Show")
	p.WaitCount("#command-list tbody tr", func(n int) bool { return n == 1 })
	p.Axe()
}

// TestCommandThroughService: a device that is on a service alone is called there, and its answer is told.
func TestCommandThroughService(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	alone := w.create("Here only", registry.DeviceEdit{})
	p := w.page(t, alone.ID)
	p.SeeIn("#commands", "Nothing can be sent to it yet")
	add(p, "token")
	p.Click("#credential-form button >> Make it")
	p.Click("#credential-made button >> Done")
	p.WaitFor("#command-form button >> Send") // now it can

	w.must(w.Simulator.Report(webtest.Project, d.Assignments[0].ExternalDeviceID, simulator.Activity{At: time.Now(), Online: true}))
	p.Open("devices/" + d.ID)
	p.SeeIn("#commands", "remote call through golioth")
	p.Fill("#command-name", "set_log_level")
	p.Fill("#command-payload", "3")
	p.Click("#command-form button >> Send")
	p.Told("set_log_level: the device did it")
	p.SeeIn("#command-list", "through golioth")
	p.SeeIn("#command-list", "done")
	p.Click(".toast-line .btn-close")
	p.Fill("#command-name", "unheard-of")
	p.Click("#command-form button >> Send")
	p.Told("unheard-of failed")
	got := w.commands(d.ID)
	if len(got) != 2 || got[1].Status != tandem.CommandAcknowledged || got[1].Via != tandem.ViaGolioth || got[1].ServiceID != w.Service.ID || got[0].Status != tandem.CommandFailed {
		t.Errorf("the commands are %+v", got)
	}

	w.token(d.ID)
	p.WaitFor("#command-way") // both ways are there
	p.Choose("#command-way", "as a remote call through golioth")
	p.Fill("#command-name", "reboot")
	p.Fill("#command-payload", "")
	p.Click("#command-form button >> Send")
	p.Told("reboot: the device did it")
	if got := w.commands(d.ID)[0]; got.Via != tandem.ViaGolioth || got.Status != tandem.CommandAcknowledged {
		t.Errorf("the command is %+v", got)
	}
}
