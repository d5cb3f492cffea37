package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
	"tandem/registry"
)

// TestS37ChangesLeaveEntries: what changes something says who, what, before and after, and no secret.
func TestS37ChangesLeaveEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	a := w.person(org, "owner@example.com", tandem.Owner)
	d, err := w.CreateDevice(w.ctx, a, org, registry.DeviceEdit{Name: ptr("one"), Tags: ptr([]string{"a"})})
	w.must(err)
	w.must(third(w.UpdateDevice(w.ctx, a, org, d.ID, registry.DeviceEdit{Name: ptr("two"), Tags: ptr([]string{"a"})})))
	w.must(third(w.UpdateDevice(w.ctx, a, org, d.ID, registry.DeviceEdit{Name: ptr("two")}))) // nothing
	w.must(second(w.ImportDevices(w.ctx, a, org, registry.ReadRows(strings.NewReader("device_id,notes\none,x\nnew,\n")), registry.ImportOptions{}, nil)))
	w.must(second(w.DeleteDevice(w.ctx, a, org, d.ID)))
	s := w.service(org, "prod", nil)
	w.must(second(w.UpdateService(w.ctx, a, org, s.ID, registry.ServiceEdit{SyncInterval: ptr(600), Key: func(string, string) ([]byte, error) { return []byte("sealed-anew"), nil }})))
	_, secret, err := w.UpdateWebhook(w.ctx, a, org, s.ID, registry.WebhookEdit{Scheme: ptr(tandem.SignatureScheme), NewSecret: true})
	w.must(err)
	c, err := w.CreateChannel(w.ctx, a, org, registry.NewChannel{Name: "ops", Type: tandem.SlackChannel, Secret: []byte("https://hooks.example.com/secret")})
	w.must(err)
	w.must(second(w.UpdateChannel(w.ctx, a, org, c.ID, registry.ChannelEdit{Throttle: ptr(300)})))
	w.must(second(w.DeleteChannel(w.ctx, a, org, c.ID)))
	_, token, err := w.CreateToken(w.ctx, a, org, registry.NewToken{Name: "ci"})
	w.must(err)
	w.must(second(w.UpdateOrganization(w.ctx, a, org, registry.OrganizationEdit{Name: ptr("Acme Ltd")})))

	entries, _, err := w.Audit(w.ctx, a, org, tandem.AuditFilter{})
	w.must(err)
	slices.Reverse(entries)
	var got []string
	for _, e := range entries {
		if e.ActorID == a.ID && e.ThingType != "user" {
			got = append(got, e.Action+" "+e.Thing)
			if e.RequestID != "request-1" || e.Address != "192.0.2.1" || e.ActorKind != tandem.PersonActor || e.Actor != "owner@example.com" {
				t.Errorf("who did it is missing: %+v", e)
			}
		}
		text := string(e.Before) + string(e.After)
		for _, hidden := range []string{secret, token, "hooks.example.com/secret", "sealed-anew", "c2VhbGVk", "argon2"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s holds the secret %s: %s", e.Action, hidden, text)
			}
		}
	}
	want := []string{"device.create one", "device.update one", "device.update two", "device.create new", "device.delete two", "service.update prod", "service.webhook prod",
		"channel.create ops", "channel.update ops", "channel.delete ops", "token.create ci", "organization.update acme"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e := w.audited(org, "device.update")[1]; string(e.Before) != `{"name":"one"}` || string(e.After) != `{"name":"two"}` || e.ThingID != d.ID {
		t.Errorf("the edit is %+v", e)
	}
	if e := w.audited(org, "service.update")[0]; !strings.Contains(string(e.After), `"key":"changed"`) || !strings.Contains(string(e.Before), `"sync_interval_seconds":300`) {
		t.Errorf("the service's change is %s after %s", e.After, e.Before)
	}
}

