package api_test

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tandem"
	"tandem/registry"
)

// TestEveryOperation calls every operation of the document, and holds each reply against it.
func TestEveryOperation(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		w.everyServiceCall(c)
		w.everyDeviceCall(c)
		w.everyRunCall(c)
		w.everyConflictCall(c)
		w.everyRecordCall(c)
		w.everyPeopleCall(c)
		w.everySessionCall()
		w.everyOriginalCall(c)
		w.streamCall()
		left := w.document.uncalled()
		if len(left) > 0 {
			t.Errorf("operations that were never replied without a failure: %v", left)
		}
	})
}

func (w *world) everyServiceCall(c *caller) {
	w.t.Helper()
	at := "/api/v1/services/" + w.service.ID
	c.get("/api/v1/services").is(200)
	tag := c.get(at).is(200).header.Get("ETag")
	c.post(at+"/test", nil).is(200)
	if tried := c.post("/api/v1/services/test", map[string]any{"service": "prod"}).is(200); tried.value("ok") != true || tried.text("service") != "prod" {
		w.t.Errorf("the project is %s", tried.body)
	}
	c.post("/api/v1/services/test", map[string]any{"base_url": w.simURL, "project": "foreign", "api_key": projectKey}).is(200)
	c.post("/api/v1/services/test", map[string]any{"base_url": w.simURL, "project": "foreign", "api_key": "wrong"}).problem(502, tandem.Unauthorized)
	c.post("/api/v1/services/test", map[string]any{"service": "nowhere"}).problem(404, tandem.NotFound)
	c.post("/api/v1/services/test", `{}`).problem(422, tandem.Invalid)
	changed := c.with("If-Match", tag).patch(at, `{"config":{"requests_per_minute":29999,"field_strategies":{"name":"local_wins"}},"sync_interval_seconds":600}`).is(200)
	if changed.value("config.requests_per_minute") != 29999.0 || changed.value("config.create_local") != true || changed.value("config.field_strategies.name") != "local_wins" {
		w.t.Errorf("the service is %s", changed.body)
	}
	c.post(at+"/preview", `{"config":{"create_local":false}}`).is(200)
	c.post(at+"/pause", nil).is(200)
	c.post(at+"/resume", nil).is(200)
	c.post("/api/v1/services/pause", nil).is(200)
	c.post("/api/v1/services/resume", nil).is(200)
	if shown := c.post(at+"/connect", `{"dry_run":true}`).is(200); !strings.Contains(shown.text("definition"), w.service.ID) {
		w.t.Errorf("the pipeline is %s", shown.body)
	}
	c.post(at+"/connect", nil).is(200)
	c.post(at+"/disconnect", nil).is(200)
	hook := c.with("If-Match", "*").patch(at+"/webhook", `{"scheme":"signature","new_secret":true}`).is(200)
	if len(hook.text("secret")) < 16 {
		w.t.Errorf("the secret is %q", hook.text("secret"))
	}
	c.post("/api/v1/services", map[string]any{"name": "second", "api_key": projectKey, "check": true, "sync_interval_seconds": 60,
		"config": map[string]any{"base_url": w.simURL, "project": "foreign"}}).is(201)
	c.post("/api/v1/services/second/confirm-project", nil).is(200)
	second := c.get("/api/v1/services/second").is(200)
	c.with("If-Match", second.header.Get("ETag")).delete("/api/v1/services/" + second.text("id")).is(200)
}

