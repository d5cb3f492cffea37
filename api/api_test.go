package api_test

import (
	"testing"

	"tandem/store/sqlite/sqlitetest"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t), nil)
	c := w.as(w.token)
	d := c.post("/api/v1/devices", `{"name":"one","tags":["a"],"metadata":{"x":1}}`).is(201)
	c.get("/api/v1/devices/" + d.text("id")).is(200)
	if got := c.get("/api/v1/devices?fields=id,name").is(200).value("devices.0"); len(got.(map[string]any)) != 2 {
		t.Errorf("got %v", got)
	}
}
