package registry_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/registry"
)

// TestEntryGroups: what differs in names, ids and numbers alone is one cause, and its own hint goes before the code's.
func TestEntryGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("acme")
	service := w.service(org, "prod", nil)
	run := tandem.Run{ID: w.id(), OrganizationID: org, ServiceID: service.ID, Operation: tandem.OpExport, Trigger: tandem.ByHand, Status: tandem.RunPartial, CreatedAt: w.now()}
	c := tandem.Changes{PutRuns: []tandem.Run{run}}
	add := func(name string, outcome tandem.EntryOutcome, code tandem.Code, failure, note string) {
		c.Entries = append(c.Entries, tandem.Entry{ID: w.id(), OrganizationID: org, RunID: run.ID, ServiceID: service.ID, Outcome: outcome, Code: code, Error: failure, CreatedAt: w.now(),
			Change: tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: w.id(), DeviceName: name, ExternalDeviceID: "65f0a1b2c3d4e5f600000" + name, Note: note}})
	}
	for i := range 7 {
		name := fmt.Sprintf("pump-%d", i)
		add(name, tandem.OutcomeFailed, tandem.Exists, fmt.Sprintf("%s: the name %q is taken by 65f0a1b2c3d4e5f6000000%02d; rename one of them", name, name, i), "")
	}
	add("meter", tandem.OutcomeFailed, tandem.Timeout, "meter: no answer after 10 s", "")
	add("valve", tandem.OutcomeHeld, "", "", "held back by the guard on changes of enabled")
	w.must(w.store.Apply(w.ctx, org, &c))
	groups, err := w.EntryGroups(w.ctx, registry.Command("test"), org, run.ID)
	w.must(err)
	if len(groups) != 3 {
		t.Fatalf("%d groups: %+v", len(groups), groups)
	}
	if g := groups[0]; g.Count != 7 || len(g.Devices) != 5 || g.Devices[0].DeviceName != "pump-0" || g.Error != "the name … is taken by …" || g.Hint != "rename one of them" || g.Code != tandem.Exists {
		t.Errorf("the first is %+v", g)
	}
	if g := groups[1]; g.Count != 1 || g.Error != "no answer after 10 s" || g.Hint == "" {
		t.Errorf("the only one of its cause is %+v", g)
	}
	if g := groups[2]; g.Outcome != tandem.OutcomeHeld || g.Error != "held back by the guard on changes of enabled" || g.Hint == "" {
		t.Errorf("what is held is %+v", g)
	}
}