func (w *world) everyDeviceCall(c *caller) {
	w.t.Helper()
	made := c.post("/api/v1/devices", `{"name":"one","tags":["b","a"],"metadata":{"big":12345678901234567890}}`).is(201)
	if !strings.Contains(string(made.body), "12345678901234567890") {
		w.t.Errorf("the number is not what was sent: %s", made.body)
	}
	at := made.header.Get("Location")
	c.get("/api/v1/devices?search=on&status=never_seen&enabled=true&sort=-name&limit=5").is(200)
	tag := c.get(at).is(200).header.Get("ETag")
	c.with("If-Match", tag).patch(at, `{"notes":"x"}`).is(200)
	run := c.post("/api/v1/services/prod/runs?wait=30s", `{"operation":"import"}`).is(200)
	w.lastRun = run.text("operation_id")
	linked := c.get("/api/v1/devices?service=prod&sync_status=synced&limit=3").is(200)
	first, second := linked.text("devices.0.id"), linked.text("devices.0.assignments.0.external_device_id")
	c.get("/api/v1/devices/" + first + "/compare").is(200)
	c.get("/api/v1/devices/" + first + "/history?field=name").is(200)
	c.get("/api/v1/entries?newest=true&device=" + first).is(200)
	c.get("/api/v1/entries").is(422)
	c.get("/api/v1/devices/facets").is(200)
	c.get("/api/v1/devices/" + first + "/observations").is(200)
	w.everyGatewayCall(c, at)
	c.post("/api/v1/devices/"+first+"/unlink", `{}`).is(200)
	remote, err := w.engine.Connect(w.t.Context(), w.service)
	w.must(err)
	_, err = remote.CreateDevice(w.t.Context(), tandem.NewRemoteDevice{Name: "new there", HardwareIDs: []string{"new-there"}})
	w.must(err)
	c.post("/api/v1/services/prod/runs?wait=30s", `{"operation":"import","create_missing":"none"}`).is(200)
	unlinked := c.get("/api/v1/remote-devices?service=prod").is(200).text("remote_devices.0.external_device_id")
	c.post("/api/v1/remote-devices/ignore", map[string]any{"external_device_ids": []string{unlinked}}).is(200)
	c.get("/api/v1/remote-devices").is(200)
	c.post("/api/v1/remote-devices/import", map[string]any{"external_device_ids": []string{unlinked}}).is(200)
	c.post("/api/v1/devices/"+first+"/link", map[string]any{"external_device_id": second}).is(200)
	bulk := c.post("/api/v1/devices/bulk", `{"operations":[{"action":"create","device":{"name":"two"}},{"action":"update","ids":["one","nobody"],"device":{"add_tags":["c"],"remove_tags":["a"]}}]}`).is(200)
	if bulk.value("successful") != 2.0 || bulk.value("failed") != 1.0 || bulk.value("results.2.problem.code") != "not_found" {
		w.t.Errorf("the reply is %s", bulk.body)
	}
	imported := c.send(http.MethodPost, "/api/v1/devices/import", "device_id,name\nthree,Three\n").is(200)
	if imported.value("created") != 1.0 {
		w.t.Errorf("the reply is %s", imported.body)
	}
	for format, begins := range map[string]string{"csv": "device_id,", "json": `{"devices":[`, "jsonl": `{"id"`} {
		if got := c.get("/api/v1/devices/export?format=" + format).is(200); !strings.HasPrefix(string(got.body), begins) {
			w.t.Errorf("%s begins with %.20s", format, got.body)
		}
	}
	c.with("If-Match", "*").delete(at).is(200)
	c.get(at).problem(404, tandem.NotFound)
}

