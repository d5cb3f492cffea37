package syncer_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
)

// recorded puts a recorder in front of the simulator and gives what is written to it: "PATCH name,tags" by path.
func (w *world) recorded() func() []string {
	w.t.Helper()
	var mu sync.Mutex
	var seen []string
	target, err := url.Parse(w.shared.url)
	w.must(err)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		if r.Method != http.MethodGet {
			var object map[string]any
			text := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/projects/demo") + " "
			if json.Unmarshal(body, &object) == nil {
				keys := []string{}
				for k := range object {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				text += strings.Join(keys, ",")
			} else {
				text += strings.TrimSpace(string(body))
			}
			mu.Lock()
			seen = append(seen, text)
			mu.Unlock()
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, target.String()+r.URL.RequestURI(), strings.NewReader(string(body)))
		if err != nil {
			w.t.Error(err)
			return
		}
		req.Header = r.Header
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Error(err)
			return
		}
		defer func() { _ = reply.Body.Close() }()
		for k, v := range reply.Header {
			rw.Header()[k] = v
		}
		rw.WriteHeader(reply.StatusCode)
		if _, err := io.Copy(rw, reply.Body); err != nil {
			w.t.Error(err)
		}
	}))
	w.t.Cleanup(front.Close)
	c, err := golioth.New(golioth.Options{BaseURL: front.URL, Project: w.service.Config.Project, Key: golioth.Secret(apiKey)})
	w.must(err)
	w.t.Cleanup(c.Close)
	w.shared.mu.Lock()
	w.shared.clients[w.service.ID] = c
	w.shared.mu.Unlock()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		list := seen
		seen = nil
		return list
	}
}

// TestS23SendsOnlyWhatChanges, sets as what is added and removed.
func TestS23SendsOnlyWhatChanges(t *testing.T) {
	w := newWorld(t, config(withMetadata))
	writes := w.recorded()
	w.entity(tandem.CohortEntity, "north")
	w.remotes("other", 20) // so that no guard minds one
	id := w.remote("gate", tags("blue", "red"), cohort("north"))
	w.setState(id, "info/site", "attic")
	w.setState(id, "info/floor", "1")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.equal(len(writes()), 0)
	at := "PATCH /devices/" + id + " "
	for _, tt := range []struct {
		path tandem.Path
		to   any
		want []string
	}{
		{"name", "renamed", []string{at + "name"}},
		{"enabled", false, []string{at + "enabled"}},
		{"cohort", "", []string{at + "cohortId"}},
		{"tags", []string{"blue", "green"}, []string{at + "addTagId,removeTagId"}},
		{"hardware_ids", []string{"hw-gate", "hw-2"}, []string{at + "addHardwareId"}},
		{"metadata/site", "cellar", []string{"cellar"}},
	} {
		w.setHere(local, tt.path, tt.to)
		w.completed(w.sync(tandem.OpBidirectional))
		got := slices.DeleteFunc(writes(), func(s string) bool { return s == "POST /tags name" })
		if tt.path == "metadata/site" {
			if len(got) != 1 || !strings.Contains(got[0], "/data/info/site") || !strings.Contains(got[0], "cellar") {
				t.Errorf("metadata: %v", got)
			}
			continue
		}
		w.equal(got, tt.want)
	}
	w.equal([]any{w.state(id, "info/floor"), w.remoteTags(id)}, []any{"1", []string{"blue", "green"}})
}

