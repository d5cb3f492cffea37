package simtest

import (
	"context"
	"errors"
	"time"

	"tandem"
)

// picture is the world at rest: both sides, what the database says about them, and all that happened.
// The laws of check.go look at nothing else.
type picture struct {
	direction      tandem.Direction
	createLocal    bool
	createRemote   bool
	onRemoteDelete tandem.OnRemoteDelete
	deleteRemote   bool
	metadata       bool // is synced

	local     map[string]localDevice // by Device.ID, tombstones too
	remote    map[string]facts       // by external id, those that are there
	conflicts []tandem.Conflict      // open and closed
	entries   []tandem.Entry
	runs      []tandem.Run
	intents   []tandem.Intent
	notLinked map[string]bool // external ids that are listed as not linked
	mutations []mutation
	taken     time.Time
}

// localDevice is one device of the registry.
type localDevice struct {
	facts     facts
	name      string
	deleted   bool
	external  string // the remote device that it is linked to, or was
	unlinked  bool
	lifecycle tandem.Lifecycle
}

// linked reports whether the two are to be kept in step.
func (d localDevice) linked() bool { return d.external != "" && !d.unlinked }

// take reads the picture.
func (w *world) take(ctx context.Context) (*picture, error) {
	c := &w.service.Config
	p := &picture{taken: time.Now(), direction: c.Direction, createLocal: c.CreateLocal, createRemote: c.CreateRemote, onRemoteDelete: c.OnRemoteDelete,
		deleteRemote: c.DeleteRemote, metadata: c.Paths.Metadata != "", local: map[string]localDevice{}, notLinked: map[string]bool{},
		remote: w.gate.look(""), mutations: withoutTemporary(w.ledger.mutations())}
	ids := map[string]bool{}
	for _, id := range w.known {
		ids[id] = true
	}
	page := tandem.Page{Number: 1, Limit: 1000}
	var err error
	for ; ; page.Number++ {
		list, total, err := w.store.Entries(ctx, w.org.ID, tandem.EntryFilter{Page: page})
		if err != nil {
			return nil, err
		}
		p.entries = append(p.entries, list...)
		if page.Number*page.Limit >= total {
			break
		}
	}
	for _, e := range p.entries {
		if e.Side == tandem.LocalSide && e.Action == tandem.ActCreate && e.Outcome == tandem.OutcomeDone {
			ids[e.DeviceID] = true
		}
	}
	rows, err := w.rows(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		ids[r.ID] = true
	}
	for id := range ids {
		if err := w.picture(ctx, p, id); err != nil {
			return nil, err
		}
	}
	page = tandem.Page{Limit: 1000}
	var errs [4]error
	p.conflicts, _, errs[0] = w.store.Conflicts(ctx, w.org.ID, tandem.ConflictFilter{All: true, Page: page})
	p.runs, _, errs[1] = w.store.Runs(ctx, w.org.ID, tandem.RunFilter{Page: page})
	p.intents, errs[2] = w.store.Intents(ctx, w.org.ID, w.service.ID)
	left, _, err := w.store.NotLinked(ctx, w.org.ID, w.service.ID, tandem.NotLinkedFilter{Ignored: true, Page: page})
	errs[3] = err
	for _, n := range left {
		p.notLinked[n.ExternalDeviceID] = true
	}
	return p, errors.Join(errs[:]...)
}

// picture adds one local device.
func (w *world) picture(ctx context.Context, p *picture, id string) error {
	d, err := w.store.Device(ctx, w.org.ID, id)
	if tandem.Is(err, tandem.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l := localDevice{facts: factsOf(w.selected(&d)), name: d.Name, deleted: d.DeletedAt != nil, lifecycle: d.Lifecycle}
	l.facts[itself] = here
	on, err := w.store.Assignments(ctx, w.org.ID, []string{id})
	for _, a := range on {
		l.external, l.unlinked = a.ExternalDeviceID, a.Status == tandem.SyncUnlinked
	}
	p.local[id] = l
	return err
}

// selected gives a device's side with the fields that are synced.
func (w *world) selected(d *tandem.Device) tandem.Shared {
	s := d.Shared()
	if w.settings.root == "" {
		s.Known = s.Known.Without(tandem.FieldMetadata)
	}
	return s
}

// restless says what the last run changed, "" when it changed nothing (S25).
func (p *picture) restless(run string, written int) string {
	if written > 0 {
		return "it wrote to the remote"
	}
	for _, e := range p.entries {
		if e.RunID == run && e.Outcome == tandem.OutcomeDone {
			return "it has an entry: " + sayEntry(&e)
		}
	}
	return ""
}