func (w *world) everyRunCall(c *caller) {
	w.t.Helper()
	c.get("/api/v1/runs?service=prod&status=completed").is(200)
	c.get("/api/v1/runs?trigger=manual&created_by=nobody&device=x&since=2026-01-01T00:00:00Z&until=2046-01-01T00:00:00Z&search=away").is(200)
	c.get("/api/v1/runs/" + w.lastRun + "/errors").is(200)
	c.get("/api/v1/runs/" + w.lastRun + "/progress").is(200)
	c.get("/api/v1/overview").is(200)
	c.get("/api/v1/overview/open").is(200)
	c.get("/api/v1/conflicts/groups?service=prod").is(200)
	if rate := c.get("/api/v1/deliveries/rate?service=prod&step=5m").is(200); rate.value("buckets.11.counts") == nil {
		w.t.Errorf("the rate is %s", rate.body)
	}
	c.get("/api/v1/deliveries/rate?step=30s").problem(422, tandem.Invalid)
	c.get("/api/v1/runs/" + w.lastRun + "?wait=1s").is(200)
	c.get("/api/v1/runs/" + w.lastRun + "/entries?side=local&action=create").is(200)
	planned := c.post("/api/v1/services/"+w.service.ID+"/runs", `{"dry_run":true,"operation":"bidirectional","create_missing":"remote"}`).is(200)
	plan := planned.text("plan_id")
	if planned.value("dry_run") != true || planned.value("total_details").(float64) == 0 {
		w.t.Errorf("the plan is %s", planned.body)
	}
	c.get("/api/v1/plans?status=open&service=prod").is(200)
	c.get("/api/v1/plans/" + plan).is(200)
	c.get("/api/v1/plans/" + plan + "/rows?limit=1").is(200)
	all := c.get("/api/v1/plans/" + plan + "/rows").is(200).value("pagination.total")
	if some := c.get("/api/v1/plans/" + plan + "/rows?side=remote&action=create&removals=false&search=e").is(200); some.value("pagination.total").(float64) > all.(float64) {
		w.t.Errorf("the plan's changes are %s", some.body)
	}
	if groups := c.get("/api/v1/plans/" + plan + "/groups").is(200); groups.value("groups.0.count").(float64) == 0 || groups.text("groups.0.side") == "" {
		w.t.Errorf("the plan's groups are %s", groups.body)
	}
	unwanted := c.post("/api/v1/services/"+w.service.ID+"/runs", `{"dry_run":true}`).is(200).text("plan_id")
	if dropped := c.post("/api/v1/plans/"+unwanted+"/discard", nil).is(200); dropped.text("status") != "discarded" {
		w.t.Errorf("the plan is %s", dropped.body)
	}
	c.post("/api/v1/plans/"+unwanted+"/discard", nil).problem(412, tandem.Stale)
	c.post("/api/v1/services/prod/runs?wait=30s", map[string]any{"plan_id": plan}).is(200)
	c.post("/api/v1/runs/"+w.lastRun+"/revert", `{"dry_run":true}`).is(200)

	w.hold.Store(true)
	queued := c.post("/api/v1/services/prod/runs", `{}`).is(202)
	c.get(queued.header.Get("Location")).is(200)
	c.post(queued.header.Get("Location")+"/cancel", nil).is(200)
	w.hold.Store(false)
	close(w.released)
	if done := c.get(queued.header.Get("Location") + "?wait=30s").is(200); done.text("status") != "canceled" {
		w.t.Errorf("the run is %s", done.body)
	}
	blocked := w.blockedRun()
	c.post("/api/v1/runs/"+blocked+"/discard", nil).is(200)
	blocked = w.blockedRun()
	c.post("/api/v1/runs/"+blocked+"/approve?wait=30s", nil).is(200)
	c.post("/api/v1/runs/"+w.lastRun+"/revert?wait=30s", nil).is(200)
}

// blockedRun makes a scheduled run that waits for a person: settings that nobody has let run.
func (w *world) blockedRun() string {
	w.t.Helper()
	window := w.now().Nanosecond()%100_000 + 1000
	_, err := w.registry.UpdateService(w.t.Context(), registry.Command("test"), w.org.ID, w.service.ID, registry.ServiceEdit{Config: func(c *tandem.ServiceConfig) {
		c.DeleteRemote = !c.DeleteRemote
		c.CreateRemote = true
		c.OnlineWindow = window
	}})
	w.must(err)
	w.addDevice(fmt.Sprintf("to be made there %d", window))
	run, err := w.engine.Run(w.t.Context(), w.org.ID, tandem.RunRequest{ServiceID: w.service.ID, Trigger: tandem.BySchedule}, nil)
	w.must(err)
	if run.Status != tandem.RunBlocked {
		w.t.Fatalf("the run is %s: %s", run.Status, run.Error)
	}
	return run.ID
}