// TestS23FreshReadBeforeTheWrite: what moved on the service between the listing and the write is merged,
// and so is what its reply shows.
func TestS23FreshReadBeforeTheWrite(t *testing.T) {
	for _, when := range []string{"before the read", "between read and write"} {
		for _, field := range []string{"another field", "the same field"} {
			t.Run(when+"/"+field, func(t *testing.T) {
				t.Parallel()
				var h hooks
				w := newWorld(t, h.hooked())
				id := w.remote("gate")
				w.completed(w.sync(tandem.OpBidirectional))
				local := w.localOf(id).ID
				w.setHere(local, "name", "here")
				call := map[string]string{"before the read": "remote read", "between read and write": "remote update"}[when]
				var moved atomic.Bool
				h.on(func(at, _ string) error {
					if at == call && moved.CompareAndSwap(false, true) {
						if field == "the same field" {
							w.setThere(id, "name", "there")
						} else {
							w.setThere(id, "enabled", false)
						}
					}
					return nil
				}, nil)
				run := w.sync(tandem.OpBidirectional)
				h.on(nil, nil)
				switch {
				case field == "another field":
					w.completed(run)
					w.equal([]any{w.remoteDevice(id).Name, w.device(local).Enabled}, []any{"here", false})
					w.completed(w.quiet(tandem.OpBidirectional))
				case when == "before the read":
					w.ended(run, tandem.RunPartial)
					w.equal([]any{w.remoteDevice(id).Name, w.device(local).Name, len(w.conflicts())}, []any{"there", "here", 1})
				default: // the instant that cannot be closed: there is no If-Match
					w.completed(run)
					w.equal([]any{w.remoteDevice(id).Name, w.device(local).Name}, []any{"here", "here"})
				}
			})
		}
	}
}

// TestS22EditedWhileMerged: merged again, three times, then entered as moved and left to the next run.
func TestS22EditedWhileMerged(t *testing.T) {
	for _, times := range []int{1, 2, 100} {
		t.Run(map[int]string{1: "once", 2: "twice", 100: "for ever"}[times], func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked())
			ids := w.remotes("gate", 3)
			w.completed(w.sync(tandem.OpBidirectional))
			local, calm := w.localOf(ids[0]).ID, w.localOf(ids[1]).ID
			w.setHere(local, "tags", []string{"blue"})
			w.setThere(ids[0], "blueprint", "there")
			w.setHere(calm, "name", "calm-here")
			n := 0
			var mu sync.Mutex
			h.on(nil, func(call, thing string) error {
				if call != "remote read" || thing != ids[0] {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if n < times {
					n++
					w.editLocal(local, func(d *tandem.Device) { d.Notes += "x" })
				}
				return nil
			})
			run := w.sync(tandem.OpBidirectional)
			h.on(nil, nil)
			w.equal(w.remoteDevice(ids[1]).Name, "calm-here")
			if times < 3 {
				w.completed(run)
			} else {
				w.ended(run, tandem.RunPartial)
				w.equal([]any{n, w.count(run, tandem.ActUpdate, tandem.OutcomeMoved), len(w.remoteTags(ids[0]))}, []any{3, 1, 0})
				w.equal(run.Summary, tandem.Summary{Processed: 3, Successful: 2, Failed: 1, Remote: tandem.Counts{Updated: 1}})
				w.completed(w.sync(tandem.OpBidirectional))
			}
			w.equal([]any{w.remoteTags(ids[0]), w.device(local).Blueprint}, []any{[]string{"blue"}, "there"})
			w.equal(len(w.intents()), 0)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS22EditedWhileABatchIsCommitted: the device that moved waits, the rest of its batch does not.
func TestS22EditedWhileABatchIsCommitted(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked())
	ids := w.remotes("gate", 5)
	w.completed(w.sync(tandem.OpBidirectional))
	for _, id := range ids {
		w.setThere(id, "name", w.remoteDevice(id).Name+"-there")
	}
	local := w.localOf(ids[2]).ID
	var applies atomic.Int64
	h.on(func(call, _ string) error {
		if call == "store apply" {
			if applies.Add(1) == 4 { // queued, begun, the project, and now the batch
				h.on(nil, nil)
				w.editLocal(local, func(d *tandem.Device) { d.Enabled = false })
			}
		}
		return nil
	}, nil)
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(run.Summary.Processed, 5)
	w.equal(w.names(), []string{"gate-000-there", "gate-001-there", "gate-002-there", "gate-003-there", "gate-004-there"})
	w.equal([]bool{w.device(local).Enabled, w.remoteDevice(ids[2]).Enabled}, []bool{false, false})
	w.completed(w.quiet(tandem.OpBidirectional))
}

// TestS22TwoServicesOneDevice: runs of two services over the same devices do not lose each other's edits.
func TestS22TwoServicesOneDevice(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			other := w.second("second", func(c *tandem.ServiceConfig) { c.CreateRemote = true })
			ids := w.remotes("gate", 20)
			w.completed(w.sync(tandem.OpBidirectional))
			other.completed(other.sync(tandem.OpBidirectional))
			for i, id := range ids {
				if i%2 == 0 {
					w.setThere(id, "name", w.remoteDevice(id).Name+"-one")
				}
				twin := other.assignment(w.localOf(id).ID).ExternalDeviceID
				other.editRemote(twin, tandem.RemotePatch{AddTagIDs: other.tags("blue")})
			}
			w.advance(time.Minute)
			var both sync.WaitGroup
			for _, x := range []*world{w, other} {
				both.Add(1)
				go func() {
					defer both.Done()
					if _, err := x.run(tandem.RunRequest{Operation: tandem.OpBidirectional}); err != nil {
						t.Error(err)
					}
				}()
			}
			both.Wait()
			for range 2 {
				w.completed(w.sync(tandem.OpBidirectional))
				other.completed(other.sync(tandem.OpBidirectional))
			}
			for i, d := range w.devices() {
				want := w.remoteDevice(ids[i]).Name
				w.equal([]any{d.Name, d.Tags, w.remoteTags(ids[i]), other.remoteDevice(other.assignment(d.ID).ExternalDeviceID).Name}, []any{want, []string{"blue"}, []string{"blue"}, want})
			}
		})
	}
}

