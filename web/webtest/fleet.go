package webtest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/registry"
)

// Patience is how long anything that has to come may take.
const Patience = 30 * time.Second

// AddService connects one of the simulator's projects. Metadata, battery and location are read from the paths
// where the simulated devices have them; edit may change the settings.
func (w *World) AddService(name, project string, edit func(*tandem.ServiceConfig)) client.Service {
	w.t.Helper()
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = w.RemoteURL, project
	config.Paths = tandem.Paths{Metadata: "state:metadata", Battery: "state:battery", Location: "state:location"}
	if edit != nil {
		edit(&config)
	}
	s, err := w.API.AddService(w.t.Context(), w.Org.ID, client.NewService{Name: name, Type: "golioth", Config: config, Key: Key(project)})
	must(w.t, err)
	return s
}

// Run does a run of the world's service to its end, whatever that is.
func (w *World) Run(operation tandem.Operation) tandem.Run {
	w.t.Helper()
	run, err := w.API.Sync(w.t.Context(), w.Org.ID, tandem.RunRequest{ServiceID: w.Service.ID, Operation: operation, Trigger: tandem.ByHand}, nil)
	must(w.t, err)
	return run
}

// Import brings all devices of the service here.
func (w *World) Import() tandem.Run {
	w.t.Helper()
	return w.completed(w.Run(tandem.OpImport))
}

// Sync does a run in both directions, which has to succeed.
func (w *World) Sync() tandem.Run {
	w.t.Helper()
	return w.completed(w.Run(tandem.OpBidirectional))
}

func (w *World) completed(run tandem.Run) tandem.Run {
	w.t.Helper()
	if run.Status != tandem.RunCompleted {
		w.t.Fatalf("the run is %s: %s %+v", run.Status, run.Error, run.Summary)
	}
	return run
}

// Fleet lists the devices that are linked on the service, by name.
func (w *World) Fleet() []tandem.DeviceRow {
	w.t.Helper()
	rows, _, err := w.API.Devices(w.t.Context(), w.Org.ID, tandem.DeviceFilter{ServiceID: w.Service.ID, Sort: "name", Page: tandem.Page{Number: 1, Limit: 1000}})
	must(w.t, err)
	return rows
}

// Device reads one again, by id, device_id or name.
func (w *World) Device(ref string) tandem.Device {
	w.t.Helper()
	d, err := w.API.Device(w.t.Context(), w.Org.ID, ref)
	must(w.t, err)
	return d
}

// Remote reads what is at the other end of a device.
func (w *World) Remote(row tandem.DeviceRow) tandem.RemoteDevice {
	w.t.Helper()
	d, err := w.Simulator.Device(w.Service.Config.Project, w.external(row))
	must(w.t, err)
	return d
}

func (w *World) external(row tandem.DeviceRow) string {
	w.t.Helper()
	for _, a := range row.Assignments {
		if a.ServiceID == w.Service.ID {
			return a.ExternalDeviceID
		}
	}
	w.t.Fatalf("%s is not linked on %s", row.Name, w.Service.Name)
	return ""
}

// Edit changes a field of a device here: "name", "blueprint", "cohort", "enabled" or "metadata/KEY".
func (w *World) Edit(row tandem.DeviceRow, field string, value any) {
	w.t.Helper()
	var edit registry.DeviceEdit
	text, _ := value.(string)
	switch key, ofMetadata := strings.CutPrefix(field, "metadata/"); {
	case ofMetadata:
		all := w.Device(row.ID).Metadata
		if all == nil {
			all = tandem.Map{}
		}
		all[key] = value
		edit.Metadata = &all
	case field == "name":
		edit.Name = &text
	case field == "blueprint":
		edit.Blueprint = &text
	case field == "cohort":
		edit.Cohort = &text
	case field == "enabled":
		on := value == true
		edit.Enabled = &on
	default:
		w.t.Fatalf("edit %s: not a field that Edit knows", field)
	}
	_, _, err := w.API.UpdateDevice(w.t.Context(), w.Org.ID, row.ID, edit)
	must(w.t, err)
}

// EditRemote changes the same field at the other end, as a console user or the device does. Blueprints and cohorts are
// made where there is none of the name.
func (w *World) EditRemote(row tandem.DeviceRow, field string, value any) {
	w.t.Helper()
	project, id := w.Service.Config.Project, w.external(row)
	if key, ok := strings.CutPrefix(field, "metadata/"); ok {
		must(w.t, w.Simulator.SetState(project, id, "metadata/"+key, value))
		return
	}
	var patch tandem.RemotePatch
	text, _ := value.(string)
	switch field {
	case "name":
		patch.Name = &text
	case "blueprint":
		patch.BlueprintID = w.entity(project, tandem.BlueprintEntity, text)
	case "cohort":
		patch.CohortID = w.entity(project, tandem.CohortEntity, text)
	case "enabled":
		on := value == true
		patch.Enabled = &on
	default:
		w.t.Fatalf("edit %s: not a field that EditRemote knows", field)
	}
	_, err := w.Simulator.EditDevice(project, id, patch)
	must(w.t, err)
}

// entity gives the id of a named thing at the other end.
func (w *World) entity(project string, kind tandem.EntityKind, name string) *string {
	w.t.Helper()
	all, err := w.Simulator.Entities(project, kind)
	must(w.t, err)
	for _, e := range all {
		if e.Name == name {
			return &e.ID
		}
	}
	made, err := w.Simulator.CreateEntity(project, kind, name)
	must(w.t, err)
	return &made.ID
}

// Conflict edits a field on both sides, syncs, and gives the conflict that this is. The service settles by hand there.
func (w *World) Conflict(row tandem.DeviceRow, field string, local, remote any) tandem.Conflict {
	w.t.Helper()
	w.Edit(row, field, local)
	w.EditRemote(row, field, remote)
	w.Run(tandem.OpBidirectional)
	found, _, err := w.API.Conflicts(w.t.Context(), w.Org.ID, tandem.ConflictFilter{DeviceIDs: []string{row.ID}, Field: tandem.Path(field)})
	must(w.t, err)
	if len(found) == 0 {
		w.t.Fatalf("editing %s of %s on both sides made no conflict", field, row.Name)
	}
	return found[0]
}

// Report posts a payload as the device whose token it is.
func (w *World) Report(token, payload string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.URL+"/ingest/v1/telemetry", strings.NewReader(payload))
	must(w.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	reply, err := (&http.Client{Timeout: Patience}).Do(request)
	must(w.t, err)
	text, err := io.ReadAll(reply.Body)
	must(w.t, errors.Join(err, reply.Body.Close()))
	if reply.StatusCode != http.StatusAccepted {
		w.t.Fatalf("the report %s is answered %s: %s", payload, reply.Status, text)
	}
}

// Wait waits until something that happens elsewhere is so.
func (w *World) Wait(what string, so func() bool) {
	w.t.Helper()
	await(w.t, what, so)
}

func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	if err := waitFor(Patience, func() (bool, error) { return so(), nil }); err != nil {
		t.Fatalf("waited in vain for %s: %v", what, err)
	}
}