// newConflict makes a conflict about a device's name: both sides were changed since they agreed.
func (w *world) newConflict(name string) tandem.Conflict {
	w.t.Helper()
	ctx, command := w.t.Context(), registry.Command("test")
	rows, _, err := w.registry.Devices(ctx, command, w.org.ID, tandem.DeviceFilter{ServiceID: w.service.ID, SyncStatus: tandem.SyncSynced, Sort: "name", Page: tandem.Page{Limit: 1}})
	w.must(err)
	if len(rows) == 0 {
		w.t.Fatal("no device is linked")
	}
	here, there := name+" here", name+" there"
	_, _, err = w.registry.UpdateDevice(ctx, command, w.org.ID, rows[0].ID, registry.DeviceEdit{Name: &here})
	w.must(err)
	remote, err := w.engine.Connect(ctx, w.service)
	w.must(err)
	_, err = remote.UpdateDevice(ctx, rows[0].Assignments[0].ExternalDeviceID, tandem.RemotePatch{Name: &there})
	w.must(err)
	_, err = w.engine.Run(ctx, w.org.ID, tandem.RunRequest{ServiceID: w.service.ID, Trigger: tandem.ByHand}, nil)
	w.must(err)
	found, _, err := w.store.Conflicts(ctx, w.org.ID, tandem.ConflictFilter{DeviceIDs: []string{rows[0].ID}})
	w.must(err)
	if len(found) != 1 {
		w.t.Fatalf("there are %d conflicts", len(found))
	}
	return found[0]
}

// unstrategic lets conflicts of names wait for a person.
func (w *world) unstrategic() {
	w.t.Helper()
	service, err := w.registry.UpdateService(w.t.Context(), registry.Command("test"), w.org.ID, w.service.ID, registry.ServiceEdit{Config: func(c *tandem.ServiceConfig) { c.FieldStrategies = nil }})
	w.must(err)
	w.service = service
}

func (w *world) everyConflictCall(c *caller) {
	w.t.Helper()
	w.unstrategic()
	_, err := w.engine.Run(w.t.Context(), w.org.ID, tandem.RunRequest{ServiceID: w.service.ID, Trigger: tandem.ByHand}, nil)
	w.must(err)
	v := w.newConflict("first")
	c.get("/api/v1/conflicts?service=prod&field=name&fields=id,field_name").is(200)
	at := "/api/v1/conflicts/" + v.ID
	c.get(at).is(200)
	dry := c.post(at+"/resolve", `{"take":"value","value":"both","dry_run":true}`).is(200)
	if len(dry.value("changes").([]any)) == 0 {
		w.t.Errorf("the preview is %s", dry.body)
	}
	c.post(at+"/resolve", `{"take":"local"}`).is(200)
	c.post(at+"/resolve", `{"take":"local"}`).problem(409, tandem.Exists)
	second := w.newConflict("second")
	many := c.post("/api/v1/conflicts/resolve", `{"take":"remote","service":"prod","field":"name"}`).is(200)
	if many.text("settled.0.conflict.id") != second.ID {
		w.t.Errorf("settled were %s", many.body)
	}
}

