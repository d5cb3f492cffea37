package webtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/registry"
)

// Lived is a world in which things have happened: devices on both sides, conflicts, failures, a service that does not
// answer, a run that is held back, deliveries, people. Each page has something to show in it.
type Lived struct {
	*World
	Spare    client.Service    // does not answer
	Row      tandem.DeviceRow  // a device with a history
	Failing  tandem.DeviceRow  // one whose writes are refused
	Disputed []tandem.Conflict // open
	Edited   tandem.Run        // that changed both sides
	Failed   tandem.Run        // that failed for one device
	Held     tandem.Run        // whose deletions wait for a person
	PlanID   string            // of a run that was not done
	Sent     []tandem.Delivery // received webhooks
	Alerts   []tandem.Alert    // open
	Channel  tandem.Channel    // where they are sent
	Invited  string            // the secret of an open invitation
	Members  []*Person         // besides the owner

	Credential tandem.Credential  // of the device with a history
	Command    tandem.Command     // that waits for it
	rows       []tandem.DeviceRow // all that were imported
}

// Live makes one. It takes some seconds.
func Live(t testing.TB, options ...Option) *Lived {
	t.Helper()
	l := &Lived{World: Open(t, append([]Option{Devices(60), Named("Acme Water"), WithService(func(c *tandem.ServiceConfig) { c.CreateRemote = true })}, options...)...)}
	l.Import()
	l.rows = l.Fleet()
	l.Row, l.Failing = l.rows[0], l.rows[1]
	l.people()
	l.deliveries()
	l.speaks()
	l.edits()
	l.failures()
	l.unlinked()
	l.held()
	l.alerts()
	return l
}

