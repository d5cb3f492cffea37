package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"tandem"
)

// TestEditsNameTheirVersion: an edit of an old version is refused with what is there now, one without a version is
// refused, and * changes whatever is there.
func TestEditsNameTheirVersion(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		d := c.post("/api/v1/devices", `{"name":"one"}`).is(201)
		channel := c.post("/api/v1/channels", `{"name":"ops","type":"slack","secret":"https://hooks.example.com/x"}`).is(201)
		for _, at := range []string{"/api/v1/devices/" + d.text("id"), "/api/v1/services/" + w.service.ID, "/api/v1/channels/" + channel.text("id")} {
			first := c.get(at).is(200).header.Get("ETag")
			c.patch(at, `{"name":"two"}`).problem(428, "precondition_required")
			c.delete(at).problem(428, "precondition_required")
			second := c.with("If-Match", first).patch(at, `{"name":"two"}`).is(200).header.Get("ETag")
			if second == first {
				t.Errorf("%s: the ETag is still %s", at, first)
			}
			stale := c.with("If-Match", first).patch(at, `{"name":"three"}`)
			stale.problem(412, tandem.Stale)
			if stale.header.Get("ETag") != second || stale.text("current.name") != "two" {
				t.Errorf("%s: refused with %q and %s", at, stale.header.Get("ETag"), stale.body)
			}
			c.with("If-Match", first).delete(at).problem(412, tandem.Stale)
			c.with("If-Match", "W/"+second).patch(at, `{"name":"three"}`).is(200) // as a proxy may hand it back
			c.with("If-Match", "*").patch(at, `{"name":"four"}`).is(200)
			for _, wrong := range []string{"7", `"x"`, `"1", "2"`, `""`, `"-1"`, `"01"`, `"99999999999999999999"`, strings.Repeat("1", 2000)} {
				c.with("If-Match", wrong).patch(at, `{"name":"five"}`).problem(422, tandem.Invalid)
			}
		}
	})
}

// TestEditsOfMembersNameTheirVersion: a member's is the person's and the role's together.
func TestEditsOfMembersNameTheirVersion(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		at := "/api/v1/users/" + w.addUser(w.org, "member@example.com", tandem.Viewer).ID
		first := c.get(at).is(200).header.Get("ETag")
		c.patch(at, `{"role":"operator"}`).problem(428, "precondition_required")
		c.delete(at).problem(428, "precondition_required")
		second := c.with("If-Match", first).patch(at, `{"role":"operator"}`).is(200).header.Get("ETag")
		stale := c.with("If-Match", first).patch(at, `{"disabled":true}`)
		stale.problem(412, tandem.Stale)
		if stale.header.Get("ETag") != second || stale.text("current.role") != "operator" {
			t.Errorf("refused with %q and %s", stale.header.Get("ETag"), stale.body)
		}
		both := c.with("If-Match", second).patch(at, `{"role":"viewer","disabled":true}`).is(200)
		if both.text("role") != "viewer" || both.text("disabled_at") == "" || versionTag(both.value("version")) != both.header.Get("ETag") {
			t.Errorf("%q and %s", both.header.Get("ETag"), both.body)
		}
		c.with("If-Match", second).delete(at).problem(412, tandem.Stale)
		c.with("If-Match", both.header.Get("ETag")).delete(at).is(200)
	})
}

func versionTag(number any) string { return fmt.Sprintf("%q", fmt.Sprint(number)) }

// TestEditsOfOrganizationsNameTheirVersion: as those of everything else.
func TestEditsOfOrganizationsNameTheirVersion(t *testing.T) {
	inBoth(t, func(w *world) {
		c, at := w.signedIn("owner@example.com"), "/api/v1/organizations/acme"
		first := c.get(at).is(200).header.Get("ETag")
		c.patch(at, `{"name":"two"}`).problem(428, "precondition_required")
		c.delete(at+"?confirm=acme").problem(428, "precondition_required")
		second := c.with("If-Match", first).patch(at, `{"name":"two"}`).is(200)
		stale := c.with("If-Match", first).patch(at, `{"name":"three"}`)
		stale.problem(412, tandem.Stale)
		if stale.header.Get("ETag") != second.header.Get("ETag") || stale.text("current.name") != "two" || versionTag(second.value("version")) != second.header.Get("ETag") {
			t.Errorf("refused with %q and %s", stale.header.Get("ETag"), stale.body)
		}
		c.with("If-Match", first).delete(at+"?confirm=acme").problem(412, tandem.Stale)
		c.with("If-Match", second.header.Get("ETag")).delete(at + "?confirm=acme").is(200)
	})
}

