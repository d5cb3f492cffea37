package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/registry"
)

func (w *world) goClient(token string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Options{URL: w.url, Token: token})
	w.must(err)
	return c
}

// TestClientWorksLikeTheRegistry: what commands do goes over the API as it goes on the database.
func TestClientWorksLikeTheRegistry(t *testing.T) {
	inBoth(t, func(w *world) {
		ctx, c := t.Context(), w.goClient(w.token)
		name, notes := "one", "x"
		d, err := c.CreateDevice(ctx, "acme", registry.DeviceEdit{Name: &name, Metadata: &tandem.Map{"big": json.Number("12345678901234567890")}})
		w.must(err)
		d, changes, err := c.UpdateDevice(ctx, "", d.DeviceID, registry.DeviceEdit{Notes: &notes, Tags: &[]string{"a"}})
		w.must(err)
		if len(changes) != 2 || d.Notes != "x" {
			t.Errorf("changed %+v", changes)
		}
		old := int64(1)
		if _, _, err := c.UpdateDevice(ctx, "", d.ID, registry.DeviceEdit{Notes: &name, IfVersion: &old}); !tandem.Is(err, tandem.Stale) {
			t.Errorf("an old version: %v", err)
		}
		run, err := c.Sync(ctx, "", tandem.RunRequest{ServiceID: "prod", Operation: tandem.OpBidirectional}, nil)
		w.must(err)
		if run.Status != tandem.RunCompleted || run.Summary.Local.Created != 20 || len(run.Details) == 0 {
			t.Errorf("the run is %+v", run)
		}
		s, err := c.Service(ctx, "", "prod")
		w.must(err)
		if n, err := c.LinkedCount(ctx, "", s.ID); n != 20 || err != nil {
			t.Errorf("linked are %d, %v", n, err)
		}
		s, err = c.UpdateService(ctx, "", "prod", client.ServiceEdit{Config: func(c *tandem.ServiceConfig) {
			c.CreateRemote, c.FieldStrategies = true, map[string]tandem.Strategy{"name": tandem.LocalWins}
		}})
		w.must(err)
		if !s.Config.CreateRemote || s.Approved || !s.EverApproved || s.Config.FieldStrategies["name"] != tandem.LocalWins {
			t.Errorf("the service is %+v", s)
		}
		found := 0
		preview, err := c.Preview(ctx, "", tandem.RunRequest{ServiceID: "prod"}, true, func(tandem.Change) error { found++; return nil })
		w.must(err)
		if found == 0 || preview.PlanID == "" {
			t.Errorf("planned are %d changes in %q", found, preview.PlanID)
		}
		rows, err := c.PlanRows(ctx, "", preview.PlanID, 0, 10)
		w.must(err)
		if len(rows) != found {
			t.Errorf("stored are %d of %d", len(rows), found)
		}
		var file bytes.Buffer
		if n, err := c.ExportDevices(ctx, "", tandem.DeviceFilter{}, s.Service, registry.CSV, &file); err != nil || n != 21 || strings.Count(file.String(), "\n") != 22 {
			t.Errorf("exported %d, %v", n, err)
		}
		if report, err := c.ImportDevices(ctx, "", &file, registry.ImportOptions{ServiceID: s.ID}, nil); err != nil || report.Unchanged != 21 {
			t.Errorf("imported %+v, %v", report, err)
		}
		if report, err := c.ImportDevices(ctx, "", strings.NewReader("device_id,enabled\nx,perhaps\n"), registry.ImportOptions{}, nil); !tandem.Is(err, tandem.Invalid) || report.Bad != 1 {
			t.Errorf("imported %+v, %v", report, err)
		}
		sides, err := c.CompareDevice(ctx, "", mustLinked(w))
		w.must(err)
		if len(sides) != 1 || sides[0].Remote == nil || sides[0].Service.Name != "prod" {
			t.Errorf("the sides are %+v", sides)
		}
		token, secret, err := c.CreateToken(ctx, "", registry.NewToken{Name: "x", Role: tandem.Viewer, Life: time.Hour, Shared: true})
		w.must(err)
		if _, err := w.goClient(secret).CreateDevice(ctx, "", registry.DeviceEdit{Name: &name}); !tandem.Is(err, tandem.Forbidden) {
			t.Errorf("a viewer: %v", err)
		}
		_, err = c.RevokeToken(ctx, "", token.ID)
		w.must(err)
		if _, _, err := w.goClient(secret).Devices(ctx, "", tandem.DeviceFilter{}); !tandem.Is(err, tandem.Unauthorized) {
			t.Errorf("a revoked token: %v", err)
		}
		if _, err := c.Device(ctx, "other", d.ID); !tandem.Is(err, tandem.NotFound) {
			t.Errorf("another organization: %v", err)
		}
		if _, err := c.Settle(ctx, "", tandem.Settlement{Take: tandem.TakeLocal}); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("settling nothing in particular: %v", err)
		}
		if all, err := c.Settle(ctx, "", tandem.Settlement{Take: tandem.TakeLocal, Filter: tandem.ConflictFilter{ServiceID: s.ID}}); err != nil || len(all) != 0 {
			t.Errorf("settled are %v, %v", all, err)
		}
		entries, total, err := c.Audit(ctx, "", tandem.AuditFilter{Action: "device.create"})
		w.must(err)
		if total == 0 || entries[0].Action != "device.create" {
			t.Errorf("the audit is %+v", entries)
		}
		_, err = c.DeleteDevice(ctx, "", d.ID)
		w.must(err)
	})
}