// TestS38EditsLeave: an edit of a shared field on a service with automatic sync is to be pushed, in its transaction.
func TestS38EditsLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	automatic := func(change func(*tandem.ServiceConfig)) func(*registry.NewService) {
		return func(n *registry.NewService) {
			n.Config.Project = w.id()
			if change != nil {
				change(&n.Config)
			}
		}
	}
	on := func(name string, change func(*tandem.ServiceConfig)) tandem.Service {
		s := w.service(org, name, automatic(change))
		s, err := w.UpdateService(w.ctx, root, org, s.ID, registry.ServiceEdit{SyncEnabled: ptr(true)})
		w.must(err)
		return s
	}
	both := on("both", nil)
	creates := on("creates", func(c *tandem.ServiceConfig) { c.CreateRemote = true })
	imports := on("imports", func(c *tandem.ServiceConfig) { c.Direction = tandem.Import })
	names := on("names", func(c *tandem.ServiceConfig) { c.Fields = tandem.FieldSet(tandem.FieldName) })
	manual := w.service(org, "manual", automatic(nil))
	paused := on("paused", nil)
	w.must(second(w.UpdateService(w.ctx, root, org, paused.ID, registry.ServiceEdit{IsActive: ptr(false)})))

	due := func() []string {
		t.Helper()
		var got []string
		for _, s := range []tandem.Service{both, creates, imports, names, manual, paused} {
			pushes, err := w.store.DuePushes(w.ctx, org, s.ID, w.now().Add(2*time.Second), 100)
			w.must(err)
			for _, p := range pushes {
				if p.Trigger != tandem.ByEdit || p.By != "tester" || p.Due.Sub(p.First) != time.Second {
					t.Errorf("the push is %+v", p)
				}
				got = append(got, s.Name)
			}
			w.must(w.store.Apply(w.ctx, org, &tandem.Changes{DropPushes: pushes}))
		}
		return got
	}
	d := w.device(org, "one")
	if diff := cmp.Diff([]string{"creates"}, due()); diff != "" {
		t.Errorf("a new device: %s", diff)
	}
	for i, s := range []tandem.Service{both, imports, names, manual, paused} {
		w.link(org, d, s, fmt.Sprint("r", i))
	}
	for what, edit := range map[string]struct {
		edit registry.DeviceEdit
		want []string
	}{
		"a name":              {registry.DeviceEdit{Name: ptr("two")}, []string{"both", "names"}},
		"tags":                {registry.DeviceEdit{Tags: ptr([]string{"x"})}, []string{"both"}},
		"notes are our own":   {registry.DeviceEdit{Notes: ptr("x")}, nil},
		"what is not changed": {registry.DeviceEdit{DeviceType: ptr("")}, nil},
	} {
		w.must(third(w.UpdateDevice(w.ctx, root, org, d.ID, edit.edit)))
		if diff := cmp.Diff(edit.want, due()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	w.must(second(w.ImportDevices(w.ctx, root, org, registry.ReadRows(strings.NewReader("device_id,tags\none,imported\n")), registry.ImportOptions{}, nil)))
	if diff := cmp.Diff([]string{"both"}, due()); diff != "" {
		t.Errorf("an import: %s", diff)
	}
	w.must(second(w.EditDevices(w.ctx, root, org, registry.Selection{Refs: []string{d.ID}}, registry.BulkEdit{AddTags: []string{"bulk"}})))
	if diff := cmp.Diff([]string{"both"}, due()); diff != "" {
		t.Errorf("an edit of many: %s", diff)
	}
	w.must(second(w.DeleteDevice(w.ctx, root, org, d.ID)))
	if diff := cmp.Diff([]string{"both", "names"}, due()); diff != "" {
		t.Errorf("a deletion: %s", diff)
	}
}

// TestStaleEdits: an edit of a version that has passed is refused with what is there now; nothing is lost.
func TestStaleEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	d := w.device(org, "one")
	first, _, err := w.UpdateDevice(w.ctx, root, org, d.ID, registry.DeviceEdit{Name: ptr("two"), IfVersion: &d.Version})
	w.must(err)
	now, _, err := w.UpdateDevice(w.ctx, root, org, d.ID, registry.DeviceEdit{Name: ptr("three"), IfVersion: &d.Version})
	w.wants(err, tandem.Stale)
	if now.Name != "two" || now.Version != first.Version {
		t.Errorf("with the refusal came %s at version %d", now.Name, now.Version)
	}
	stored, err := w.DeleteDevice(w.ctx, root, org, d.ID, d.Version)
	w.wants(err, tandem.Stale)
	if stored.DeletedAt != nil {
		t.Error("it was deleted")
	}
	w.must(second(w.DeleteDevice(w.ctx, root, org, d.ID, first.Version)))
	s := w.service(org, "prod", nil)
	w.must(second(w.UpdateService(w.ctx, root, org, s.ID, registry.ServiceEdit{SyncInterval: ptr(600), IfVersion: &s.Version})))
	newer, err := w.UpdateService(w.ctx, root, org, s.ID, registry.ServiceEdit{SyncInterval: ptr(900), IfVersion: &s.Version})
	w.wants(err, tandem.Stale)
	if newer.SyncInterval != 600 {
		t.Errorf("with the refusal came %d", newer.SyncInterval)
	}
}