// TestARemovalAndAnEditOfOneVersion: at the same time, exactly one of them is done.
func TestARemovalAndAnEditOfOneVersion(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		for i := range 3 {
			device := c.post("/api/v1/devices", map[string]any{"name": fmt.Sprint("d", i)}).is(201)
			channel := c.post("/api/v1/channels", map[string]any{"name": fmt.Sprint("c", i), "type": "slack", "secret": "https://hooks.example.com/x"}).is(201)
			service := c.post("/api/v1/services", map[string]any{"name": fmt.Sprint("s", i), "api_key": projectKey,
				"config": map[string]any{"base_url": w.simURL, "project": fmt.Sprint("p", i)}}).is(201)
			for _, made := range []*answer{device, channel, service} {
				at, one := made.header.Get("Location"), c.with("If-Match", made.header.Get("ETag"))
				var edited, removed *answer
				var group sync.WaitGroup
				group.Go(func() { edited = one.patch(at, map[string]any{"name": made.text("name") + " again"}) })
				group.Go(func() { removed = one.delete(at) })
				group.Wait()
				if one := edited.status == 200; one == (removed.status == 200) || one && removed.status != 412 || !one && edited.status != 404 && edited.status != 412 {
					t.Errorf("%s: the edit is %d, the removal %d", at, edited.status, removed.status)
				}
			}
		}
	})
}

// TestNoEditIsLost: of many who edit what they read, each either changes exactly that or is told.
func TestNoEditIsLost(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		at := c.post("/api/v1/devices", `{"name":"one","notes":""}`).is(201).header.Get("Location")
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for done := false; !done; {
					now := c.get(at)
					mark := fmt.Sprintf("%s+%d", now.text("notes"), i)
					got := c.with("If-Match", now.header.Get("ETag")).patch(at, map[string]string{"notes": mark})
					if got.status != 200 && got.status != 412 {
						t.Errorf("the status is %d", got.status)
					}
					done = got.status != 412
				}
			})
		}
		group.Wait()
		notes := c.get(at).text("notes")
		for i := range 4 {
			if strings.Count(notes, fmt.Sprintf("+%d", i)) != 1 {
				t.Errorf("the notes are %s", notes)
			}
		}
	})
}

// TestOnceIsOnce: the same request with the same key is done once and replied the same; another request under that key,
// or one while the first is under way, is refused.
func TestOnceIsOnce(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token).with("Idempotency-Key", "key-1")
		first := c.post("/api/v1/devices", `{"name":"one"}`).is(201)
		again := c.post("/api/v1/devices", `{"name":"one"}`).is(201)
		if again.text("id") != first.text("id") || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" ||
			again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("replied %s %v", again.body, again.header)
		}
		c.post("/api/v1/devices", `{"name":"two"}`).problem(422, tandem.Invalid)
		c.post("/api/v1/devices?organization=acme", `{"name":"one"}`).problem(422, tandem.Invalid)
		if got := w.as(w.token).get("/api/v1/devices").value("pagination.total"); got != 1.0 {
			t.Errorf("there are %v devices", got)
		}
		// Others' keys are their own.
		w.as(w.otherToken).with("Idempotency-Key", "key-1").post("/api/v1/devices", `{"name":"one"}`).is(201)
		// What failed without an effect can be mended and sent again.
		b := w.as(w.token).with("Idempotency-Key", "key-2")
		b.post("/api/v1/devices", `{"device_id":"x"}`).problem(422, tandem.Invalid)
		b.post("/api/v1/devices", `{"device_id":"x","name":"x"}`).is(201)
		for _, wrong := range []string{"with space", strings.Repeat("k", 300), "ü"} {
			w.as(w.token).with("Idempotency-Key", wrong).post("/api/v1/devices", `{"name":"no"}`).problem(422, tandem.Invalid)
		}
		// A run.
		r := w.as(w.token).with("Idempotency-Key", "key-3")
		run := r.post("/api/v1/services/prod/runs", `{"operation":"import"}`).is(202)
		if same := r.post("/api/v1/services/prod/runs", `{"operation":"import"}`).is(202); same.text("operation_id") != run.text("operation_id") {
			t.Errorf("two runs: %s", same.body)
		}
		// A secret is shown once, and kept nowhere.
		token := r.post("/api/v1/tokens", `{"name":"x","shared":true}`).is(201)
		refused := r.post("/api/v1/tokens", `{"name":"x","shared":true}`)
		refused.problem(409, tandem.Exists)
		if strings.Contains(string(refused.body), token.text("token")) {
			t.Error("the secret was kept")
		}
		// After a day the key is free.
		w.advance(25 * 60 * 60 * 1e9)
		c.post("/api/v1/devices", `{"name":"three"}`).is(201)
	})
}

