package api_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/api"
	"tandem/registry"
	"tandem/store/sqlite/sqlitetest"
)

// TestLiveTellsOnlyWhatItsReaderMayRead: a role or a token's scopes narrow a stream.
func TestLiveTellsOnlyWhatItsReaderMayRead(t *testing.T) {
	inOne(t, func(w *world) {
		viewer, _ := w.newToken(w.org, tandem.Viewer)
		narrow, _ := w.newToken(w.org, tandem.Owner, string(registry.ReadRuns))
		w.as(viewer).get("/api/v1/live?kinds=devices,deliveries").problem(403, tandem.Forbidden)
		w.as(narrow).get("/api/v1/live?kinds=devices").problem(403, tandem.Forbidden)
		nothing, _ := w.newToken(w.org, tandem.Owner, string(registry.ReadUsers))
		w.as(nothing).get("/api/v1/live").problem(403, tandem.Forbidden)
		f := w.open(narrow, "", "")
		defer f.close()
		f.until("id: ")
		w.addDevice("one")
		w.as(w.token).post("/api/v1/services/prod/runs", `{"operation":"import"}`).is(202)
		if kind := f.until("event: "); kind != "runs" {
			t.Errorf("who may read runs hears of %s", kind)
		}
	})
}

// TestLiveEndsWithTheRight: a stream ends when its token is revoked, and when a lesser role may not read its kinds.
func TestLiveEndsWithTheRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) { o.Heartbeat = 20 * time.Millisecond })
	secret, id := w.newToken(w.org, tandem.Viewer)
	f := w.open(secret, "", "")
	defer f.close()
	f.until("id: ")
	f.until(": still here")
	f.until(": still here")
	w.as(w.token).delete("/api/v1/tokens/" + id).is(200)
	for range f.lines { // until it ends
	}

	u := w.addUser(w.org, "going@example.com", tandem.Operator)
	all := map[string]tandem.Role{w.org.ID: tandem.Operator}
	_, own, err := w.registry.CreateToken(t.Context(), registry.Actor{Kind: tandem.PersonActor, ID: u.ID, UserID: u.ID, Name: u.Email, Roles: all}, w.org.ID, registry.NewToken{Name: "own"})
	w.must(err)
	f = w.open(own, "kinds=deliveries", "")
	defer f.close()
	f.until(": still here")
	w.as(w.token).with("If-Match", "*").patch("/api/v1/users/"+u.ID, map[string]string{"role": "viewer"}).is(200)
	for range f.lines {
	}
}