// TestManyDevices: each has its own result; one that is wrong does not keep the others.
func TestManyDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org, other := w.organization("Acme"), w.organization("Other")
	foreign := w.device(other, "foreign")
	var ids []string
	for i := range 30 {
		ids = append(ids, w.device(org, fmt.Sprintf("d%02d", i)).ID)
	}
	_, _, err := w.UpdateDevice(w.ctx, root, org, ids[0], registry.DeviceEdit{Tags: ptr([]string{"old", "x"})})
	w.must(err)
	many := slices.Repeat([]string{"t"}, 99)
	for i := range many {
		many[i] = fmt.Sprint("t", i)
	}
	w.must(third(w.UpdateDevice(w.ctx, root, org, ids[1], registry.DeviceEdit{Tags: &many})))
	refs := append([]string{foreign.ID, "nothing", "d02", ids[2]}, ids...)
	edit := registry.BulkEdit{AddTags: []string{"new", "newer"}, RemoveTags: []string{"old"}}
	dry := edit
	dry.DryRun = true
	if got, err := w.EditDevices(w.ctx, root, org, registry.Selection{Refs: refs}, dry); err != nil || len(got) != 32 || len(got[2].Changes) != 1 || got[2].Device.Version != 1 {
		t.Fatalf("a dry run gave %d, %v", len(got), err)
	}
	got, err := w.EditDevices(w.ctx, root, org, registry.Selection{Refs: refs}, edit)
	w.must(err)
	failed := map[string]tandem.Code{}
	for _, one := range got {
		if one.Error != nil {
			failed[one.Ref] = tandem.CodeOf(one.Error)
		}
	}
	if diff := cmp.Diff(map[string]tandem.Code{foreign.ID: tandem.NotFound, "nothing": tandem.NotFound, ids[1]: tandem.Invalid}, failed); diff != "" || len(got) != 32 {
		t.Errorf("%d results: %s", len(got), diff)
	}
	d, err := w.Device(w.ctx, root, org, ids[0])
	if err != nil || !slices.Equal(d.Tags, []string{"new", "newer", "x"}) {
		t.Errorf("the tags are %v, %v", d.Tags, err)
	}
	if n := len(w.audited(org, "device.update")); n != 31 {
		t.Errorf("the audit has %d edits", n)
	}
	got, err = w.EditDevices(w.ctx, root, org, registry.Selection{Filter: &tandem.DeviceFilter{Tag: "newer"}}, registry.BulkEdit{Delete: true})
	if err != nil || len(got) != 29 || !got[0].Deleted {
		t.Errorf("deleting gave %d, %v", len(got), err)
	}
	if _, n, err := w.Devices(w.ctx, root, org, tandem.DeviceFilter{}); err != nil || n != 1 {
		t.Errorf("%d are left, %v", n, err)
	}
	w.wants(second(w.EditDevices(w.ctx, root, org, registry.Selection{}, edit)), tandem.Invalid)
	w.wants(second(w.EditDevices(w.ctx, root, org, registry.Selection{Refs: slices.Repeat([]string{"x"}, 1001)}, edit)), tandem.Invalid)
	w.wants(second(w.EditDevices(w.ctx, root, org, registry.Selection{Refs: ids}, registry.BulkEdit{Edit: registry.DeviceEdit{DeviceID: ptr("x")}})), tandem.Invalid)
}

// moving is the store with somebody else who edits a device just before a write.
type moving struct {
	registry.Store
	before func()
	times  int
}

func (m *moving) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	if m.times > 0 {
		m.times--
		m.before()
	}
	return m.Store.Apply(ctx, org, c)
}