// TestOnceWhileUnderWay: the same key at the same time does the work once.
func TestOnceWhileUnderWay(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token).with("Idempotency-Key", "key")
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				got := c.post("/api/v1/devices", `{"name":"one"}`)
				if got.status != 201 && got.status != 409 {
					t.Errorf("the status is %d: %s", got.status, got.body)
				}
				if got.status == 409 && got.header.Get("Retry-After") == "" {
					t.Error("it does not say when to ask again")
				}
			})
		}
		group.Wait()
		if got := w.as(w.token).get("/api/v1/devices").value("pagination.total"); got != 1.0 {
			t.Errorf("there are %v devices", got)
		}
	})
}

// TestBadInput: what is wrong with a request is named, where it is, and never repeated.
func TestBadInput(t *testing.T) {
	inOne(t, func(w *world) {
		c := w.as(w.token)
		for _, bad := range []struct {
			method, path, body string
			status             int
			code               tandem.Code
			says               string
		}{
			{"POST", "/api/v1/devices", `{`, 400, tandem.Invalid, ""},
			{"POST", "/api/v1/devices", ``, 400, tandem.Invalid, ""},
			{"POST", "/api/v1/devices", "{\"name\":\"a\xff\"}", 400, tandem.Invalid, ""},
			{"POST", "/api/v1/devices", `[]`, 422, tandem.Invalid, "body"},
			{"POST", "/api/v1/devices", `{"name":1}`, 422, tandem.Invalid, "body.name"},
			{"POST", "/api/v1/devices", `{"title":"x"}`, 422, tandem.Invalid, "body"},
			{"POST", "/api/v1/devices", `{"name":""}`, 422, tandem.Invalid, "name is missing"},
			{"POST", "/api/v1/devices", `{"name":"x","lifecycle":"asleep"}`, 422, tandem.Invalid, "body.lifecycle"},
			{"POST", "/api/v1/devices", `{"name":"x","metadata":[1]}`, 422, tandem.Invalid, "body.metadata"},
			{"GET", "/api/v1/devices?limit=0", "", 422, tandem.Invalid, "query.limit"},
			{"GET", "/api/v1/devices?limit=1001", "", 422, tandem.Invalid, "query.limit"},
			{"GET", "/api/v1/devices?limit=x", "", 422, tandem.Invalid, "query.limit"},
			{"GET", "/api/v1/devices?page=-1", "", 422, tandem.Invalid, "query.page"},
			{"GET", "/api/v1/devices?sort=color", "", 422, tandem.Invalid, "query.sort"},
			{"GET", "/api/v1/devices?statsu=online", "", 422, tandem.Invalid, "query.statsu"},
			{"GET", "/api/v1/devices?fields=id,colour", "", 422, tandem.Invalid, "colour"},
			{"GET", "/api/v1/devices?service=nope", "", 404, tandem.NotFound, "nope"},
			{"GET", "/api/v1/devices?organization=acme", "", 200, "", ""},
			{"GET", "/api/v1/runs?status=well", "", 422, tandem.Invalid, "query.status"},
			{"GET", "/api/v1/runs/x?wait=2h", "", 422, tandem.Invalid, "wait"},
			{"GET", "/api/v1/audit?since=yesterday", "", 422, tandem.Invalid, "query.since"},
			{"POST", "/api/v1/services/prod/runs", `{"operation":"sideways"}`, 422, tandem.Invalid, "body.operation"},
			{"POST", "/api/v1/services/prod/runs?wait=forever", `{}`, 422, tandem.Invalid, "wait"},
			{"POST", "/api/v1/services/prod/runs", `{"plan_id":"` + newID() + `"}`, 404, tandem.NotFound, ""},
			{"POST", "/api/v1/services", `{"name":"x","api_key":"k","config":{"base_url":"ftp://x","project":"p"}}`, 422, tandem.Invalid, "base-url"},
			{"POST", "/api/v1/services", `{"name":"x","config":{"project":"p"}}`, 422, tandem.Invalid, "API key"},
			{"POST", "/api/v1/services", `{"name":"x","api_key":"wrong","check":true,"config":{"base_url":"` + w.simURL + `","project":"foreign"}}`, 502, tandem.Unauthorized, ""},
			{"POST", "/api/v1/services", `{"name":"prod","api_key":"k","config":{"base_url":"` + w.simURL + `","project":"foreign"}}`, 409, tandem.Exists, "prod"},
			{"POST", "/api/v1/conflicts/resolve", `{"take":"local"}`, 422, tandem.Invalid, "which conflicts"},
			{"POST", "/api/v1/conflicts/resolve", `{"take":"value","field":"name"}`, 422, tandem.Invalid, "value"},
			{"POST", "/api/v1/conflicts/resolve", `{"take":"local","value":1,"field":"name"}`, 422, tandem.Invalid, "value"},
			{"POST", "/api/v1/devices/bulk", `{"operations":[]}`, 422, tandem.Invalid, "body.operations"},
			{"POST", "/api/v1/devices/bulk", `{"operations":[{"action":"update","device":{"name":"x"}}]}`, 422, tandem.Invalid, "names no device"},
			{"POST", "/api/v1/devices/bulk", `{"operations":[{"action":"link","id":"x"}]}`, 422, tandem.Invalid, "external_device_id"},
			{"POST", "/api/v1/tokens", `{"name":"x","expires_in":"soon"}`, 422, tandem.Invalid, "expires_in"},
			{"POST", "/api/v1/tokens", `{"name":"x","expires_in":"1s"}`, 422, tandem.Invalid, "expires_in is 1s"},
			{"POST", "/api/v1/devices", `{"name":"x","device_id":"hasty"}`, 201, "", ""},
			{"POST", "/api/v1/devices/hasty/credentials", `{"kind":"token","expires_in":"soon"}`, 422, tandem.Invalid, "expires_in"},
			{"POST", "/api/v1/devices/hasty/credentials", `{"kind":"token","expires_in":"1000000h"}`, 422, tandem.Invalid, "expires_in is 1000000h"},
			{"POST", "/api/v1/devices/hasty/commands", `{"name":"blink","expires_in":"1ms"}`, 422, tandem.Invalid, "expires_in is 1ms"},
			{"POST", "/api/v1/invitations", `{"email":"nobody","role":"viewer"}`, 422, tandem.Invalid, "email"},
			{"POST", "/api/golioth/sync", `{"organization_id":"other"}`, 404, tandem.NotFound, ""},
		} {
			got := c.send(bad.method, bad.path, body(bad.body))
			if got.status != bad.status || !strings.Contains(string(got.body), bad.says) {
				t.Errorf("%s %s %s: %d %s, want %d and %q", bad.method, bad.path, bad.body, got.status, got.body, bad.status, bad.says)
				continue
			}
			if bad.code != "" {
				got.problem(bad.status, bad.code)
			}
		}
		other := c.with("Content-Type", "application/xml")
		other.post("/api/v1/devices", `<x/>`).problem(415, "unsupported_media_type")
		c.post("/api/v1/devices", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).problem(413, "too_large")
		c.with("Idempotency-Key", "k").post("/api/v1/devices", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).problem(413, "too_large")
		secret := w.as("").post("/api/v1/session", `{"email":"owner@example.com","password":"hunter2-hunter2",}`)
		if secret.problem(400, tandem.Invalid); strings.Contains(string(secret.body), "hunter2") {
			t.Errorf("what was sent is repeated: %s", secret.body)
		}
		for _, never := range []string{projectKey, w.token, "hunter2"} {
			if strings.Contains(w.logged.String(), never) {
				t.Errorf("the log holds %q", never)
			}
		}
	})
}

