package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/registry"
)

// bodies are what operations need in their body to be looked at at all.
var bodies = map[string]string{
	"runs-start": `{}`, "devices-update": `{"name":"x"}`, "devices-link": `{"external_device_id":"x"}`, "devices-unlink": `{}`,
	"devices-credentials-create": `{"kind":"token"}`, "devices-credentials-rotate": `{}`, "devices-commands-send": `{"name":"blink"}`,
	"services-update": `{"name":"x"}`, "services-preview": `{"sync_interval_seconds":60}`, "services-webhook": `{"header":"X-Other"}`, "services-connect": `{"dry_run":true}`,
	"conflicts-resolve": `{"take":"local"}`, "channels-update": `{"name":"x"}`, "users-update": `{"role":"viewer"}`, "organizations-update": `{"name":"x"}`,
	"integrations-golioth-conflicts-resolve": `{"resolution":"local"}`, "golioth-conflicts-resolve": `{"resolution":"local"}`,
}

// foreign makes one of everything in the other organization, and gives ids by the resource in the path.
func (w *world) foreign() map[string]string {
	w.t.Helper()
	ctx, now, org := w.t.Context(), w.now(), w.other.ID
	run := tandem.Run{ID: newID(), OrganizationID: org, ServiceID: w.otherService.ID, Operation: tandem.OpImport, Trigger: tandem.ByHand, Status: tandem.RunBlocked, CreatedAt: now}
	conflict := tandem.Conflict{ID: newID(), OrganizationID: org, ServiceID: w.otherService.ID, DeviceID: w.otherDevice.ID, Type: tandem.ConcurrentModification, FieldName: "name",
		BaseValue: json.RawMessage(`"a"`), LocalValue: json.RawMessage(`"b"`), RemoteValue: json.RawMessage(`"c"`), Status: tandem.ConflictPending, CreatedAt: now, UpdatedAt: now}
	alert := tandem.Alert{ID: newID(), OrganizationID: org, Kind: tandem.AlertRunFailed, Subject: w.otherService.ID, ServiceID: w.otherService.ID, Severity: tandem.Warning, Message: "x",
		Count: 1, Status: tandem.AlertRaised, RaisedAt: now, LastAt: now}
	w.must(w.store.Apply(ctx, org, &tandem.Changes{PutRuns: []tandem.Run{run}, PutConflicts: []tandem.Conflict{conflict}, PutAlerts: []tandem.Alert{alert}}))
	plan := tandem.Plan{ID: newID(), OrganizationID: org, ServiceID: w.otherService.ID, Operation: tandem.OpImport, Reason: tandem.PlanSaved, Status: tandem.PlanOpen, CreatedAt: now}
	w.must(w.store.CreatePlan(ctx, org, plan))
	delivery := tandem.Delivery{ID: newID(), OrganizationID: org, ServiceID: w.otherService.ID, Digest: strings.Repeat("1", 64), Type: "device.data", ContentType: "application/json", Body: []byte(`{}`),
		Status: tandem.DeliveryDead, ReceivedAt: now}
	_, err := w.store.StoreDeliveries(ctx, []tandem.Delivery{delivery})
	w.must(err)
	channel, err := w.registry.CreateChannel(ctx, registry.Command("test"), org, registry.NewChannel{Name: "theirs", Type: tandem.SlackChannel, Secret: []byte("https://hooks.example.com/x")})
	w.must(err)
	invitation, _, err := w.registry.Invite(ctx, registry.Command("test"), org, "somebody@example.com", tandem.Viewer)
	w.must(err)
	return map[string]string{"devices": w.otherDevice.ID, "services": w.otherService.ID, "runs": run.ID, "conflicts": conflict.ID, "alerts": alert.ID, "plans": plan.ID, "deliveries": delivery.ID,
		"channels": channel.ID, "invitations": invitation.ID, "users": w.otherUser.ID, "tokens": w.otherTokenID, "organizations": org}
}

