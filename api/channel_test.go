package api_test

import (
	"testing"

	"tandem"
)

// TestAMailPasswordIsNotSentToAnotherServer: who may change a channel may not read its password by naming a server of
// their own.
func TestAMailPasswordIsNotSentToAnotherServer(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token).with("If-Match", "*")
		config := func(host, to string) map[string]any {
			return map[string]any{"host": host, "username": "tandem", "from": "tandem@example.com", "to": []string{to}}
		}
		c.post("/api/v1/channels", map[string]any{"name": "mail", "type": "email", "config": config("mail.example.com", "a@example.com"), "secret": "the password"}).is(201)
		c.patch("/api/v1/channels/mail", map[string]any{"config": config("mail.example.org", "a@example.com")}).problem(422, tandem.Invalid)
		c.patch("/api/v1/channels/mail", map[string]any{"config": map[string]any{"host": "mail.example.com", "port": 2525, "username": "tandem", "from": "tandem@example.com",
			"to": []string{"a@example.com"}}}).problem(422, tandem.Invalid)
		c.patch("/api/v1/channels/mail", map[string]any{"config": config("mail.example.com", "b@example.com")}).is(200)
		c.patch("/api/v1/channels/mail", map[string]any{"config": config("mail.example.org", "b@example.com"), "secret": "another password"}).is(200)
	})
}