// people invites some, makes a token and a channel.
func (l *Lived) people() {
	l.t.Helper()
	l.Members = append(l.Members, l.Member(tandem.Admin), l.Member(tandem.Viewer))
	l.Invited = l.Invitation("invited@example.com", tandem.Operator)
	_, _, err := l.API.CreateToken(l.t.Context(), l.Org.ID, registry.NewToken{Name: "importer", Role: tandem.Operator})
	must(l.t, err)
	l.Channel, err = l.API.CreateChannel(l.t.Context(), l.Org.ID, registry.NewChannel{Name: "on call", Type: tandem.WebhookChannel, EscalationOnly: true,
		Config: json.RawMessage(`{"url":"` + l.RemoteURL + `"}`), Secret: []byte("whsec_" + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of a test's key")))})
	must(l.t, err)
}

// deliveries has the project post what its devices send.
func (l *Lived) deliveries() {
	l.t.Helper()
	_, err := l.API.ConnectWebhook(l.t.Context(), l.Org.ID, l.Service.ID, l.URL, false)
	must(l.t, err)
	for i, row := range l.rows[:20] {
		percent := 95 - 3*i
		for hour := range 4 {
			percent--
			must(l.t, l.Simulator.Report(Project, l.external(row), simulator.Activity{At: time.Now().Add(time.Duration(hour-4) * time.Hour), Online: true, Battery: &percent, Version: "2.1.0"}))
		}
	}
	l.Wait("deliveries", func() bool {
		var err error
		l.Sent, _, err = l.API.Deliveries(l.t.Context(), l.Org.ID, tandem.DeliveryFilter{Page: tandem.Page{Number: 1, Limit: 50}})
		must(l.t, err)
		return len(l.Sent) >= 20
	})
}

// speaks lets a device in, which reports by itself and has a command waiting.
func (l *Lived) speaks() {
	l.t.Helper()
	var secret string
	var err error
	l.Credential, secret, err = l.API.CreateCredential(l.t.Context(), l.Org.ID, l.Row.ID, registry.NewCredential{Kind: tandem.TokenCredential, Name: "field unit"})
	must(l.t, err)
	for i := range 5 {
		l.Report(secret, fmt.Sprintf(`{"temperature":%.1f,"humidity":%d,"mode":"cooling","valve":{"open":%t}}`, 18.5+float64(i), 40+i, i%2 == 0))
	}
	l.Command, err = l.API.SendCommand(l.t.Context(), l.Org.ID, l.Row.ID, registry.NewCommand{Name: "blink", Payload: json.RawMessage(`{"times":3}`)})
	must(l.t, err)
}

// edits changes both sides, some of it differently.
func (l *Lived) edits() {
	l.t.Helper()
	rows := l.rows
	l.Edit(rows[0], "name", "Pump house, roof")
	l.Edit(rows[2], "metadata/site", "Harbour 7")
	l.EditRemote(rows[3], "name", "Valve, cellar")
	l.EditRemote(rows[0], "cohort", "early-access")
	l.Edit(rows[4], "name", "Gateway north")
	l.EditRemote(rows[4], "name", "Gateway south")
	l.Edit(rows[5], "blueprint", "pump-v3")
	l.EditRemote(rows[5], "blueprint", "pump-v4")
	l.Edit(rows[6], "metadata/floor", "2nd")
	l.EditRemote(rows[6], "metadata/floor", "3rd")
	l.Edited = l.Run(tandem.OpBidirectional)
	var err error
	l.Disputed, _, err = l.API.Conflicts(l.t.Context(), l.Org.ID, tandem.ConflictFilter{Page: tandem.Page{Number: 1, Limit: 50}})
	must(l.t, err)
}

// failures has one device's writes refused, and a service that does not answer.
func (l *Lived) failures() {
	l.t.Helper()
	l.Simulator.AddFault(l.fault("422:PATCH /v1/projects/" + Project + "/devices/" + l.external(l.Failing)))
	l.Edit(l.Failing, "name", "Meter that refuses")
	l.Failed = l.Run(tandem.OpBidirectional)
	l.Spare = l.AddService("spare", OtherProject, nil)
	l.Simulator.AddFault(l.fault("503:GET /v1/projects/" + OtherProject + "/devices"))
	_, err := l.API.Sync(l.t.Context(), l.Org.ID, tandem.RunRequest{ServiceID: l.Spare.ID, Operation: tandem.OpImport}, nil)
	if err != nil && !tandem.Is(err, tandem.Unavailable) {
		l.t.Fatal(err)
	}
}

func (l *Lived) fault(text string) simulator.Fault {
	l.t.Helper()
	f, err := simulator.ParseFault(text)
	must(l.t, err)
	return f
}

// unlinked has devices on one side only, and a plan that would change that.
func (l *Lived) unlinked() {
	l.t.Helper()
	for i := range 3 {
		_, err := l.Simulator.CreateDevice(Project, tandem.NewRemoteDevice{Name: fmt.Sprintf("New tracker %d", i+1), HardwareIDs: []string{fmt.Sprintf("new-tracker-%d", i+1)}})
		must(l.t, err)
		name := fmt.Sprintf("Spare sensor %d", i+1)
		_, err = l.API.CreateDevice(l.t.Context(), l.Org.ID, registry.DeviceEdit{Name: &name})
		must(l.t, err)
	}
	l.EditRemote(l.rows[8], "name", "Tracker, depot")
	preview, err := l.API.Preview(l.t.Context(), l.Org.ID, tandem.RunRequest{ServiceID: l.Service.ID, Operation: tandem.OpBidirectional}, true, func(tandem.Change) error { return nil })
	must(l.t, err)
	l.PlanID = preview.PlanID
}

// held deletes so many devices at the other end that a guard asks.
func (l *Lived) held() {
	l.t.Helper()
	for _, row := range l.rows[30:48] {
		must(l.t, l.Simulator.DeleteDevice(Project, l.external(row)))
	}
	l.Held = l.Run(tandem.OpImport)
}

// alerts waits for what all this raised.
func (l *Lived) alerts() {
	l.t.Helper()
	l.Wait("alerts", func() bool {
		var err error
		l.Alerts, _, err = l.API.Alerts(l.t.Context(), l.Org.ID, tandem.AlertFilter{})
		must(l.t, err)
		return len(l.Alerts) > 0
	})
}
