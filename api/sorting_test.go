package api_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tandem"
)

// TestEveryListingSorts calls each listing by each key that the document names, and by another one.
func TestEveryListingSorts(t *testing.T) {
	inBoth(t, func(w *world) {
		c := w.as(w.token)
		device := w.addDevice("one").ID
		channel := c.post("/api/v1/channels", `{"name":"ops","type":"slack","secret":"https://hooks.example.com/x"}`).is(201).text("id")
		run := c.post("/api/v1/services/prod/runs?wait=30s", `{"operation":"import"}`).is(200).text("operation_id")
		var read struct {
			Paths map[string]map[string]struct {
				ID         string `json:"operationId"`
				Parameters []struct {
					Name   string
					Schema struct{ Enum []string }
				}
			}
		}
		if err := json.Unmarshal(w.document.text, &read); err != nil {
			t.Fatal(err)
		}
		var listings []string
		for path, methods := range read.Paths {
			op := methods["get"]
			at := strings.NewReplacer("/devices/{id}", "/devices/"+device, "/channels/{id}", "/channels/"+channel, "/runs/{id}", "/runs/"+run).Replace(path)
			for _, p := range op.Parameters {
				if p.Name != "sort" || strings.HasSuffix(path, "/export") || strings.Contains(path, "golioth") {
					continue
				}
				listings = append(listings, op.ID)
				sort := at + "?sort="
				if op.ID == "entries-list" {
					sort = at + "?device=" + device + "&sort="
				}
				for _, key := range p.Schema.Enum {
					c.get(sort + url.QueryEscape(key)).is(200)
				}
				if len(p.Schema.Enum) == 0 {
					t.Errorf("%s: the document names no key", op.ID)
					continue
				}
				refused := c.get(sort + "colour")
				if refused.problem(422, tandem.Invalid); !strings.Contains(string(refused.body), p.Schema.Enum[0]) || !strings.Contains(string(refused.body), "query.sort") {
					t.Errorf("%s: the refusal does not name the keys: %s", op.ID, refused.body)
				}
			}
		}
		slices.Sort(listings)
		want := []string{"alerts-list", "audit-list", "channels-list", "conflicts-list", "deliveries-list", "devices-list", "devices-observations", "entries-list", "invitations-list",
			"organizations-list", "remote-devices-list", "run-entries-list", "runs-list", "services-list", "tokens-list", "users-list"}
		if !slices.Equal(listings, want) {
			t.Errorf("the listings that sort are %v, want %v", listings, want)
		}
		names := c.get("/api/v1/services?sort=-name&fields=name").is(200)
		c.post("/api/v1/services", map[string]any{"name": "Alpha", "api_key": projectKey, "config": map[string]any{"base_url": w.simURL, "project": "foreign"}}).is(201)
		if names.text("services.0.name") != "prod" || c.get("/api/v1/services?sort=name").text("services.0.name") != "Alpha" || c.get("/api/v1/services?sort=-name").text("services.0.name") != "prod" {
			t.Error("services are not sorted by name")
		}
	})
}