// TestManyDevicesThatMove: who is edited meanwhile is decided again, and given up after some times without the others.
func TestManyDevicesThatMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	one, two := w.device(org, "one"), w.device(org, "two")
	edits := *w.Registry
	n := 0
	m := &moving{Store: w.store, times: 1, before: func() {
		n++
		w.must(third(w.UpdateDevice(w.ctx, root, org, one.ID, registry.DeviceEdit{Notes: ptr(fmt.Sprint(n))})))
	}}
	edits.Store = m
	got, err := edits.EditDevices(w.ctx, root, org, registry.Selection{Refs: []string{one.ID, two.ID}}, registry.BulkEdit{AddTags: []string{"a"}})
	if err != nil || got[0].Error != nil || got[0].Device.Notes != "1" || !slices.Equal(got[0].Device.Tags, []string{"a"}) {
		t.Errorf("once moved it gave %+v, %v", got, err)
	}
	m.times = 100
	got, err = edits.EditDevices(w.ctx, root, org, registry.Selection{Refs: []string{one.ID, two.ID}}, registry.BulkEdit{AddTags: []string{"b"}})
	if err != nil || !tandem.Is(got[0].Error, tandem.Stale) || got[1].Error != nil {
		t.Errorf("ever moving it gave %+v, %v", got, err)
	}
	if d, err := w.Device(w.ctx, root, org, two.ID); err != nil || !slices.Equal(d.Tags, []string{"a", "b"}) {
		t.Errorf("the other has %v, %v", d.Tags, err)
	}
}

// TestRunsAreForThoseWhoMay: force, plans and settings that nobody let run need more than starting a run.
func TestRunsAreForThoseWhoMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	d := w.device(org, "one")
	operator, manager := w.person(org, "operator@example.com", tandem.Operator), w.person(org, "manager@example.com", tandem.Manager)
	start := func(a registry.Actor, change func(*tandem.RunRequest)) error {
		req := tandem.RunRequest{ServiceID: s.ID, Operation: tandem.OpImport, Approves: "x", Reverts: "y", CreatedBy: "somebody else", Trigger: tandem.BySchedule}
		if change != nil {
			change(&req)
		}
		run, err := w.StartRun(w.ctx, a, org, req, &tandem.Changes{Along: tandem.Along{Events: []tandem.Event{{ID: w.id(), OrganizationID: org, At: w.now(), Kind: "test"}}}})
		if err == nil && (run.Status != tandem.RunQueued || run.CreatedBy != a.Name || run.Trigger != tandem.ByHand || run.Reverts != "") {
			t.Errorf("the run is %+v", run)
		}
		return err
	}
	w.wants(start(operator, nil), tandem.Forbidden) // it would approve the settings
	w.must(start(operator, func(r *tandem.RunRequest) { r.DeviceIDs = []string{d.ID} }))
	w.wants(start(operator, func(r *tandem.RunRequest) { r.Force = true }), tandem.Forbidden)
	w.wants(start(operator, func(r *tandem.RunRequest) { r.PlanID = w.id() }), tandem.Forbidden)
	w.must(start(manager, func(r *tandem.RunRequest) { r.Force = true }))
	w.wants(start(manager, func(r *tandem.RunRequest) { r.Operation = "nonsense" }), tandem.Invalid)
	got := w.audited(org, "run.start")
	if len(got) != 2 || string(got[0].After) != `{"force":true,"operation":"import"}` || got[0].Thing != "prod" {
		t.Errorf("the audit says %+v", got)
	}
	runs, n, err := w.Runs(w.ctx, operator, org, tandem.RunFilter{})
	if err != nil || n != 2 {
		t.Fatalf("there are %d runs, %v", n, err)
	}
	w.must(second(w.CancelRun(w.ctx, operator, org, runs[0].ID)))
	asked, err := w.store.CancelRequested(w.ctx, org, runs[0].ID)
	if err != nil || !asked || len(w.audited(org, "run.cancel")) != 1 {
		t.Errorf("canceling: %v, %v", asked, err)
	}
}