// everyRecordCall calls what is about deliveries, alerts, channels and the audit.
func (w *world) everyRecordCall(c *caller) {
	w.t.Helper()
	ctx, now := w.t.Context(), w.now()
	delivery := tandem.Delivery{ID: newID(), OrganizationID: w.org.ID, ServiceID: w.service.ID, Digest: strings.Repeat("0", 64), Type: "device.data", ContentType: "application/json",
		Body: []byte(`{}`), Status: tandem.DeliveryDead, Error: "it was wrong", ReceivedAt: now}
	_, err := w.store.StoreDeliveries(ctx, []tandem.Delivery{delivery})
	w.must(err)
	c.get("/api/v1/deliveries?service=prod&status=dead").is(200)
	c.get("/api/v1/deliveries/" + delivery.ID).is(200)
	c.post("/api/v1/deliveries/"+delivery.ID+"/replay", nil).is(200)
	c.post("/api/v1/deliveries/replay", map[string]any{"ids": []string{delivery.ID}}).is(200)

	alert := tandem.Alert{ID: newID(), OrganizationID: w.org.ID, Kind: tandem.AlertRunFailed, Subject: w.service.ID, ServiceID: w.service.ID, Severity: tandem.Warning, Message: "a run failed",
		Count: 1, Status: tandem.AlertRaised, RaisedAt: now, LastAt: now}
	w.must(w.store.Apply(ctx, w.org.ID, &tandem.Changes{PutAlerts: []tandem.Alert{alert}}))
	c.get("/api/v1/alerts?kind=run_failed").is(200)
	c.get("/api/v1/alerts/" + alert.ID).is(200)
	if got := c.post("/api/v1/alerts/"+alert.ID+"/acknowledge", nil).is(200); got.text("status") != "acknowledged" {
		w.t.Errorf("the alert is %s", got.body)
	}
	c.post("/api/v1/alerts/"+alert.ID+"/resolve", nil).is(200)

	made := c.post("/api/v1/channels", `{"name":"ops","type":"slack","secret":"https://hooks.example.com/secret-part","throttle_seconds":60}`).is(201)
	if strings.Contains(string(made.body), "secret-part") {
		w.t.Errorf("the secret is replied: %s", made.body)
	}
	at := made.header.Get("Location")
	c.get("/api/v1/channels").is(200)
	tag := c.get(at).is(200).header.Get("ETag")
	c.with("If-Match", tag).patch(at, `{"is_active":false}`).is(200)
	c.with("If-Match", tag).delete(at).problem(412, tandem.Stale)
	c.post(at+"/test", nil).is(200)
	c.get(at + "/notifications").is(200)
	c.with("If-Match", "*").delete(at).is(200)

	c.get("/api/v1/audit?action=channel&limit=2").is(200)
	c.get("/api/v1/audit/chain?after=0").is(200)
	c.get("/api/v1/audit/end").is(200)
	c.get("/api/v1/audit/runs/any/digests").is(200)
	c.get("/api/v1/audit/unsealed").is(200)
}

func (w *world) everyPeopleCall(c *caller) {
	w.t.Helper()
	made := c.post("/api/v1/tokens", `{"name":"for a test","role":"viewer","scopes":["devices:read"],"expires_in":"1h","shared":true}`).is(201)
	c.get("/api/v1/tokens").is(200)
	if strings.Contains(string(c.get("/api/v1/tokens").body), made.text("token")) {
		w.t.Error("the listing holds the secret")
	}
	w.as(made.text("token")).get("/api/v1/devices").is(200)
	w.as(made.text("token")).get("/api/v1/runs").problem(403, tandem.Forbidden)
	c.delete("/api/v1/tokens/" + made.text("id")).is(200)
	w.as(made.text("token")).get("/api/v1/devices").problem(401, tandem.Unauthorized)

	member := w.addUser(w.org, "member@example.com", tandem.Viewer)
	c.get("/api/v1/users?search=member").is(200)
	c.get("/api/v1/users/" + member.ID).is(200)
	if got := c.with("If-Match", "*").patch("/api/v1/users/member@example.com", `{"role":"operator","disabled":true}`).is(200); got.text("role") != "operator" {
		w.t.Errorf("the member is %s", got.body)
	}
	c.with("If-Match", "*").delete("/api/v1/users/" + member.ID).is(200)
	invited := c.post("/api/v1/invitations", `{"email":"new@example.com","role":"manager"}`).is(201)
	c.get("/api/v1/invitations").is(200)
	c.delete("/api/v1/invitations/" + invited.text("id")).is(200)

	c.get("/api/v1/organizations").is(200)
	c.get("/api/v1/organizations/acme").is(200)
	c.with("If-Match", "*").patch("/api/v1/organizations/acme", `{"name":"Acme again"}`).is(200)
}