// TestDeviceHistory: edits here and what runs did are one list, each field by itself.
func TestDeviceHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("acme")
	service := w.service(org, "prod", nil)
	ada := registry.Command("ada@example.com")
	d, err := w.CreateDevice(w.ctx, ada, org, registry.DeviceEdit{Name: ptr("one"), Metadata: &tandem.Map{"site": tandem.Map{"floor": json.Number("1"), "room": "a"}}})
	w.must(err)
	_, _, err = w.UpdateDevice(w.ctx, ada, org, d.ID, registry.DeviceEdit{Name: ptr("two"), Metadata: &tandem.Map{"site": tandem.Map{"floor": json.Number("2"), "room": "a"}}})
	w.must(err)
	run := tandem.Run{ID: w.id(), OrganizationID: org, ServiceID: service.ID, Operation: tandem.OpImport, Trigger: tandem.BySchedule, Status: tandem.RunCompleted, CreatedAt: w.now()}
	w.must(w.store.Apply(w.ctx, org, &tandem.Changes{PutRuns: []tandem.Run{run}, Entries: []tandem.Entry{{ID: w.id(), OrganizationID: org, RunID: run.ID, ServiceID: service.ID,
		Outcome: tandem.OutcomeDone, CreatedAt: w.now().Add(time.Second),
		Change: tandem.Change{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceID: d.ID, DeviceName: "two", Path: "name", Before: json.RawMessage(`"two"`), After: json.RawMessage(`"three"`)}}}}))
	told := func(actor registry.Actor, filter tandem.HistoryFilter) (lines []string, total int) {
		all, total, err := w.DeviceHistory(w.ctx, actor, org, d.ID, filter)
		w.must(err)
		for _, h := range all {
			lines = append(lines, fmt.Sprintf("%s %s %s %s %s", h.Source, h.Action, h.Field, h.Before, h.After))
		}
		return lines, total
	}
	for _, test := range []struct {
		filter tandem.HistoryFilter
		want   []string
		total  int
	}{
		{tandem.HistoryFilter{Field: "name"}, []string{`run update name "two" "three"`, `person update name "one" "two"`, `person create name  "one"`}, 3},
		{tandem.HistoryFilter{Field: "metadata"}, []string{`person update metadata/site/floor 1 2`, `person create metadata/site/floor  1`, `person create metadata/site/room  "a"`}, 3},
		{tandem.HistoryFilter{Field: "metadata/site/floor", Page: tandem.Page{Number: 2, Limit: 1}}, []string{`person create metadata/site/floor  1`}, 2},
		{tandem.HistoryFilter{Page: tandem.Page{Number: 1, Limit: 2}}, []string{`run update name "two" "three"`, `person update name "one" "two"`}, 4},
	} {
		lines, total := told(ada, test.filter)
		if fmt.Sprint(lines) != fmt.Sprint(test.want) || total != test.total {
			t.Errorf("%+v gives %q of %d, want %q of %d", test.filter, lines, total, test.want, test.total)
		}
	}
	blind := registry.Actor{Kind: tandem.TokenActor, ID: "t", Roles: map[string]tandem.Role{org: tandem.Viewer}, Scopes: []string{string(registry.ReadDevices)}}
	if lines, total := told(blind, tandem.HistoryFilter{Field: "name"}); total != 2 || len(lines) != 2 {
		t.Errorf("one who may not read runs is told %q", lines)
	}
	_, _, err = w.DeviceHistory(w.ctx, ada, org, d.ID, tandem.HistoryFilter{Page: tandem.Page{Number: 1000, Limit: 1000}})
	w.wants(err, tandem.Invalid)
}

// TestOpenCounts: what an actor may not read counts as nothing.
func TestOpenCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("acme")
	service := w.service(org, "prod", nil)
	w.must(w.store.Apply(w.ctx, org, &tandem.Changes{PutAlerts: []tandem.Alert{{ID: w.id(), OrganizationID: org, Kind: tandem.AlertTest, Subject: "s", ServiceID: service.ID,
		Severity: tandem.Warning, Message: "m", Count: 1, Status: tandem.AlertRaised, RaisedAt: w.now(), LastAt: w.now()}}}))
	dead := tandem.Delivery{ID: w.id(), OrganizationID: org, ServiceID: service.ID, Digest: "x", Type: "device.data", Status: tandem.DeliveryDead, ReceivedAt: w.now()}
	_, err := w.store.StoreDeliveries(w.ctx, []tandem.Delivery{dead})
	w.must(err)
	for role, want := range map[tandem.Role]tandem.OpenCounts{tandem.Viewer: {Alerts: 1}, tandem.Operator: {Alerts: 1, DeadDeliveries: 1}} {
		actor := registry.Actor{Kind: tandem.PersonActor, ID: "u", UserID: "u", Roles: map[string]tandem.Role{org: role}}
		got, err := w.OpenCounts(w.ctx, actor, org)
		w.must(err)
		o, err := w.Overview(w.ctx, actor, org)
		w.must(err)
		if got != want || o.AlertsOpen != want.Alerts || o.DeadDeliveries != want.DeadDeliveries || len(o.Services) != 1 {
			t.Errorf("%s is told %+v and %+v, want %+v", role, got, o, want)
		}
	}
	_, err = w.DeliveryRate(w.ctx, registry.Command("test"), org, "", w.now(), w.now().Add(time.Hour), 90*time.Second)
	w.wants(err, tandem.Invalid)
}