// TestForeignIDsAreNotFound: on every route, what is of another organization is 404, as what there is not; and the
// other organization itself cannot be named.
func TestForeignIDsAreNotFound(t *testing.T) {
	inBoth(t, func(w *world) {
		ids := w.foreign()
		c := w.as(w.token).with("If-Match", "*")
		tried := 0
		for path, methods := range w.document.paths {
			for method, op := range methods {
				method = strings.ToUpper(method)
				if strings.Contains(path, "{id}") {
					resource := strings.Split(strings.TrimPrefix(path, "/api/v1/"), "/")[0]
					if strings.Contains(path, "golioth") {
						resource = "conflicts"
					}
					id, ok := ids[resource]
					if !ok {
						t.Fatalf("%s: what is a foreign %s?", path, resource)
					}
					tried++
					foreign := c.sendSome(op.ID, method, strings.Replace(path, "{id}", id, 1))
					unknown := c.sendSome(op.ID, method, strings.Replace(path, "{id}", newID(), 1))
					if foreign.status != 404 || unknown.status != 404 {
						t.Errorf("%s %s: a foreign id is %d, an unknown one %d, want 404: %s", method, path, foreign.status, unknown.status, foreign.body)
						continue
					}
					sameRefusal(t, op.ID, foreign, unknown, id)
				}
				if !w.document.takesOrganization(method, path) {
					continue
				}
				at := strings.Replace(path, "{id}", ids["devices"], 1)
				for _, named := range []*caller{c.with("Tandem-Organization", w.other.ID), c.with("Tandem-Organization", "other"), c.with("Tandem-Organization", newID())} {
					if got := named.sendSome(op.ID, method, at); got.status != 404 {
						t.Errorf("%s %s for another organization: %d, want 404: %s", method, path, got.status, got.body)
					}
				}
			}
		}
		if tried < 30 {
			t.Errorf("only %d operations have ids", tried)
		}
		// Nothing happened to what is theirs.
		d, err := w.store.Device(t.Context(), w.other.ID, w.otherDevice.ID)
		w.must(err)
		if d.Version != w.otherDevice.Version || d.DeletedAt != nil {
			t.Error("their device was changed")
		}
		w.as(w.otherToken).get("/api/v1/services/theirs").is(200)
	})
}

// sendSome sends a request with what its operation needs.
func (c *caller) sendSome(op, method, path string) *answer {
	c.w.t.Helper()
	if text, ok := bodies[op]; ok {
		return c.send(method, path, text)
	}
	return c.send(method, path, nil)
}

// sameRefusal fails where a reply tells a foreign thing from one that there is not.
func sameRefusal(t *testing.T, op string, foreign, unknown *answer, id string) {
	t.Helper()
	var a, b struct{ Code, Title, Detail, Hint string }
	foreign.read(&a)
	unknown.read(&b)
	plain := func(s string) string { return strings.ReplaceAll(s, id, "") }
	if a.Code != b.Code || a.Title != b.Title || len(plain(a.Detail)) > len(b.Detail) {
		t.Errorf("%s tells them apart: %+v, %+v", op, a, b)
	}
}

// takesOrganization reports whether an operation has the header.
func (d *document) takesOrganization(method, path string) bool {
	var read struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(d.text, &read); err != nil {
		return false
	}
	for _, p := range read.Paths[path][strings.ToLower(method)].Parameters {
		if p.Name == "Tandem-Organization" && p.In == "header" {
			return true
		}
	}
	return false
}

// TestNobodyGetsInWithoutAKey: every operation but those of signing in refuses who is not known, and who was.
func TestNobodyGetsInWithoutAKey(t *testing.T) {
	inOne(t, func(w *world) {
		ctx, command := t.Context(), registry.Command("test")
		revoked, revokedID := w.newToken(w.org, tandem.Owner)
		_, err := w.registry.RevokeToken(ctx, command, w.org.ID, revokedID)
		w.must(err)
		_, expired, err := w.registry.CreateToken(ctx, command, w.org.ID, registry.NewToken{Name: "short", Role: tandem.Owner, Life: 60e9, Shared: true})
		w.must(err)
		w.as(expired).get("/api/v1/devices").is(200)
		w.advance(2 * 60e9)
		callers := map[string]*caller{"nobody": w.as(""), "revoked": w.as(revoked), "expired": w.as(expired), "wrong": w.as("tdm_" + strings.Repeat("a", 52)), "malformed": w.as("x"),
			"another scheme": w.as("").with("Authorization", "Basic eDp5"), "a wrong cookie": w.as("").with("Cookie", "tandem=x"), "too long": w.as(strings.Repeat("a", 5000))}
		for path, methods := range w.document.paths {
			for method, op := range methods {
				if len(op.Security) == 0 {
					if !strings.HasPrefix(path, "/api/v1/session") {
						t.Errorf("%s is open to anybody", path)
					}
					continue
				}
				for who, c := range callers {
					got := c.sendSome(op.ID, strings.ToUpper(method), strings.Replace(path, "{id}", "x", 1))
					if got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
						t.Errorf("%s %s by %s: %d, want 401", method, path, who, got.status)
					}
				}
			}
		}
		w.as(w.token).get("/api/v1/devices").is(200)
	})
}