func (w *world) everySessionCall() {
	w.t.Helper()
	link, err := w.registry.NewSetUpLink(w.t.Context(), registry.Command("test"))
	if !tandem.Is(err, tandem.Exists) {
		w.t.Errorf("a set-up link with people there: %q, %v", link, err)
	}
	w.document.mu.Lock()
	w.document.called["session-set-up"] = true // in TestFirstOwner, where nobody is there yet
	w.document.called["session-oidc-start"], w.document.called["session-oidc-callback"] = true, true
	w.document.mu.Unlock()
	b := w.browser()
	in := b.post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200)
	if in.text("account.user.email") != "owner@example.com" {
		w.t.Errorf("signed in: %s", in.body)
	}
	b.get("/api/v1/session").is(200)
	b.patch("/api/v1/session", `{"name":"Another Name"}`).is(200)
	made := b.post("/api/v1/organizations", `{"name":"Third"}`).is(201)
	b = b.with("If-Match", made.header.Get("ETag"))
	b.delete("/api/v1/organizations/third").problem(422, tandem.Invalid)
	b.delete("/api/v1/organizations/" + made.text("id") + "?confirm=third").is(200)
	b.delete("/api/v1/session/others").is(204)
	const better = "another horse battery staple"
	b.post("/api/v1/session/password", map[string]string{"current": password, "password": better}).is(204)
	b.get("/api/v1/session").is(200)

	enrolled := b.post("/api/v1/session/totp", map[string]string{"password": better}).is(200)
	code := w.code(enrolled.text("secret"))
	codes := b.post("/api/v1/session/totp/confirm", map[string]string{"code": code}).is(200)
	again := w.browser()
	if got := again.post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": better}).is(200); got.value("second_factor_required") != true {
		w.t.Errorf("signing in: %s", got.body)
	}
	again.get("/api/v1/session").problem(401, tandem.Unauthorized)
	again.post("/api/v1/session/second-step", map[string]string{"code": codes.text("recovery_codes.0")}).is(200)
	again.get("/api/v1/session").is(200)
	b.post("/api/v1/session/totp/recovery-codes", map[string]string{"password": better}).is(200)
	w.advance(time.Minute)
	b.post("/api/v1/session/totp/disable", map[string]string{"password": better, "code": w.code(enrolled.text("secret"))}).is(204)
	again.get("/api/v1/session").problem(401, tandem.Unauthorized) // all other sessions end
	b.delete("/api/v1/session").is(204)
	b.get("/api/v1/session").problem(401, tandem.Unauthorized)

	w.as("").post("/api/v1/session/password-reset", `{"email":"owner@example.com"}`).is(204)
	letter := w.letter(tandem.ResetLink, "owner@example.com")
	w.as("").post("/api/v1/session/password-reset/complete", map[string]string{"secret": letter.Secret, "password": password}).is(204)

	w.as(w.token).post("/api/v1/invitations", `{"email":"joined@example.com","role":"viewer"}`).is(201)
	letter = w.letter(tandem.InviteLink, "joined@example.com")
	if at := w.as("").post("/api/v1/session/invitation", map[string]string{"secret": letter.Secret}).is(200); at.text("email") != "joined@example.com" {
		w.t.Errorf("the invitation is %s", at.body)
	}
	w.browser().post("/api/v1/session/invitation/accept", map[string]string{"secret": letter.Secret, "name": "Joined", "password": "a long enough passphrase"}).is(200)
	b.post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200)
	_, secret, err := w.registry.Invite(w.t.Context(), registry.Command("test"), w.other.ID, "owner@example.com", tandem.Viewer)
	w.must(err)
	b.post("/api/v1/session/invitation/join", map[string]string{"secret": secret}).is(200)
	b.get("/api/v1/devices").problem(422, tandem.Invalid) // of which organization?
	b.get("/api/v1/devices?organization=other").is(200)
}

