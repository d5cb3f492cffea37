package api_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/alert"
)

// TestAnOrganizationSaysWhenAlertsEscalate: what is set is what the alerts go by, and a new name leaves it.
func TestAnOrganizationSaysWhenAlertsEscalate(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token).with("If-Match", "*")
		c.patch("/api/v1/organizations/acme", map[string]any{"escalate_after_minutes": 5}).is(200)
		c.patch("/api/v1/organizations/acme", map[string]any{"name": "Acme Europe"}).is(200)
		o, err := w.store.Organization(t.Context(), w.org.ID)
		w.must(err)
		if got := alert.EscalateAfter(o); got != 5*time.Minute || o.Name != "Acme Europe" {
			t.Errorf("%s escalates after %v", o.Name, got)
		}
		c.patch("/api/v1/organizations/acme", map[string]any{"escalate_after_minutes": -1}).problem(422, tandem.Invalid)
	})
}

// TestAnOrganizationIsMadeOnce: with an Idempotency-Key, like everything that is made.
func TestAnOrganizationIsMadeOnce(t *testing.T) {
	inBoth(t, func(w *world) {
		b := w.signedIn("owner@example.com").with("Idempotency-Key", "once")
		first := b.post("/api/v1/organizations", `{"name":"Second"}`).is(201)
		again := b.post("/api/v1/organizations", `{"name":"Second"}`).is(201)
		if first.text("id") != again.text("id") || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("made %s, then %s", first.body, again.body)
		}
	})
}