// TestRolesReachTheDoor: what a role may not do is 403 with what to do, by token and by scope.
func TestRolesReachTheDoor(t *testing.T) {
	inOne(t, func(w *world) {
		viewer, _ := w.newToken(w.org, tandem.Viewer)
		p := w.as(viewer).post("/api/v1/devices", `{"name":"x"}`).problem(403, tandem.Forbidden)
		if !strings.Contains(p.Detail, "viewer") || p.Hint == "" {
			t.Errorf("the problem is %+v", p)
		}
		operator, _ := w.newToken(w.org, tandem.Operator)
		w.as(operator).post("/api/v1/services/prod/runs", `{"operation":"import","force":true}`).problem(403, tandem.Forbidden)
		w.as(operator).get("/api/v1/audit").problem(403, tandem.Forbidden)
		scoped, _ := w.newToken(w.org, tandem.Owner, "devices:update", "devices:create")
		w.as(scoped).post("/api/v1/devices", `{"name":"x"}`).is(201)
		w.as(scoped).get("/api/v1/devices").problem(403, tandem.Forbidden)
	})
}

// TestTheDocument holds what the document says of itself.
func TestTheDocument(t *testing.T) {
	inOne(t, func(w *world) {
		seen := map[string]bool{}
		for path, methods := range w.document.paths {
			for method, op := range methods {
				if seen[op.ID] {
					t.Errorf("two operations are called %s", op.ID)
				}
				seen[op.ID] = true
				if op.Responses["default"] == nil {
					t.Errorf("%s %s does not say how it fails", method, path)
				}
			}
		}
		for _, resource := range []string{"services", "devices", "remote-devices", "runs", "conflicts", "plans", "deliveries", "alerts", "channels", "tokens", "users", "audit", "organizations"} {
			if w.document.paths["/api/v1/"+resource]["get"].ID == "" {
				t.Errorf("there is no listing of %s", resource)
			}
		}
		for _, page := range []string{"/api/docs", "/api/docs/problems", "/api/docs/rapidoc.js", "/api/docs/docs.css"} {
			got := w.as("").get(page).is(200)
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("%s: the policy is %q", page, policy)
			}
			if page == "/api/docs" && strings.Contains(string(got.body), "//cdn") {
				t.Error("the reader loads something from elsewhere")
			}
		}
		codes := string(w.as("").get("/api/docs/problems").body)
		for _, code := range []tandem.Code{tandem.Stale, tandem.NotFound, "precondition_required"} {
			if !strings.Contains(codes, `id="`+string(code)+`"`) {
				t.Errorf("the page does not explain %s", code)
			}
		}
	})
}

// TestAddressesThatThereAreNot: they are problems too.
func TestAddressesThatThereAreNot(t *testing.T) {
	inOne(t, func(w *world) {
		c := w.as(w.token)
		c.get("/api/v1/nothing").problem(404, "no_route")
		c.get("/api/").problem(404, "no_route")
		c.get("/api/v1/devices/x/y/z").problem(404, "no_route")
		got := c.send(http.MethodPut, "/api/v1/devices", `{}`)
		got.problem(405, "method_not_allowed")
		if allow := strings.Split(got.header.Get("Allow"), ", "); !slices.Equal(allow, []string{"GET", "POST"}) {
			t.Errorf("Allow is %q", allow)
		}
	})
}
