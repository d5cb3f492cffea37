package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// newCredential makes one of a device; add it with apply.
func (w *world) newCredential(d tandem.Device, kind tandem.CredentialKind, edits ...func(*tandem.Credential)) tandem.Credential {
	c := tandem.Credential{ID: w.id(), OrganizationID: w.org, DeviceID: d.ID, Kind: kind, Name: "credential", CreatedBy: "somebody", CreatedAt: w.now, UpdatedAt: w.now}
	c.Identity = "identity " + c.ID
	switch kind {
	case tandem.PSKCredential:
		c.Sealed = []byte("sealed " + c.ID)
	case tandem.TokenCredential, tandem.PasswordCredential:
		c.Hash = strings.Repeat("a", 40) + c.ID
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// newCommand makes one for a device; add it with apply.
func (w *world) newCommand(d tandem.Device, edits ...func(*tandem.Command)) tandem.Command {
	c := tandem.Command{ID: w.id(), OrganizationID: w.org, DeviceID: d.ID, Name: "blink", Payload: raw(`{"times":3}`), Status: tandem.CommandQueued,
		ExpiresAt: w.now.Add(100 * 365 * 24 * time.Hour), CreatedBy: "somebody", CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// gatewayForeign call each method about devices that speak to Tandem themselves.
var gatewayForeign = cases{
	"Credentials": func(b *world, a filled) []outcome { return one(b.st.Credentials(b.ctx, b.org, a.device.ID)) },
	"Credential": func(b *world, a filled) []outcome {
		_, err := b.st.Credential(b.ctx, b.org, a.server.credential.ID)
		return refused(err)
	},
	"Commands": func(b *world, a filled) []outcome {
		return append(two(b.st.Commands(b.ctx, b.org, tandem.CommandFilter{})), two(b.st.Commands(b.ctx, b.org, tandem.CommandFilter{DeviceID: a.device.ID}))...)
	},
	"Command": func(b *world, a filled) []outcome {
		_, err := b.st.Command(b.ctx, b.org, a.server.command.ID)
		return refused(err)
	},
	"OpenCommands": func(b *world, a filled) []outcome { return one(b.st.OpenCommands(b.ctx, b.org, a.device.ID)) },
	"TakeCommands": func(b *world, a filled) []outcome {
		return one(b.st.TakeCommands(b.ctx, b.org, []string{a.device.ID}, tandem.ViaMQTT, true))
	},
	"ReturnCommands": func(b *world, a filled) []outcome {
		return got(nil, b.st.ReturnCommands(b.ctx, b.org, []string{a.server.command.ID}))
	},
	"AnswerCommand": func(b *world, a filled) []outcome {
		answered, err := b.st.AnswerCommand(b.ctx, b.org, a.device.ID, tandem.CommandAnswer{ID: a.server.command.ID}, b.now)
		return append(got(answered, nil), refused(err)...)
	},
	"CancelCommand": func(b *world, a filled) []outcome {
		_, err := b.st.CancelCommand(b.ctx, b.org, a.server.command.ID, b.now)
		return refused(err)
	},
	"Reporters": func(b *world, a filled) []outcome { return one(b.st.Reporters(b.ctx, b.org, []string{a.device.ID})) },
	"Series": func(b *world, a filled) []outcome {
		series := func(path string, around time.Duration) []outcome {
			return one(b.st.Series(b.ctx, b.org, tandem.SeriesFilter{DeviceID: a.device.ID, Path: path, Since: b.now.Add(-around), Until: b.now.Add(around), Points: 10}))
		}
		return append(series("battery_level", time.Hour), series("hourly", 100*time.Hour)...)
	},
}

var gatewayTests = map[string]func(*world){
	"a credential is found by what the device says": func(w *world) {
		d := w.device("d")
		token, psk := w.newCredential(d, tandem.TokenCredential), w.newCredential(d, tandem.PSKCredential)
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{token, psk}})
		for key, c := range map[string]*tandem.Credential{token.Hash: &token, psk.Identity: &psk} {
			found, err := w.st.FindCredential(w.ctx, c.Kind, key)
			w.must(err)
			c.Version = 1
			w.equal(found.Credential, *c)
			w.equal(found.Device.ID, d.ID)
			w.equal(found.Device.OrganizationID, w.org)
			w.equal(found.Device.Enabled, d.Enabled)
			w.equal(found.Slug, "org-"+w.org)
			kept, err := w.st.Credential(w.ctx, w.org, c.ID)
			w.must(err)
			w.equal(kept, *c)
		}
		_, err := w.st.FindCredential(w.ctx, tandem.PasswordCredential, psk.Identity)
		w.wantCode(err, tandem.NotFound)
		until := w.now.Add(time.Hour)
		token.PreviousHash, token.PreviousUntil, token.Hash = token.Hash, &until, "new "+token.ID
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{token}})
		for _, key := range []string{token.Hash, token.PreviousHash} {
			found, err := w.st.FindCredential(w.ctx, tandem.TokenCredential, key)
			w.must(err)
			w.equal(found.Credential.Version, int64(2))
		}
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutCredentials: []tandem.Credential{token}}), tandem.Stale) // it moved
		w.must(w.st.TouchCredentials(w.ctx, []tandem.CredentialUse{{OrganizationID: w.org, ID: token.ID, At: until}, {OrganizationID: w.org, ID: "gone", At: until}}))
		token, err = w.st.Credential(w.ctx, w.org, token.ID)
		w.must(err)
		w.equal(*token.LastUsedAt, until)
		token.RevokedAt = &until
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{token}})
		_, err = w.st.FindCredential(w.ctx, tandem.TokenCredential, token.Hash)
		w.wantCode(err, tandem.NotFound)
		all, err := w.st.Credentials(w.ctx, w.org, d.ID)
		w.must(err)
		w.equal(pick(all, func(c tandem.Credential) string { return c.ID }), []string{psk.ID, token.ID})
	},
	"an identity is one device's, over all organizations, until it is revoked": func(w *world) {
		d, o := w.device("d"), w.other()
		c := w.newCredential(d, tandem.PasswordCredential)
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{c}})
		theirs := o.newCredential(o.device("d"), tandem.PasswordCredential, func(other *tandem.Credential) { other.Identity = c.Identity })
		w.wantCode(o.st.Apply(o.ctx, o.org, &tandem.Changes{PutCredentials: []tandem.Credential{theirs}}), tandem.Exists)
		c.Version, c.RevokedAt = 1, &w.now
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{c}})
		o.apply(tandem.Changes{PutCredentials: []tandem.Credential{theirs}})
		unknown := w.newCredential(tandem.Device{ID: "gone"}, tandem.TokenCredential)
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutCredentials: []tandem.Credential{unknown}}), tandem.NotFound)
	},
	"a command is taken once, and again when its device comes anew": func(w *world) {
		d, e := w.device("d"), w.device("e")
		first, second, other := w.newCommand(d), w.newCommand(d), w.newCommand(e)
		over := w.newCommand(d, func(c *tandem.Command) { c.ExpiresAt = w.now })
		remote := w.newCommand(d, func(c *tandem.Command) { c.ServiceID, c.Via = "service", tandem.ViaGolioth })
		w.apply(tandem.Changes{PutCommands: []tandem.Command{second, first, other, over, remote}})
		take := func(again bool) []string {
			taken, err := w.st.TakeCommands(w.ctx, w.org, []string{d.ID}, tandem.ViaMQTT, again)
			w.must(err)
			return pick(taken, func(c tandem.Command) string { return c.ID })
		}
		_, before, err := w.st.EventsSince(w.ctx, "", 10)
		w.must(err)
		w.equal(take(false), []string{first.ID, second.ID})
		told, _, err := w.st.EventsSince(w.ctx, before, 1000)
		w.must(err)
		told = slices.DeleteFunc(told, func(e tandem.Event) bool { return e.OrganizationID != w.org })
		w.equal(pick(told, func(e tandem.Event) string { return e.Kind + string(e.Data) }), []string{`commands{"sent":true}`})
		w.equal(len(take(false)), 0)
		w.equal(take(true), []string{first.ID, second.ID})
		_, before, err = w.st.EventsSince(w.ctx, "", 10)
		w.must(err)
		w.must(w.st.ReturnCommands(w.ctx, w.org, []string{second.ID, other.ID}))
		told, _, err = w.st.EventsSince(w.ctx, before, 1000)
		w.must(err)
		told = slices.DeleteFunc(told, func(e tandem.Event) bool { return e.OrganizationID != w.org })
		w.equal(pick(told, func(e tandem.Event) string { return e.Kind + string(e.Data) + strings.Join(e.IDs, " ") }), []string{"commands" + d.ID})
		w.equal(take(false), []string{second.ID})
		w.wantCode(second2(w.st.CancelCommand(w.ctx, w.org, first.ID, w.now)), tandem.Stale)
		canceled, err := w.st.CancelCommand(w.ctx, w.org, other.ID, w.now)
		w.must(err)
		w.equal(canceled.Status, tandem.CommandCanceled)
		open, err := w.st.OpenCommands(w.ctx, w.org, d.ID)
		w.must(err)
		w.equal(open, 4)
		w.wantCode(second2(w.st.AnswerCommand(w.ctx, w.org, e.ID, tandem.CommandAnswer{ID: first.ID}, w.now)), tandem.NotFound) // another's
		for _, want := range []bool{true, false} {
			answered, err := w.st.AnswerCommand(w.ctx, w.org, d.ID, tandem.CommandAnswer{ID: first.ID, Failed: !want, Reply: raw(`{"n":1}`)}, w.now)
			w.must(err)
			w.equal(answered, want)
		}
		kept, err := w.st.Command(w.ctx, w.org, first.ID)
		w.must(err)
		w.equal(kept.Status, tandem.CommandAcknowledged)
		w.equal(string(kept.Reply), `{"n":1}`)
		w.equal(kept.Via, tandem.ViaMQTT)
		if _, err := w.st.ExpireCommands(w.ctx, w.now, 1000); err != nil {
			w.Fatal(err)
		}
		kept, err = w.st.Command(w.ctx, w.org, over.ID)
		w.must(err)
		w.equal(kept.Status, tandem.CommandExpired)
		found, total, err := w.st.Commands(w.ctx, w.org, tandem.CommandFilter{DeviceID: d.ID, Page: tandem.Page{Limit: 2}})
		w.must(err)
		w.equal(total, 4)
		w.equal(pick(found, func(c tandem.Command) string { return c.ID }), []string{remote.ID, over.ID})
	},
	"the changes of several organizations are one transaction": func(w *world) {
		o := w.other()
		d, e := w.device("d"), o.device("e")
		level := 50.0
		changes := func(w *world, device string) tandem.OrganizationChanges {
			return tandem.OrganizationChanges{OrganizationID: w.org, Changes: &tandem.Changes{
				Observe:      []tandem.Observation{{DeviceID: device, Observed: tandem.Observed{BatteryLevel: &level, BatteryAt: &w.now}}},
				Observations: []tandem.DeviceObservation{{DeviceID: device, Path: "battery_level", Value: raw(`50`), ObservedAt: w.now}}}}
		}
		w.wantCode(w.st.ApplyAll(w.ctx, []tandem.OrganizationChanges{changes(w, d.ID), changes(o, d.ID)}), tandem.NotFound) // another's device
		kept, err := w.st.Device(w.ctx, w.org, d.ID)
		w.must(err)
		if kept.BatteryLevel != nil {
			w.Error("half of it was written")
		}
		w.must(w.st.ApplyAll(w.ctx, []tandem.OrganizationChanges{changes(w, d.ID), changes(o, e.ID)}))
		for _, one := range []struct {
			*world
			device string
		}{{w, d.ID}, {o, e.ID}} {
			kept, err := w.st.Device(w.ctx, one.org, one.device)
			w.must(err)
			w.equal(*kept.BatteryLevel, level)
			_, n, err := w.st.Observations(w.ctx, one.org, tandem.ObservationFilter{DeviceID: one.device})
			w.must(err)
			w.equal(n, 1)
		}
		reporters, err := w.st.Reporters(w.ctx, w.org, []string{d.ID, e.ID, "gone"})
		w.must(err)
		w.equal(len(reporters), 1)
	},
	"who went is offline until seen again": func(w *world) {
		d := w.device("d")
		status := func() tandem.Status {
			rows, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{IDs: []string{d.ID}, Now: w.now})
			w.must(err)
			for _, want := range []tandem.Status{tandem.Online, tandem.Offline} {
				_, n, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{IDs: []string{d.ID}, Status: want, Now: w.now})
				w.must(err)
				w.equal(n == 1, rows[0].Status == want)
			}
			return rows[0].Status
		}
		observe := func(o tandem.Observed) {
			w.apply(tandem.Changes{Observe: []tandem.Observation{{DeviceID: d.ID, Observed: o}}})
		}
		at := func(before time.Duration) *time.Time { t := w.now.Add(-before); return &t }
		observe(tandem.Observed{LastSeen: at(time.Minute)})
		w.equal(status(), tandem.Online)
		observe(tandem.Observed{OfflineAt: at(2 * time.Minute)}) // from before
		w.equal(status(), tandem.Online)
		observe(tandem.Observed{OfflineAt: at(30 * time.Second)})
		w.equal(status(), tandem.Offline)
		observe(tandem.Observed{LastSeen: at(10 * time.Second)})
		w.equal(status(), tandem.Online)
	},
	"a series has the numbers of each stretch": func(w *world) {
		d := w.device("d")
		var history []tandem.DeviceObservation
		for i := range 60 {
			at := w.now.Add(time.Duration(i) * time.Minute)
			history = append(history,
				tandem.DeviceObservation{DeviceID: d.ID, Path: "battery_level", Value: raw(fmt.Sprint(i)), ObservedAt: at},
				tandem.DeviceObservation{DeviceID: d.ID, Path: "telemetry", Value: raw(fmt.Sprintf(`{"in":{"a b":%d.5},"list":[1,{"x":%d}],"text":"%d"}`, i, i, i)), ObservedAt: at})
		}
		history = append(history, tandem.DeviceObservation{DeviceID: d.ID, Path: "battery_level", Value: raw(`"full"`), ObservedAt: w.now.Add(time.Second)})
		w.apply(tandem.Changes{Observations: history})
		series := func(path string, points int, within ...string) []tandem.SeriesPoint {
			found, err := w.st.Series(w.ctx, w.org, tandem.SeriesFilter{DeviceID: d.ID, Path: path, Within: within, Since: w.now, Until: w.now.Add(time.Hour), Points: points})
			w.must(err)
			return found
		}
		found := series("battery_level", 6)
		w.equal(len(found), 6)
		w.equal(found[0].Min, 0.0)
		w.equal(found[0].Max, 9.0)
		w.equal(found[0].Mean, 4.5)
		w.equal(found[5].Count, 10)
		w.equal(found[0].At, w.now)
		w.equal(len(series("battery_level", 1)), 1)
		w.equal(len(series("telemetry", 6)), 0)
		w.equal(len(series("telemetry", 6, "text")), 0)
		w.equal(series("telemetry", 1, "in", "a b")[0].Max, 59.5)
		w.equal(series("telemetry", 1, "list", "1", "x")[0].Max, 59.0)
		w.equal(len(series("telemetry", 6, `it's "quoted"`)), 0)
		_, err := w.st.Series(w.ctx, w.org, tandem.SeriesFilter{DeviceID: d.ID, Path: "x", Since: w.now, Until: w.now})
		w.wantCode(err, tandem.Invalid)
	},
	"old commands and revoked credentials go": func(w *world) {
		d := w.device("d")
		gone, open := w.newCommand(d, func(c *tandem.Command) { c.Status, c.CreatedAt = tandem.CommandExpired, old }), w.newCommand(d, func(c *tandem.Command) { c.CreatedAt = old })
		revoked, good := w.newCredential(d, tandem.TokenCredential, func(c *tandem.Credential) { c.RevokedAt = &old }), w.newCredential(d, tandem.TokenCredential)
		w.apply(tandem.Changes{PutCommands: []tandem.Command{gone, open}, PutCredentials: []tandem.Credential{revoked, good}})
		w.prune(tandem.Retention{Commands: time.Hour}, past, 1000)
		_, err := w.st.Command(w.ctx, w.org, gone.ID)
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.Command(w.ctx, w.org, open.ID)
		w.must(err)
		_, err = w.st.Credential(w.ctx, w.org, revoked.ID)
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.Credential(w.ctx, w.org, good.ID)
		w.must(err)
	},
	"events tell what was edited from what was observed": func(w *world) {
		d := w.device("d")
		_, cursor, err := w.st.EventsSince(w.ctx, "", 10)
		w.must(err)
		w.apply(tandem.Changes{Observe: []tandem.Observation{{DeviceID: d.ID, Observed: tandem.Observed{LastSeen: &w.now}}}})
		w.apply(tandem.Changes{PutCredentials: []tandem.Credential{w.newCredential(d, tandem.TokenCredential)}, PutCommands: []tandem.Command{w.newCommand(d)}})
		told := map[string]json.RawMessage{}
		events, _, err := w.st.EventsSince(w.ctx, cursor, 1000)
		w.must(err)
		for _, e := range events {
			if e.OrganizationID == w.org {
				told[e.Kind] = e.Data
				w.equal(e.IDs, []string{d.ID})
			}
		}
		w.equal(len(told), 3)
		w.equal(string(told["devices"]), `{"observed":true}`)
	},
}

func second2[T any](_ T, err error) error { return err }