// TestS33ValueThatTheServiceKeeps: a service that answers yes and keeps its old value is told of, and is not
// asked the same at every run (S25); a new value is sent again.
func TestS33ValueThatTheServiceKeeps(t *testing.T) {
	deaf := &deafRemote{}
	w := newWorld(t, wrapRemote(func(r tandem.Remote) tandem.Remote { deaf.Remote = r; return deaf }))
	id := w.remotes("gate", 5)[0]
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	for _, tt := range []struct {
		path  tandem.Path
		value any
	}{{"enabled", false}, {"name", "renamed"}, {"tags", []string{"blue"}}} {
		deaf.hears = false
		w.setHere(local, tt.path, tt.value)
		run := w.sync(tandem.OpBidirectional)
		w.ended(run, tandem.RunPartial)
		w.equal(w.count(run, tandem.ActUpdate, tandem.OutcomeFailed), 1)
		w.equal(run.Summary.Failed, 1)
		w.completed(w.quiet(tandem.OpBidirectional))
	}
	deaf.hears = true
	w.completed(w.quiet(tandem.OpBidirectional)) // the same values were answered
	w.setHere(local, "name", "renamed again")
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(id).Name, "renamed again")
	w.quiet(tandem.OpBidirectional)
}

// TestS10SettlementThatTheServiceIgnores: a settlement that the service answers with yes and does not do is asked about again, and told of.
func TestS10SettlementThatTheServiceIgnores(t *testing.T) {
	deaf := &deafRemote{}
	w := newWorld(t, wrapRemote(func(r tandem.Remote) tandem.Remote { deaf.Remote = r; return deaf }))
	id := w.remotes("gate", 5)[0]
	w.completed(w.sync(tandem.OpBidirectional))
	w.setHere(w.localOf(id).ID, "name", "here")
	w.setThere(id, "name", "there")
	w.sync(tandem.OpBidirectional)
	done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service.ID}, Take: tandem.TakeLocal, By: "ada"})
	w.must(err)
	w.wantCode(done[0].Error, tandem.Stale)
	w.equal(w.conflict("name").Status, tandem.ConflictPending)
	runs, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
	w.must(err)
	w.equal(w.count(runs[0], tandem.ActUpdate, tandem.OutcomeFailed), 1)
}

// deafRemote answers every change of a device with yes, and does it only when it hears.
type deafRemote struct {
	tandem.Remote
	hears bool
}

func (d *deafRemote) UpdateDevice(ctx context.Context, id string, p tandem.RemotePatch) (tandem.RemoteDevice, error) {
	if d.hears {
		return d.Remote.UpdateDevice(ctx, id, p)
	}
	return d.Remote.Device(ctx, id)
}