// TestAlertsAreLookedAfter: acknowledged and resolved once, with who did.
func TestAlertsAreLookedAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	th := w.furnish("Acme")
	a := w.person(th.org, "operator@example.com", tandem.Operator)
	alert, err := w.AcknowledgeAlert(w.ctx, a, th.org, th.alert)
	if err != nil || alert.Status != tandem.AlertAcknowledged || alert.AcknowledgedBy != "operator@example.com" || alert.Version != 2 {
		t.Errorf("acknowledged it is %+v, %v", alert, err)
	}
	w.must(second(w.AcknowledgeAlert(w.ctx, root, th.org, th.alert))) // again: nothing
	alert, err = w.ResolveAlert(w.ctx, a, th.org, th.alert)
	if err != nil || alert.Status != tandem.AlertResolved {
		t.Errorf("resolved it is %+v, %v", alert, err)
	}
	if got := w.audited(th.org, "alert"); len(got) != 2 || !json.Valid(got[0].After) {
		t.Errorf("the audit says %+v", got)
	}
	c, err := w.UpdateChannel(w.ctx, root, th.org, "ops", registry.ChannelEdit{IsActive: ptr(false), IfVersion: ptr(int64(1))})
	if err != nil || c.IsActive {
		t.Errorf("the channel is %+v, %v", c, err)
	}
	c, err = w.UpdateChannel(w.ctx, root, th.org, "ops", registry.ChannelEdit{IsActive: ptr(true), IfVersion: ptr(int64(1))})
	w.wants(err, tandem.Stale)
	if c.Version != 2 || c.IsActive {
		t.Errorf("with the refusal came %+v", c)
	}
	w.wants(second(w.CreateChannel(w.ctx, root, th.org, registry.NewChannel{Name: "ops", Type: tandem.EmailChannel})), tandem.Exists)
	w.wants(second(w.CreateChannel(w.ctx, root, th.org, registry.NewChannel{Name: "", Type: "pigeon", Throttle: -1, MinSeverity: "loud", Kinds: []tandem.AlertKind{"x"}})), tandem.Invalid)
}

// TestS37RunsSayWhoAskedForThem: what the engine does by a person's word has that person's entry, with the run.
func TestS37RunsSayWhoAskedForThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.simulate(3)
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	a := w.person(org, "owner@example.com", tandem.Owner)
	there, err := w.sim.Devices("demo")
	w.must(err)
	d := w.device(org, "mine")
	w.must(third(w.Link(w.ctx, a, org, s.ID, d.ID, there[0].ID)))
	w.must(second(w.ImportRemote(w.ctx, a, org, s.ID, []string{there[1].ID})))
	if run, err := w.engine().Run(w.ctx, org, tandem.RunRequest{ServiceID: s.ID}, nil); err != nil || run.Summary.Conflicts == 0 {
		t.Fatalf("the run is %+v, %v", run, err)
	}
	conflicts, _, err := w.Conflicts(w.ctx, a, org, tandem.ConflictFilter{})
	w.must(err)
	settled, err := w.SettleConflicts(w.ctx, a, org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{conflicts[0].ID}}, Take: tandem.TakeRemote})
	if err != nil || settled[0].Error != nil || settled[0].Conflict.Status != tandem.ConflictResolved {
		t.Fatalf("settling gave %+v, %v", settled, err)
	}
	w.must(second(w.SettleConflicts(w.ctx, a, org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: s.ID}, Take: tandem.TakeRemote, DryRun: true})))
	w.must(second(w.Unlink(w.ctx, a, org, s.ID, d.ID)))
	w.must(second(w.ConfirmProject(w.ctx, a, org, s.ID)))
	w.must(w.SettleConflictsLater(w.ctx, a, org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: s.ID, Field: "name"}, Take: tandem.TakeLocal}))
	for _, action := range []string{"device.link", "remote.import", "conflict.settle", "device.unlink", "service.confirm_project"} {
		got := w.audited(org, action)
		if action == "conflict.settle" && len(got) == 2 {
			got = got[1:] // the later one has no run yet
		}
		if len(got) != 1 || got[0].RunID == "" || got[0].ActorID != a.ID || got[0].RequestID != "request-1" {
			t.Errorf("%s has the entries %+v", action, got)
			continue
		}
		if run, err := w.Run(w.ctx, a, org, got[0].RunID); err != nil || run.CreatedBy != a.Name {
			t.Errorf("%s names the run %+v, %v", action, run, err)
		}
	}
}