// mustLinked gives a device that is linked.
func mustLinked(w *world) string {
	w.t.Helper()
	rows, _, err := w.registry.Devices(w.t.Context(), registry.Command("test"), w.org.ID, tandem.DeviceFilter{ServiceID: w.service.ID, Page: tandem.Page{Limit: 1}})
	w.must(err)
	return rows[0].ID
}

// TestClientTriesAgain: after a lost reply, what is done at most once is done once; reads are repeated; other changes
// only where the server says that it did nothing.
func TestClientTriesAgain(t *testing.T) {
	inOne(t, func(w *world) {
		var lose, busy atomic.Int32
		var seen atomic.Int32
		front := httptest.NewServer(http.HandlerFunc(func(reply http.ResponseWriter, r *http.Request) {
			seen.Add(1)
			if busy.Add(-1) >= 0 {
				reply.Header().Set("Retry-After", "0")
				reply.Header().Set("Content-Type", "application/problem+json")
				reply.WriteHeader(http.StatusServiceUnavailable)
				_, _ = reply.Write([]byte(`{"code":"unavailable","detail":"the database is away"}`))
				return
			}
			if lose.Add(-1) >= 0 {
				w.api.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			w.api.ServeHTTP(reply, r)
		}))
		defer front.Close()
		c, err := client.New(client.Options{URL: front.URL, Token: w.token})
		w.must(err)
		name := "one"
		lose.Store(1)
		d, err := c.CreateDevice(t.Context(), "", registry.DeviceEdit{Name: &name})
		w.must(err)
		if _, total, err := c.Devices(t.Context(), "", tandem.DeviceFilter{}); total != 1 || err != nil {
			t.Errorf("there are %d devices, %v", total, err)
		}
		lose.Store(2)
		_, err = c.Device(t.Context(), "", d.ID)
		w.must(err)
		busy.Store(2)
		_, err = c.DeleteDevice(t.Context(), "", d.ID)
		w.must(err)
		lose.Store(1)
		seen.Store(0)
		if err := c.TestChannel(t.Context(), "", "none"); !tandem.Is(err, tandem.Unavailable) || seen.Load() != 1 {
			t.Errorf("what may have been done was sent %d times: %v", seen.Load(), err)
		}
		busy.Store(100)
		if _, err := c.Device(t.Context(), "", d.ID); !tandem.Is(err, tandem.Unavailable) {
			t.Errorf("a database that stays away: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := c.Device(ctx, "", d.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	})
}

// TestClientKeepsItsToken: not over plain HTTP, not to where it is sent on, and not in errors.
func TestClientKeepsItsToken(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://tandem.example.com", "tandem.example.com", "ftp://x", "https://user@x", ""} {
		if _, err := client.New(client.Options{URL: address, Token: "tdm_secret"}); !tandem.Is(err, tandem.Invalid) || strings.Contains(err.Error(), "tdm_secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	var told atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer thief.Close()
	front := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	c, err := client.New(client.Options{URL: front.URL, Token: "tdm_secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Device(t.Context(), "", "x"); !tandem.Is(err, tandem.Malformed) || told.Load() != 0 || strings.Contains(err.Error(), "tdm_secret") {
		t.Errorf("sent on %d times: %v", told.Load(), err)
	}
}
