package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"tandem"
	"tandem/store"
)

// house is an organization with a fleet and people, put straight into a database, and the server over it.
type house struct {
	*served
	database string
	dir      string
	store    *store.Store
	org      string
	service  string
	devices  []string // ids
	people   []string // what each one's cookie holds
	now      time.Time
}

// newHouse fills a database and starts the server.
func (b *bench) newHouse(ctx context.Context, d *databases, devices, people int) (h *house, err error) {
	h = &house{org: newID(), service: newID(), now: time.Now().UTC()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.dir, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	if h.database, err = d.fresh(ctx); err != nil {
		return nil, err
	}
	if h.store, err = d.open(ctx, h.database); err != nil {
		return nil, err
	}
	for _, fill := range []func(context.Context) error{
		h.found,
		func(ctx context.Context) error { return h.addDevices(ctx, devices) },
		func(ctx context.Context) error { return h.addPeople(ctx, people) },
		h.addRecords,
	} {
		if err = fill(ctx); err != nil {
			return nil, err
		}
	}
	if _, err = h.store.DB().ExecContext(ctx, "ANALYZE"); err != nil { // as PostgreSQL does by itself before long
		return nil, err
	}
	h.served, err = b.serve(ctx, h.database, h.dir)
	return h, err
}

func (h *house) close() error {
	var err error
	if h.served != nil {
		err = h.stop()
	}
	if h.store != nil {
		err = errors.Join(err, h.store.Close())
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// found makes the organization with its service, which no schedule runs.
func (h *house) found(ctx context.Context) error {
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = "https://example.com", project
	if err := h.store.CreateOrganization(ctx, tandem.Organization{ID: h.org, Name: "Bench", Slug: "bench", CreatedAt: h.now, UpdatedAt: h.now}); err != nil {
		return err
	}
	return h.store.CreateService(ctx, h.org, tandem.Service{ID: h.service, Name: "bench", ServiceType: "golioth", Config: config, Credentials: []byte{1},
		IsActive: true, SyncInterval: 300, State: tandem.ServiceOK, CreatedAt: h.now, UpdatedAt: h.now})
}

// addDevices makes a fleet with something for each filter to find: little and much.
func (h *house) addDevices(ctx context.Context, n int) error {
	for from := 0; from < n; from += 1000 {
		var c tandem.Changes
		for i := from; i < min(from+1000, n); i++ {
			d := h.device(i)
			h.devices = append(h.devices, d.ID)
			c.CreateDevices = append(c.CreateDevices, d)
			if i%1000 == 1 {
				continue // not linked
			}
			status := tandem.SyncSynced
			if i%100 == 0 {
				status = tandem.SyncError
			}
			c.CreateAssignments = append(c.CreateAssignments, tandem.Assignment{ID: newID(), OrganizationID: h.org, DeviceID: d.ID, ServiceID: h.service,
				ExternalDeviceID: remoteID(i), SyncEnabled: true, Status: status, LastSync: &h.now, CreatedAt: h.now, UpdatedAt: h.now})
		}
		if err := h.store.Apply(ctx, h.org, &c); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) device(i int) tandem.Device {
	ago := func(n int) time.Time { return h.now.Add(-time.Duration(n%100_000) * time.Second) }
	name := fmt.Sprintf("pump-%06d", i)
	d := tandem.Device{ID: newID(), OrganizationID: h.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, Enabled: true, Blueprint: "pump", Cohort: "stable",
		HardwareIDs: []string{fmt.Sprintf("A0:B1:%08X", i)}, Tags: []string{"north", "batch-7"}, CreatedAt: ago(i * 31), UpdatedAt: ago(i * 17)}
	if i%10 != 0 {
		seen, level := ago(i*7919), float64(i*31%1000)/10
		d.LastSeen, d.BatteryLevel, d.BatteryAt = &seen, &level, &seen
		d.Firmware, d.FirmwareAt = map[string]tandem.Firmware{"main": {Version: "1.2.3", State: "idle"}}, &seen
	}
	if i%100 == 0 {
		d.DeviceType, d.Lifecycle, d.Enabled, d.Tags, d.Blueprint, d.Cohort = "sensor", tandem.Maintenance, false, []string{"rare"}, "valve", "canary"
	}
	return d
}

// addPeople makes signed-in people. Their sessions are written as the server writes them: to sign a thousand in would be to
// compute a thousand slow hashes.
func (h *house) addPeople(ctx context.Context, n int) error {
	until := h.now.Add(12 * time.Hour)
	for i := range n {
		u := tandem.User{ID: newID(), Email: fmt.Sprintf("person-%d@example.com", i), Name: "Person " + strconv.Itoa(i), Epoch: 1, CreatedAt: h.now, UpdatedAt: h.now}
		role := tandem.Manager
		if i == 0 {
			role = tandem.Owner
		}
		if err := h.store.CreateUser(ctx, u, []tandem.Membership{{OrganizationID: h.org, UserID: u.ID, Role: role, CreatedAt: h.now, UpdatedAt: h.now}}); err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"deadline": until, "values": map[string]string{"user": u.ID, "epoch": "1"}})
		if err != nil {
			return err
		}
		cookie := newID()
		sum := sha256.Sum256([]byte(cookie))
		if err := h.store.PutSession(ctx, tandem.Session{ID: hex.EncodeToString(sum[:]), UserID: u.ID, Data: data, ExpiresAt: until}); err != nil {
			return err
		}
		h.people = append(h.people, cookie)
	}
	return nil
}

// addRecords makes what there is to read besides devices: runs, conflicts and an alert.
func (h *house) addRecords(ctx context.Context) error {
	var c tandem.Changes
	for i := range 300 {
		began := h.now.Add(-time.Duration(300-i) * 5 * time.Minute)
		ended := began.Add(2 * time.Second)
		c.PutRuns = append(c.PutRuns, tandem.Run{ID: newID(), OrganizationID: h.org, ServiceID: h.service, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand,
			Status: tandem.RunCompleted, StartedAt: &began, CompletedAt: &ended, CreatedAt: began})
	}
	for _, id := range h.devices[:min(500, len(h.devices))] {
		c.PutConflicts = append(c.PutConflicts, tandem.Conflict{ID: newID(), OrganizationID: h.org, ServiceID: h.service, DeviceID: id, Type: tandem.ConcurrentModification,
			FieldName: "name", BaseValue: json.RawMessage(`"a"`), LocalValue: json.RawMessage(`"b"`), RemoteValue: json.RawMessage(`"c"`), Status: tandem.ConflictPending,
			CreatedAt: h.now, UpdatedAt: h.now})
	}
	c.PutAlerts = []tandem.Alert{{ID: newID(), OrganizationID: h.org, Kind: tandem.AlertConflicts, Subject: h.service, ServiceID: h.service, Severity: tandem.Warning,
		Message: "conflicts wait", Count: 500, Status: tandem.AlertRaised, RaisedAt: h.now, LastAt: h.now}}
	return h.store.Apply(ctx, h.org, &c)
}

// as signs a request with a person's session.
func (h *house) as(person int) func(*http.Request) {
	return func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "tandem", Value: h.people[person%len(h.people)]})
	}
}