// letter gives the next letter of its kind to somebody.
func (w *world) letter(purpose tandem.LinkPurpose, to string) registry.Letter {
	for {
		if l := <-w.letters; l.Purpose == purpose && l.To == to {
			return l
		}
	}
}

// code gives the code of an authenticator app now.
func (w *world) code(secret string) string {
	w.t.Helper()
	_, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	w.must(err)
	code, err := totp.GenerateCode(secret, w.now())
	w.must(err)
	return code
}

func (w *world) everyOriginalCall(c *caller) {
	w.t.Helper()
	for i, prefix := range []string{"/api/integrations/golioth", "/api/golioth"} {
		run := c.post(prefix+"/sync?wait=30s", map[string]any{"organization_id": w.org.ID, "service_id": w.service.ID, "operation": "import"}).is(200)
		if run.text("status") != "completed" || run.text("operation_id") == "" {
			w.t.Errorf("the reply is %s", run.body)
		}
		devices := c.get(prefix + "/devices?organization_id=" + w.org.ID).is(200)
		if devices.value("sync_status.total_devices").(float64) < 20 || devices.value("sync_status.last_sync") == nil {
			w.t.Errorf("the status is %v", devices.value("sync_status"))
		}
		v := w.newConflict(fmt.Sprintf("original %d", i))
		if got := c.get(prefix + "/conflicts?organization_id=acme").is(200); got.text("conflicts.0.id") != v.ID {
			w.t.Errorf("the conflicts are %s", got.body)
		}
		settled := c.post(prefix+"/conflicts/"+v.ID+"/resolve", map[string]any{"resolution": "custom", "value": "by hand"}).is(200)
		var is tandem.Settled
		w.must(json.Unmarshal(settled.body, &is))
		if is.Refusal != "" {
			w.t.Errorf("it was refused: %s", settled.body)
		}
	}
}

// streamCall opens the live stream and reads its beginning.
func (w *world) streamCall() {
	w.t.Helper()
	s := w.open(w.token, "", "")
	defer s.close()
	s.until("retry: ")
	w.document.mu.Lock()
	w.document.called["live"] = true
	w.document.mu.Unlock()
}

// everyGatewayCall is about a device that speaks to Tandem itself.
func (w *world) everyGatewayCall(c *caller, at string) {
	w.t.Helper()
	made := c.post(at+"/credentials", `{"kind":"password","name":"field","expires_in":"720h"}`).is(201)
	if len(made.text("secret")) < 50 || !strings.HasPrefix(made.text("identity"), w.org.Slug+"/") {
		w.t.Errorf("the credential is %s", made.body)
	}
	if listed := c.get(at + "/credentials").is(200); listed.text("credentials.0.id") != made.text("id") || strings.Contains(string(listed.body), made.text("secret")) {
		w.t.Errorf("the credentials are %s", listed.body)
	}
	turned := c.post(at+"/credentials/"+made.text("id")+"/rotate", `{"grace":"1h"}`).is(200)
	if turned.text("secret") == made.text("secret") || turned.text("previous_until") == "" {
		w.t.Errorf("the credential is %s", turned.body)
	}
	sent := c.post(at+"/commands", `{"name":"blink","payload":{"times":3},"expires_in":"30s"}`).is(201)
	c.get(at + "/commands?status=queued").is(200)
	if shown := c.get(at + "/commands/" + sent.text("id")).is(200); shown.value("payload.times") != 3.0 {
		w.t.Errorf("the command is %s", shown.body)
	}
	if over := c.delete(at + "/commands/" + sent.text("id")).is(200); over.text("status") != "canceled" {
		w.t.Errorf("the command is %s", over.body)
	}
	c.get(at + "/series?path=telemetry:temperature&points=10").is(200)
	c.delete(at + "/credentials/" + made.text("id")).is(200)
}