func body(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// TestPanicsAreProblems: a fault of the server is told with its request id alone, and logged.
func TestPanicsAreProblems(t *testing.T) {
	inOne(t, func(w *world) {
		w.registry.Server = nil // whatever asks it breaks off
		p := w.as("").post("/api/v1/session/password-reset", `{"email":"x@example.com"}`).problem(500, tandem.Internal)
		if !strings.Contains(w.logged.String(), p.RequestID) || strings.Contains(p.Detail, "nil") {
			t.Errorf("the problem is %+v, the log %s", p, w.logged)
		}
		w.registry.Server = w.store
		w.as(w.token).send(http.MethodGet, "/api/v1/devices", nil).is(200)
	})
}

// TestSelectedFields: a listing and one thing are replied with the members that are asked for, in whatever order.
func TestSelectedFields(t *testing.T) {
	inOne(t, func(w *world) {
		c := w.as(w.token)
		d := w.addDevice("one")
		for path, want := range map[string]string{
			"/api/v1/devices?fields=name,id":            `{"devices":[{"name":"one","id":"` + d.ID + `"}],"pagination":{"page":1,"limit":100,"total":1,"pages":1}}`,
			"/api/v1/devices?fields=":                   "",
			"/api/v1/devices/" + d.ID + "?fields=name":  `{"name":"one"}`,
			"/api/v1/services?fields=name&limit=1":      `{"pagination":{"page":1,"limit":1,"total":1,"pages":1},"services":[{"name":"prod"}]}`,
			"/api/v1/devices?fields=name,name,%20name,": `{"devices":[{"name":"one"}],"pagination":{"page":1,"limit":100,"total":1,"pages":1}}`,
		} {
			got := strings.TrimSpace(string(c.get(path).is(200).body))
			if want != "" && got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		if next := c.get("/api/v1/devices?page=7&limit=2").is(200); len(next.value("devices").([]any)) != 0 || next.value("pagination.page") != 7.0 {
			t.Errorf("the page is %s", next.body)
		}
	})
}
